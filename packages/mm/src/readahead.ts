/**
 * Reading ahead: how much, and from where. Mirrors mm/readahead.c: ondemand_readahead, get_init_ra_size, get_next_ra_size, page_cache_ra_unbounded.
 *
 * Sizes are pages. A window is `[start, start + size)`; reaching the page at its end less `asyncSize`, which carries PG_readahead, starts the
 * next one before its reader has to wait.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { type AddressSpace, type Folio, folioSet } from './address-space.js';
import { filemapAddFolio } from './filemap-folio.js';
import { PG } from './page-flags.js';

/** What an open file knows of how it is read. */
export interface FileRaState {
  start: number;
  size: number;
  asyncSize: number;
  /** The byte behind the last one read; -1 before the first. */
  prevPos: number;
}

export function createRaState(): FileRaState {
  return { start: 0, size: 0, asyncSize: 0, prevPos: -1 };
}

/** PG_readahead shares its bit with PG_reclaim. */
export const PG_READAHEAD = PG.reclaim;

/** The first window of a reader that asked for `request` pages. */
export function initRaSize(request: number, max: number): number {
  const size = 2 ** Math.ceil(Math.log2(Math.max(1, request)));
  if (size <= max / 32) return size * 4;
  if (size <= max / 4) return size * 2;
  return max;
}

/** The window behind one of `size` pages. */
export function nextRaSize(size: number, max: number): number {
  if (size < max / 16) return size * 4;
  if (size <= max / 2) return size * 2;
  return max;
}

/** A reader wants `request` pages from `index` on, and the first of them is not there (page_cache_sync_ra). */
export function pageCacheSyncRa(mapping: AddressSpace, ra: FileRaState, index: number, request: number): void {
  const max = Math.max(mapping.raPages(), 0);
  if (max === 0) return doPageCacheRa(mapping, index, request, 0);
  ondemandReadahead(mapping, ra, { index, request, max, hitMarker: false });
}

/** A reader has reached the mark (page_cache_async_ra). */
export function pageCacheAsyncRa(mapping: AddressSpace, ra: FileRaState, index: number, request: number): void {
  const max = mapping.raPages();
  if (max > 0) ondemandReadahead(mapping, ra, { index, request, max, hitMarker: true });
}

interface Demand {
  readonly index: number;
  readonly request: number;
  readonly max: number;
  readonly hitMarker: boolean;
}

function ondemandReadahead(mapping: AddressSpace, ra: FileRaState, demand: Demand): void {
  const { index, request, max } = demand;
  if (!chooseWindow(mapping, ra, demand)) return doPageCacheRa(mapping, index, request, 0);
  if (ra.size === 0) return;
  // The reader is at the mark of the window it is about to get: take the next one along.
  if (index === ra.start && ra.size === ra.asyncSize) {
    const more = nextRaSize(ra.size, max);
    if (ra.size + more <= max) {
      ra.asyncSize = more;
      ra.size += more;
    } else {
      ra.size = max;
      ra.asyncSize = Math.floor(max / 2);
    }
  }
  doPageCacheRa(mapping, ra.start, ra.size, ra.asyncSize);
}

/** Set the window; false for a lone read that has none. */
function chooseWindow(mapping: AddressSpace, ra: FileRaState, { index, request, max, hitMarker }: Demand): boolean {
  if (index === 0) return firstWindow(ra, index, request, max);
  if (index === ra.start + ra.size - ra.asyncSize || index === ra.start + ra.size) {
    ra.start += ra.size;
    ra.size = nextRaSize(ra.size, max);
    ra.asyncSize = ra.size;
    return true;
  }
  if (hitMarker) return windowBehindMark(mapping, ra, index, request, max);
  if (request > max) return firstWindow(ra, index, request, max);
  const step = index - Math.floor(ra.prevPos / PAGE_SIZE);
  if (ra.prevPos >= 0 && (step === 0 || step === 1)) return firstWindow(ra, index, request, max);
  return windowByHistory(mapping, ra, index, request, max);
}

function firstWindow(ra: FileRaState, index: number, request: number, max: number): true {
  ra.start = index;
  ra.size = initRaSize(request, max);
  ra.asyncSize = ra.size > request ? ra.size - request : ra.size;
  return true;
}

/** A mark of somebody else's window: go on behind what is cached. */
function windowBehindMark(mapping: AddressSpace, ra: FileRaState, index: number, request: number, max: number): true {
  let start = index + 1;
  while (start - index <= max && mapping.folios.has(start)) start++;
  if (start - index > max) {
    ra.size = 0;
    return true;
  }
  ra.start = start;
  ra.size = nextRaSize(start - index + request, max);
  ra.asyncSize = ra.size;
  return true;
}

/** Cached pages right before this one tell of a reader whose state was lost (try_context_readahead). */
function windowByHistory(mapping: AddressSpace, ra: FileRaState, index: number, request: number, max: number): boolean {
  let history = 0;
  while (history < max && history < index && mapping.folios.has(index - 1 - history)) history++;
  if (history <= request) return false;
  if (history >= index) history *= 2; // from the start of the file on
  ra.start = index;
  ra.size = Math.min(history + request, max);
  ra.asyncSize = 1;
  return true;
}

/** Read pages `[index, index + count)` that are not there, up to the end of the file, and mark the one `lookahead` before the end. */
function doPageCacheRa(mapping: AddressSpace, index: number, count: number, lookahead: number): void {
  const end = Math.min(index + count, Math.ceil(mapping.sizeBytes() / PAGE_SIZE));
  let batch: Folio[] = [];
  const submit = (): void => {
    if (batch.length > 0) mapping.ops.readahead(batch);
    batch = [];
  };
  for (let at = index; at < end; at++) {
    if (mapping.folios.has(at)) {
      submit();
      continue;
    }
    const folio = filemapAddFolio(mapping, at);
    if (folio === undefined) break;
    if (lookahead > 0 && at === index + count - lookahead) folioSet(folio, PG_READAHEAD);
    batch.push(folio);
  }
  submit();
}
