/**
 * Disks: what a driver registers. Mirrors block/genhd.c: device_add_disk, del_gendisk.
 *
 * Invariant: a disk is in Block.disks, and owns its device numbers, from addDisk until delDisk.
 */
import { KernelError, bugOn, sector } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';
import { IDLE_BDEV, flushDyingBdev } from './bdev.js';
import { BLOCK_EXT_MAJOR, allocExtMinor, freeExtMinor } from './block.js';
import { newDiskStats } from './io-acct.js';
import type { AttributeGroup, Block, BlockDeviceOperations, Gendisk, RequestQueue } from './blk-types.js';
import { deletePartition } from './partition.js';
import { scanPartitions } from './partition-scan.js';
import { defaultLimits } from './queue-limits.js';
import type { QueueLimits } from './queue-limits.js';

export interface GendiskSpec {
  name: string;
  ops: BlockDeviceOperations;
  queue: RequestQueue;
  /** 512-byte sectors. */
  nrSectors: number;
  /** Numbers of its own, for the disk and the partitions 1 to `minors - 1`. Without them, and above, the extended major serves. */
  numbers?: { major: number; firstMinor: number; minors: number };
  readOnly?: boolean;
  groups?: readonly AttributeGroup[];
  /** The device it is the disk of, such as a namespace. */
  parent?: Device;
}

/** The queue of a device that works bio by bio, as blk_alloc_disk leaves it; the driver then sets what it can do. */
export function createQueue(limits: QueueLimits = defaultLimits()): RequestQueue {
  return {
    limits,
    writeCache: false,
    fua: false,
    dax: false,
    nowait: false,
    rotational: true,
    addRandom: false,
    ioStats: false,
    stableWrites: false,
    readAheadKb: 128,
    nomerges: 0,
    rqAffinity: 0,
    wbtLatUsec: undefined,
    takesPageless: false,
    ioLayers: [],
  };
}

/**
 * Register a disk: give it its numbers, show it, and look for partitions on it.
 * @throws KernelError EEXIST if there is a disk of that name; EINVAL for numbers of which the disk has none.
 */
export function addDisk(block: Block, spec: GendiskSpec): Gendisk {
  const { name, ops, queue, nrSectors, numbers, readOnly = false, groups = [], parent } = spec;
  if (block.disks.some((disk) => disk.name === name)) throw new KernelError('EEXIST', `there is a disk ${name} already`);
  if (numbers && (numbers.minors < 1 || !block.majors.has(numbers.major))) {
    throw new KernelError('EINVAL', `disk ${name}: ${numbers.minors} minors of major ${numbers.major}, which must be registered`);
  }
  const major = numbers?.major ?? BLOCK_EXT_MAJOR;
  const minor = numbers?.firstMinor ?? allocExtMinor(block);
  // The two point at each other: this one is tied below.
  const part0 = {
    name, disk: undefined as unknown as Gendisk, partno: 0, major, minor, startSector: sector(0), nrSectors, readOnly: false, stats: newDiskStats(),
    ...IDLE_BDEV,
  };
  const traffic = { userRead: 0, userWritten: 0, deviceRead: 0, deviceWritten: 0 };
  const disk: Gendisk = {
    name, diskseq: ++block.lastDiskseq, traffic, block, ops, queue, part0, partitions: new Map(), minors: numbers?.minors ?? 0, groups, parent,
    readOnly, dead: false,
  };
  part0.disk = disk;
  block.disks.push(disk);
  scanPartitions(disk);
  return disk;
}

/** The device of a disk is gone: all bios from now on end with IOERR, and there is nothing left to hold any (blk_mark_disk_dead). */
export function markDiskDead(disk: Gendisk): void {
  disk.dead = true;
  disk.part0.nrSectors = 0;
}

/** Take a disk and its partitions away, with what is cached of them written; bios that still come for it end with IOERR. */
export function delDisk(disk: Gendisk): void {
  const { block } = disk;
  bugOn(!block.disks.includes(disk), `delDisk: ${disk.name} is gone already`);
  for (const partno of [...disk.partitions.keys()]) deletePartition(disk, partno);
  flushDyingBdev(disk.part0);
  disk.dead = true;
  disk.part0.nrSectors = 0;
  if (disk.minors === 0) freeExtMinor(block, disk.part0.minor);
  block.disks.splice(block.disks.indexOf(disk), 1);
}
