/**
 * The buddy allocator itself: take the smallest fitting block and split it; give a block back and merge it.
 * Mirrors __rmqueue_smallest, expand, __free_one_page, buddy_merge_likely and prep_new_page of mm/page_alloc.c.
 *
 * Invariant: two free buddies of one order below the highest, in pageblocks that may merge, never stay apart.
 * Differs from Linux: no per-cpu lists, so that free counts are exact.
 */
import * as lib from '@holdfast/lib';
import * as lists from './buddy.js';
import { stealFallback } from './buddy-fallback.js';
import { clearFreeHead, writeFreeHead } from './buddy-page.js';
import { splitRunHead } from './buddy-runs.js';
import * as migrate from './migratetype.js';
import * as page from './page.js';
import { PG_RESERVED_MASK } from './page-flags.js';

// A constant of this module is folded into the machine code; one of another module is loaded and checked at each use (a quarter of the time).
const MAX_PAGE_ORDER = lib.MAX_PAGE_ORDER;
const PAGEBLOCK_ORDER = lib.PAGEBLOCK_ORDER;
const SLOT_SHIFT = 15;
const PAGE_IN_SECTION = lib.PAGES_PER_SECTION - 1;
const LIST_STRIDE = lists.LIST_STRIDE;
const ALLOCATED = lists.ALLOCATED;
const RUN = lists.RUN;
const MIGRATE_PCPTYPES = migrate.MIGRATE_PCPTYPES;
const MIGRATE_ISOLATE = migrate.MIGRATE_ISOLATE;
const REFCOUNT = page.PAGE_REFCOUNT;
const RESERVED = PG_RESERVED_MASK;
const WIDE_ZONE = 2 ** 32; // pages; from there on a shift no longer finds the section

/**
 * Take a block and give it its first reference (rmqueue, prep_new_page).
 * `noFragment`: take over from other mobility types only whole pageblocks (ALLOC_NOFRAGMENT).
 * Returns its pfn, or -1 if no list has a block that fits.
 */
export function allocBlock(buddy: lists.Buddy, order: number, type: number, noFragment: boolean): number {
  let handle = rmqueueSmallest(buddy, order, type);
  while (handle < 0) {
    if (!stealFallback(buddy, order, type, noFragment)) return -1;
    handle = rmqueueSmallest(buddy, order, type);
  }
  buddy.freePages -= 1 << order;
  return buddy.slotPfn[handle >>> SLOT_SHIFT]! + (handle & PAGE_IN_SECTION);
}

/** Take the first block of the smallest order that fits, in one type's lists; -1 if there is none. */
function rmqueueSmallest(buddy: lists.Buddy, order: number, type: number): number {
  const { next, prev, state } = buddy;
  for (let current = order, head = order * LIST_STRIDE + type; current <= MAX_PAGE_ORDER; current++, head += LIST_STRIDE) {
    const handle = next[head]!;
    if (handle === head) continue;
    if (current === MAX_PAGE_ORDER && (state[handle]! & RUN) !== 0) return takeRunBlock(buddy, order, type);
    const second = next[handle]!;
    next[head] = second;
    prev[second] = head;
    state[handle] = ALLOCATED;
    for (let half = current; half > order; ) { // keep the lower half, list the upper
      half--;
      head -= LIST_STRIDE;
      const upper = handle | (1 << half);
      const first = next[head]!;
      next[head] = upper;
      next[upper] = first;
      prev[upper] = head;
      prev[first] = upper;
      state[upper] = half + 1;
    }
    const memmap = buddy.memmaps[handle >>> SLOT_SHIFT]!;
    if (memmap.length !== 0) writeTaken(memmap, handle & PAGE_IN_SECTION, order, current);
    return handle;
  }
  return -1;
}

/** The highest order's first entry is a run: make its first block an ordinary one, and try again. */
function takeRunBlock(buddy: lists.Buddy, order: number, type: number): number {
  splitRunHead(buddy, buddy.next[MAX_PAGE_ORDER * LIST_STRIDE + type]!);
  return rmqueueSmallest(buddy, order, type);
}

/** The struct pages of a block that was split from `from` to `order`. */
function writeTaken(memmap: Int32Array, pageInSection: number, order: number, from: number): void {
  clearFreeHead(memmap, pageInSection << 4);
  memmap[(pageInSection << 4) | REFCOUNT] = 1;
  for (let half = order; half < from; half++) writeFreeHead(memmap, (pageInSection | (1 << half)) << 4, half);
}

