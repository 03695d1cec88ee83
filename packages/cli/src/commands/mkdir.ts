/** mkdir(1), of busybox. */
import { type VfsDir, resolveParent, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const mkdir: Command = {
  usage: 'mkdir [-p] [-m MODE] DIRECTORY…',
  run(io) {
    const { has, value, operands } = getopt(io.args, { short: { p: 'parents', m: 'mode' }, long: { parents: false, mode: true } });
    if (operands.length === 0) throw new UsageError('missing operand');
    const mode = parseInt(value('mode') ?? '755', 8);
    let status = 0;
    for (const operand of operands) {
      try {
        make(io.root, io.resolve(operand), mode, has('parents'));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        io.err(`mkdir: can't create directory '${operand}': ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

function make(root: VfsDir, path: string, mode: number, withParents: boolean): void {
  if (withParents) {
    if (isDirectory(root, path)) return;
    const up = path.slice(0, path.lastIndexOf('/')) || '/';
    if (up !== '/') make(root, up, mode, true);
  }
  const { parent, name } = resolveParent(root, path);
  if (name === '' || parent.lookup(name)) throw new KernelError('EEXIST', `${path} is there already`);
  if (!parent.mkdir) throw new KernelError('EPERM', `no directory can be made at ${path}`);
  parent.mkdir(name, mode);
}

function isDirectory(root: VfsDir, path: string): boolean {
  try {
    return resolvePath(root, path).node.kind === 'dir';
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
