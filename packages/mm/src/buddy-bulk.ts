/**
 * Many large blocks at once: the struct pages of a device of terabytes, taken from memory that nobody has touched.
 * Mirrors nothing in Linux: the result is that of as many single calls, without a slot for each section they pass through.
 *
 * Invariant: what is taken or given back here leaves the lists, the pageblock types and the struct pages as single calls would, but that
 * blocks freed in bulk are listed by ascending address.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, PAGES_PER_SECTION, PAGEBLOCK_ORDER } from '@holdfast/lib';
import { type Buddy, type BuddyRun, CELL, clearStates, firstOf, isListEmpty, listHead, markAllocated, setBlockTypes } from './buddy.js';
import { cutBulk, peekHandle } from './buddy-slots.js';
import { startRun, startRunAt } from './buddy-runs.js';
import { MIGRATE_FALLBACKS, type MigrateType } from './migratetype.js';

/** Frames `[startPfn, endPfn)`. */
interface Frames {
  readonly startPfn: number;
  readonly endPfn: number;
}

/**
 * Take up to `maxPages` pages as blocks of `order`, at least a pageblock, for a type other than Movable, from the run that single calls
 * would turn to next: the type's own, or one that they would take over. Returns undefined if they would take something else, or less than a whole
 * block of the highest order is wanted.
 */
export function takeBulk(buddy: Buddy, order: number, type: MigrateType, maxPages: number): Frames | undefined {
  const wanted = Math.floor(maxPages / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES;
  const run = order < PAGEBLOCK_ORDER || wanted <= 0 ? undefined : nextRun(buddy, order, type);
  if (run === undefined) return undefined;
  const { startPfn } = run;
  const endPfn = Math.min(startPfn + wanted, run.endPfn);
  startRunAt(buddy, run, endPfn);
  buddy.freePages -= endPfn - startPfn;
  cutBulk(buddy, startPfn, endPfn); // what was in bulk before knows its type
  recordBlocks(buddy, startPfn, endPfn, type, order);
  buddy.vmemmap.initRange(startPfn, endPfn, buddy.nid, buddy.zoneIndex, 'blocks', order);
  return { startPfn, endPfn };
}

/** The run whose first block a single call would take; undefined if it would find an ordinary block. */
function nextRun(buddy: Buddy, order: number, type: MigrateType): BuddyRun | undefined {
  for (let current = order; current < MAX_PAGE_ORDER; current++) if (!isListEmpty(buddy, listHead(current, type))) return undefined;
  // Its own list first: it may hold what was given back in bulk. Of the others, blocks this large are taken over whole.
  const head = [type, ...MIGRATE_FALLBACKS[type]!].map((from) => listHead(MAX_PAGE_ORDER, from)).find((list) => !isListEmpty(buddy, list));
  return head === undefined ? undefined : buddy.runs.get(firstOf(buddy, head));
}

/** Note pageblock types and blocks in use: in the slots of sections that have one, else in bulk. */
function recordBlocks(buddy: Buddy, startPfn: number, endPfn: number, type: MigrateType, order: number | undefined): void {
  let bulkFrom = startPfn;
  const flush = (to: number): void => {
    if (bulkFrom < to) buddy.bulk.push({ startPfn: bulkFrom, endPfn: to, type, order });
  };
  for (let pfn = startPfn; pfn < endPfn; ) {
    const sectionEnd = Math.min((Math.floor(pfn / PAGES_PER_SECTION) + 1) * PAGES_PER_SECTION, endPfn);
    const handle = peekHandle(buddy, pfn);
    if (handle !== 0) {
      flush(pfn);
      bulkFrom = sectionEnd;
      const end = handle + (sectionEnd - pfn) * CELL;
      setBlockTypes(buddy, handle, end, type);
      clearStates(buddy, handle, end);
      if (order !== undefined) markAllocated(buddy, handle, end, order);
    }
    pfn = sectionEnd;
  }
  flush(endPfn);
}

/**
 * Give back the part of `[startPfn, endPfn)` that is still as {@link takeBulk} took it, in whole blocks of the highest order and sections
 * nobody has touched since. Returns what was given back; the rest must be freed block by block.
 */
export function putBulk(buddy: Buddy, startPfn: number, endPfn: number): Frames[] {
  const from = Math.ceil(startPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES;
  const to = Math.floor(endPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES;
  const inUse = from < to ? cutBulk(buddy, from, to).filter((range) => range.order !== undefined) : [];
  for (const range of inUse) {
    buddy.bulk.push({ ...range, order: undefined });
    startRun(buddy, range.startPfn, range.endPfn, listHead(MAX_PAGE_ORDER, range.type));
    buddy.vmemmap.initRange(range.startPfn, range.endPfn, buddy.nid, buddy.zoneIndex, 'free');
    buddy.freePages += range.endPfn - range.startPfn;
  }
  return inUse;
}
