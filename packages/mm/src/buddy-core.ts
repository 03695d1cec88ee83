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
import { handleOf, peekHandle } from './buddy-slots.js';
import * as migrate from './migratetype.js';
import { PAGE_REFCOUNT } from './page.js';
import { PG_RESERVED_MASK } from './page-flags.js';

// A constant of this module is folded into the machine code; one of another module is loaded and checked at each use (a quarter of the time).
const MAX_PAGE_ORDER = lib.MAX_PAGE_ORDER;
const PAGEBLOCK_ORDER = lib.PAGEBLOCK_ORDER;
const { CELL, PREV, STATE, TYPE, ALLOCATED, RUN, MADE } = lists;
const ORDER_SHIFT = 5; // of a list's head: eight types of four words
const TYPE_SHIFT = 2;
const PAGE_SHIFT = 2; // of a handle
const SECTION_SHIFT = 15;
const SLOT_SHIFT = 17;
const PAGE_IN_SECTION = lib.PAGES_PER_SECTION - 1;
const PAGEBLOCK_MASK = -lib.PAGEBLOCK_NR_PAGES * CELL;
const MIGRATE_MOVABLE = migrate.MIGRATE_MOVABLE;
const MIGRATE_PCPTYPES = migrate.MIGRATE_PCPTYPES;
const MIGRATE_ISOLATE = migrate.MIGRATE_ISOLATE;
const WIDE_ZONE = 2 ** 31 - 1; // pages; from there on a shift no longer finds the section

// `| 0` below keeps what changes in a loop a machine word: V8 would carry it as a tagged number, converted and checked at each use.

/**
 * Take a block and give it its first reference (rmqueue, prep_new_page).
 * `noFragment`: take over from other mobility types only whole pageblocks (ALLOC_NOFRAGMENT).
 * Returns its pfn, or -1 if no list has a block that fits.
 */
export function allocBlock(buddy: lists.Buddy, order: number, type: number, noFragment: boolean): number {
  const { cells } = buddy;
  const head = (order << ORDER_SHIFT) | (type << TYPE_SHIFT);
  let handle = cells[head]!;
  const state = cells[handle | STATE]!;
  if ((state & ~MADE) === order + 1) { // an ordinary block, no run; the state of a list's head is 0
    const second = cells[handle]!;
    cells[head] = second;
    cells[second | PREV] = head;
    cells[handle | STATE] = ALLOCATED | (state & MADE);
    if (state > MADE) writeTaken(buddy, handle);
  } else {
    handle = expand(buddy, head, order);
    if (handle < 0) return stealFallback(buddy, order, type, noFragment) ? allocBlock(buddy, order, type, noFragment) : -1;
  }
  buddy.freePages -= 1 << order;
  return buddy.slotPfn[handle >>> SLOT_SHIFT]! + ((handle >>> PAGE_SHIFT) & PAGE_IN_SECTION);
}

/** Take the first block of the smallest order from `wanted` on, and list all of it but the lower end; -1 if there is none. */
function expand(buddy: lists.Buddy, list: number, wanted: number): number {
  const { cells } = buddy;
  const order = wanted | 0;
  let current = order;
  let head = list | 0;
  let handle = cells[head]!;
  while (handle === head) {
    if (current === MAX_PAGE_ORDER) return -1;
    current = (current + 1) | 0;
    head = (head + (1 << ORDER_SHIFT)) | 0;
    handle = cells[head]!;
  }
  const state = cells[handle | STATE]!;
  if ((state & RUN) !== 0) {
    splitRunHead(buddy, handle); // it may replace the array
    return expand(buddy, list, wanted);
  }
  const second = cells[handle]!;
  cells[head] = second;
  cells[second | PREV] = head;
  const made = state & MADE;
  cells[handle | STATE] = ALLOCATED | made;
  const memmap = made === 0 ? undefined : writeTaken(buddy, handle);
  while (current > order) { // list the upper half; the list was empty, it was looked at on the way
    current = (current - 1) | 0;
    head = (head - (1 << ORDER_SHIFT)) | 0;
    const upper = handle | (CELL << current);
    cells[head] = upper;
    cells[head | PREV] = upper;
    cells[upper] = head;
    cells[upper | PREV] = head;
    cells[upper | STATE] = ((current + 1) | 0) | made;
    if (memmap !== undefined) writeFreeHead(memmap, lists.wordOf(upper), current);
  }
  return handle;
}

/** The first struct page of a block that was taken. Returns those of its section. */
function writeTaken(buddy: lists.Buddy, handle: number): Int32Array {
  const memmap = lists.memmapOf(buddy, handle)!;
  const word = lists.wordOf(handle);
  clearFreeHead(memmap, word);
  memmap[word + PAGE_REFCOUNT] = 1;
  return memmap;
}

/**
 * Drop one reference on a block's first page and free the block if it was the last (__free_pages).
 * Freeing what is free or reserved is a bug of the caller: BugError.
 */
