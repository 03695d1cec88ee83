/**
 * The free lists of one zone: what a free block is, where it is linked, and how a frame finds its place there.
 * Mirrors struct zone's free_area[] of include/linux/mmzone.h.
 *
 * A section that was ever touched has a *slot* of flat arrays, nine bytes a page:
 *
 *   handle = slot * 32768 + page in section     a small integer, so that no frame number above 2^31 is in the hot path; XOR finds the buddy
 *   next[handle], prev[handle]                  the circular lists; their heads are the handles of slot 0: order * 8 + type
 *   state[handle]                               order + 1 of the free block that starts there; ALLOCATED; else 0
 *
 * Struct pages follow from these arrays, so their bytes are not made until somebody looks (vmemmap.ts). From then on `memmaps[slot]` is not
 * empty, and page_type, private and refcount are kept in the bytes at each step; with that, a random order-0 load on 1 GiB runs at a third
 * of the speed (28 million operations per second against 9).
 *
 * Whole blocks of the highest order that nobody has touched since boot (or hot-add) are not listed one by one: a *run* of them is, ascending,
 * as one entry with RUN in its state, whose handle is no frame's (buddy-runs.ts). So a zone of 16 TiB is one list entry.
 *
 * Invariant: 0 < (state[h] & ORDER_MASK) exactly while `h` is in a list, and a made struct page says PageBuddy exactly then.
 * Differs from Linux: nr_free is counted when asked for; the two list pointers of a free page are written when somebody reads them.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, PAGES_PER_SECTION, PAGEBLOCK_ORDER, bugOn } from '@holdfast/lib';
import { MIGRATE_MOVABLE, MIGRATE_TYPES, type MigrateType } from './migratetype.js';
import type { Vmemmap } from './vmemmap.js';

export const NR_ORDERS = MAX_PAGE_ORDER + 1;
/** Lists are numbered `order * 8 + type`. */
export const LIST_STRIDE = 8;
/** In `state`: the page is the first of a block in use. */
export const ALLOCATED = 0x40;
/** In `state`: the list entry is a run. */
export const RUN = 0x80;
/** In `state`: order + 1. */
export const ORDER_MASK = 0x0f;
const SLOT_SHIFT = 15; // log2(PAGES_PER_SECTION)
const PAGEBLOCKS_PER_SECTION = PAGES_PER_SECTION >> PAGEBLOCK_ORDER;
const FIRST_CAPACITY = 4;
const NOT_MADE = new Int32Array(0);

export interface Buddy {
  readonly vmemmap: Vmemmap;
  readonly nid: number;
  readonly zoneIndex: number;
  /** Free pages in all lists but Isolate's (NR_FREE_PAGES). */
  freePages: number;
  next: Int32Array;
  prev: Int32Array;
  state: Uint8Array;
  /** Mobility type by pageblock of a slot: `handle >>> 9`. Pageblocks without a slot are Movable. */
  blockType: Uint8Array;
  /** The struct pages of each slot; empty until their bytes are made. */
  readonly memmaps: Int32Array[];
  /** First pfn of each slot. */
  slotPfn: Float64Array;
  /** Slot by section, counted from `firstSection`; 0 if it has none. */
  slotOfSection: Int32Array;
  firstSection: number;
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
    next: new Int32Array(FIRST_CAPACITY * PAGES_PER_SECTION),
    prev: new Int32Array(FIRST_CAPACITY * PAGES_PER_SECTION),
    state: new Uint8Array(FIRST_CAPACITY * PAGES_PER_SECTION),
    blockType: new Uint8Array(FIRST_CAPACITY * PAGEBLOCKS_PER_SECTION),
    memmaps: [NOT_MADE], // slot 0 holds the lists' heads, and no section
    slotPfn: new Float64Array(FIRST_CAPACITY),
    slotOfSection: new Int32Array(0),
    firstSection: 0,
    startPfn: 0,
    endPfn: 0,
    spareSlots: [],
    runs: new Map(),
    runList: [],
    spareNodes: [],
    nextNode: 0,
    bulk: [],
  };
  for (let head = 0; head < NR_ORDERS * LIST_STRIDE; head++) {
    buddy.next[head] = head;
    buddy.prev[head] = head;
  }
  return buddy;
}

