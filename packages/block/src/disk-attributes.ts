/**
 * What /sys/block/D and its partitions show, and /proc/partitions. Mirrors block/genhd.c, block/partitions/core.c, block/blk-integrity.c.
 */
import { DEFAULT_RELEASE, KernelError, SECTOR_SIZE, readOnly, readWrite, releaseAtLeast, roundDown } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import type { AttributeGroup, Block, BlockDevice, Gendisk } from './blk-types.js';
import { bdevReadOnly } from './block-device.js';
import { statFields } from './io-acct.js';
import { DISK_MAX_PARTS, partitionsOf } from './partition.js';
import { queueAttributes } from './queue-attributes.js';
import { alignmentOffsetAt } from './queue-limits.js';

/** The directory of a disk and those below it: '' is its own, then `queue`, `integrity`, `trace`, and what the driver added. */
export function diskAttributeGroups(disk: Gendisk): AttributeGroup[] {
  return [
    { name: '', attributes: diskAttributes(disk) },
    { name: 'queue', attributes: queueAttributes(disk) },
    { name: 'integrity', attributes: integrityAttributes() },
    { name: 'trace', attributes: traceAttributes() },
    ...disk.groups,
  ];
}

function diskAttributes(disk: Gendisk): Attribute[] {
  const { limits } = disk.queue;
  return [
    ...deviceAttributes(disk.part0),
    readOnly('removable', () => 0),
    readOnly('capability', () => 0),
    ...(isSince(disk, 4, 15) ? [readOnly('hidden', () => 0)] : []),
    readOnly('range', () => disk.minors),
    readOnly('ext_range', () => DISK_MAX_PARTS),
    ...(isSince(disk, 5, 15) ? [readOnly('diskseq', () => disk.diskseq)] : []),
    // No disk here tells of media that come and go.
    { name: 'events', mode: 0o444, show: () => '' },
    { name: 'events_async', mode: 0o444, show: () => '' },
    { name: 'events_poll_msecs', mode: 0o644, show: () => '-1\n', store: refuseEvents },
    readOnly('alignment_offset', () => (limits.misaligned ? -1 : limits.alignmentOffset)),
    readOnly('discard_alignment', () => limits.discardAlignment),
  ];
}

/** The directory of a partition. */
export function partitionAttributes(partition: BlockDevice): Attribute[] {
  const { limits } = partition.disk.queue;
  return [
    readOnly('partition', () => partition.partno),
    readOnly('start', () => partition.startSector),
    ...deviceAttributes(partition),
    readOnly('alignment_offset', () => (limits.misaligned ? -1 : alignmentOffsetAt(limits, partition.startSector))),
    readOnly('discard_alignment', () => discardAlignmentAt(partition)),
  ];
}

function deviceAttributes(bdev: BlockDevice): Attribute[] {
  return [
    readOnly('size', () => bdev.nrSectors),
    readOnly('ro', () => (bdevReadOnly(bdev) ? 1 : 0)),
    readOnly('dev', () => `${bdev.major}:${bdev.minor}`),
    { name: 'stat', mode: 0o444, show: () => `${statFields(bdev).map((field) => pad(field, 8)).join(' ')}\n` },
    { name: 'inflight', mode: 0o444, show: () => `${pad(0, 8)} ${pad(0, 8)}\n` },
  ];
}

function refuseEvents(): never {
  throw new KernelError('ENODEV', 'the disk has no events to poll for');
}

/** The directory of a partition's traces; nothing can be traced here. */
export function traceAttributes(): Attribute[] {
  const attribute = (name: string, show: () => string): Attribute => readWrite(name, show, () => {
    throw new KernelError('EOPNOTSUPP', `${name}: block traces are not simulated`);
  });
  return [attribute('enable', () => '0'), ...['act_mask', 'pid', 'start_lba', 'end_lba'].map((name) => attribute(name, () => 'disabled'))];
}

/** What uevents of a disk or partition say beside its number and name (block_uevent, part_uevent). */
export function blockUevent({ disk, partno, label }: BlockDevice): string[] {
  const sequence = isSince(disk, 5, 15) ? [`DISKSEQ=${disk.diskseq}`] : [];
  if (partno === 0) return ['DEVTYPE=disk', ...sequence];
  return ['DEVTYPE=partition', ...sequence, `PARTN=${partno}`, ...(label ? [`PARTNAME=${label}`] : [])];
}

function isSince({ block }: Gendisk, major: number, minor: number): boolean {
  return releaseAtLeast(block.needs.release ?? DEFAULT_RELEASE, major, minor);
}

/** How far the partition's start is from the next unit that the device discards, in bytes. */
function discardAlignmentAt({ disk, startSector }: BlockDevice): number {
  const { maxDiscardSectors, discardGranularity, discardAlignment } = disk.queue.limits;
  const granularity = roundDown(discardGranularity, SECTOR_SIZE);
  if (maxDiscardSectors === 0 || granularity === 0) return 0;
  const past = (startSector * SECTOR_SIZE) % granularity;
  return (granularity + discardAlignment - past) % granularity;
}

/** No disk here carries protection information. */
function integrityAttributes(): Attribute[] {
  const zero = (name: string): Attribute => readOnly(name, () => 0);
  return [
    zero('device_is_integrity_capable'),
    readOnly('format', () => 'none'),
    zero('protection_interval_bytes'),
    zero('read_verify'),
    zero('tag_size'),
    zero('write_generate'),
  ];
}

/** The text of /proc/partitions: devices with a size, in the order in which disks were added; empty without disks. */
export function formatPartitions(block: Block): string {
  if (block.disks.length === 0) return '';
  let text = 'major minor  #blocks  name\n\n';
  for (const disk of block.disks) {
    for (const { major, minor, nrSectors, name } of [disk.part0, ...partitionsOf(disk)]) {
      if (nrSectors === 0) continue;
      text += `${pad(major, 4)}  ${pad(minor, 7)} ${pad(Math.floor(nrSectors / 2), 10)} ${name}\n`;
    }
  }
  return text;
}

/** The text of /proc/diskstats: disks in the order in which they were added, each with its partitions (diskstats_show). */
export function formatDiskstats(block: Block): string {
  const all = block.disks.flatMap((disk) => [disk.part0, ...partitionsOf(disk)]);
  return all.map((bdev) => `${pad(bdev.major, 4)} ${pad(bdev.minor, 7)} ${bdev.name} ${statFields(bdev).join(' ')}\n`).join('');
}

function pad(value: number, width: number): string {
  return String(value).padStart(width);
}
