/**
 * Scatterlists: the memory of an I/O as a device with DMA takes it. Mirrors lib/scatterlist.c and block/blk-merge.c:
 * blk_rq_map_sg.
 *
 * An entry is 32 bytes on x86-64 and an allocation at most a page, that is 128 of them; a longer table is a chain whose full links spend
 * their last entry on the pointer to the next. Here the entries lie in flat arrays, and `links` tells what Linux would have allocated.
 *
 * Entries name frames, with the flags of their pfn_t: whether there are struct pages behind them makes no difference here.
 *
 * Invariant: entries `[0, nents)` are in use, each a run of physically consecutive bytes whose frames have the same flags.
 */
import { KernelError, PAGE_SIZE, bugOn, roundDown } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import { maxSegmentAt } from './bio-split.js';
import { VEC } from './blk-types.js';
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
  /** Flags of the frames' pfn_t; 0 for RAM. */
  readonly flags: Uint16Array;
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
    flags: new Uint16Array(nents),
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
    setEntry(table, i, first, from, length, 0);
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
    for (let vec = iter.idx; nextBvec(iter, bio); vec = iter.idx) {
      addRun(table, limits, iter.pfn * PAGE_SIZE + iter.offset, iter.len, bio.vecs[vec * VEC.WORDS + VEC.FLAGS]!);
    }
  }
  return table.nents;
}

/**
 * Cut a table in two, `sizeBytes` from its start on (sg_split). Both are new.
 * @throws KernelError EINVAL if one of them would have no bytes
 */
export function sgSplit(table: SgTable, sizeBytes: number): [SgTable, SgTable] {
  let whole = 0;
  let left = sizeBytes;
  while (whole < table.nents && table.length[whole]! <= left) left -= table.length[whole++]!;
  if (sizeBytes < 1 || whole === table.nents) throw new KernelError('EINVAL', `a scatterlist cut at byte ${sizeBytes}: expected one inside it`);
  const front = sgAllocTable(left > 0 ? whole + 1 : whole);
  const back = sgAllocTable(table.nents - whole);
  for (let i = 0; i < front.nents; i++) copyEntry(front, i, table, i);
  if (left > 0) front.length[whole] = left;
  for (let i = 0; i < back.nents; i++) copyEntry(back, i, table, whole + i);
  if (left > 0) {
    const at = sgPhys(back, 0) + left;
    setEntry(back, 0, Math.floor(at / PAGE_SIZE) as Pfn, at % PAGE_SIZE, back.length[0]! - left, back.flags[0]!);
  }
  return [front, back];
}

/** One table for the entries of several, in order; what goes on where the one before ends shares its entry, as far as the limits let it. */
export function sgJoin(tables: readonly SgTable[], limits: QueueLimits): SgTable {
  const joined = sgAllocTable(tables.reduce((sum, { nents }) => sum + nents, 0));
  joined.nents = 0;
  for (const table of tables) {
    for (let i = 0; i < table.nents; i++) addEntry(joined, limits, table, i);
  }
  return joined;
}

/** The entries of a table stay whole, even where they are longer than the limits: who made it answers for that. */
function addEntry(joined: SgTable, limits: QueueLimits, table: SgTable, index: number): void {
  const last = joined.nents - 1;
  if (last >= 0 && extendsLast(joined, limits, sgPhys(table, index), table.length[index]!, table.flags[index]!)) {
    joined.length[last]! += table.length[index]!;
  } else {
    copyEntry(joined, joined.nents++, table, index);
  }
}

/** Does a run go on from the last entry, in frames of the same kind, and may one segment hold both? Only whole, as in Linux. */
function extendsLast(table: SgTable, limits: QueueLimits, start: number, length: number, flags: number): boolean {
  const last = table.nents - 1;
  const from = sgPhys(table, last);
  const size = table.length[last]!;
  return from + size === start && table.flags[last] === flags && size + length <= maxSegmentAt(from, limits);
}

function copyEntry(to: SgTable, at: number, from: SgTable, index: number): void {
  setEntry(to, at, from.pfn[index]! as Pfn, from.offset[index]!, from.length[index]!, from.flags[index]!);
}

function addRun(table: SgTable, limits: QueueLimits, start: number, length: number, flags: number): void {
  let at = start;
  const last = table.nents - 1;
  if (last >= 0 && extendsLast(table, limits, start, length, flags)) {
    table.length[last]! += length;
    return;
  }
  while (at < start + length) {
    const size = Math.min(maxSegmentAt(at, limits), start + length - at);
    bugOn(table.nents === table.origNents, `a scatterlist of ${table.origNents} entries is too short for the bios`);
    setEntry(table, table.nents++, Math.floor(at / PAGE_SIZE) as Pfn, at % PAGE_SIZE, size, flags);
    at += size;
  }
}

function setEntry(table: SgTable, index: number, pfn: Pfn, offset: number, length: number, flags: number): void {
  table.pfn[index] = pfn;
  table.offset[index] = offset;
  table.length[index] = length;
  table.flags[index] = flags;
}