/** The head of the list of free blocks of one order and type. */
export function listHead(order: number, type: number): number {
  return order * LIST_STRIDE + type;
}

/** Set the zone's span, and make room in the section table for it. A table never shrinks. */
export function setSpan(buddy: Buddy, startPfn: number, endPfn: number): void {
  buddy.startPfn = startPfn;
  buddy.endPfn = endPfn;
  const old = buddy.slotOfSection;
  const oldFirst = old.length > 0 ? buddy.firstSection : Infinity;
  const oldEnd = buddy.firstSection + old.length;
  let first = Math.min(Math.floor(startPfn / PAGES_PER_SECTION), oldFirst);
  let end = Math.max(Math.ceil(endPfn / PAGES_PER_SECTION), oldEnd);
  if (first === oldFirst && end === oldEnd) return;
  // Twice as large when it grows: memory is added block by block, and a table for each block would be a quadratic matter.
  if (old.length > 0 && end > oldEnd) end = Math.max(end, oldEnd + old.length);
  if (old.length > 0 && first < oldFirst) first = Math.max(0, Math.min(first, oldFirst - old.length));
  buddy.slotOfSection = new Int32Array(end - first);
  if (old.length > 0) buddy.slotOfSection.set(old, oldFirst - first);
  buddy.firstSection = first;
}

// --- handles ---

/** The handle of a frame inside the zone; its section gets a slot if it has none. */
export function handleOf(buddy: Buddy, pfn: number): number {
  const section = Math.floor(pfn / PAGES_PER_SECTION);
  const slot = buddy.slotOfSection[section - buddy.firstSection] || makeSlot(buddy, section);
  return slot * PAGES_PER_SECTION + (pfn - section * PAGES_PER_SECTION);
}

/** The handle of a frame, or 0 if its section has no slot: it is untouched, or outside the zone. */
export function peekHandle(buddy: Buddy, pfn: number): number {
  const section = Math.floor(pfn / PAGES_PER_SECTION);
  const slot = buddy.slotOfSection[section - buddy.firstSection] ?? 0;
  return slot === 0 ? 0 : slot * PAGES_PER_SECTION + (pfn - section * PAGES_PER_SECTION);
}

/** The first frame of a list entry. */
export function pfnOf(buddy: Buddy, handle: number): number {
  if ((buddy.state[handle]! & RUN) !== 0) return buddy.runs.get(handle)!.startPfn;
  return buddy.slotPfn[handle >>> SLOT_SHIFT]! + (handle & (PAGES_PER_SECTION - 1));
}

/** The struct pages of a handle's section; empty if their bytes have not been made. */
export function memmapOf(buddy: Buddy, handle: number): Int32Array {
  return buddy.memmaps[handle >>> SLOT_SHIFT]!;
}

/** The word at which a handle's struct page starts in its memmap. */
export function wordOf(handle: number): number {
  return (handle & (PAGES_PER_SECTION - 1)) << 4;
}

export function blockTypeOf(buddy: Buddy, handle: number): MigrateType {
  return buddy.blockType[handle >>> PAGEBLOCK_ORDER]! as MigrateType;
}

/** A slot of no section: its handles are list entries of runs. */
export function makeNodeSlot(buddy: Buddy): number {
  const slot = newSlot(buddy);
  buddy.memmaps[slot] = NOT_MADE;
  buddy.slotPfn[slot] = NaN;
  return slot;
}

function newSlot(buddy: Buddy): number {
  const slot = buddy.spareSlots.pop() ?? buddy.memmaps.length;
  if (slot === buddy.slotPfn.length) growSlots(buddy, slot * 2);
  return slot;
}

