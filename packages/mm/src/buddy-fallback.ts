/**
 * When a mobility type has run out: taking blocks, or whole pageblocks, over from another type.
 * Mirrors __rmqueue_fallback, find_suitable_fallback, can_steal_fallback, steal_suitable_fallback and move_freepages_block of mm/page_alloc.c.
 *
 * Differs from Linux: no watermark boost after a take-over.
 */
import { MAX_PAGE_ORDER, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER } from '@holdfast/lib';
import {
  type Buddy, CELL, PAGEBLOCK_CELLS, blockTypeOf, firstOf, freeOrder, isListEmpty, isRun, linkLast, listHead, memmapOf, pfnOf, setBlockTypes, unlink, wordOf,
} from './buddy.js';
import { splitRunHead } from './buddy-runs.js';
import {
  MIGRATE_FALLBACKS, MIGRATE_HIGHATOMIC, MIGRATE_MOVABLE, MIGRATE_PCPTYPES, MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE,
} from './migratetype.js';
import { PG_LRU_MASK } from './page-flags.js';
import { PAGE_FLAGS } from './page.js';

/** Move memory of another type to the wanted type's lists, to be taken there; false if there is none to take. */
export function stealFallback(buddy: Buddy, order: number, type: number, noFragment: boolean): boolean {
  const minOrder = noFragment && order < PAGEBLOCK_ORDER ? PAGEBLOCK_ORDER : order;
  for (let current = MAX_PAGE_ORDER; current >= minOrder; current--) {
    const from = findFallback(buddy, current, type);
    if (from < 0) continue;
    if (type === MIGRATE_MOVABLE && !canSteal(current, type)) stealSmallest(buddy, order, type);
    else stealBlock(buddy, current, from, type);
    return true;
  }
  return false;
}

/** A movable request disturbs other types as little as it can: the smallest block, not the largest. */
function stealSmallest(buddy: Buddy, order: number, type: number): void {
  for (let current = order; current <= MAX_PAGE_ORDER; current++) {
    const from = findFallback(buddy, current, type);
    if (from >= 0) return stealBlock(buddy, current, from, type);
  }
}

function findFallback(buddy: Buddy, order: number, type: number): number {
  for (const other of MIGRATE_FALLBACKS[type] ?? []) {
    if (!isListEmpty(buddy, listHead(order, other))) return other;
  }
  return -1;
}

/** May the whole pageblock change type for this request? */
function canSteal(order: number, type: number): boolean {
  return order >= PAGEBLOCK_ORDER >> 1 || type === MIGRATE_RECLAIMABLE || type === MIGRATE_UNMOVABLE;
}

function stealBlock(buddy: Buddy, order: number, from: number, type: number): void {
  const entry = firstOf(buddy, listHead(order, from));
  const handle = isRun(buddy, entry) ? splitRunHead(buddy, entry) : entry;
  const oldType = blockTypeOf(buddy, handle);
  if (oldType !== MIGRATE_HIGHATOMIC && order >= PAGEBLOCK_ORDER) {
    setBlockTypes(buddy, handle, handle + (CELL << order), type);
  } else if (oldType !== MIGRATE_HIGHATOMIC && canSteal(order, type) && stealPageblock(buddy, handle, oldType, type)) {
    return;
  }
  moveToFreeList(buddy, handle, order, type);
}

/** Take over all free blocks of a pageblock, and its type if most of it is free or of a like kind; false if nothing could be moved. */
function stealPageblock(buddy: Buddy, handle: number, oldType: number, type: number): boolean {
  const { moved, movable } = moveFreeBlocks(buddy, handle, type);
  if (moved === 0) return false;
  let alike = 0;
  if (type === MIGRATE_MOVABLE) alike = movable;
  else if (oldType === MIGRATE_MOVABLE) alike = PAGEBLOCK_NR_PAGES - moved - movable;
  if (moved + alike >= PAGEBLOCK_NR_PAGES >> 1) setBlockTypes(buddy, handle, handle + CELL, type);
  return true;
}

/**
 * Move every free block that starts in a handle's pageblock to the tail of a type's lists. None of them may be a run's.
 * Also counts the pages in use that could be moved away: those on the LRU.
 */
export function moveFreeBlocks(buddy: Buddy, handle: number, type: number): { readonly moved: number; readonly movable: number } {
  const block = handle & -PAGEBLOCK_CELLS;
  const blockPfn = pfnOf(buddy, handle) - (handle - block) / CELL;
  const end = block + PAGEBLOCK_CELLS;
  let moved = 0;
  let movable = 0;
  if (blockPfn + PAGEBLOCK_NR_PAGES > buddy.endPfn) return { moved, movable }; // as Linux: the zone ends inside, so hands off
  for (let page = blockPfn < buddy.startPfn ? handle : block; page < end; ) {
    const order = freeOrder(buddy, page);
    if (order >= 0) {
      moveToFreeList(buddy, page, order, type);
      moved += 1 << order;
      page += CELL << order;
    } else {
      if (isOnLru(buddy, page)) movable++;
      page += CELL;
    }
  }
  return { moved, movable };
}

function isOnLru(buddy: Buddy, handle: number): boolean {
  const memmap = memmapOf(buddy, handle);
  return memmap !== undefined && (memmap[wordOf(handle) + PAGE_FLAGS]! & PG_LRU_MASK) !== 0;
}

/** Move a block, not a run's first, to the tail of another type's list of its order. */
function moveToFreeList(buddy: Buddy, handle: number, order: number, type: number): void {
  unlink(buddy, handle);
  linkLast(buddy, handle, listHead(order, type));
}

/** Does some list of `order` or above hold a block of a type that is handed out? */
export function hasFreeBlock(buddy: Buddy, order: number): boolean {
  for (let current = order; current <= MAX_PAGE_ORDER; current++) {
    for (let type = 0; type < MIGRATE_PCPTYPES; type++) {
      if (!isListEmpty(buddy, listHead(current, type))) return true;
    }
  }
  return false;
}