export function putBlock(buddy: lists.Buddy, pfn: number, order: number): void {
  const inZone = pfn - buddy.firstPfn;
  const handle =
    inZone < WIDE_ZONE
      ? (buddy.slotOfSection[inZone >>> SECTION_SHIFT]! << SLOT_SHIFT) | ((inZone & PAGE_IN_SECTION) << PAGE_SHIFT)
      : peekHandle(buddy, pfn);
  if (buddy.cells[handle | STATE] === ALLOCATED) freeOnePage(buddy, handle, order, false); // not MADE: there is no reference but the allocator's
  else putCounted(buddy, handle, pfn, order);
}

function putCounted(buddy: lists.Buddy, handle: number, pfn: number, order: number): void {
  const memmap = lists.memmapOf(buddy, handle);
  if (memmap === undefined) return putBulkBlock(buddy, pfn, order);
  const word = lists.wordOf(handle);
  const refcount = memmap[word + PAGE_REFCOUNT]! - 1;
  if (refcount < 0 || (memmap[word]! & PG_RESERVED_MASK) !== 0) refuseFree(buddy, pfn);
  memmap[word + PAGE_REFCOUNT] = refcount;
  if (refcount > 0) return;
  lists.setAllocated(buddy, handle); // it may be a page of a larger block, whose first page alone says so
  freeOnePage(buddy, handle, order, false);
}

/** A block of a section without a slot, taken in bulk. */
function putBulkBlock(buddy: lists.Buddy, pfn: number, order: number): void {
  const inUse = buddy.bulk.some((range) => range.order !== undefined && pfn >= range.startPfn && pfn < range.endPfn && pfn % 2 ** range.order === 0);
  if (!inUse) refuseFree(buddy, pfn);
  freeOnePage(buddy, handleOf(buddy, pfn), order, false);
}

function refuseFree(buddy: lists.Buddy, pfn: number): never {
  const record = buddy.vmemmap.readPage(pfn);
  throw new lib.BugError(
    `page pfn:${pfn.toString(16)} cannot be freed: ${record?.reserved ? 'it is reserved' : `its refcount is ${record?.refcount ?? 'nowhere'}`}`,
  );
}

/**
 * Put a block in use, whose reference count is 0, into the lists, merged as far as it goes.
 * `toTail`: to be used last, as what boot and hot-add free (FPI_TO_TAIL).
 */
export function freeOnePage(buddy: lists.Buddy, start: number, startOrder: number, toTail: boolean): void {
  const { cells } = buddy;
  const type = cells[(start & PAGEBLOCK_MASK) | TYPE]! ^ MIGRATE_MOVABLE;
  let handle = start | 0;
  let order = startOrder | 0;
  const made = cells[handle | STATE]! & MADE;
  cells[handle | STATE] = 0;
  while (order < MAX_PAGE_ORDER) {
    const other = handle ^ (CELL << order);
    const larger = (order + 1) | 0;
    if (cells[other | STATE] !== (larger | made)) break; // its buddy is no free block of this order
    if (order === PAGEBLOCK_ORDER) {
      const otherType = cells[(other & PAGEBLOCK_MASK) | TYPE]! ^ MIGRATE_MOVABLE;
      if (otherType !== type && (otherType >= MIGRATE_PCPTYPES || type >= MIGRATE_PCPTYPES)) break;
    }
    const after = cells[other]!;
    const before = cells[other | PREV]!;
    cells[before] = after;
    cells[after | PREV] = before;
    cells[other | STATE] = 0;
    handle &= other;
    order = larger;
  }
  cells[handle | STATE] = ((order + 1) | 0) | made;
  const head = (order << ORDER_SHIFT) | (type << TYPE_SHIFT);
  // Is the buddy of the next larger block free? Then this block's own buddy, once freed, makes one two orders up: keep this for last.
  const bit = CELL << order;
  const last = toTail || (order < MAX_PAGE_ORDER - 1 && cells[((handle & ~bit) ^ (bit << 1)) | STATE] === (((order + 2) | 0) | made));
  const before = last ? cells[head | PREV]! : head;
  const after = last ? head : cells[head]!;
  cells[before] = handle;
  cells[handle] = after;
  cells[handle | PREV] = before;
  cells[after | PREV] = handle;
  if (type !== MIGRATE_ISOLATE) buddy.freePages += 1 << startOrder;
  if (made !== 0) writeFreed(lists.memmapOf(buddy, handle)!, start, startOrder, order);
}

/** The struct pages of a block of order `from` that was merged to `order`. */
function writeFreed(memmap: Int32Array, handle: number, from: number, order: number): void {
  let block = handle;
  for (let merged = from; merged < order; merged++) {
    const other = block ^ (CELL << merged);
    clearFreeHead(memmap, lists.wordOf(other));
    block &= other;
  }
  writeFreeHead(memmap, lists.wordOf(block), order);
}
