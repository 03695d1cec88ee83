/**
 * What the buddy allocator says in struct pages: who is free, of what order, and in which list.
 * Mirrors set_buddy_order, del_page_from_free_list, set_page_refcounted and the list pointers of mm/page_alloc.c.
 *
 * Invariant: the bytes of a made struct page are what these functions would write from the arrays of buddy.ts, list pointers included
 * once they were asked for.
 */
import { MAX_ORDER_NR_PAGES, PAGES_PER_SECTION } from '@holdfast/lib';
import { ALLOCATED, type Buddy, CELL, LIST_STRIDE, ORDER_MASK, PREV, RUN, STATE, isListHead, pfnOf, setMemmap } from './buddy.js';
import { peekHandle } from './buddy-slots.js';
import { runHolding } from './buddy-runs.js';
import { MIGRATE_TYPES } from './migratetype.js';
import * as page from './page.js';
import type { FreeListOwner } from './vmemmap.js';

// This module's own, as in buddy-core.ts: V8 folds them.
const { PAGE_LRU_NEXT, PAGE_LRU_PREV, PAGE_PRIVATE, PAGE_REFCOUNT, PAGE_TYPE, PAGE_TYPE_BUDDY, PAGE_UNMAPPED, WORDS_PER_PAGE } = page;
const { LIST_POISON1_LO, LIST_POISON2_LO, LIST_POISON_HI } = page;

/** The first page of a block that was just put into a list. */
export function writeFreeHead(memmap: Int32Array, word: number, order: number): void {
  memmap[word + PAGE_TYPE] = PAGE_TYPE_BUDDY;
  memmap[word + PAGE_PRIVATE] = order;
  memmap[word + PAGE_PRIVATE + 1] = 0;
}

/** The first page of a block that was just taken off its list. */
export function clearFreeHead(memmap: Int32Array, word: number): void {
  memmap[word + PAGE_LRU_NEXT] = LIST_POISON1_LO;
  memmap[word + PAGE_LRU_NEXT + 1] = LIST_POISON_HI;
  memmap[word + PAGE_LRU_PREV] = LIST_POISON2_LO;
  memmap[word + PAGE_LRU_PREV + 1] = LIST_POISON_HI;
  memmap[word + PAGE_PRIVATE] = 0;
  memmap[word + PAGE_PRIVATE + 1] = 0;
  memmap[word + PAGE_TYPE] = PAGE_UNMAPPED;
}

/** Connect a zone's lists with the memmap that shows them. `structPhys` is where its struct zone would lie, for the heads' addresses. */
export function freeListOwner(buddy: Buddy, structPhys = 0): FreeListOwner {
  const addressOf = (handle: number, pfn: number): bigint => {
    if (!isListHead(handle)) return buddy.vmemmap.pfnToPage(pfn) + BigInt(PAGE_LRU_NEXT * 4);
    const list = handle / CELL;
    const area = Math.floor(list / LIST_STRIDE) * (MIGRATE_TYPES * 16 + 8); // free_area: a list_head a type, then nr_free
    return page.DIRECT_MAP_BASE_L4 + BigInt(structPhys + area + (list % LIST_STRIDE) * 16);
  };
  const lastPfnOf = (handle: number): number => (buddy.runs.get(handle)?.endPfn ?? pfnOf(buddy, handle) + MAX_ORDER_NR_PAGES) - MAX_ORDER_NR_PAGES;

  return {
    describe: (startPfn, endPfn, words, at) => describeBlocks(buddy, startPfn, endPfn, words, at),
    adopt(sectionNr, words) {
      const handle = peekHandle(buddy, sectionNr * PAGES_PER_SECTION);
      if (handle !== 0) setMemmap(buddy, handle, words);
    },
    writeLinks(pfn, words, at) {
      const place = placeInLists(buddy, pfn);
      if (place === undefined) return;
      const { first, last, handle } = place;
      const next = buddy.cells[handle]!;
      const prev = buddy.cells[handle | PREV]!;
      page.writeWord64(words, at + PAGE_LRU_NEXT, last ? addressOf(next, pfnOf(buddy, next)) : addressOf(handle, pfn + MAX_ORDER_NR_PAGES));
      page.writeWord64(words, at + PAGE_LRU_PREV, first ? addressOf(prev, lastPfnOf(prev)) : addressOf(handle, pfn - MAX_ORDER_NR_PAGES));
    },
  };
}

/** The list entry that a block is, or is part of; and whether it is the first and the last block of it. */
function placeInLists(buddy: Buddy, pfn: number): { handle: number; first: boolean; last: boolean } | undefined {
  const handle = peekHandle(buddy, pfn);
  const state = handle === 0 ? 0 : buddy.cells[handle | STATE]!;
  if ((state & ORDER_MASK) !== 0 && (state & RUN) === 0) return { handle, first: true, last: true };
  const run = runHolding(buddy, pfn);
  return run && { handle: run.handle, first: pfn === run.startPfn, last: pfn + MAX_ORDER_NR_PAGES === run.endPfn };
}

/** Bring `[startPfn, endPfn)`, written as whole free blocks, to what has become of them. */
function describeBlocks(buddy: Buddy, startPfn: number, endPfn: number, words: Int32Array, at: number): void {
  for (let pfn = startPfn; pfn < endPfn; ) {
    const blockEnd = Math.min((Math.floor(pfn / MAX_ORDER_NR_PAGES) + 1) * MAX_ORDER_NR_PAGES, endPfn);
    const handle = peekHandle(buddy, pfn);
    if (handle !== 0 && runHolding(buddy, pfn) === undefined) {
      const first = at + (pfn - startPfn) * WORDS_PER_PAGE;
      for (let i = 0; i < blockEnd - pfn; i++) describePage(buddy.cells[(handle + i * CELL) | STATE]!, words, first + i * WORDS_PER_PAGE);
    }
    pfn = blockEnd;
  }
}

function describePage(state: number, words: Int32Array, word: number): void {
  const order = (state & ORDER_MASK) - 1;
  const isAllocated = (state & ALLOCATED) !== 0;
  words[word + PAGE_REFCOUNT] = isAllocated ? 1 : 0;
  if (order >= 0) writeFreeHead(words, word, order);
  else if (isAllocated || words[word + PAGE_TYPE] === PAGE_TYPE_BUDDY) clearFreeHead(words, word);
}

