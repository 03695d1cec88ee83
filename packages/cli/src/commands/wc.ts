/** wc(1): lines, words, bytes. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';
import { openFile, readPieces } from '../console/open-file.js';

export const wc: Command = {
  usage: 'wc [-lwc] [FILE]…',
  run({ args, root, resolve, stdin, out, err }) {
    const { has, operands } = getopt(args, { short: { l: 'lines', w: 'words', c: 'bytes' }, long: { lines: false, words: false, bytes: false } });
    const columns = (['lines', 'words', 'bytes'] as const).filter((name) => has(name));
    const wanted = columns.length > 0 ? columns : (['lines', 'words', 'bytes'] as const);
    let status = 0;
    for (const path of operands.length > 0 ? operands : ['-']) {
      try {
        const counts = count(path === '-' ? [stdin()] : readPieces(openFile(root, resolve(path))));
        const numbers = wanted.map((name) => String(counts[name]).padStart(wanted.length > 1 ? 9 : 0));
        out(`${numbers.join(' ')}${path === '-' ? '' : ` ${path}`}\n`);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        err(`wc: ${path}: ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

function count(pieces: Iterable<Uint8Array>): { lines: number; words: number; bytes: number } {
  const counts = { lines: 0, words: 0, bytes: 0 };
  let inWord = false;
  for (const piece of pieces) {
    counts.bytes += piece.length;
    for (const byte of piece) {
      const blank = byte === 32 || (byte >= 9 && byte <= 13);
      if (byte === 10) counts.lines++;
      if (!blank && !inWord) counts.words++;
      inWord = !blank;
    }
  }
  return counts;
}
