/**
 * One kernel's block layer: its disks, and who owns which device number. Mirrors block/genhd.c: register_blkdev, blk_alloc_ext_minor.
 *
 * Invariant: a (major, minor) names one block device at a time.
 */
import { KERN, KernelError, createRatelimit } from '@holdfast/lib';
import type { Block, BlockNeeds } from './blk-types.js';

/** The major of disks and partitions that have no numbers of their own (BLOCK_EXT_MAJOR). */
export const BLOCK_EXT_MAJOR = 259;
/** Dynamic majors are given out from here down. */
const LAST_DYNAMIC_MAJOR = 254;

export function createBlock(needs: BlockNeeds): Block {
  return {
    needs,
    disks: [],
    majors: new Map([[BLOCK_EXT_MAJOR, 'blkext']]),
    lastDiskseq: 0,
    extMinors: new Set(),
    printkBeyondEnd: createRatelimit(needs.printk, needs.clock, 'bio_check_eod'),
    printkBufferError: createRatelimit(needs.printk, needs.clock, 'buffer_io_error', KERN.err),
    pending: { active: false, fresh: { head: undefined, tail: undefined }, older: { head: undefined, tail: undefined } },
  };
}

/**
 * Take a major for a driver; `major` 0 asks for the highest free dynamic one.
 * @throws KernelError EBUSY if it is taken, or none is free.
 */
export function registerBlkdev(block: Block, major: number, name: string): number {
  let wanted = major;
  if (major === 0) for (wanted = LAST_DYNAMIC_MAJOR; wanted > 0 && block.majors.has(wanted);) wanted--;
  if (wanted === 0) throw new KernelError('EBUSY', `register_blkdev: no free major for ${name}`);
  const owner = block.majors.get(wanted);
  if (owner !== undefined) throw new KernelError('EBUSY', `register_blkdev: major ${wanted} for ${name} is taken by ${owner}`);
  block.majors.set(wanted, name);
  return wanted;
}

export function unregisterBlkdev(block: Block, major: number): void {
  block.majors.delete(major);
}

/** The smallest free minor of the extended major. */
export function allocExtMinor(block: Block): number {
  let minor = 0;
  while (block.extMinors.has(minor)) minor++;
  block.extMinors.add(minor);
  return minor;
}

export function freeExtMinor(block: Block, minor: number): void {
  block.extMinors.delete(minor);
}
