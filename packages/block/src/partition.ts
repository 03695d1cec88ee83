/**
 * Partitions as block devices: their names, numbers and places. Mirrors block/partitions/core.c: add_partition, delete_partition,
 * and block/genhd.c: disk_name.
 *
 * Invariant: a partition lies inside its disk.
 */
import { KernelError, sector } from '@holdfast/lib';
import { BLOCK_EXT_MAJOR, allocExtMinor, freeExtMinor } from './block.js';
import type { BlockDevice, Gendisk } from './blk-types.js';
import { IDLE_BDEV, flushDyingBdev } from './bdev.js';
import { newDiskStats } from './io-acct.js';

/** A disk has partitions 1 to 255 (DISK_MAX_PARTS, exclusive). */
export const DISK_MAX_PARTS = 256;

/** `pmem0p1`, but `pmem0s1`: a `p` comes between digits. */
export function partitionName(diskName: string, partno: number): string {
  return `${diskName}${/\d$/.test(diskName) ? 'p' : ''}${partno}`;
}

/**
 * Make a partition of `[start, start + nrSectors)`; `label` is what its table calls it.
 * @throws KernelError EINVAL if it is no partition number or not inside the disk; EBUSY if that number is taken.
 */
export function addPartition(disk: Gendisk, partno: number, start: number, nrSectors: number, label?: string): BlockDevice {
  const name = partitionName(disk.name, partno);
  if (partno < 1 || partno >= DISK_MAX_PARTS) throw new KernelError('EINVAL', `${disk.name}: partition ${partno}: expected 1 to ${DISK_MAX_PARTS - 1}`);
  if (start < 0 || nrSectors < 1 || start + nrSectors > disk.part0.nrSectors) {
    throw new KernelError('EINVAL', `${name}: sectors [${start}, ${start + nrSectors}) are not inside the disk's ${disk.part0.nrSectors}`);
  }
  if (disk.partitions.has(partno)) throw new KernelError('EBUSY', `there is a partition ${name} already`);
  const own = partno < disk.minors;
  const partition: BlockDevice = {
    name,
    disk,
    partno,
    major: own ? disk.part0.major : BLOCK_EXT_MAJOR,
    minor: own ? disk.part0.minor + partno : allocExtMinor(disk.block),
    startSector: sector(start),
    nrSectors,
    readOnly: false,
    ...(label ? { label } : {}),
    stats: newDiskStats(),
    ...IDLE_BDEV,
  };
  disk.partitions.set(partno, partition);
  return partition;
}

/** @throws KernelError ENXIO if there is no such partition. */
export function deletePartition(disk: Gendisk, partno: number): void {
  freePartitionNumber(dropPartition(disk, partno));
}

/** Take a partition away that keeps its device number until {@link freePartitionNumber}. @throws KernelError ENXIO if there is none */
export function dropPartition(disk: Gendisk, partno: number): BlockDevice {
  const partition = disk.partitions.get(partno);
  if (!partition) throw new KernelError('ENXIO', `${disk.name} has no partition ${partno}`);
  flushDyingBdev(partition);
  disk.partitions.delete(partno);
  partition.nrSectors = 0;
  return partition;
}

/** bdev_free_inode, which Linux runs one grace period of RCU after the partition is gone. */
export function freePartitionNumber({ disk, major, minor }: BlockDevice): void {
  if (major === BLOCK_EXT_MAJOR) freeExtMinor(disk.block, minor);
}

/** The partitions of a disk, by number. */
export function partitionsOf(disk: Gendisk): BlockDevice[] {
  return [...disk.partitions.values()].sort((a, b) => a.partno - b.partno);
}
