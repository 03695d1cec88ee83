/**
 * Runs: whole blocks of the highest order, untouched since boot or hot-add, that stand in the Movable list as one entry.
 * Mirrors deferred_init_memmap of mm/page_alloc.c in its purpose, with each block "initialised" when it is first taken.
 *
 * Invariant: a run's blocks follow each other in address and in list order; only its first has a handle in the list.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER } from '@holdfast/lib';
import { type Buddy, NR_ORDERS, RUN, cutBulk, handleOf, listHead, pfnOf } from './buddy.js';
import { MIGRATE_MOVABLE } from './migratetype.js';

/** Frames `[startPfn, endPfn)` of a run, whose first block is listed as `handle`. */
export interface BuddyRun {
  readonly handle: number;
  readonly startPfn: number;
  readonly endPfn: number;
}

/** All runs, in no order: one for each range that was handed over whole, and not yet used up. */
export function collectRuns(buddy: Buddy): BuddyRun[] {
  return [...buddy.runs].map(([handle, nrBlocks]) => {
    const startPfn = pfnOf(buddy, handle);
    return { handle, startPfn, endPfn: startPfn + nrBlocks * MAX_ORDER_NR_PAGES };
  });
}

/** Append `[startPfn, endPfn)` to the tail of the Movable list of the highest order: joined to the last run if it goes on from there. */
export function addRun(buddy: Buddy, startPfn: number, endPfn: number): void {
  const nrBlocks = (endPfn - startPfn) / MAX_ORDER_NR_PAGES;
  const last = buddy.prev[listHead(MAX_PAGE_ORDER, MIGRATE_MOVABLE)]!;
  const lastBlocks = buddy.runs.get(last);
  if (lastBlocks !== undefined && pfnOf(buddy, last) + lastBlocks * MAX_ORDER_NR_PAGES === startPfn) {
    buddy.runs.set(last, lastBlocks + nrBlocks);
  } else {
    startRun(buddy, startPfn, nrBlocks, last);
  }
}

/** List a run behind `at`: a handle, or a list's head. */
export function startRun(buddy: Buddy, startPfn: number, nrBlocks: number, at: number): void {
  const handle = handleOf(buddy, startPfn); // first: it may replace the arrays
  const after = buddy.next[at]!;
  buddy.next[at] = handle;
  buddy.next[handle] = after;
  buddy.prev[handle] = at;
  buddy.prev[after] = handle;
  buddy.state[handle] = RUN | NR_ORDERS;
  buddy.runs.set(handle, nrBlocks);
}

/** Take `[startPfn, endPfn)` out of the one run that holds it all; false, and nothing done, if none does. Costs what a single block costs. */
export function takeFromRun(buddy: Buddy, startPfn: number, endPfn: number): boolean {
  const run = collectRuns(buddy).find((one) => one.startPfn <= startPfn && one.endPfn >= endPfn);
  if (run === undefined || startPfn % MAX_ORDER_NR_PAGES !== 0 || endPfn % MAX_ORDER_NR_PAGES !== 0) return false;
  if (endPfn < run.endPfn) startRun(buddy, endPfn, (run.endPfn - endPfn) / MAX_ORDER_NR_PAGES, run.handle);
  if (startPfn > run.startPfn) buddy.runs.set(run.handle, (startPfn - run.startPfn) / MAX_ORDER_NR_PAGES);
  else {
    buddy.next[buddy.prev[run.handle]!] = buddy.next[run.handle]!;
    buddy.prev[buddy.next[run.handle]!] = buddy.prev[run.handle]!;
    buddy.state[run.handle] = 0;
    buddy.runs.delete(run.handle);
  }
  buddy.freePages -= endPfn - startPfn;
  cutBulk(buddy, startPfn, endPfn);
  return true;
}

/** Make a run's first block an ordinary one, with the rest of the run behind it. */
export function splitRunHead(buddy: Buddy, handle: number): void {
  const nrBlocks = buddy.runs.get(handle)!;
  buddy.runs.delete(handle);
  buddy.state[handle] = NR_ORDERS;
  if (nrBlocks > 1) startRun(buddy, pfnOf(buddy, handle) + MAX_ORDER_NR_PAGES, nrBlocks - 1, handle);
}

/** Make every block that touches `[startPfn, endPfn)` an ordinary one; what lies beyond stays in runs, in its place. */
export function splitRunsWithin(buddy: Buddy, startPfn: number, endPfn: number): void {
  for (const run of collectRuns(buddy)) {
    const from = Math.max(run.startPfn, Math.floor(startPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES);
    const to = Math.min(run.endPfn, endPfn);
    if (from >= to) continue;
    if (from > run.startPfn) {
      buddy.runs.set(run.handle, (from - run.startPfn) / MAX_ORDER_NR_PAGES);
      startRun(buddy, from, (run.endPfn - from) / MAX_ORDER_NR_PAGES, run.handle);
    }
    for (let pfn = from; pfn < to; pfn += MAX_ORDER_NR_PAGES) splitRunHead(buddy, handleOf(buddy, pfn));
  }
}
