/**
 * The text of /proc/vmstat: those of Linux's counters that something here counts. Mirrors mm/vmstat.c.
 *
 * What the cache saves a device shows in `nr_dirtied` and `nr_written`: a page that is overwritten before it is written counts once in both.
 */
import type { PageCache } from './page-cache.js';
import { countPageCache } from './page-cache-counts.js';
import { dirtyLimits } from './page-writeback.js';

export function formatVmstat(cache: PageCache, freePages: number): string {
  const { buffers, cached, dirty, writeback, active, inactive } = countPageCache(cache);
  const { background, limit } = dirtyLimits(cache);
  const { nrDirtied, nrWritten, pgscan, pgsteal } = cache.vmstat;
  const counters = {
    nr_free_pages: freePages,
    nr_inactive_file: inactive,
    nr_active_file: active,
    nr_file_pages: buffers + cached,
    nr_dirty: dirty,
    nr_writeback: writeback,
    nr_dirtied: nrDirtied,
    nr_written: nrWritten,
    nr_dirty_threshold: limit,
    nr_dirty_background_threshold: background,
    pgsteal_file: pgsteal,
    pgscan_file: pgscan,
  };
  return Object.entries(counters).map(([name, value]) => `${name} ${value}\n`).join('');
}
