/**
 * Pages come into a mapping and leave it. Mirrors mm/filemap.c: filemap_add_folio, filemap_remove_folio.
 *
 * Invariant: a folio that leaves has neither dirty data that anybody still wants nor I/O in flight; its frame is free afterwards.
 */
import { type Pfn, bugOn } from '@holdfast/lib';
import { type AddressSpace, type Folio, folioClear, folioSet, folioTest, initFolio } from './address-space.js';
import { GFP_USER, __GFP_NOWARN } from './gfp.js';
import { PG } from './page-flags.js';
import { PAGE_INDEX, writeWord64 } from './page.js';
import { folioCancelDirty } from './page-writeback.js';
import { folioAddLru, folioDelLru } from './lru.js';

/**
 * A new page, locked and not uptodate; undefined if there is no memory. Its bytes are whatever the frame held. A direct page holds its data
 * from the start; it is in no list of pages that could be taken back, since no RAM would be won.
 */
export function filemapAddFolio(mapping: AddressSpace, index: number): Folio | undefined {
  if (mapping.direct) return addDirect(mapping, mapping.direct.frameOf(index), index);
  const { pages, home } = mapping.cache.needs;
  // Making room can write this very mapping, but it never adds to it.
  const frame = pages.allocPages(GFP_USER | __GFP_NOWARN, 0, home);
  if (frame === undefined) return undefined;
  const folio = initFolio(mapping, index, frame);
  mapping.folios.set(index, folio);
  mapping.cache.frames.set(frame, folio);
  folioAddLru(folio);
  return folio;
}

function addDirect(mapping: AddressSpace, frame: Pfn, index: number): Folio {
  const folio = initFolio(mapping, index, frame);
  folioSet(folio, PG.uptodate);
  folioClear(folio, PG.locked);
  mapping.folios.set(index, folio);
  return folio;
}

/** Forget a page, dirty or not, and free its frame. */
export function filemapRemoveFolio(folio: Folio): void {
  const { mapping, index, pfn } = folio;
  bugOn(folioTest(folio, PG.writeback), `${mapping.name}: page ${index} leaves the cache under writeback`);
  mapping.mmaps.unmapRange(index, 1);
  mapping.folios.delete(index);
  // A direct page is up to date whoever looks: a disk and its partition may both hold it.
  if (mapping.direct) return;
  folioCancelDirty(folio);
  folioDelLru(folio);
  mapping.cache.frames.delete(pfn);
  for (const flag of STATE_FLAGS) folioClear(folio, flag);
  writeWord64(folio.words, folio.at + PAGE_INDEX, 0n);
  mapping.cache.needs.pages.freePages(pfn, 0);
}

/** What a free page must not show (PAGE_FLAGS_CHECK_AT_PREP). */
const STATE_FLAGS = [PG.locked, PG.referenced, PG.uptodate, PG.workingset, PG.error, PG.reclaim] as const;
