/** mountpoint(1) of busybox: is a directory the root of what is mounted there? Mirrors its util-linux/mountpoint.c. */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const mountpoint: Command = {
  usage: 'mountpoint [-qdn] DIR  or  mountpoint -x DEVICE',
  help: ' -q  only the status tells\n -d  numbers of the device of the file system\n -n  its name\n -x  numbers of a block device',
  run({ args, root, resolve, kernel, out, err }) {
    const { has, operands } = getopt(args, {
      short: { q: 'quiet', d: 'fs-devno', n: 'name', x: 'devno' },
      long: { quiet: false, 'fs-devno': false, name: false, devno: false },
    });
    const [path] = operands;
    if (path === undefined || operands.length > 1) throw new UsageError('one directory is expected');
    const refuse = (text: string): number => {
      if (!has('quiet')) err(`mountpoint: ${path}${text}`);
      return 1;
    };
    try {
      const { node, path: found } = resolvePath(root, resolve(path));
      if (has('devno')) {
        if (node.kind !== 'block') return refuse('');
        out(`${node.major}:${node.minor}\n`);
        return 0;
      }
      if (node.kind !== 'dir') return refuse(`: ${strerror('ENOTDIR')}`);
      const { target, source, major, minor } = kernel.mounts.mountOf(found);
      if (has('fs-devno')) out(`${major}:${minor}\n`);
      if (has('name')) out(`${source.startsWith('/dev/') ? source : 'UNNAMED'} ${path}\n`);
      if (!has('quiet') && !has('fs-devno') && !has('name')) out(`${path} is ${target === found ? '' : 'not '}a mountpoint\n`);
      return target === found ? 0 : 1;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return refuse(`: ${strerror(error.code)}`);
    }
  },
};
