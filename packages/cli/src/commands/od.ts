/** od(1): `-A RADIX`, `-t TYPE` of o2 x1 x2 x4 x8 u1 d1 c, `-N LENGTH`, `-j SKIP`, `-v`, `-x`, `-c`. */
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { lines16 } from '../console/lines16.js';
import { openFile, readPieces } from '../console/open-file.js';

const RADIX: Record<string, number> = { o: 8, d: 10, x: 16 };

export const od: Command = {
  usage: 'od [-A o|d|x|n] [-t TYPE] [-N LENGTH] [-j SKIP] [-v] [FILE]',
  help: 'TYPE is o, x, u or d with a size of 1, 2, 4 or 8 bytes, or c; o2 if left out.',
  run({ args, root, resolve, stdin, out, err, explainError }) {
    const long = { 'address-radix': true, format: true, 'read-bytes': true, 'skip-bytes': true, 'output-duplicates': false, x: false, c: false };
    const { has, value, operands } = getopt(args, {
      short: { A: 'address-radix', t: 'format', N: 'read-bytes', j: 'skip-bytes', v: 'output-duplicates', x: 'x', c: 'c' },
      long,
    });
    const type = formatter(value('format') ?? (has('x') ? 'x2' : has('c') ? 'c' : 'o2'));
    const address = addressFormatter(value('address-radix') ?? 'o');
    const skip = number(value('skip-bytes') ?? '0');
    const length = value('read-bytes') === undefined ? Infinity : number(value('read-bytes')!);
    const path = operands[0];
    try {
      const pieces = path === undefined ? [stdin().subarray(skip, skip + length)] : readPieces(openFile(root, resolve(path)), skip, length);
      let end = skip;
      for (const { offset, bytes, repeated } of lines16(pieces, skip, !has('output-duplicates'))) {
        if (repeated) out('*\n');
        else if (bytes.length > 0) out(`${address(offset)}${type(bytes)}\n`);
        end = offset + bytes.length;
      }
      if (address(end) !== '') out(`${address(end)}\n`);
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      explainError(error);
      err(`od: ${path}: ${strerror(error.code)}`);
      return 1;
    }
  },
};

function number(text: string): number {
  const parsed = parseByteCount(text);
  if (parsed === undefined) throw new UsageError(`invalid number '${text}'`);
  return parsed;
}

function addressFormatter(radix: string): (offset: number) => string {
  if (radix === 'n') return () => '';
  const base = Object.hasOwn(RADIX, radix) ? RADIX[radix]! : undefined;
  if (base === undefined) throw new UsageError(`bad output address radix '${radix}' (must be [doxn])`);
  return (offset) => offset.toString(base).padStart(radix === 'x' ? 6 : 7, '0');
}

/** How a line's bytes are shown: little-endian units, each in a field as wide as its largest value. */
function formatter(type: string): (bytes: Uint8Array) => string {
  if (type === 'c') return (bytes) => Array.from(bytes, (byte) => character(byte).padStart(4)).join('');
  const match = /^([oxud])([1248])$/.exec(type);
  if (!match) throw new UsageError(`invalid type string '${type}'`);
  const size = Number(match[2]);
  const base = { o: 8, x: 16, u: 10, d: 10 }[match[1] as 'o'];
  const signed = match[1] === 'd';
  const width = (2n ** BigInt(8 * size) - 1n).toString(base).length + (signed && size < 8 ? 1 : 0);
  return (bytes) => {
    let text = '';
    for (let at = 0; at < bytes.length; at += size) {
      let unit = 0n;
      for (let index = size - 1; index >= 0; index--) unit = unit * 256n + BigInt(bytes[at + index] ?? 0);
      const shown = (signed ? BigInt.asIntN(8 * size, unit) : unit).toString(base);
      text += ` ${base === 10 ? shown.padStart(width) : shown.padStart(width, '0')}`;
    }
    return text;
  };
}

const NAMED: Record<number, string> = { 0: '\\0', 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r' };

function character(byte: number): string {
  return NAMED[byte] ?? (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : byte.toString(8).padStart(3, '0'));
}
