/** mountpoint(1) of busybox: is a directory the root of what is mounted there? */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { mountLines } from './mount.js';

export const mountpoint: Command = {
  usage: 'mountpoint [-q] DIR',
  run(io) {
    const { args, root, resolve, out, err } = io;
    const { has, operands } = getopt(args, { short: { q: 'quiet' }, long: { quiet: false } });
    const [path] = operands;
    if (path === undefined || operands.length > 1) throw new UsageError('one directory is expected');
    const say = (text: string): void => {
      if (!has('quiet')) out(`${path} ${text}\n`);
    };
    try {
      const { node, path: target } = resolvePath(root, resolve(path));
      if (node.kind !== 'dir') throw new KernelError('ENOTDIR', `${path} is no directory`);
      const isMounted = target === '/' || ['/proc', '/sys', '/dev'].includes(target) || mountLines(io).some((mount) => mount.target === target);
      say(isMounted ? 'is a mountpoint' : 'is not a mountpoint');
      return isMounted ? 0 : 1;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (!has('quiet')) err(`mountpoint: ${path}: ${strerror(error.code)}`);
      return 1;
    }
  },
};
