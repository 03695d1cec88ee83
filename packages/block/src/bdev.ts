/**
 * A block device that is open, and what is cached of it while it is. Mirrors block/bdev.c: blkdev_get_by_dev, blkdev_put, bd_prepare_to_claim,
 * sync_blockdev; and block/genhd.c: del_gendisk.
 *
 * Invariant: a device has a mapping only while it is open; the last close writes what is dirty, without a flush of the device's own cache,
 * and forgets the rest. A partition that is open holds its disk open.
 */
import { type ErrnoName, KernelError, PAGE_SIZE, SECTOR_SIZE, isAligned } from '@holdfast/lib';
import {
  type AddressSpace, type DirectPages, createMapping, destroyMapping, filemapWriteAndWait, invalidateMappingPages, truncateInodePages,
} from '@holdfast/mm';
import type { BlockDevice, Gendisk } from './blk-types.js';
import { createBlkdevAops } from './blkdev-aops.js';
import { bdevSizeBytes } from './block-device.js';

/** In whose name swapon claims a device. Nobody writes to it then (IS_SWAPFILE). */
export const SWAP_HOLDER = 'swap';

/** A device that nobody has open. */
export const IDLE_BDEV = { openers: 0, holder: undefined, mapping: undefined } as const;

/**
 * Open. With `exclusive`, claim it in the name of `holder`, until {@link blkdevPut}.
 * @throws KernelError ENXIO if it is gone, EBUSY if somebody holds it, its disk, or a partition of it
 */
export function blkdevGet(bdev: BlockDevice, exclusive?: string): void {
  const { disk } = bdev;
  if (disk.dead) throw new KernelError('ENXIO', `${bdev.name} is gone`);
  if (exclusive !== undefined) {
    const related = bdev.partno === 0 ? [bdev, ...disk.partitions.values()] : [bdev, disk.part0];
    const held = related.find(({ holder }) => holder !== undefined);
    if (held) throw new KernelError('EBUSY', `${bdev.name}: ${held.name} is held by ${held.holder}`);
    bdev.holder = exclusive;
  }
  if (bdev.partno !== 0) addOpener(disk.part0);
  addOpener(bdev);
}

/** Close; with `exclusive` as at {@link blkdevGet}. Errors of the last writeback are lost, as with close(2) of a device. */
export function blkdevPut(bdev: BlockDevice, exclusive?: string): void {
  if (exclusive !== undefined) bdev.holder = undefined;
  dropOpener(bdev);
  if (bdev.partno !== 0) dropOpener(bdev.disk.part0);
}

/** Write what is dirty (sync_blockdev). Returns an error that no caller of this was told of. */
export function syncBlockdev({ mapping }: BlockDevice): ErrnoName | undefined {
  return mapping && filemapWriteAndWait(mapping);
}

/** Forget what is cached and clean (invalidate_bdev). */
export function invalidateBdev({ mapping }: BlockDevice): void {
  if (mapping) invalidateMappingPages(mapping);
}

/** Before a device goes: what is dirty is written while it still can be. Who has it open finds an empty cache. */
export function flushDyingBdev(bdev: BlockDevice): void {
  const { mapping } = bdev;
  if (!mapping) return;
  filemapWriteAndWait(mapping);
  destroyMapping(mapping);
  bdev.mapping = undefined;
}

function addOpener(bdev: BlockDevice): void {
  const { pageCache } = bdev.disk.block.needs;
  bdev.openers++;
  if (pageCache && !bdev.mapping) bdev.mapping = newMapping(bdev, pageCache);
}

function dropOpener(bdev: BlockDevice): void {
  if (--bdev.openers === 0) flushDyingBdev(bdev);
}

function newMapping(bdev: BlockDevice, pageCache: AddressSpace['cache']): AddressSpace {
  const direct = directPagesOf(bdev);
  return createMapping(pageCache, {
    name: bdev.name,
    ops: createBlkdevAops(bdev),
    isBlockDevice: true,
    sizeBytes: () => bdevSizeBytes(bdev),
    raPages: () => (direct ? 0 : Math.floor(bdev.disk.queue.readAheadKb / 4)),
    direct,
  });
}

/** Its part of the disk's own pages; a partition that starts within a page is cached in RAM. */
function directPagesOf({ disk, startSector }: BlockDevice): DirectPages | undefined {
  const { directPages: pages } = disk.ops;
  const shift = startSector * SECTOR_SIZE;
  if (!pages || !isAligned(shift, PAGE_SIZE)) return undefined;
  return {
    frameOf: (index) => pages.frameOf(index + shift / PAGE_SIZE),
    load: (offset, target) => pages.load(offset + shift, target),
    store: (offset, source) => pages.store(offset + shift, source),
  };
}

/** Forget the pages of a disk that are the device's own, before its owner takes them away: whoever still maps them faults next time. */
export function evictDirectPages({ part0, partitions }: Gendisk): void {
  for (const { mapping } of [part0, ...partitions.values()]) if (mapping?.direct) truncateInodePages(mapping);
}
