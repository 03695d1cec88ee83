/**
 * What struct pages hold before anybody has touched them, for ranges of any size, and how it is written out.
 * Mirrors __init_single_page, memmap_init_range and page_init_poison, with deferred init carried to its end: a range is described
 * by one record, and its bytes are made when first written.
 *
 * Invariant: runs are disjoint and ascending; frames outside all runs are poison (all ones), as between
 * `sparse_add_section` and the range's initialisation.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, firstIndexWhere } from '@holdfast/lib';
import { NEW_PAGE_FLAGS_LO, PG_RESERVED_MASK, pageLinks } from './page-flags.js';
import {
  PAGE_FLAGS, PAGE_FLAGS_HI, PAGE_LRU_NEXT, PAGE_LRU_PREV, PAGE_PRIVATE, PAGE_REFCOUNT, PAGE_TYPE, PAGE_TYPE_BUDDY, PAGE_TYPE_OFFLINE, PAGE_UNMAPPED,
  WORDS_PER_PAGE,
} from './page.js';

/**
 * - `used`: initialised, one reference, in nobody's list.
 * - `offline`: the same, and marked PageOffline: the hypervisor has not plugged it in.
 * - `reserved`: the same with PG_reserved: holes, firmware, what memblock had reserved.
 * - `device`: reserved, and its list pointers are those of a device page: no pagemap, no data (ZONE_DEVICE).
 * - `free`: whole free blocks of the highest order, one behind the other; ends are multiples of 1024 frames.
 * - `blocks`: the same range in use as blocks of one order, each with one reference on its first page.
 */
export type PristineState = 'used' | 'offline' | 'reserved' | 'device' | 'free' | 'blocks';

/** Frames `[startPfn, endPfn)` that all hold the same defaults. */
export interface PristineRun {
  readonly startPfn: number;
  readonly endPfn: number;
  readonly nid: number;
  readonly zoneIndex: number;
  readonly state: PristineState;
  /** Of `blocks`. */
  readonly order?: number;
}

/** Describe a range anew; what older runs said of it is forgotten. `state` undefined takes the description away. */
export function setPristine(runs: PristineRun[], run: Omit<PristineRun, 'state'> & { readonly state: PristineState | undefined }): void {
  const first = firstEndingAfter(runs, run.startPfn);
  let last = first;
  while (last < runs.length && runs[last]!.startPfn < run.endPfn) last++;
  const replacement: PristineRun[] = [];
  const before = runs[first];
  const after = runs[last - 1];
  if (last > first && before!.startPfn < run.startPfn) replacement.push({ ...before!, endPfn: run.startPfn });
  const { state } = run;
  if (state !== undefined) replacement.push({ ...run, state });
  if (last > first && after!.endPfn > run.endPfn) replacement.push({ ...after!, startPfn: run.endPfn });
  runs.splice(first, last - first, ...replacement);
}

/** The part of each run inside `[startPfn, endPfn)`, ascending. */
export function pristineWithin(runs: readonly PristineRun[], startPfn: number, endPfn: number): PristineRun[] {
  const parts: PristineRun[] = [];
  if (endPfn <= startPfn) return parts;
  for (let i = firstEndingAfter(runs, startPfn); i < runs.length && runs[i]!.startPfn < endPfn; i++) {
    const run = runs[i]!;
    parts.push({ ...run, startPfn: Math.max(run.startPfn, startPfn), endPfn: Math.min(run.endPfn, endPfn) });
  }
  return parts;
}

function firstEndingAfter(runs: readonly PristineRun[], pfn: number): number {
  return firstIndexWhere(runs.length, (index) => runs[index]!.endPfn > pfn);
}

/**
 * Write a run's struct pages; its first page is at word `at` of `words`.
 * `lruHi` and `lruLo` are the address of the first page's lru field; the run stays inside one section, so only `lruLo` counts up.
 */
export function writePristine(words: Int32Array, at: number, run: PristineRun, lruHi: number, lruLo: number): void {
  const end = at + (run.endPfn - run.startPfn) * WORDS_PER_PAGE;
  words.fill(0, at, at + WORDS_PER_PAGE);
  words[at + PAGE_FLAGS] = NEW_PAGE_FLAGS_LO | (run.state === 'reserved' || run.state === 'device' ? PG_RESERVED_MASK : 0);
  words[at + PAGE_FLAGS_HI] = pageLinks(run.nid, run.zoneIndex);
  words[at + PAGE_TYPE] = run.state === 'offline' ? PAGE_TYPE_OFFLINE : PAGE_UNMAPPED;
  words[at + PAGE_REFCOUNT] = run.state === 'free' || run.state === 'blocks' ? 0 : 1;
  const listed = run.state !== 'device';
  words[at + PAGE_LRU_NEXT + 1] = listed ? lruHi : 0;
  words[at + PAGE_LRU_PREV + 1] = listed ? lruHi : 0;
  for (let done = at + WORDS_PER_PAGE; done < end; ) { // doubling: as fast as the memory
    const length = Math.min(done - at, end - done);
    words.copyWithin(done, at, at + length);
    done += length;
  }
  for (let page = at, lru = lruLo; listed && page < end; page += WORDS_PER_PAGE, lru += 64) { // an empty list points at itself
    words[page + PAGE_LRU_NEXT] = lru;
    words[page + PAGE_LRU_PREV] = lru;
  }
  if (run.state === 'free' || run.state === 'blocks') writeHeads(words, at, run);
}

/** Mark the first page of each whole block, PageBuddy or in use: a run that was cut need not start at one. */
function writeHeads(words: Int32Array, at: number, run: PristineRun): void {
  const grain = run.state === 'free' ? MAX_ORDER_NR_PAGES : 2 ** (run.order ?? 0);
  for (let pfn = Math.ceil(run.startPfn / grain) * grain; pfn < run.endPfn; pfn += grain) {
    const page = at + (pfn - run.startPfn) * WORDS_PER_PAGE;
    if (run.state === 'blocks') words[page + PAGE_REFCOUNT] = 1;
    else {
      words[page + PAGE_TYPE] = PAGE_TYPE_BUDDY;
      words[page + PAGE_PRIVATE] = MAX_PAGE_ORDER;
    }
  }
}
