/** cat(1), with busybox's words. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';
import { openFile, readPieces } from '../console/open-file.js';

export const cat: Command = {
  usage: 'cat [FILE]…',
  help: 'Print files one after the other; standard input without any, or for -.',
  run({ args, root, resolve, stdin, out, err, explainError }) {
    const { operands } = getopt(args, { short: { u: 'u' }, long: { u: false } });
    let status = 0;
    for (const path of operands.length > 0 ? operands : ['-']) {
      if (path === '-') {
        out(stdin());
        continue;
      }
      let opened = false;
      try {
        const file = openFile(root, resolve(path));
        opened = true;
        for (const piece of readPieces(file)) out(piece);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        explainError(error);
        const reading = opened || error.code === 'EISDIR'; // a directory can be opened, and not be read
        err(reading ? `cat: read error: ${strerror(error.code)}` : `cat: can't open '${path}': ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};
