/**
 * Ranges of frames: handing them to the lists at boot and at hot-add, and taking them out again to go offline.
 * Mirrors memblock_free_pages, __free_pages_core, generic_online_page of mm/page_alloc.c and memory_hotplug.c, and mm/page_isolation.c.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, PAGES_PER_SECTION, bugOn } from '@holdfast/lib';
import {
  type Buddy, CELL, PAGEBLOCK_CELLS, STATE, blockTypeOf, freeOrder, linkLast, listHead, memmapOf, setAllocated, setBlockTypes, setFree, unlink, wordOf,
} from './buddy.js';
import { handleOf, peekHandle } from './buddy-slots.js';
import { freeOnePage } from './buddy-core.js';
import { moveFreeBlocks } from './buddy-fallback.js';
import { clearFreeHead, writeFreeHead } from './buddy-page.js';
import { addRun, runHolding, splitRunsWithin } from './buddy-runs.js';
import { MIGRATE_ISOLATE, MIGRATE_MOVABLE, type MigrateType } from './migratetype.js';
import { PG_RESERVED_MASK } from './page-flags.js';
import { PAGE_FLAGS, PAGE_REFCOUNT, WORDS_PER_PAGE } from './page.js';

/**
 * Hand `[startPfn, endPfn)` to the lists: ascending, in the largest aligned blocks, to the tail.
 * Costs as much as its ragged ends; the whole blocks of the highest order between them become a run.
 * The struct pages must be initialised; PG_reserved and their references are dropped here.
 */
