/** cmp(1): the first byte in which two files differ; `-n BYTES` at most, `-s` by the status alone. */
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { type OpenFile, openFile } from '../console/open-file.js';

const PIECE = 1024 * 1024;

export const cmp: Command = {
  usage: 'cmp [-s] [-n BYTES] FILE1 FILE2',
  run({ args, root, resolve, out, err, explainError }) {
    const { has, value, operands } = getopt(args, { short: { s: 'quiet', n: 'bytes' }, long: { quiet: false, bytes: true } });
    const limit = value('bytes') === undefined ? Infinity : parseByteCount(value('bytes')!);
    const [first, second] = operands;
    if (first === undefined || second === undefined || limit === undefined) throw new UsageError('two files are needed');
    let opening = first;
    let a: OpenFile | undefined;
    let b: OpenFile | undefined;
    try {
      a = openFile(root, resolve(first));
      opening = second;
      b = openFile(root, resolve(second));
      const [pieceA, pieceB] = [new Uint8Array(PIECE), new Uint8Array(PIECE)];
      let line = 1;
      for (let at = 0; at < limit; at += PIECE) {
        const length = Math.min(PIECE, limit - at);
        const [countA, countB] = [a.pread(pieceA.subarray(0, length), at), b.pread(pieceB.subarray(0, length), at)];
        for (let index = 0; index < Math.min(countA, countB); index++) {
          if (pieceA[index] !== pieceB[index]) {
            if (!has('quiet')) out(`${first} ${second} differ: byte ${at + index + 1}, line ${line}\n`);
            return 1;
          }
          if (pieceA[index] === 10) line++;
        }
        if (countA !== countB) {
          if (!has('quiet')) err(`cmp: EOF on ${countA < countB ? first : second}`);
          return 1;
        }
        if (countA < length) return 0;
      }
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      explainError(error);
      err(`cmp: can't open '${opening}': ${strerror(error.code)}`);
      return 2;
    } finally {
      a?.close();
      b?.close();
    }
  },
};
