/** tail(1): the last lines, `-n LINES`. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { openFile, readWhole } from '../console/open-file.js';

export const tail: Command = {
  usage: 'tail [-n LINES] [FILE]',
  run({ args, root, resolve, stdin, out, err, explainError }) {
    const { value, operands } = getopt(args.map((arg) => arg.replace(/^-(\d+)$/, '-n$1')), { short: { n: 'lines' }, long: { lines: true } });
    const lines = Number(value('lines') ?? '10');
    if (!Number.isSafeInteger(lines) || lines < 0) throw new UsageError(`invalid number '${value('lines')}'`);
    try {
      const path = operands[0] ?? '-';
      const bytes = path === '-' ? stdin() : readWhole(openFile(root, resolve(path)));
      let start = bytes.length;
      for (let left = lines; left > 0 && start > 0; left--) start = bytes.lastIndexOf(10, start - 2) + 1;
      out(bytes.subarray(start));
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      explainError(error);
      err(`tail: can't open '${operands[0]}': ${strerror(error.code)}`);
      return 1;
    }
  },
};
