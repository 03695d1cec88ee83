/**
 * Pages of the page cache, moved while they are cached: clean or dirty, mapped or not.
 * Mirrors mm/migrate.c: filemap_migrate_folio, buffer_migrate_folio_norefs.
 *
 * Invariant: whoever looks the page up afterwards finds the same bytes and the same state in another frame.
 */
import { folioSet, folioTest, structPageOf } from './address-space.js';
import { folioActivate, folioAddLru, folioDelLru } from './lru.js';
import { isHeldOnlyBy, moveStructPage } from './migrate-entries.js';
import type { PageOwner } from './movable-pages.js';
import type { PageCache } from './page-cache.js';
import { PG } from './page-flags.js';

export function pageCacheOwner(cache: PageCache): PageOwner {
  return {
    orderOf: (frame) => (cache.frames.has(frame) ? 0 : undefined),
    migrate(from, to) {
      const folio = cache.frames.get(from)!;
      const entries = folio.mapping.mmaps.entriesOf(folio.index, from);
      if (folioTest(folio, PG.locked) || folioTest(folio, PG.writeback) || !isHeldOnlyBy(folio, entries, 1)) return false;
      const [isActive, isReferenced] = [folioTest(folio, PG.active), folioTest(folio, PG.referenced)];
      folioDelLru(folio);
      const target = structPageOf(cache, to);
      moveStructPage(folio, { ...target, pfn: to }, entries);
      cache.frames.delete(from);
      cache.frames.set(to, Object.assign(folio, target, { pfn: to }));
      folioAddLru(folio);
      if (isActive) folioActivate(folio);
      if (isReferenced) folioSet(folio, PG.referenced);
      return true;
    },
  };
}