/**
 * Drop one reference on a block's first page and free the block if it was the last (__free_pages).
 * Freeing what is free or reserved is a bug of the caller: BugError.
 */
export function putBlock(buddy: lists.Buddy, pfn: number, order: number): void {
  const inZone = pfn - buddy.firstSection * (PAGE_IN_SECTION + 1);
  const slot = buddy.slotOfSection[inZone < WIDE_ZONE ? inZone >>> SLOT_SHIFT : Math.floor(inZone / (PAGE_IN_SECTION + 1))]!;
  const handle = (slot << SLOT_SHIFT) | (inZone & PAGE_IN_SECTION);
  const memmap = buddy.memmaps[slot]!;
  if (memmap.length === 0) { // never looked at: there is no reference but the allocator's
    if (buddy.state[handle] !== ALLOCATED) return putBulkBlock(buddy, pfn, order);
  } else {
    const word = (handle & PAGE_IN_SECTION) << 4;
    const refcount = memmap[word | REFCOUNT]! - 1;
    if (refcount < 0 || (memmap[word]! & RESERVED) !== 0) refuseFree(buddy, pfn);
    memmap[word | REFCOUNT] = refcount;
    if (refcount !== 0) return;
  }
  freeOnePage(buddy, handle, order, false);
}

/** A block of a section without a slot, taken in bulk. */
function putBulkBlock(buddy: lists.Buddy, pfn: number, order: number): void {
  const inUse = buddy.bulk.some((range) => range.order !== undefined && pfn >= range.startPfn && pfn < range.endPfn && pfn % 2 ** range.order === 0);
  if (!inUse) refuseFree(buddy, pfn);
  freeOnePage(buddy, lists.handleOf(buddy, pfn), order, false);
}

function refuseFree(buddy: lists.Buddy, pfn: number): never {
  const record = buddy.vmemmap.readPage(pfn);
  throw new lib.BugError(
    `page pfn:${pfn.toString(16)} cannot be freed: ${record?.reserved ? 'it is reserved' : `its refcount is ${record?.refcount ?? 'nowhere'}`}`,
  );
}

/**
 * Put a block whose reference count is 0 into the lists, merged as far as it goes.
 * `toTail`: to be used last, as what boot and hot-add free (FPI_TO_TAIL).
 */
export function freeOnePage(buddy: lists.Buddy, start: number, startOrder: number, toTail: boolean): void {
  const { next, prev, state, blockType } = buddy;
  const type = blockType[start >>> PAGEBLOCK_ORDER]!;
  let handle = start;
  let order = startOrder;
  state[handle] = 0;
  while (order < MAX_PAGE_ORDER) {
    const other = handle ^ (1 << order);
    if (state[other] !== order + 1) break;
    if (order === PAGEBLOCK_ORDER && !mayMerge(type, blockType[other >>> PAGEBLOCK_ORDER]!)) break;
    const after = next[other]!;
    const before = prev[other]!;
    next[before] = after;
    prev[after] = before;
    state[other] = 0;
    handle &= other;
    order++;
  }
  state[handle] = order + 1;
  const head = order * LIST_STRIDE + type;
  // Is the buddy of the next larger block free? Then this block's own buddy, once freed, makes one two orders up: keep this for last.
  if (toTail || (order < MAX_PAGE_ORDER - 1 && state[(handle & ~(1 << order)) ^ (2 << order)] === order + 2)) {
    const last = prev[head]!;
    next[last] = handle;
    next[handle] = head;
    prev[handle] = last;
    prev[head] = handle;
  } else {
    const first = next[head]!;
    next[head] = handle;
    next[handle] = first;
    prev[handle] = head;
    prev[first] = handle;
  }
  if (type !== MIGRATE_ISOLATE) buddy.freePages += 1 << startOrder;
  const memmap = buddy.memmaps[handle >>> SLOT_SHIFT]!;
  if (memmap.length !== 0) writeFreed(memmap, start & PAGE_IN_SECTION, startOrder, order);
}

/** The struct pages of a block of order `from` that was merged to `order`. */
function writeFreed(memmap: Int32Array, pageInSection: number, from: number, order: number): void {
  let page = pageInSection;
  for (let merged = from; merged < order; merged++) {
    const other = page ^ (1 << merged);
    clearFreeHead(memmap, other << 4);
    page &= other;
  }
  writeFreeHead(memmap, page << 4, order);
}

function mayMerge(type: number, other: number): boolean {
  return type === other || (type < MIGRATE_PCPTYPES && other < MIGRATE_PCPTYPES);
}
