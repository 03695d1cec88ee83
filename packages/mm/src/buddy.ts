/**
 * The free lists of one zone: what a free block is, where it is linked, and how a frame finds its place there.
 * Mirrors struct zone's free_area[] of include/linux/mmzone.h.
 *
 * A section that was ever touched has a *slot* in one flat array, four words a page:
 *
 *   handle = slot << 17 | page in section << 2    where the page's words begin: a small integer, so that no frame number above 2^31 is in the
 *                                                 hot path; XOR with 4 << order finds the buddy
 *   cells[handle], cells[handle | PREV]           the circular lists; their heads are the handles of slot 0: listHead(order, type)
 *   cells[handle | STATE]                         order + 1 of the free block that starts there; ALLOCATED; else 0. With MADE, see below
 *   cells[handle | TYPE]                          of a pageblock's first page: the pageblock's mobility type ^ Movable, so that most are 0
 *
 * One array, because V8 checks and loads each array anew in each loop, and because what is known of a page is then in one line of the host's
 * cache. Struct pages follow from it, so their bytes are not made until somebody looks (vmemmap.ts). From then on `memmaps[slot]` is there, all
 * states but 0 have MADE in them, which keeps the hot path away, and page_type, private and refcount are kept in the bytes at each step.
 *
 * Whole blocks of the highest order that nobody has touched since boot (or hot-add) are not listed one by one: a *run* of them is, ascending,
 * as one entry with RUN in its state, whose handle is no frame's (buddy-runs.ts). So a zone of 16 TiB is one list entry.
 *
 * Invariant: freeOrder(h) >= 0 exactly while `h` is in a list, and a made struct page says PageBuddy exactly then.
 * Differs from Linux: nr_free is counted when asked for; the two list pointers of a free page are written when somebody reads them.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, PAGEBLOCK_NR_PAGES, PAGES_PER_SECTION } from '@holdfast/lib';
import { MIGRATE_MOVABLE, MIGRATE_TYPES, type MigrateType } from './migratetype.js';
import { WORDS_PER_PAGE } from './page.js';
import type { Vmemmap } from './vmemmap.js';

export const NR_ORDERS = MAX_PAGE_ORDER + 1;
/** Words of a page in `cells`, beside the first: the next in its list. */
export const PREV = 1;
export const STATE = 2;
export const TYPE = 3;
/** Handles of neighbours differ by so much. */
export const CELL = 4;
/** Lists are numbered `order * 8 + type`; so are counts of their blocks. */
export const LIST_STRIDE = 8;
/** In STATE: the page is the first of a block in use. */
export const ALLOCATED = 0x40;
/** In STATE: the list entry is a run. */
export const RUN = 0x80;
/** In STATE, with what else it says: the struct pages of the section have bytes. */
export const MADE = 0x100;
/** In STATE: order + 1. */
export const ORDER_MASK = 0x0f;
const SLOT_SHIFT = 17; // log2(PAGES_PER_SECTION * CELL)
export const SLOT_CELLS = PAGES_PER_SECTION * CELL;
/** Words of a struct page for each word of a page here. */
const STRUCT_WORDS_PER_CELL_WORD = WORDS_PER_PAGE / CELL;
export const PAGEBLOCK_CELLS = PAGEBLOCK_NR_PAGES * CELL;
/** Slots of a new allocator's array: what boot takes of a zone. To grow is to touch all of it, where the host gives zeros that cost nothing. */
const FIRST_CAPACITY = 4;

export interface Buddy {
  readonly vmemmap: Vmemmap;
  readonly nid: number;
  readonly zoneIndex: number;
  /** Free pages in all lists but Isolate's (NR_FREE_PAGES). */
  freePages: number;
  /** Four words a page, by slot. Pageblocks without a slot are Movable. */
  cells: Int32Array;
  /** The struct pages of each slot; undefined until their bytes are made. */
  readonly memmaps: (Int32Array | undefined)[];
  /** First pfn of each slot. */
  readonly slotPfn: number[];
  /** Slot by section, counted from that of `firstPfn`; 0 if it has none. */
  slotOfSection: Int32Array;
  firstPfn: number;
  /** The zone's span, `[startPfn, endPfn)`. */
  startPfn: number;
  endPfn: number;
  /** Slots of sections that were removed. */
  readonly spareSlots: number[];
  /** Blocks in the run that starts at a handle. */
  readonly runs: Map<number, BuddyRun>;
  /** The same, by address. */
  readonly runList: BuddyRun[];
  /** Handles for list entries of runs: those given back, and the next new one. */
  readonly spareNodes: number[];
  nextNode: number;
  /** What is known of sections without a slot, beside runs: made by buddy-bulk.ts. Disjoint, in no order. */
  bulk: BulkRange[];
}

/** Whole free blocks `[startPfn, endPfn)` of the highest order, listed as `handle`. */
export interface BuddyRun {
  readonly handle: number;
  startPfn: number;
  endPfn: number;
}

/** Frames `[startPfn, endPfn)` whose pageblocks are of one type; in use as blocks of `order`, or free if that is undefined. */
export interface BulkRange {
  readonly startPfn: number;
  readonly endPfn: number;
  readonly type: MigrateType;
  readonly order: number | undefined;
}

/** An allocator with nothing in it. */
export function createBuddy(vmemmap: Vmemmap, nid: number, zoneIndex: number): Buddy {
  const buddy: Buddy = {
    vmemmap,
    nid,
    zoneIndex,
    freePages: 0,
    cells: new Int32Array(FIRST_CAPACITY * SLOT_CELLS),
    memmaps: [undefined], // slot 0 holds the lists' heads, and no section
    slotPfn: [0],
    slotOfSection: new Int32Array(0),
    firstPfn: 0,
    startPfn: 0,
    endPfn: 0,
    spareSlots: [],
    runs: new Map(),
    runList: [],
    spareNodes: [],
    nextNode: 0,
    bulk: [],
  };
  for (let list = 0; list < NR_ORDERS * LIST_STRIDE; list++) linkBetween(buddy, list * CELL, list * CELL, list * CELL);
  return buddy;
}

