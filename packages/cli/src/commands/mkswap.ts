/** mkswap(8), in busybox's words: makes a swap area of a device, or of a file. */
import { encodeSwapHeader, resolvePath } from '@holdfast/kernel';
import { KernelError, PAGE_SIZE, strerror } from '@holdfast/lib';
import { parseUuid } from '@holdfast/nvdimm';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';

/** Bytes at the start that a boot loader may have. */
const BOOT_BITS = 1024;
/** Bytes, below which busybox sees no image. */
const SMALLEST = 16 * 1024;

export const mkswap: Command = {
  usage: 'mkswap [-L LABEL] BLOCKDEV [KBYTES]',
  help: '-L LABEL   name of the area',
  run({ args, root, resolve, system, out, err, explain }) {
    const options = getopt(args, { long: { label: true }, short: { L: 'label' } });
    const [device, kbytes, more] = options.operands;
    if (device === undefined || more !== undefined) throw new UsageError('expected a device, and at most a size in KiB');
    if (kbytes !== undefined && !/^\d+$/.test(kbytes)) throw new UsageError(`invalid number '${kbytes}'`);
    let isOpen = false;
    let isWriting = false;
    try {
      const { node } = resolvePath(root, resolve(device));
      if (node.kind !== 'block' && node.kind !== 'regular') throw new KernelError('EINVAL', `${device} is no block device and no file`);
      const file = node.kind === 'block' ? node.open() : node.open({ write: true });
      isOpen = true;
      try {
        const sizeBytes = kbytes === undefined ? file.sizeBytes : Math.min(file.sizeBytes, Number(kbytes) * 1024);
        if (file.sizeBytes < SMALLEST) {
          err('mkswap: image is too small');
          return 1;
        }
        const nrPages = Math.floor(sizeBytes / PAGE_SIZE);
        const uuid = system.randomUuid();
        const label = options.value('label');
        out(`Setting up swapspace version 1, size = ${sizeBytes - PAGE_SIZE} bytes\n`);
        const page = encodeSwapHeader({ nrPages, uuid: parseUuid(uuid), ...(label === undefined ? {} : { label }) });
        isWriting = true;
        file.pwrite(page.subarray(BOOT_BITS), BOOT_BITS);
        isWriting = false;
        out(`${label === undefined ? '' : `LABEL=${label}, `}UUID=${uuid}\n`);
        file.fsync();
      } finally {
        file.close();
      }
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (isWriting) err(`mkswap: write error: ${strerror(error.code)}`);
      else err(`mkswap: ${isOpen || error.code === 'EINVAL' ? `${device}:` : `can't open '${device}':`} ${strerror(error.code)}`);
      explain({ rule: error.message });
      return 1;
    }
  },
};
