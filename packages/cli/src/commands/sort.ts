/** sort(1) of busybox with -n, -r, -u, -t and -k: lines in the order of their bytes, or of what their keys say. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { readInput, splitLines } from '../console/read-input.js';

interface Key {
  readonly text: (line: string) => string;
  readonly numeric: boolean;
  readonly reverse: boolean;
}

type Order = Pick<Key, 'numeric' | 'reverse'>;

export const sort: Command = {
  usage: 'sort [-nru] [-t CHAR] [-k FIELD[,FIELD][nr]]… [FILE]…',
  run(io) {
    const { args, out, err } = io;
    const { has, value, values, operands } = getopt(args, {
      short: { n: 'numeric', r: 'reverse', u: 'unique', t: 'separator', k: 'key' },
      long: { numeric: false, reverse: false, unique: false, separator: true, key: true },
    });
    const lines: string[] = [];
    for (const path of operands.length > 0 ? operands : ['-']) {
      try {
        lines.push(...splitLines(readInput(io, path)));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        err(`sort: ${path}: ${strerror(error.code)}`);
        return 2;
      }
    }
    const order = { numeric: has('numeric'), reverse: has('reverse') };
    const keys = values('key').map((text) => parseKey(text, value('separator'), order));
    if (keys.length === 0) keys.push({ text: (line) => line, ...order });
    const byKeys = (a: string, b: string): number => keys.map((key) => compareBy(key, a, b)).find((result) => result !== 0) ?? 0;
    // Lines that are equal by their keys: by all of their bytes, unless one of them is enough.
    const byAll = (a: string, b: string): number => byKeys(a, b) || (has('unique') ? 0 : (order.reverse ? -1 : 1) * compareBytes(a, b));
    const sorted = lines.sort(byAll);
    const shown = has('unique') ? sorted.filter((line, index) => index === 0 || byKeys(sorted[index - 1]!, line) !== 0) : sorted;
    out(shown.map((line) => `${line}\n`).join(''));
    return 0;
  },
};

/** `2`, `2,3`, `1,1n`: fields from one on. Letters at a key take the place of the command's. */
function parseKey(text: string, separator: string | undefined, order: Order): Key {
  const match = /^(\d+)([nr]*)(?:,(\d+)([nr]*))?$/.exec(text);
  if (!match || Number(match[1]) === 0) throw new UsageError(`bad field specification '${text}'`);
  const [from, to] = [Number(match[1]), match[3] === undefined ? Infinity : Number(match[3])];
  const letters = `${match[2]!}${match[4] ?? ''}`;
  const fields = (line: string): string[] => (separator === undefined ? (line.match(/\s*\S+/g) ?? []) : line.split(separator));
  return {
    text: (line) => fields(line).slice(from - 1, to).join(separator ?? ''),
    ...(letters === '' ? order : { numeric: letters.includes('n'), reverse: letters.includes('r') }),
  };
}

function compareBy({ text, numeric, reverse }: Key, a: string, b: string): number {
  const [left, right] = [text(a), text(b)];
  const result = numeric ? leadingNumber(left) - leadingNumber(right) : compareBytes(left, right);
  return reverse ? -result : result;
}

function leadingNumber(text: string): number {
  return Number(/^\s*(-?\d*\.?\d+)/.exec(text)?.[1] ?? 0);
}

/** Code units agree with bytes in all that a kernel prints. */
function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
