/**
 * Scatterlists over pages: the memory of an I/O as a device with DMA takes it. Mirrors lib/scatterlist.c and block/blk-merge.c:
 * blk_rq_map_sg.
 *
 * An entry is 32 bytes on x86-64 and an allocation at most a page, that is 128 of them; a longer table is a chain whose full links spend
 * their last entry on the pointer to the next. Here the entries lie in flat arrays, and `links` tells what Linux would have allocated.
 *
 * Invariant: entries `[0, nents)` are in use, each a run of physically consecutive bytes.
 */
import { KernelError, PAGE_SIZE, bugOn, roundDown } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import { maxSegmentAt } from './bio-split.js';
import type { Bio } from './blk-types.js';
import { createBvecIter, nextBvec, startIter } from './bvec.js';
import type { QueueLimits } from './queue-limits.js';

/** Bytes of struct scatterlist on x86-64. */
export const SG_ENTRY_SIZE = 32;
/** Entries of one allocation. */
export const SG_MAX_SINGLE_ALLOC = PAGE_SIZE / SG_ENTRY_SIZE;

export interface SgTable {
  /** Entries there is room for; what dma_unmap_sg is to be given. */
  readonly origNents: number;
  /** Entries in use. */
  nents: number;
  /** Entries of each allocation, pointers to the next included. */
  readonly links: readonly number[];
  /** Entry `i` is `length[i]` bytes from byte `offset[i]` of frame `pfn[i]` on. */
  readonly pfn: Float64Array;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
}

/** A table with room for `nents` entries, all of it in use. @throws KernelError EINVAL for none */
export function sgAllocTable(nents: number): SgTable {
  if (nents < 1) throw new KernelError('EINVAL', `a scatterlist of ${nents} entries: expected at least 1`);
  return {
    origNents: nents,
    nents,
    links: linkSizes(nents),
    pfn: new Float64Array(nents),
    offset: new Uint32Array(nents),
    length: new Uint32Array(nents),
  };
}

function linkSizes(nents: number): number[] {
  const links: number[] = [];
  let left = nents;
  while (left > SG_MAX_SINGLE_ALLOC) {
    links.push(SG_MAX_SINGLE_ALLOC);
    left -= SG_MAX_SINGLE_ALLOC - 1;
  }
  return [...links, left];
}

/** The physical address of an entry's first byte (sg_phys). */
export function sgPhys(table: SgTable, index: number): number {
  return table.pfn[index]! * PAGE_SIZE + table.offset[index]!;
}

/**
 * A table over `sizeBytes` of these pages, from byte `offset` of the first on; pages that follow each other share an entry of at most
 * `maxSegmentBytes`, which counts in whole pages (sg_alloc_table_from_pages).
 * @throws KernelError EINVAL for no pages, fewer than the bytes need, or a segment of less than a page
 */
export function sgTableFromPages(pages: readonly Pfn[], offset: number, sizeBytes: number, maxSegmentBytes = 2 ** 32 - PAGE_SIZE): SgTable {
  const maxPages = roundDown(maxSegmentBytes, PAGE_SIZE) / PAGE_SIZE;
  if (maxPages < 1) throw new KernelError('EINVAL', `segments of ${maxSegmentBytes} bytes: expected at least a page`);
  if (sizeBytes < 1 || offset + sizeBytes > pages.length * PAGE_SIZE) {
    throw new KernelError('EINVAL', `${sizeBytes} bytes from byte ${offset} of ${pages.length} pages on`);
  }
  const runs: { first: Pfn; nrPages: number }[] = [];
  for (const page of pages) {
    const run = runs.at(-1);
    if (run && run.first + run.nrPages === page && run.nrPages < maxPages) run.nrPages++;
    else runs.push({ first: page, nrPages: 1 });
  }
  const table = sgAllocTable(runs.length);
  let left = sizeBytes;
  for (const [i, { first, nrPages }] of runs.entries()) {
    const from = i === 0 ? offset : 0;
    const length = Math.min(nrPages * PAGE_SIZE - from, left);
    setEntry(table, i, first, from, length);
    left -= length;
  }
  return table;
}

/**
 * Put the memory of bios that follow each other into a table: an entry for each run of consecutive bytes that the limits let be one segment.
 * Returns the entries used, which become `table.nents` (blk_rq_map_sg).
 */
export function mapBiosToSg(bios: readonly Bio[], limits: QueueLimits, table: SgTable): number {
  const iter = createBvecIter();
  table.nents = 0;
  for (const bio of bios) {
    startIter(iter, bio);
    while (nextBvec(iter, bio)) addRun(table, limits, iter.pfn * PAGE_SIZE + iter.offset, iter.len);
  }
  return table.nents;
}

function addRun(table: SgTable, limits: QueueLimits, start: number, length: number): void {
  let at = start;
  const last = table.nents - 1;
  // A run that goes on from the last entry joins it only whole, as in Linux.
  if (last >= 0 && sgPhys(table, last) + table.length[last]! === start && table.length[last]! + length <= maxSegmentAt(sgPhys(table, last), limits)) {
    table.length[last]! += length;
    return;
  }
  while (at < start + length) {
    const size = Math.min(maxSegmentAt(at, limits), start + length - at);
    bugOn(table.nents === table.origNents, `a scatterlist of ${table.origNents} entries is too short for the bios`);
    setEntry(table, table.nents++, Math.floor(at / PAGE_SIZE) as Pfn, at % PAGE_SIZE, size);
    at += size;
  }
}

function setEntry(table: SgTable, index: number, pfn: Pfn, offset: number, length: number): void {
  table.pfn[index] = pfn;
  table.offset[index] = offset;
  table.length[index] = length;
}
