/**
 * How many pages the cache holds, and in which state: the lines of /proc/meminfo (global_node_page_state of NR_FILE_PAGES and its kin).
 */
import type { PageCache } from './page-cache.js';

/** Pages now, as /proc/meminfo shows them. */
export interface PageCacheCounts {
  readonly buffers: number;
  /** Without `buffers`. */
  readonly cached: number;
  readonly dirty: number;
  readonly writeback: number;
  readonly active: number;
  readonly inactive: number;
}

/** Count the pages of all mappings that are in RAM. */
export function countPageCache(cache: PageCache): PageCacheCounts {
  const counts = { buffers: 0, cached: 0, dirty: 0, writeback: 0, active: 0, inactive: 0 };
  for (const { folios, dirty, writeback, isBlockDevice, direct } of cache.mappings) {
    if (direct) continue;
    if (isBlockDevice) counts.buffers += folios.size;
    else counts.cached += folios.size;
    counts.dirty += dirty.size;
    counts.writeback += writeback.size;
  }
  for (const { active, inactive } of cache.lru.values()) {
    counts.active += active.size;
    counts.inactive += inactive.size;
  }
  return counts;
}
