/**
 * What all pages that can be moved have in common: state that goes along, and page table entries that lead to the new frame.
 * Mirrors mm/migrate.c: folio_expected_refs, folio_migrate_mapping, folio_migrate_flags, remove_migration_ptes.
 *
 * Differs from Linux: entries are changed in one step, where Linux takes them away and puts others in their place, so that a touch meanwhile
 * waits.
 */
import type { MappedEntry } from './file-mmaps.js';
import { PG } from './page-flags.js';
import { PAGE_FLAGS, PAGE_INDEX, PAGE_MAPPING, PAGE_REFCOUNT } from './page.js';

/** A struct page: words of a memmap, from `at` on. */
export interface StructPage {
  readonly words: Int32Array;
  readonly at: number;
}

/** State that goes along (folio_migrate_flags). Its place in an LRU list does not: the list may be another node's. */
const MOVED_FLAGS = [PG.error, PG.referenced, PG.uptodate, PG.dirty, PG.workingset, PG.mappedtodisk, PG.reclaim, PG.swapbacked]
  .reduce((mask, bit) => mask | (1 << bit), 0);

/** Is a page held by nobody but these entries, and `others`? Somebody else may look at the frame at any time. */
export function isHeldOnlyBy({ words, at }: StructPage, entries: readonly MappedEntry[], others: number): boolean {
  return words[at + PAGE_REFCOUNT] === entries.length + others;
}

/** Make a new frame's struct page that of a page, with its references; the old one is left with one. Then let the entries lead there. */
export function moveStructPage(from: StructPage, to: StructPage & { readonly pfn: number }, entries: readonly MappedEntry[]): void {
  const [old, fresh] = [from.words, to.words];
  fresh[to.at + PAGE_FLAGS]! |= old[from.at + PAGE_FLAGS]! & MOVED_FLAGS;
  old[from.at + PAGE_FLAGS]! &= ~MOVED_FLAGS;
  for (const field of [PAGE_MAPPING, PAGE_MAPPING + 1, PAGE_INDEX, PAGE_INDEX + 1]) {
    fresh[to.at + field] = old[from.at + field]!;
    old[from.at + field] = 0;
  }
  fresh[to.at + PAGE_REFCOUNT] = old[from.at + PAGE_REFCOUNT]!;
  old[from.at + PAGE_REFCOUNT] = 1;
  for (const { pageTable, leaf } of entries) pageTable.set(leaf.start, leaf.level, to.pfn, leaf.flags);
}
