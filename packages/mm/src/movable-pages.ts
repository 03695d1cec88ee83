/**
 * Pages that can be moved while they are in use, and who moves them. Mirrors what PageLRU, page->mapping and migrate_folio are to
 * mm/migrate.c: the way from a frame to whoever refers to it.
 *
 * Invariant: a frame has at most one owner. What no owner claims cannot be moved.
 * Differs from Linux: an owner is asked, instead of being found through the struct page.
 */
import type { Pfn } from '@holdfast/lib';

/** Somebody with pages that may change their place, such as the page cache. */
export interface PageOwner {
  /** The order of the block that starts at a frame, if it is this owner's and can be moved; undefined otherwise, and for its other frames. */
  orderOf(frame: Pfn): number | undefined;
  /**
   * The bytes of the block at `from` have been copied to `to`, a block with one reference. Refer to `to` from now on, set up its struct page,
   * and leave `from` with the one reference that its allocation gave it; it is freed then. Or change nothing and return false: the page is
   * in use in a way that cannot be moved now.
   */
  migrate(from: Pfn, to: Pfn): boolean;
}

export interface MovablePages {
  /** From now on this owner is asked, too; the returned function ends that. */
  register(owner: PageOwner): () => void;
  ownerOf(frame: Pfn): { readonly owner: PageOwner; readonly order: number } | undefined;
}

export function createMovablePages(): MovablePages {
  const owners = new Set<PageOwner>();
  return {
    register(owner) {
      owners.add(owner);
      return () => void owners.delete(owner);
    },
    ownerOf(frame) {
      for (const owner of owners) {
        const order = owner.orderOf(frame);
        if (order !== undefined) return { owner, order };
      }
      return undefined;
    },
  };
}
