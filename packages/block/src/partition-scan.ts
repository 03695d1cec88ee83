/**
 * Looking for partitions on a new disk. Mirrors block/partitions/core.c: check_partition, blk_add_partitions.
 *
 * Differs from Linux: of its many parsers it has the two whose tables firmware and installers write today: GPT, then MBR.
 */
import { KERN, KernelError, PAGE_SIZE, SECTORS_PER_PAGE, SECTOR_SIZE, roundDown, sector } from '@holdfast/lib';
import { invalidateBdev, syncBlockdev } from './bdev.js';
import { allocBio, bioAddPage, resetBio } from './bio.js';
import { BLK_STS } from './blk-status.js';
import { REQ_OP } from './blk-types.js';
import type { BlockDevice, Gendisk } from './blk-types.js';
import { addPartition, dropPartition, freePartitionNumber, partitionsOf } from './partition.js';
import { parseGpt } from './partition-gpt.js';
import { parseMsdos } from './partition-msdos.js';
import type { ParseResult, ParsedPartition, TableReader } from './partition-table.js';
import { submitBioWait } from './submit.js';

/** Read the disk's table, if it has one, and add what it lists. The disk has no partitions yet. */
export function scanPartitions(disk: Gendisk): void {
  const { printk, forceGpt = false } = disk.block.needs;
  if (disk.part0.nrSectors === 0) return;
  const result = withTableReader(disk, (reader) => parseTable(reader, /\d$/.test(disk.name) ? 'p' : disk.name, forceGpt));
  if (result === 'unreadable') printk(` ${disk.name}: unable to read partition table`, KERN.info);
  if (typeof result === 'string') return;
  for (const line of result.warnings) printk(line, KERN.warning);
  printk(` ${disk.name}:${result.text}`, KERN.info);
  for (const partition of result.partitions) addParsed(disk, partition);
}

/**
 * BLKRRPART (disk_scan_partitions, bdev_disk_changed): forget a disk's partitions, and look for those that its table lists now.
 * @param held the caller holds the disk itself
 * @throws KernelError EINVAL for a partition; EBUSY if a partition is open, or somebody else holds the disk
 */
export function rereadPartitions({ disk, partno, name }: BlockDevice, held: boolean): void {
  if (partno !== 0) throw new KernelError('EINVAL', `${name} is a partition, and has no table`);
  const open = partitionsOf(disk).find(({ openers }) => openers > 0);
  if (open) throw new KernelError('EBUSY', `${open.name} is open`);
  if (!held && disk.part0.holder !== undefined) throw new KernelError('EBUSY', `${name} is held by ${disk.part0.holder}`);
  syncBlockdev(disk.part0);
  invalidateBdev(disk.part0);
  const dropped = partitionsOf(disk).map(({ partno: number }) => dropPartition(disk, number));
  scanPartitions(disk);
  dropped.forEach(freePartitionNumber); // too late for those found now, which get other numbers
}

function parseTable(reader: TableReader, name: string, forceGpt: boolean): ParseResult {
  const gpt = parseGpt(reader, name, { forceGpt });
  return gpt === 'other' ? parseMsdos(reader, name) : gpt;
}

/** Add one entry of a table, cut to the disk. */
function addParsed(disk: Gendisk, { partno, start, nrSectors, label }: ParsedPartition): void {
  const { printk } = disk.block.needs;
  const capacity = disk.part0.nrSectors;
  if (nrSectors === 0) return;
  if (start >= capacity) {
    printk(`${disk.name}: p${partno} start ${start} is beyond EOD, truncated`, KERN.warning);
    return;
  }
  if (start + nrSectors > capacity) printk(`${disk.name}: p${partno} size ${nrSectors} extends beyond EOD, truncated`, KERN.warning);
  addPartition(disk, partno, start, Math.min(nrSectors, capacity - start), label);
}

/** Let `use` read sectors of the disk, one page at a time through a bio and a page that are given back afterwards. */
function withTableReader<T>(disk: Gendisk, use: (reader: TableReader) => T): T {
  const { memory, pages } = disk.block.needs;
  const { nrSectors } = disk.part0;
  const page = pages.allocPages(0);
  const bio = allocBio(disk.part0, 1, REQ_OP.READ);
  let cached = -1;
  const readSector = (at: number): Uint8Array | undefined => {
    if (at < 0 || at >= nrSectors) return undefined;
    const first = roundDown(at, SECTORS_PER_PAGE);
    if (first !== cached) {
      resetBio(bio, disk.part0, REQ_OP.READ);
      bio.sector = sector(first);
      bioAddPage(bio, page, Math.min(PAGE_SIZE, (nrSectors - first) * SECTOR_SIZE), 0);
      cached = submitBioWait(bio) === BLK_STS.OK ? first : -1;
      if (cached < 0) return undefined;
    }
    const offset = (at - first) * SECTOR_SIZE;
    return memory.frame(page).slice(offset, offset + SECTOR_SIZE);
  };
  try {
    return use({ logicalBlockSize: disk.queue.limits.logicalBlockSize, nrSectors, readSector });
  } finally {
    pages.freePages(page, 0);
  }
}
