/**
 * Forgetting cached pages. Mirrors mm/truncate.c: truncate_inode_pages_range, invalidate_mapping_pages, invalidate_inode_pages2_range.
 *
 * Ranges are bytes `[start, end)`; each page they touch counts.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { type AddressSpace, type Folio, folioIsHeld, folioTest } from './address-space.js';
import { filemapRemoveFolio } from './filemap-folio.js';
import type { PageCache } from './page-cache.js';
import { PG } from './page-flags.js';

/** Drop all pages, dirty ones too: what they held is gone. */
export function truncateInodePages(mapping: AddressSpace, start = 0, end = Infinity): void {
  for (const folio of foliosWithin(mapping, start, end)) filemapRemoveFolio(folio);
}

/** Drop what is clean and nobody uses. Returns the number of pages. */
export function invalidateMappingPages(mapping: AddressSpace, start = 0, end = Infinity): number {
  const idle = foliosWithin(mapping, start, end).filter(isIdle);
  for (const folio of idle) filemapRemoveFolio(folio);
  return idle.length;
}

/**
 * Drop what direct I/O is about to change, or has changed, from processes that map it, too, and even if somebody holds it: nobody else is to
 * find it here. Returns false if a page had to stay, for it is dirty.
 */
export function invalidateInodePages2(mapping: AddressSpace, start: number, end: number): boolean {
  let isAllGone = true;
  for (const folio of foliosWithin(mapping, start, end)) {
    if (folioTest(folio, PG.dirty) || folioTest(folio, PG.writeback) || folioTest(folio, PG.locked)) isAllGone = false;
    else filemapRemoveFolio(folio);
  }
  return isAllGone;
}

/** Drop clean pages of all mappings, as a write to /proc/sys/vm/drop_caches asks. Returns the number of pages. */
export function dropPagecache(cache: PageCache): number {
  let dropped = 0;
  for (const mapping of cache.mappings) dropped += invalidateMappingPages(mapping);
  return dropped;
}

/** Forget a mapping and all that it holds. */
export function destroyMapping(mapping: AddressSpace): void {
  truncateInodePages(mapping);
  mapping.cache.mappings.delete(mapping);
}

function isIdle(folio: Folio): boolean {
  return !folioTest(folio, PG.dirty) && !folioTest(folio, PG.writeback) && !folioTest(folio, PG.locked) && !folioIsHeld(folio);
}

function foliosWithin({ folios }: AddressSpace, start: number, end: number): Folio[] {
  const [first, last] = [Math.floor(start / PAGE_SIZE), Math.ceil(end / PAGE_SIZE)];
  if (last - first > folios.size) return [...folios.values()].filter(({ index }) => index >= first && index < last);
  const found: Folio[] = [];
  for (let index = first; index < last; index++) {
    const folio = folios.get(index);
    if (folio) found.push(folio);
  }
  return found;
}
