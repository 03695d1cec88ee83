/** rm(1), for /tmp: nothing else can be removed. */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { isRamDir } from '../console/ram-files.js';

export const rm: Command = {
  usage: 'rm [-f] FILE…',
  run({ args, root, resolve, err }) {
    const { has, operands } = getopt(args, { short: { f: 'force' }, long: { force: false } });
    if (operands.length === 0 && !has('force')) throw new UsageError('missing operand');
    let status = 0;
    for (const operand of operands) {
      const path = resolve(operand);
      const at = path.lastIndexOf('/');
      try {
        const { node: parent } = resolvePath(root, path.slice(0, at) || '/');
        resolvePath(root, path, { follow: false });
        if (!isRamDir(parent) || !parent.remove(path.slice(at + 1))) throw new KernelError('EPERM', `${path} cannot be removed`);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        if (has('force') && error.code === 'ENOENT') continue;
        err(`rm: can't remove '${operand}': ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};
