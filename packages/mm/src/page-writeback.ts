/**
 * Dirty pages, and when they are written: too many of them, too old, or somebody asks.
 * Mirrors mm/page-writeback.c (domain_dirty_limits, balance_dirty_pages, write_cache_pages) and fs/fs-writeback.c (wb_check_background_flush,
 * wb_check_old_data_flush).
 *
 * Invariant: a mapping is in PageCache.dirtyMappings exactly while it has dirty pages, in the order in which the first became so.
 * Differs from Linux: the flusher is no thread. It runs within the call that finds something due, so nobody ever waits for it, and
 * throttling has nothing left to do; what became due while nobody called is written by the next call, or by {@link runFlusher}.
 */
import { type ErrnoName, PAGE_SIZE, bugOn } from '@holdfast/lib';
import { type AddressSpace, type Folio, folioClear, folioSet, folioTest } from './address-space.js';
import type { PageCache } from './page-cache.js';
import { countPageCache } from './page-cache-counts.js';
import { PG } from './page-flags.js';

/** Folios that go to the device in one call, at most. */
const BATCH = 256;
/** Pages that may become dirty between two looks at the thresholds (ratelimit_pages). */
const RATELIMIT_PAGES = 32;
const NS_PER_CENTISEC = 1e7;

/** A direct page never is: what it holds is on the device. */
export function folioMarkDirty(folio: Folio): void {
  if (folio.mapping.direct || folioTest(folio, PG.dirty)) return;
  const { mapping, index } = folio;
  const { cache } = mapping;
  folioSet(folio, PG.dirty);
  mapping.dirty.add(index);
  if (mapping.dirtiedWhen === undefined) {
    mapping.dirtiedWhen = cache.needs.clock.now;
    if (cache.dirtyMappings.size === 0) cache.flusherEpoch = mapping.dirtiedWhen;
    cache.dirtyMappings.add(mapping);
  }
  cache.vmstat.nrDirtied++;
  cache.dirtiedSinceCheck++;
}

/** The page's data is not wanted on the device any more. */
export function folioCancelDirty(folio: Folio): void {
  if (!folioTest(folio, PG.dirty)) return;
  clearDirty(folio);
  settle(folio.mapping);
}

/** Write one dirty page. */
export function writeFolio(folio: Folio, sync: boolean): void {
  startWriteback(folio);
  folio.mapping.ops.writepages([folio], sync);
  finishWriteback(folio.mapping, [folio]);
}

/** Write the dirty pages of `[start, end)`, bytes, in the order of the file (filemap_fdatawrite_range). Returns how many there were. */
export function filemapFdatawrite(mapping: AddressSpace, start = 0, end = Infinity, sync = true): number {
  const indices = dirtyWithin(mapping, start, end);
  for (let from = 0; from < indices.length; from += BATCH) {
    const folios = indices.slice(from, from + BATCH).map((index) => mapping.folios.get(index)!);
    for (const folio of folios) startWriteback(folio);
    mapping.ops.writepages(folios, sync);
    finishWriteback(mapping, folios);
  }
  return indices.length;
}

/** The same, and the error since the last call of this, for callers that have no file open (filemap_write_and_wait_range). */
export function filemapWriteAndWait(mapping: AddressSpace, start = 0, end = Infinity): ErrnoName | undefined {
  filemapFdatawrite(mapping, start, end);
  const error = mapping.lastError;
  mapping.lastError = undefined;
  return error;
}

/** Write all there is, as sync(2). Errors stay for who asks by fsync. */
export function syncPageCache(cache: PageCache): void {
  for (const mapping of [...cache.dirtyMappings]) filemapFdatawrite(mapping);
}

/** Pages from which the flusher writes, and from which writers would wait. */
export function dirtyLimits(cache: PageCache): { readonly background: number; readonly limit: number } {
  const { buffers, cached } = countPageCache(cache);
  const dirtyable = cache.needs.sparePages() + buffers + cached;
  const { dirtyRatio, dirtyBackgroundRatio } = cache.tunables;
  const limit = Math.floor((dirtyable * dirtyRatio) / 100);
  const background = Math.floor((dirtyable * dirtyBackgroundRatio) / 100);
  return { limit, background: background >= limit ? Math.floor(limit / 2) : background };
}

/** Called by who dirties pages, now and then: above the background threshold the oldest mappings are written. */
export function balanceDirtyPages(cache: PageCache): void {
  if (cache.dirtiedSinceCheck < RATELIMIT_PAGES) return;
  cache.dirtiedSinceCheck = 0;
  const { background } = dirtyLimits(cache);
  let { dirty } = countPageCache(cache);
  for (const mapping of [...cache.dirtyMappings]) {
    if (dirty <= background) return;
    dirty -= filemapFdatawrite(mapping, 0, Infinity, false);
  }
}

/** Do what the periodic flusher would have done by now: mappings whose first dirty page has expired are written as a whole. */
export function runFlusher(cache: PageCache): void {
  const { dirtyWritebackCentisecs, dirtyExpireCentisecs } = cache.tunables;
  if (dirtyWritebackCentisecs === 0 || cache.dirtyMappings.size === 0) return;
  const interval = dirtyWritebackCentisecs * NS_PER_CENTISEC;
  const wakeUps = Math.floor((cache.needs.clock.now - cache.flusherEpoch) / interval);
  const expired = cache.flusherEpoch + wakeUps * interval - dirtyExpireCentisecs * NS_PER_CENTISEC;
  if (wakeUps === 0) return;
  for (const mapping of [...cache.dirtyMappings]) {
    if (mapping.dirtiedWhen! > expired) return;
    filemapFdatawrite(mapping, 0, Infinity, false);
  }
}

function dirtyWithin({ dirty }: AddressSpace, start: number, end: number): number[] {
  const [first, last] = [Math.floor(start / PAGE_SIZE), Math.ceil(end / PAGE_SIZE)];
  const indices: number[] = [];
  for (const index of dirty) if (index >= first && index < last) indices.push(index);
  return indices.sort((a, b) => a - b);
}

function clearDirty(folio: Folio): void {
  folioClear(folio, PG.dirty);
  folio.mapping.dirty.delete(folio.index);
}

function startWriteback(folio: Folio): void {
  clearDirty(folio);
  folio.mapping.mmaps.mkclean(folio.index, 1); // the next store through a mapping makes it dirty again
  folioSet(folio, PG.writeback);
  folio.mapping.writeback.add(folio.index);
}

function finishWriteback(mapping: AddressSpace, folios: readonly Folio[]): void {
  for (const folio of folios) {
    bugOn(folioTest(folio, PG.writeback), `${mapping.name}: page ${folio.index} is still being written: the device has not completed at once`);
  }
  settle(mapping);
}

function settle(mapping: AddressSpace): void {
  if (mapping.dirty.size > 0) return;
  mapping.dirtiedWhen = undefined;
  mapping.cache.dirtyMappings.delete(mapping);
}
