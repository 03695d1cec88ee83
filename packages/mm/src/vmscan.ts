/**
 * Taking cached pages back when memory is short: the walk that frees the oldest.
 * Mirrors mm/vmscan.c: shrink_node, shrink_inactive_list, shrink_active_list, inactive_is_low.
 *
 * Differs from Linux: no shadow entries, so a page that comes back too soon is not recognised; who finds a dirty page writes it, if it may do
 * I/O, where Linux leaves most of them to the flusher.
 */
import { GIB, type NodeId, PAGE_SIZE } from '@holdfast/lib';
import { type Folio, folioClear, folioIsHeld, folioSet, folioTest } from './address-space.js';
import { filemapRemoveFolio } from './filemap-folio.js';
import { type LruList, type Lruvec, lruPush, lruUnlink } from './lru.js';
import type { PageCache } from './page-cache.js';
import { PG } from './page-flags.js';
import { writeFolio } from './page-writeback.js';

/** Pages are looked at in batches of this size (SWAP_CLUSTER_MAX). */
const BATCH = 32;

/**
 * Free up to `nrPages` pages of a node, oldest first; dirty ones are written before, if the caller may do I/O.
 * Looks at each page at most twice. Returns how many were freed.
 */
export function shrinkNode(cache: PageCache, nid: NodeId, nrPages: number, mayWrite: boolean): number {
  const vec = cache.lru.get(nid);
  if (vec === undefined) return 0;
  let freed = 0;
  for (let budget = 2 * (vec.active.size + vec.inactive.size); freed < nrPages && budget > 0; budget -= BATCH) {
    if (isInactiveLow(vec)) deactivateOldest(vec);
    if (vec.inactive.size === 0) break;
    freed += shrinkInactive(vec.inactive, Math.min(BATCH, nrPages - freed), mayWrite);
  }
  return freed;
}

/** Look at up to `count` of the oldest pages. */
function shrinkInactive(list: LruList, count: number, mayWrite: boolean): number {
  let freed = 0;
  for (let left = Math.min(count, list.size); left > 0 && list.oldest !== undefined; left--) {
    const folio = list.oldest;
    const { vmstat } = folio.mapping.cache;
    vmstat.pgscan++;
    if (!isReclaimable(folio, mayWrite)) {
      lruUnlink(list, folio);
      lruPush(list, folio);
      continue;
    }
    filemapRemoveFolio(folio);
    vmstat.pgsteal++;
    freed++;
  }
  return freed;
}

/** Clean, or made so; a dirty page that was used is spared once (folio_check_references). */
function isReclaimable(folio: Folio, mayWrite: boolean): boolean {
  if (folioTest(folio, PG.locked) || folioTest(folio, PG.writeback) || folioIsHeld(folio)) return false;
  if (!folioTest(folio, PG.dirty)) return true;
  const wasUsed = folioTest(folio, PG.referenced);
  folioClear(folio, PG.referenced);
  if (wasUsed || !mayWrite) return false;
  writeFolio(folio, false);
  return !folioTest(folio, PG.dirty);
}

/** Active pages may be as many as inactive ones on a small machine, and some times as many on a large one. */
function isInactiveLow({ active, inactive }: Lruvec): boolean {
  const gb = Math.floor(((active.size + inactive.size) * PAGE_SIZE) / GIB);
  const ratio = gb > 0 ? Math.floor(Math.sqrt(10 * gb)) : 1;
  return inactive.size * ratio < active.size;
}

function deactivateOldest({ active, inactive }: Lruvec): void {
  for (let left = BATCH; left > 0 && active.oldest !== undefined; left--) {
    const folio = active.oldest;
    lruUnlink(active, folio);
    folioClear(folio, PG.active);
    folioSet(folio, PG.workingset);
    lruPush(inactive, folio);
  }
}
