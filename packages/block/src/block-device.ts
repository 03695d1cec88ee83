/**
 * What may be asked of a block device, a whole disk or a partition alike. Mirrors block/bdev.c and include/linux/blkdev.h.
 */
import { SECTOR_SIZE } from '@holdfast/lib';
import type { Pfn, Sector } from '@holdfast/lib';
import { BLK_STS } from './blk-status.js';
import type { BlkStatus } from './blk-status.js';
import type { BlockDevice } from './blk-types.js';

export function bdevSizeBytes(bdev: BlockDevice): number {
  return bdev.nrSectors * SECTOR_SIZE;
}

/** Does a write come to a device that says it is read-only: this one, or the disk it is part of (bdev_read_only)? */
export function bdevReadOnly(bdev: BlockDevice): boolean {
  return bdev.readOnly || bdev.disk.readOnly;
}

/**
 * Move one page between the device and a frame without a bio (bdev_read_page, bdev_write_page).
 * NOTSUPP if the driver has no such way; on any status but OK the caller falls back to a bio.
 */
export function bdevRwPage(bdev: BlockDevice, at: Sector, pfn: Pfn, op: number): BlkStatus {
  const { ops } = bdev.disk;
  if (!ops.rwPage) return BLK_STS.NOTSUPP;
  return ops.rwPage(bdev, (at + bdev.startSector) as Sector, pfn, op);
}
