/** uniq(1) of busybox: of equal lines in a row, one. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { openFile, toBytes } from '../console/open-file.js';
import { readInput, splitLines } from '../console/read-input.js';

export const uniq: Command = {
  usage: 'uniq [-cdui] [-f FIELDS] [-s CHARS] [-w CHARS] [FILE [OUTFILE]]',
  help: [
    ' -c    how often each line came, before it',
    ' -d    only lines that came several times',
    ' -u    only lines that came once',
    ' -i    upper and lower case are equal',
    ' -f N  fields at the start do not count',
    ' -s N  nor do characters behind them',
    ' -w N  and only so many behind those do',
  ].join('\n'),
  run(io) {
    const { has, value, operands } = getopt(io.args, {
      short: { c: 'count', d: 'repeated', u: 'unique', i: 'ignore-case', f: 'skip-fields', s: 'skip-chars', w: 'check-chars' },
      long: { count: false, repeated: false, unique: false, 'ignore-case': false, 'skip-fields': true, 'skip-chars': true, 'check-chars': true },
    });
    const [input = '-', output = '-', ...more] = operands;
    if (more.length > 0) throw new UsageError('at most an input and an output are expected');
    const number = (name: string, otherwise: number): number => {
      const text = value(name);
      if (text !== undefined && !/^\d+$/.test(text)) throw new UsageError(`invalid number '${text}'`);
      return text === undefined ? otherwise : Number(text);
    };
    const [fields, skipped, width] = [number('skip-fields', 0), number('skip-chars', 0), number('check-chars', Infinity)];
    const keyOf = (line: string): string => {
      const behind = line.replace(new RegExp(`^(?:\\s*\\S+){0,${fields}}`), fields === 0 ? '$&' : '');
      const key = [...behind].slice(skipped, skipped + width).join('');
      return has('ignore-case') ? key.toLowerCase() : key;
    };
    let path = input;
    try {
      const shown = groupsOf(splitLines(readInput(io, input)), keyOf).filter(
        ({ count }) => (!has('repeated') || count > 1) && (!has('unique') || count === 1),
      );
      const text = shown.map(({ line, count }) => `${has('count') ? `${String(count).padStart(7)} ` : ''}${line}\n`).join('');
      path = output;
      if (output === '-') io.out(text);
      else writeWhole(openFile(io.root, io.resolve(output), { write: true, truncate: true }), toBytes(text));
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`uniq: can't open '${path}': ${strerror(error.code)}`);
      return 1;
    }
  },
};

function writeWhole(file: ReturnType<typeof openFile>, bytes: Uint8Array): void {
  try {
    for (let done = 0; done < bytes.length;) done += file.pwrite(bytes.subarray(done), done);
  } finally {
    file.close();
  }
}

function groupsOf(lines: readonly string[], keyOf: (line: string) => string): { line: string; count: number }[] {
  const groups: { line: string; key: string; count: number }[] = [];
  for (const line of lines) {
    const key = keyOf(line);
    const last = groups.at(-1);
    if (last?.key === key) last.count++;
    else groups.push({ line, key, count: 1 });
  }
  return groups;
}