function makeSlot(buddy: Buddy, section: number): number {
  const index = section - buddy.firstSection;
  bugOn(!(index >= 0 && index < buddy.slotOfSection.length), `section ${section} is outside zone ${buddy.zoneIndex} of node ${buddy.nid}`);
  const slot = newSlot(buddy);
  buddy.memmaps[slot] = buddy.vmemmap.isMaterialised(section) ? buddy.vmemmap.memmap(section) : NOT_MADE;
  buddy.slotPfn[slot] = section * PAGES_PER_SECTION;
  buddy.slotOfSection[index] = slot;
  buddy.blockType.fill(MIGRATE_MOVABLE, slot * PAGEBLOCKS_PER_SECTION, (slot + 1) * PAGEBLOCKS_PER_SECTION);
  if (buddy.bulk.length > 0) unpackBulk(buddy, section * PAGES_PER_SECTION);
  return slot;
}

/** Write what is known of a section in bulk into its new slot. */
function unpackBulk(buddy: Buddy, sectionPfn: number): void {
  for (const range of cutBulk(buddy, sectionPfn, sectionPfn + PAGES_PER_SECTION)) {
    const first = handleOf(buddy, range.startPfn);
    const end = first + (range.endPfn - range.startPfn);
    buddy.blockType.fill(range.type, first >>> PAGEBLOCK_ORDER, end >>> PAGEBLOCK_ORDER);
    if (range.order === undefined) continue;
    for (let handle = first; handle < end; handle += 1 << range.order) buddy.state[handle] = ALLOCATED;
  }
}

/** Take the parts of bulk ranges inside `[startPfn, endPfn)` out of the record. */
export function cutBulk(buddy: Buddy, startPfn: number, endPfn: number): BulkRange[] {
  const inside: BulkRange[] = [];
  buddy.bulk = buddy.bulk.flatMap((range) => {
    const from = Math.max(range.startPfn, startPfn);
    const to = Math.min(range.endPfn, endPfn);
    if (from >= to) return [range];
    inside.push({ ...range, startPfn: from, endPfn: to });
    return [{ ...range, endPfn: from }, { ...range, startPfn: to }].filter((part) => part.startPfn < part.endPfn);
  });
  return inside;
}

function growSlots(buddy: Buddy, capacity: number): void {
  const { next, prev, state, blockType, slotPfn } = buddy;
  buddy.next = new Int32Array(capacity * PAGES_PER_SECTION);
  buddy.next.set(next);
  buddy.prev = new Int32Array(capacity * PAGES_PER_SECTION);
  buddy.prev.set(prev);
  buddy.state = new Uint8Array(capacity * PAGES_PER_SECTION);
  buddy.state.set(state);
  buddy.blockType = new Uint8Array(capacity * PAGEBLOCKS_PER_SECTION);
  buddy.blockType.set(blockType);
  buddy.slotPfn = new Float64Array(capacity);
  buddy.slotPfn.set(slotPfn);
}

/** Give up the slots of `[startPfn, endPfn)`: whole sections that were removed, with no free block left in them. */
export function dropSlots(buddy: Buddy, startPfn: number, endPfn: number): void {
  for (let pfn = startPfn; pfn < endPfn; pfn += PAGES_PER_SECTION) {
    const handle = peekHandle(buddy, pfn);
    if (handle === 0) continue;
    buddy.state.fill(0, handle, handle + PAGES_PER_SECTION);
    buddy.slotOfSection[pfn / PAGES_PER_SECTION - buddy.firstSection] = 0;
    buddy.spareSlots.push(handle >>> SLOT_SHIFT);
  }
}

// --- what the lists hold ---

/** Number of free blocks by list, `order * 8 + type` (free_area[].nr_free, by type). Walks the lists. */
export function countFreeBlocks(buddy: Buddy): Float64Array {
  const counts = new Float64Array(NR_ORDERS * LIST_STRIDE);
  for (let order = 0; order < NR_ORDERS; order++) {
    for (let type = 0; type < MIGRATE_TYPES; type++) {
      const head = listHead(order, type);
      for (let at = buddy.next[head]!; at !== head; at = buddy.next[at]!) {
        const run = buddy.runs.get(at);
        counts[head]! += run ? (run.endPfn - run.startPfn) / MAX_ORDER_NR_PAGES : 1;
      }
    }
  }
  return counts;
}
