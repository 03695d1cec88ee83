/** rm(1), of busybox: files of file systems, and with -r directories. */
import { type VfsDir, resolveParent, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const rm: Command = {
  usage: 'rm [-fr] FILE…',
  run({ args, root, resolve, err }) {
    const { has, operands } = getopt(args, { short: { f: 'force', r: 'recursive', R: 'recursive' }, long: { force: false, recursive: false } });
    if (operands.length === 0 && !has('force')) throw new UsageError('missing operand');
    let status = 0;
    for (const operand of operands) {
      const path = resolve(operand);
      try {
        resolvePath(root, path, { follow: false });
        const { parent, name } = resolveParent(root, path);
        remove(parent, name, has('recursive'));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        if (has('force') && error.code === 'ENOENT') continue;
        err(error.code === 'EISDIR' ? `rm: '${operand}' is a directory` : `rm: can't remove '${operand}': ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

function remove(parent: VfsDir, name: string, isRecursive: boolean): void {
  const node = parent.lookup(name);
  if (!parent.unlink || !parent.rmdir) throw new KernelError('EPERM', `${name} cannot be removed`);
  if (node?.kind !== 'dir' || !isRecursive) return parent.unlink(name);
  for (const child of [...node.list()]) remove(node, child, true);
  parent.rmdir(name);
}
