/** hexdump(1): 16-bit words by default, `-C` for bytes with their characters; `-n LENGTH`, `-s OFFSET`, `-v`. */
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { openFile, readPieces } from '../console/open-file.js';
import { lines16 } from '../console/lines16.js';

export const hexdump: Command = {
  usage: 'hexdump [-C] [-v] [-n LENGTH] [-s OFFSET] [FILE]',
  help: 'Equal lines are shown once, then as *; -v shows all.',
  run(io) {
    const { has, value, operands } = getopt(io.args, {
      short: { C: 'canonical', v: 'no-squeezing', n: 'length', s: 'skip' },
      long: { canonical: false, 'no-squeezing': false, length: true, skip: true },
    });
    const skip = number(value('skip') ?? '0');
    const length = value('length') === undefined ? Infinity : number(value('length')!);
    const format = has('canonical') ? canonicalLine : wordLine;
    const width = has('canonical') ? 8 : 7;
    try {
      let end: number | undefined;
      for (const { offset, bytes, repeated } of lines16(pieces(io, operands[0], skip, length), skip, !has('no-squeezing'))) {
        if (repeated) io.out('*\n');
        else if (bytes.length > 0) io.out(`${offset.toString(16).padStart(width, '0')}${format(bytes)}\n`);
        end = offset + bytes.length;
      }
      if (end !== undefined && end > skip) io.out(`${end.toString(16).padStart(width, '0')}\n`);
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.explainError(error);
      io.err(`hexdump: ${operands[0]}: ${strerror(error.code)}`);
      return 1;
    }
  },
};

function number(text: string): number {
  const parsed = parseByteCount(text);
  if (parsed === undefined) throw new UsageError(`invalid number '${text}'`);
  return parsed;
}

function pieces({ root, resolve, stdin }: CommandIo, path: string | undefined, skip: number, length: number): Iterable<Uint8Array> {
  return path === undefined ? [stdin().subarray(skip, skip + length)] : readPieces(openFile(root, resolve(path)), skip, length);
}

/** `  68 6f 6c 64 …  |hold…|` */
function canonicalLine(bytes: Uint8Array): string {
  let hexText = '';
  let text = '';
  for (let at = 0; at < 16; at++) {
    const byte = bytes[at];
    hexText += `${at === 8 ? ' ' : ''} ${byte === undefined ? '  ' : byte.toString(16).padStart(2, '0')}`;
    if (byte !== undefined) text += byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.';
  }
  return ` ${hexText}  |${text}|`;
}

function wordLine(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 2) text += ` ${((bytes[at + 1] ?? 0) * 256 + bytes[at]!).toString(16).padStart(4, '0')}`;
  return text.padEnd(40);
}
