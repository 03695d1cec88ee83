/**
 * Anonymous pages of processes, moved while they are mapped. Mirrors mm/migrate.c: migrate_folio; mm/rmap.c: rmap_walk_anon.
 *
 * Invariant: every process that had the page mapped has its bytes at the same addresses, with the same rights.
 */
import { PAGES_PER_SECTION, type Pfn } from '@holdfast/lib';
import { type StructPage, isHeldOnlyBy, moveStructPage } from './migrate-entries.js';
import type { PageOwner } from './movable-pages.js';
import type { UserPages } from './user-pages.js';
import type { Vmemmap } from './vmemmap.js';

export function anonPageOwner(pages: UserPages, vmemmap: Pick<Vmemmap, 'pageWords' | 'isMaterialised'>): PageOwner {
  const structPageOf = (pfn: Pfn): StructPage => ({ words: vmemmap.pageWords(pfn), at: 0 });
  return {
    orderOf: (frame) => (vmemmap.isMaterialised(Math.floor(frame / PAGES_PER_SECTION)) && pages.isAnon(frame) ? 0 : undefined),
    migrate(from, to) {
      const page = structPageOf(from);
      const index = pages.anonIndex(from);
      const entries = [...pages.spaces].flatMap((space) => space.anonEntries(index, from));
      if (!isHeldOnlyBy(page, entries, 0)) return false;
      moveStructPage(page, { ...structPageOf(to), pfn: to }, entries);
      return true;
    },
  };
}
