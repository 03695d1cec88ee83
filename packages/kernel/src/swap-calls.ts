/**
 * swapon(2) and swapoff(2): from a path to a device that is held, and back. Mirrors mm/swapfile.c: claim_swapfile.
 */
import { SWAP_HOLDER } from '@holdfast/block';
import { KernelError } from '@holdfast/lib';
import type { Swap } from '@holdfast/mm';
import { type VfsDir, resolvePath } from './vfs.js';

export interface SwapCalls {
  /**
   * @param path absolute
   * @param prio from 0 to 32767; without it the area comes behind all others
   * @throws KernelError ENOENT, EINVAL for what is no device or no swap area, EBUSY if somebody holds the device
   */
  swapon(path: string, prio?: number): void;
  /** @throws KernelError ENOENT, EINVAL if that is no area in use */
  swapoff(path: string): void;
}

export function createSwapCalls(root: VfsDir, swap: Swap): SwapCalls {
  return {
    swapon(path, prio) {
      const { node } = resolvePath(root, path);
      if (node.kind !== 'block') throw new KernelError('EINVAL', `${path} is no block device`);
      const file = node.open({ exclusive: SWAP_HOLDER });
      const { rotational } = node.bdev.disk.queue;
      swap.swapon(path, { sizeBytes: file.sizeBytes, rotational, pread: file.pread.bind(file), close: file.close.bind(file) }, prio);
    },
    swapoff(path) {
      resolvePath(root, path);
      swap.swapoff(path);
    },
  };
}
