/**
 * Runs: whole blocks of the highest order, untouched since boot or hot-add, that stand in the Movable list as one entry.
 * Mirrors deferred_init_memmap of mm/page_alloc.c in its purpose, with each block "initialised" when it is first taken.
 *
 * A run's list entry is a *node*: a handle of a slot that belongs to no section. So a run costs four words, and none of its sections a slot,
 * until a block of it is taken; and memory that goes online block by block, in any order, stays cheap.
 *
 * Invariant: a run's blocks follow each other in address and in list order. `runList` holds all runs by address, disjoint.
 */
import { MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, PAGES_PER_SECTION, firstIndexWhere } from '@holdfast/lib';
import { type Buddy, type BuddyRun, CELL, NR_ORDERS, PREV, RUN, STATE, lastOf, linkBetween, listHead, setFree, unlink } from './buddy.js';
import { cutBulk, handleOf, makeNodeSlot } from './buddy-slots.js';
import { MIGRATE_MOVABLE } from './migratetype.js';

/** All runs, by address: one for each range that was handed over whole, and not yet used up. */
export function collectRuns(buddy: Buddy): readonly BuddyRun[] {
  return buddy.runList;
}

/** The run that a frame is in, if any. */
export function runHolding(buddy: Buddy, pfn: number): BuddyRun | undefined {
  const run = buddy.runList[firstEndingAfter(buddy.runList, pfn)];
  return run !== undefined && run.startPfn <= pfn ? run : undefined;
}

/** Append `[startPfn, endPfn)` to the tail of the Movable list of the highest order: joined to the last run if it goes on from there. */
export function addRun(buddy: Buddy, startPfn: number, endPfn: number): void {
  const last = lastOf(buddy, listHead(MAX_PAGE_ORDER, MIGRATE_MOVABLE));
  const lastRun = buddy.runs.get(last);
  if (lastRun?.endPfn === startPfn) lastRun.endPfn = endPfn;
  else startRun(buddy, startPfn, endPfn, last);
}

/** List the run `[startPfn, endPfn)` behind `at`: a handle, or a list's head. */
export function startRun(buddy: Buddy, startPfn: number, endPfn: number, at: number): void {
  const handle = newNode(buddy); // first: it may replace the arrays
  linkBetween(buddy, at, handle, buddy.cells[at]!);
  buddy.cells[handle | STATE] = RUN | NR_ORDERS;
  const run: BuddyRun = { handle, startPfn, endPfn };
  buddy.runs.set(handle, run);
  buddy.runList.splice(firstEndingAfter(buddy.runList, startPfn), 0, run);
}

/** Shorten a run at its start; what is left keeps its place in the list, and a run of nothing goes. */
export function startRunAt(buddy: Buddy, run: BuddyRun, startPfn: number): void {
  if (startPfn >= run.endPfn) endRun(buddy, run);
  else run.startPfn = startPfn;
}

/** Take `[startPfn, endPfn)` out of the one run that holds it all; false, and nothing done, if none does. Costs what a single block costs. */
export function takeFromRun(buddy: Buddy, startPfn: number, endPfn: number): boolean {
  const run = runHolding(buddy, startPfn);
  if (run === undefined || run.endPfn < endPfn || startPfn % MAX_ORDER_NR_PAGES !== 0 || endPfn % MAX_ORDER_NR_PAGES !== 0) return false;
  const runEnd = run.endPfn;
  if (startPfn > run.startPfn) {
    run.endPfn = startPfn;
    if (endPfn < runEnd) startRun(buddy, endPfn, runEnd, run.handle);
  } else {
    startRunAt(buddy, run, endPfn);
  }
  buddy.freePages -= endPfn - startPfn;
  cutBulk(buddy, startPfn, endPfn);
  return true;
}

/** Make a run's first block an ordinary one, with the rest of the run behind it. Returns the block's handle. */
export function splitRunHead(buddy: Buddy, node: number): number {
  const run = buddy.runs.get(node)!;
  const handle = handleOf(buddy, run.startPfn); // first: it may replace the arrays
  linkBetween(buddy, buddy.cells[node | PREV]!, handle, node);
  setFree(buddy, handle, MAX_PAGE_ORDER);
  startRunAt(buddy, run, run.startPfn + MAX_ORDER_NR_PAGES);
  return handle;
}

/** Make every block that touches `[startPfn, endPfn)` an ordinary one; what lies beyond stays in runs, in its place. */
export function splitRunsWithin(buddy: Buddy, startPfn: number, endPfn: number): void {
  const first = Math.floor(startPfn / MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES;
  const touched = [];
  for (let i = firstEndingAfter(buddy.runList, first); i < buddy.runList.length && buddy.runList[i]!.startPfn < endPfn; i++) touched.push(buddy.runList[i]!);
  for (const run of touched) {
    const runEnd = run.endPfn;
    const from = Math.max(run.startPfn, first);
    let inner: BuddyRun = run;
    if (from > run.startPfn) {
      run.endPfn = from;
      startRun(buddy, from, runEnd, run.handle);
      inner = runHolding(buddy, from)!;
    }
    for (let pfn = from; pfn < Math.min(runEnd, endPfn); pfn += MAX_ORDER_NR_PAGES) splitRunHead(buddy, inner.handle);
  }
}

function endRun(buddy: Buddy, run: BuddyRun): void {
  unlink(buddy, run.handle);
  buddy.cells[run.handle | STATE] = 0;
  buddy.runs.delete(run.handle);
  buddy.runList.splice(firstEndingAfter(buddy.runList, run.startPfn), 1);
  buddy.spareNodes.push(run.handle);
}

/** A handle for a run's list entry. */
function newNode(buddy: Buddy): number {
  const spare = buddy.spareNodes.pop();
  if (spare !== undefined) return spare;
  // A slot's handle 0 stays unused, so that a multiple of its size says that there is none left.
  if (buddy.nextNode % (PAGES_PER_SECTION * CELL) === 0) buddy.nextNode = makeNodeSlot(buddy) * PAGES_PER_SECTION * CELL + CELL;
  const node = buddy.nextNode;
  buddy.nextNode += CELL;
  return node;
}

function firstEndingAfter(runs: readonly BuddyRun[], pfn: number): number {
  return firstIndexWhere(runs.length, (index) => runs[index]!.endPfn > pfn);
}
