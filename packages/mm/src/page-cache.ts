/**
 * The page cache of one kernel: what all mappings share. Who uses which part: filemap.ts reads and writes, page-writeback.ts brings dirty
 * pages to the device, vmscan.ts takes pages back, truncate.ts forgets them.
 *
 * Invariant: the frames of all folios of all mappings, but those that are a device's own, are those that were allocated and not yet freed;
 * none is in two mappings.
 */
import type { NodeId, Pfn } from '@holdfast/lib';
import type { PageAllocator, Shrinker } from './alloc-pages.js';
import type { AddressSpace, Folio } from './address-space.js';
import type { Lruvec } from './lru.js';
import { shrinkNode } from './vmscan.js';

export interface PageCacheNeeds {
  readonly pages: Pick<PageAllocator, 'allocPages' | 'freePages'> & { registerShrinker(shrinker: Shrinker): void };
  /** The node that is asked first. */
  readonly home: NodeId;
  /** A section's struct pages (Vmemmap.memmap). */
  readonly memmap: (sectionNr: number) => Int32Array;
  /** One frame's struct page (Vmemmap.pageWords). */
  readonly pageWords: (pfn: Pfn) => Int32Array;
  /** The bytes of a page frame (PhysicalMemory). */
  readonly memory: { frame(pfn: Pfn): Uint8Array };
  /** Virtual nanoseconds. */
  readonly clock: { readonly now: number };
  /** Free pages beyond what every zone keeps: memory that could become page cache. */
  readonly sparePages: () => number;
}

/** Counters with the names of /proc/vmstat; they only grow. */
export interface PageCacheVmstat {
  /** Clean pages that became dirty: what writeback has to do, however often they were written to. */
  nrDirtied: number;
  nrWritten: number;
  /** Pages that reclaim looked at, and took. */
  pgscan: number;
  pgsteal: number;
}

/** As /proc/sys/vm has them. */
export interface WritebackTunables {
  /** Per cent of dirtyable memory from which the flusher writes. */
  dirtyBackgroundRatio: number;
  /** Per cent at which who dirties pages has to wait for it. */
  dirtyRatio: number;
  dirtyExpireCentisecs: number;
  /** 0 turns periodic writeback off. */
  dirtyWritebackCentisecs: number;
}

export interface PageCache {
  readonly needs: PageCacheNeeds;
  readonly mappings: Set<AddressSpace>;
  /** Every page cached in RAM, by its frame. */
  readonly frames: Map<Pfn, Folio>;
  /** Mappings with dirty pages, the one that has them longest first. */
  readonly dirtyMappings: Set<AddressSpace>;
  readonly lru: Map<NodeId, Lruvec>;
  readonly tunables: WritebackTunables;
  readonly vmstat: PageCacheVmstat;
  /** Pages dirtied since the thresholds were looked at last. */
  dirtiedSinceCheck: number;
  /** Virtual time from which the flusher's wake-ups are counted: when something became dirty while nothing was. */
  flusherEpoch: number;
}

export function createPageCache(needs: PageCacheNeeds): PageCache {
  const cache: PageCache = {
    needs,
    mappings: new Set(),
    frames: new Map(),
    dirtyMappings: new Set(),
    lru: new Map(),
    tunables: { dirtyBackgroundRatio: 10, dirtyRatio: 20, dirtyExpireCentisecs: 3000, dirtyWritebackCentisecs: 500 },
    vmstat: { nrDirtied: 0, nrWritten: 0, pgscan: 0, pgsteal: 0 },
    dirtiedSinceCheck: 0,
    flusherEpoch: 0,
  };
  needs.pages.registerShrinker((nid, nrPages, mayWrite) => shrinkNode(cache, nid, nrPages, mayWrite));
  return cache;
}
