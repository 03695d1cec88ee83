/** blkdiscard(8) of util-linux: tells a device that blocks are no longer needed, or zeroes them. The device must not be in use, unless forced. */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

export const blkdiscard: Command = {
  usage: 'blkdiscard [-f] [-z] [-o OFFSET] [-l LENGTH] DEVICE',
  help: '-f, --force   even if somebody has it exclusively\n-z, --zeroout   write zeros\n-o, --offset, -l, --length   bytes; all of the device without them',
  run({ args, root, resolve, err, explainError }) {
    const options = getopt(args, { long: { force: false, zeroout: false, offset: true, length: true }, short: { f: 'force', z: 'zeroout', o: 'offset', l: 'length' } });
    const [device, more] = options.operands;
    if (device === undefined) throw new UsageError('no device specified');
    if (more !== undefined) throw new UsageError('unexpected number of arguments');
    const offset = bytesOf(options.value('offset'), 'offset') ?? 0;
    const given = bytesOf(options.value('length'), 'length');
    let doing = 'cannot open';
    try {
      const { node } = resolvePath(root, resolve(device));
      if (node.kind !== 'block') throw new KernelError('ENOTTY', `${device} is no block device`);
      const file = node.open(options.has('force') ? {} : { exclusive: 'blkdiscard' });
      try {
        doing = options.has('zeroout') ? 'BLKZEROOUT' : 'BLKDISCARD';
        const length = Math.min(given ?? Infinity, Math.max(0, file.sizeBytes - offset));
        if (options.has('zeroout')) file.zeroout(offset, length);
        else file.discard(offset, length);
      } finally {
        file.close();
      }
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      err(doing === 'cannot open' ? `blkdiscard: cannot open ${device}: ${strerror(error.code)}` : `blkdiscard: ${device}: ${doing} failed: ${strerror(error.code)}`);
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
