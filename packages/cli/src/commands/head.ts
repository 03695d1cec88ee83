/** head(1): `-n LINES`, `-c BYTES`, or `-LINES`. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { parseByteCount } from '../console/byte-count.js';
import { openFile, readPieces } from '../console/open-file.js';

export const head: Command = {
  usage: 'head [-n LINES] [-c BYTES] [FILE]…',
  run({ args, root, resolve, stdin, out, err, explainError }) {
    const { value, operands } = getopt(args.map((arg) => arg.replace(/^-(\d+)$/, '-n$1')), {
      short: { n: 'lines', c: 'bytes' },
      long: { lines: true, bytes: true },
    });
    const bytes = value('bytes') === undefined ? Infinity : count(value('bytes')!);
    const lines = value('bytes') === undefined ? count(value('lines') ?? '10') : Infinity;
    let status = 0;
    for (const [index, path] of (operands.length > 0 ? operands : ['-']).entries()) {
      try {
        const pieces = path === '-' ? [stdin().subarray(0, bytes)] : readPieces(openFile(root, resolve(path)), 0, bytes);
        if (operands.length > 1) out(`${index > 0 ? '\n' : ''}==> ${path} <==\n`);
        for (const piece of firstLines(pieces, lines)) out(piece);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        explainError(error);
        err(`head: ${path}: ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

function count(text: string): number {
  const number = parseByteCount(text);
  if (number === undefined) throw new UsageError(`invalid number '${text}'`);
  return number;
}

function* firstLines(pieces: Iterable<Uint8Array>, lines: number): Generator<Uint8Array> {
  let left = lines;
  for (const piece of pieces) {
    if (left <= 0) return;
    let end = 0;
    while (left > 0 && end < piece.length) {
      const newline = left === Infinity ? -1 : piece.indexOf(10, end);
      end = newline < 0 ? piece.length : newline + 1;
      if (newline >= 0) left--;
    }
    yield piece.subarray(0, end);
  }
}
