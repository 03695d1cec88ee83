/** sync(1): everything written to any file or block device is durable when it returns. */
import { resolvePath } from '@holdfast/kernel';
import type { Command } from '../console/command.js';
import { dirAt } from '../facts/sysfs.js';

export const sync: Command = {
  usage: 'sync',
  run({ root, kernel }) {
    kernel.sync();
    for (const name of dirAt(root, '/dev')?.list() ?? []) {
      const { node } = resolvePath(root, `/dev/${name}`);
      if (node.kind !== 'block') continue;
      const file = node.open();
      try {
        file.fsync();
      } finally {
        file.close();
      }
    }
  },
};