/** The head of the list of free blocks of one order and type. */
export function listHead(order: number, type: number): number {
  return (order * LIST_STRIDE + type) * CELL;
}

/** Is it the head of a list, rather than an entry? */
export function isListHead(handle: number): boolean {
  return handle < NR_ORDERS * LIST_STRIDE * CELL;
}

/** The first frame of a list entry. */
export function pfnOf(buddy: Buddy, handle: number): number {
  if (isRun(buddy, handle)) return buddy.runs.get(handle)!.startPfn;
  return buddy.slotPfn[handle >>> SLOT_SHIFT]! + pageOf(handle);
}

/** The struct pages of a handle's section; undefined if their bytes have not been made. */
export function memmapOf(buddy: Buddy, handle: number): Int32Array | undefined {
  return buddy.memmaps[handle >>> SLOT_SHIFT];
}

/** A section's struct pages have bytes from now on. `handle` is its first. */
export function setMemmap(buddy: Buddy, handle: number, memmap: Int32Array): void {
  buddy.memmaps[handle >>> SLOT_SHIFT] = memmap;
  for (let at = handle; at < handle + SLOT_CELLS; at += CELL) if (buddy.cells[at | STATE] !== 0) buddy.cells[at | STATE]! |= MADE;
}

/** The word at which a handle's struct page starts in its memmap. */
export function wordOf(handle: number): number {
  return (handle & (SLOT_CELLS - 1)) * STRUCT_WORDS_PER_CELL_WORD;
}

/** The page of a handle in its section. */
function pageOf(handle: number): number {
  return (handle & (SLOT_CELLS - 1)) / CELL;
}

// --- what is known of a page ---

/** Of the free block that starts at a handle; -1 if none does. */
export function freeOrder(buddy: Buddy, handle: number): number {
  return (buddy.cells[handle | STATE]! & ORDER_MASK) - 1;
}

/** Say that the free block of `order` that starts at a handle is listed. */
export function setFree(buddy: Buddy, handle: number, order: number): void {
  buddy.cells[handle | STATE] = (order + 1) | madeOf(buddy, handle);
}

/** Say that a block in use starts at a handle. */
export function setAllocated(buddy: Buddy, handle: number): void {
  buddy.cells[handle | STATE] = ALLOCATED | madeOf(buddy, handle);
}

function madeOf(buddy: Buddy, handle: number): number {
  return memmapOf(buddy, handle) === undefined ? 0 : MADE;
}

/** Is the list entry a run? */
export function isRun(buddy: Buddy, handle: number): boolean {
  return (buddy.cells[handle | STATE]! & RUN) !== 0;
}

export function blockTypeOf(buddy: Buddy, handle: number): MigrateType {
  return (buddy.cells[(handle & -PAGEBLOCK_CELLS) | TYPE]! ^ MIGRATE_MOVABLE) as MigrateType;
}

/** The type of the pageblocks of `[handle, end)`, which begins and ends with one. */
export function setBlockTypes(buddy: Buddy, handle: number, end: number, type: number): void {
  for (let block = handle & -PAGEBLOCK_CELLS; block < end; block += PAGEBLOCK_CELLS) buddy.cells[block | TYPE] = type ^ MIGRATE_MOVABLE;
}

/** `[first, end)` is in use as blocks of `order`. */
export function markAllocated(buddy: Buddy, first: number, end: number, order: number): void {
  for (let handle = first; handle < end; handle += CELL << order) setAllocated(buddy, handle);
}

/** Nothing is known of `[first, end)`: neither free nor in use. */
export function clearStates(buddy: Buddy, first: number, end: number): void {
  for (let handle = first; handle < end; handle += CELL) buddy.cells[handle | STATE] = 0;
}

// --- lists ---

export function firstOf(buddy: Buddy, head: number): number {
  return buddy.cells[head]!;
}

export function lastOf(buddy: Buddy, head: number): number {
  return buddy.cells[head | PREV]!;
}

export function isListEmpty(buddy: Buddy, head: number): boolean {
  return buddy.cells[head] === head;
}

export function linkBetween({ cells }: Buddy, before: number, handle: number, after: number): void {
  cells[before] = handle;
  cells[handle] = after;
  cells[handle | PREV] = before;
  cells[after | PREV] = handle;
}

export function linkLast(buddy: Buddy, handle: number, head: number): void {
  linkBetween(buddy, lastOf(buddy, head), handle, head);
}

export function unlink({ cells }: Buddy, handle: number): void {
  const after = cells[handle]!;
  const before = cells[handle | PREV]!;
  cells[before] = after;
  cells[after | PREV] = before;
}

// --- what the lists hold ---

/** Number of free blocks by list, `order * 8 + type` (free_area[].nr_free, by type). Walks the lists. */
export function countFreeBlocks(buddy: Buddy): Float64Array {
  const counts = new Float64Array(NR_ORDERS * LIST_STRIDE);
  for (let order = 0; order < NR_ORDERS; order++) {
    for (let type = 0; type < MIGRATE_TYPES; type++) {
      const head = listHead(order, type);
      for (let at = firstOf(buddy, head); at !== head; at = buddy.cells[at]!) {
        const run = buddy.runs.get(at);
        counts[order * LIST_STRIDE + type]! += run ? (run.endPfn - run.startPfn) / MAX_ORDER_NR_PAGES : 1;
      }
    }
  }
  return counts;
}
