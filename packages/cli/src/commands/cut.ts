/** cut(1) of busybox: of each line some bytes, characters, or fields. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { readInput, splitLines } from '../console/read-input.js';

/** From one on, both ends counted. */
interface Range {
  readonly first: number;
  readonly last: number;
}

export const cut: Command = {
  usage: 'cut -b LIST|-c LIST|-f LIST [-d CHAR] [-O TEXT] [-s] [FILE]…',
  help: 'LIST: 2, 1-3, -3, 4-, with commas between; -s leaves out lines without the delimiter, -O stands between the fields that are shown',
  run(io) {
    const { has, value, operands } = getopt(io.args, {
      short: { b: 'bytes', c: 'characters', f: 'fields', d: 'delimiter', O: 'output-delimiter', s: 'only-delimited', n: 'whole' },
      long: { bytes: true, characters: true, fields: true, delimiter: true, 'output-delimiter': true, 'only-delimited': false, whole: false },
    });
    const kinds = (['bytes', 'characters', 'fields'] as const).filter((kind) => has(kind));
    const [kind] = kinds;
    const refusal = refusalOf(kinds, has);
    if (refusal !== undefined || kind === undefined) {
      io.err(`cut: ${refusal}`);
      return 1;
    }
    const ranges = parseList(value(kind)!);
    if (typeof ranges === 'string') {
      io.err(`cut: ${ranges}`);
      return 1;
    }
    const delimiter = value('delimiter')?.[0] ?? '\t';
    const cutLine =
      kind === 'fields'
        ? fieldsOf(ranges, delimiter, value('output-delimiter') ?? delimiter, has('only-delimited'))
        : (line: string) => partsOf([...line], ranges).join('');
    let status = 0;
    for (const path of operands.length > 0 ? operands : ['-']) {
      try {
        for (const line of splitLines(readInput(io, path))) {
          const shown = cutLine(line);
          if (shown !== undefined) io.out(`${shown}\n`);
        }
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        io.err(`cut: ${path}: ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

function refusalOf(kinds: readonly string[], has: (name: string) => boolean): string | undefined {
  if (kinds.length > 1) throw new UsageError('one list is expected: -b, -c or -f');
  if (kinds.length === 0) return 'expected a list of bytes, characters, or fields';
  if (kinds[0] === 'fields') return undefined;
  if (has('delimiter')) return 'a delimiter may be specified only when operating on fields';
  return has('only-delimited') ? 'suppressing non-delimited lines makes sense only when operating on fields' : undefined;
}

/** In the order of their starts, however they were given; 0 and an end before its start count as the start alone. */
function parseList(text: string): Range[] | string {
  const ranges: Range[] = [];
  for (const part of text.split(',')) {
    const match = /^(\d*)(-?)(\d*)$/.exec(part);
    if (!match || part === '' || part === '-') return `invalid number '${part.replace(/^-|-.*$/g, '')}'`;
    const [, from = '', dash, to = ''] = match;
    const first = Math.max(1, Number(from));
    ranges.push({ first, last: dash === '' ? first : Math.max(first, to === '' ? Infinity : Number(to)) });
  }
  return ranges.sort((a, b) => a.first - b.first);
}

/** What lies in several ranges is there once. */
function partsOf(items: readonly string[], ranges: readonly Range[]): string[] {
  return items.filter((_item, index) => ranges.some(({ first, last }) => index + 1 >= first && index + 1 <= last));
}

function fieldsOf(ranges: readonly Range[], delimiter: string, between: string, onlyDelimited: boolean): (line: string) => string | undefined {
  return (line) => {
    if (!line.includes(delimiter)) return onlyDelimited ? undefined : line;
    const fields = line.split(delimiter);
    const shown: string[] = [];
    let next = 1;
    for (const { first, last } of ranges) {
      // A range that begins behind the last field, or comes when all are shown, shows an empty one.
      if (first > fields.length || next > fields.length) shown.push('');
      else shown.push(...fields.slice(Math.max(first, next) - 1, last));
      next = Math.max(next, last + 1);
    }
    return shown.join(between);
  };
}
