/**
 * blkdiscard(8) of util-linux: tells a device that blocks are no longer needed, for good if asked, or zeroes them. The device must not be in use,
 * unless forced.
 */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const blkdiscard: Command = {
  usage: 'blkdiscard [-f] [-s | -z] [-o OFFSET] [-l LENGTH] DEVICE',
  help: '-f, --force   even if somebody has it exclusively\n-s, --secure   so that nothing of them can be had again\n-z, --zeroout   write zeros\n-o, --offset, -l, --length   bytes; all of the device without them',
  run({ args, root, resolve, err, explainError }) {
    const options = getopt(args, {
      long: { force: false, secure: false, zeroout: false, offset: true, length: true },
      short: { f: 'force', s: 'secure', z: 'zeroout', o: 'offset', l: 'length' },
    });
    const [device, more] = options.operands;
    if (device === undefined) throw new UsageError('no device specified');
    if (more !== undefined) throw new UsageError('unexpected number of arguments');
    const offset = bytesOf(options.value('offset'), 'offset') ?? 0;
    const given = bytesOf(options.value('length'), 'length');
    const refuse = (why: string): number => {
      err(`blkdiscard: ${device}: ${why}`);
      return 1;
    };
    let doing = 'cannot open';
    try {
      const { node } = resolvePath(root, resolve(device));
      if (node.kind !== 'block') return refuse('not a block device');
      const file = node.open(options.has('force') ? {} : { exclusive: 'blkdiscard' });
      try {
        doing = options.has('zeroout') ? 'BLKZEROOUT' : options.has('secure') ? 'BLKSECDISCARD' : 'BLKDISCARD';
        const { logicalBlockSize, sizeBytes } = file;
        if (offset % logicalBlockSize !== 0) return refuse(`offset ${offset} is not aligned to sector size ${logicalBlockSize}`);
        if (offset > sizeBytes) return refuse('offset is greater than device size');
        const length = Math.min(given ?? Infinity, sizeBytes - offset);
        if (length % logicalBlockSize !== 0) return refuse(`length ${length} is not aligned to sector size ${logicalBlockSize}`);
        if (options.has('zeroout')) file.zeroout(offset, length);
        else if (options.has('secure')) throw new KernelError('EOPNOTSUPP', 'no driver here has secure erase');
        else file.discard(offset, length);
      } finally {
        file.close();
      }
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      err(
        doing === 'cannot open'
          ? `blkdiscard: cannot open ${device}: ${strerror(error.code)}`
          : `blkdiscard: ${device}: ${doing} failed: ${strerror(error.code)}`,
      );
      explainError(error);
      return 1;
    }
  },
};

function bytesOf(text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  const count = parseByteCount(text);
  if (count === undefined) throw new UsageError(`failed to parse ${what}: '${text}'`);
  return count;
}