export function freeRange(buddy: Buddy, startPfn: number, endPfn: number): void {
  if (endPfn <= startPfn) return;
  const firstWhole = Math.min(Math.ceil(startPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES, endPfn);
  const lastWhole = Math.max(Math.floor(endPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES, firstWhole);
  freeEdge(buddy, startPfn, firstWhole);
  if (lastWhole > firstWhole) {
    addRun(buddy, firstWhole, lastWhole);
    buddy.vmemmap.initRange(firstWhole, lastWhole, buddy.nid, buddy.zoneIndex, 'free');
    buddy.freePages += lastWhole - firstWhole;
  }
  freeEdge(buddy, lastWhole, endPfn);
}

/** Free a range without a whole block of the highest order. */
function freeEdge(buddy: Buddy, startPfn: number, endPfn: number): void {
  for (let pfn = startPfn; pfn < endPfn; ) {
    let order = 0;
    while (order < MAX_PAGE_ORDER && pfn % (2 << order) === 0 && pfn + (2 << order) <= endPfn) order++;
    freeBlockCore(buddy, pfn, order);
    pfn += 2 ** order;
  }
}

/** __free_pages_core: every page of the block loses PG_reserved and its reference, then the block is freed to the tail. */
function freeBlockCore(buddy: Buddy, pfn: number, order: number): void {
  const memmap = buddy.vmemmap.memmap(Math.floor(pfn / PAGES_PER_SECTION));
  const handle = handleOf(buddy, pfn);
  const first = wordOf(handle);
  for (let word = first; word < first + (WORDS_PER_PAGE << order); word += WORDS_PER_PAGE) {
    memmap[word + PAGE_FLAGS]! &= ~PG_RESERVED_MASK;
    memmap[word + PAGE_REFCOUNT] = 0;
  }
  setAllocated(buddy, handle);
  freeOnePage(buddy, handle, order, true);
}

/** The mobility type of a frame's pageblock. */
export function pageblockType(buddy: Buddy, pfn: number): MigrateType {
  const handle = peekHandle(buddy, pfn);
  if (handle !== 0) return blockTypeOf(buddy, handle);
  return buddy.bulk.find((range) => pfn >= range.startPfn && pfn < range.endPfn)?.type ?? MIGRATE_MOVABLE;
}

/** Number of pageblocks that are not Movable, by type. `[startPfn, endPfn)` limits the frames looked at. */
export function countPageblockTypes(buddy: Buddy, startPfn: number, endPfn: number): Map<MigrateType, number> {
  const counts = new Map<MigrateType, number>();
  for (const range of buddy.bulk) counts.set(range.type, (counts.get(range.type) ?? 0) + (range.endPfn - range.startPfn) / PAGEBLOCK_NR_PAGES);
  buddy.slotOfSection.forEach((slot, index) => {
    if (slot === 0) return;
    const sectionPfn = buddy.firstPfn + index * PAGES_PER_SECTION;
    const from = Math.max(startPfn - sectionPfn, 0);
    const to = Math.min(endPfn - sectionPfn, PAGES_PER_SECTION);
    for (let page = Math.floor(from / PAGEBLOCK_NR_PAGES) * PAGEBLOCK_NR_PAGES; page < to; page += PAGEBLOCK_NR_PAGES) {
      const type = blockTypeOf(buddy, (slot * PAGES_PER_SECTION + page) * CELL);
      if (type !== MIGRATE_MOVABLE) counts.set(type, (counts.get(type) ?? 0) + 1);
    }
  });
  return counts;
}

// --- isolation: `[startPfn, endPfn)` are whole pageblocks ---

/** Keep a range's free pages from being handed out, and what is freed there with them (start_isolate_page_range). */
export function isolateRange(buddy: Buddy, startPfn: number, endPfn: number): void {
  checkWhole(startPfn, endPfn);
  splitRunsWithin(buddy, startPfn, endPfn);
  splitAcross(buddy, startPfn);
  splitAcross(buddy, endPfn);
  forEachPageblock(buddy, startPfn, endPfn, (handle) => {
    if (blockTypeOf(buddy, handle) === MIGRATE_ISOLATE) return;
    buddy.freePages -= moveFreeBlocks(buddy, handle, MIGRATE_ISOLATE).moved;
    setBlockTypes(buddy, handle, handle + CELL, MIGRATE_ISOLATE);
  });
}

/** Give an isolated range back, as Movable (undo_isolate_page_range). */
export function undoIsolateRange(buddy: Buddy, startPfn: number, endPfn: number): void {
  checkWhole(startPfn, endPfn);
  forEachPageblock(buddy, startPfn, endPfn, (handle) => {
    if (blockTypeOf(buddy, handle) !== MIGRATE_ISOLATE) return;
    setBlockTypes(buddy, handle, handle + CELL, MIGRATE_MOVABLE);
    buddy.freePages += moveFreeBlocks(buddy, handle, MIGRATE_MOVABLE).moved;
  });
  for (const edge of [startPfn, endPfn - PAGEBLOCK_NR_PAGES]) mergeAgain(buddy, handleOf(buddy, edge));
}

/** Break the free block that a pageblock's edge cuts in two, if there is one (isolate_single_pageblock). */
function splitAcross(buddy: Buddy, edgePfn: number): void {
  const upper = edgePfn % MAX_ORDER_NR_PAGES === 0 ? 0 : peekHandle(buddy, edgePfn);
  const lower = upper - PAGEBLOCK_CELLS;
  if (upper === 0 || freeOrder(buddy, lower) !== MAX_PAGE_ORDER) return;
  takeOff(buddy, lower);
  for (const half of [lower, upper]) {
    linkLast(buddy, half, listHead(PAGEBLOCK_ORDER, blockTypeOf(buddy, half)));
    setFree(buddy, half, PAGEBLOCK_ORDER);
    const memmap = memmapOf(buddy, half);
    if (memmap !== undefined) writeFreeHead(memmap, wordOf(half), PAGEBLOCK_ORDER);
  }
}

/** A free pageblock whose buddy's type it has again: make one block of the two (unset_migratetype_isolate). */
function mergeAgain(buddy: Buddy, handle: number): void {
  if (freeOrder(buddy, handle) !== PAGEBLOCK_ORDER || freeOrder(buddy, handle ^ PAGEBLOCK_CELLS) !== PAGEBLOCK_ORDER) return;
  takeOff(buddy, handle);
  buddy.freePages -= PAGEBLOCK_NR_PAGES;
  setAllocated(buddy, handle);
  freeOnePage(buddy, handle, PAGEBLOCK_ORDER, true);
}

/** The first frame of a range that is not free, or undefined if all are (test_pages_isolated). */
export function firstBusyPfn(buddy: Buddy, startPfn: number, endPfn: number): number | undefined {
  for (let pfn = startPfn; pfn < endPfn; ) {
    const run = runHolding(buddy, pfn);
    const handle = peekHandle(buddy, pfn);
    const order = handle === 0 ? -1 : freeOrder(buddy, handle);
    if (run !== undefined) pfn = run.endPfn;
    else if (order >= 0) pfn += 2 ** order;
    else return pfn;
  }
  return undefined;
}

/** The frames of an isolated range that are not free, ascending. What is freed meanwhile is not looked at again. */
export function* busyFrames(buddy: Buddy, startPfn: number, endPfn: number): Generator<number> {
  for (let pfn = startPfn; pfn < endPfn; ) {
    const order = freeOrder(buddy, handleOf(buddy, pfn));
    if (order < 0) yield pfn;
    pfn += order < 0 ? 1 : 2 ** order;
  }
}

/**
 * Take an isolated range's blocks out of the lists: the frames leave the allocator (__offline_isolated_pages).
 * Returns how many frames were taken out; those in use stay as they are.
 */
export function offlineRange(buddy: Buddy, startPfn: number, endPfn: number): number {
  checkWhole(startPfn, endPfn);
  let taken = 0;
  forEachPageblock(buddy, startPfn, endPfn, (block) => {
    bugOn(blockTypeOf(buddy, block) !== MIGRATE_ISOLATE, 'offlineRange: expected a range that was isolated');
    for (let handle = block; handle < block + PAGEBLOCK_CELLS; ) {
      const order = freeOrder(buddy, handle);
      if (order >= 0) takeOff(buddy, handle);
      taken += order >= 0 ? 1 << order : 0;
      handle += CELL << Math.max(order, 0);
    }
    setBlockTypes(buddy, block, block + CELL, MIGRATE_MOVABLE);
  });
  return taken;
}

function takeOff(buddy: Buddy, handle: number): void {
  unlink(buddy, handle);
  buddy.cells[handle | STATE] = 0;
  const memmap = memmapOf(buddy, handle);
  if (memmap !== undefined) clearFreeHead(memmap, wordOf(handle));
}

function forEachPageblock(buddy: Buddy, startPfn: number, endPfn: number, visit: (handle: number) => void): void {
  for (let pfn = startPfn; pfn < endPfn; pfn += PAGEBLOCK_NR_PAGES) visit(handleOf(buddy, pfn));
}

function checkWhole(startPfn: number, endPfn: number): void {
  bugOn(
    startPfn % PAGEBLOCK_NR_PAGES !== 0 || endPfn % PAGEBLOCK_NR_PAGES !== 0,
    `pfns ${startPfn}-${endPfn - 1}: expected to start and to end at multiples of ${PAGEBLOCK_NR_PAGES}`,
  );
}
