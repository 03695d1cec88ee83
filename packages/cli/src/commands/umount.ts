/** umount(8) of busybox: by directory, or by device. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { mountLines, mountedAt } from './mount.js';

export const umount: Command = {
  usage: 'umount [-a] DIRECTORY|DEVICE…',
  run(io) {
    const { has, operands } = getopt(io.args, {
      short: { a: 'all', l: 'lazy', f: 'force', r: 'read-only', n: 'no-mtab', d: 'detach-loop' },
      long: { all: false, lazy: false, force: false, 'read-only': false, 'no-mtab': false, 'detach-loop': false },
    });
    const all = has('all') ? mountLines(io).filter(({ source }) => source.startsWith('/dev/')).map(({ target }) => target) : [];
    if (operands.length === 0 && !has('all')) throw new UsageError('a directory or a device is expected');
    let status = 0;
    for (const name of [...all, ...operands]) {
      try {
        io.kernel.mounts.umount(mountedAt(io, name)?.target ?? io.resolve(name));
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        io.err(`umount: can't unmount ${name}: ${strerror(error.code)}`);
        io.explain({ rule: error.message });
        status = 1;
      }
    }
    return status;
  },
};
