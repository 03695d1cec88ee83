/**
 * The page allocator: zonelists, watermarks, and the free lists behind them.
 * Mirrors __alloc_pages, get_page_from_freelist, alloc_flags_nofragment, __alloc_pages_slowpath and __free_pages of mm/page_alloc.c.
 *
 * Differs from Linux: pages are taken back from whoever registered as a shrinker, within the call that needs them; nothing is compacted or
 * killed; no reserve for atomic requests of more than one page.
 */
import {
  BugError, KERN, KernelError, MAX_PAGE_ORDER, type NodeId, PAGE_SIZE, type Pfn, type PhysAddr, type Printk, bugOn, pfnToPhys, physToPfn,
} from '@holdfast/lib';
import { putBulk, takeBulk } from './buddy-bulk.js';
import { allocBlock, putBlock } from './buddy-core.js';
import {
  GFP_KERNEL, __GFP_DIRECT_RECLAIM, __GFP_HIGH, __GFP_IO, __GFP_KSWAPD_RECLAIM, __GFP_MEMALLOC, __GFP_NOMEMALLOC, __GFP_NOWARN, __GFP_THISNODE, gfpMigratetype,
  gfpZone,
} from './gfp.js';
import type { Vmemmap } from './vmemmap.js';
import { zoneWatermarkOk } from './watermark.js';
import { type Pgdat, type Zone, isPopulated, zoneEndPfn } from './zone.js';
import type { Zonelists } from './zonelist.js';
import { ZONE_DMA32, ZONE_NORMAL } from './zone-layout.js';

export interface PageAllocatorNeeds {
  readonly nodes: ReadonlyMap<NodeId, Pgdat>;
  /** As built last: they change when a zone becomes populated or empty. */
  readonly zonelists: () => Zonelists;
  readonly vmemmap: Vmemmap;
  readonly printk: Printk;
}

/**
 * Who can give pages of a node back: frees up to `nrPages`, and may write dirty ones to a device for it only if told so.
 * Returns how many it freed; 0 when it has nothing more.
 */
export type Shrinker = (nid: NodeId, nrPages: number, mayWrite: boolean) => number;

/** `count` blocks of one order, one behind the other. */
export interface BlockRun {
  readonly start: PhysAddr;
  readonly count: number;
}

export interface PageAllocator {
  /** Take 2^order frames near a node; undefined if there is no memory for it. An order above 10 is warned of, once. */
  allocPages(gfp: number, order: number, nid: NodeId): Pfn | undefined;
  /** Drop a reference on a block's first frame, and free it if it was the last. @throws BugError if it is free already, or reserved. */
  freePages(first: Pfn, order: number): void;
  /** Take `count` blocks for the kernel's own use, as runs in any order. @throws KernelError ENOMEM, having taken nothing. */
  allocBlocks(nid: NodeId, order: number, count: number): readonly BlockRun[];
  freeBlocks(order: number, runs: readonly BlockRun[]): void;
  /** Ask this one, too, when memory is short (register_shrinker). */
  registerShrinker(shrinker: Shrinker): void;
  /** The zone whose memory a frame is (page_zone); undefined if its struct page names none. */
  pageZone(frame: Pfn): Zone | undefined;
}

/** How an allocation may treat zones that are running low (alloc_flags). */
interface Effort {
  readonly mark: 'min' | 'low';
  /** The part of the mark that this caller may dip into. */
  readonly dip: number;
  readonly ignoreMarks: boolean;
  readonly noFragment: boolean;
}

/** Pages that are taken back in one go. */
const SWAP_CLUSTER_MAX = 32;
/** Rounds of direct reclaim that may free something, yet not what is needed. */
const MAX_RECLAIM_RETRIES = 16;

const FAST: Effort = { mark: 'low', dip: 0, ignoreMarks: false, noFragment: false };
const FAST_WHOLE: Effort = { ...FAST, noFragment: true };

export function createPageAllocator({ nodes, zonelists, vmemmap, printk }: PageAllocatorNeeds): PageAllocator {
  let warnedOfOrder = false;
  const shrinkers: Shrinker[] = [];

  const listFor = (gfp: number, nid: NodeId): readonly Zone[] => {
    const { thisNode, fallback } = zonelists();
    const byHighest = ((gfp & __GFP_THISNODE) !== 0 ? thisNode : fallback).get(nid);
    if (byHighest === undefined) throw new BugError(`allocation on node ${nid}, which has no zonelist`);
    return byHighest[gfpZone(gfp)]!;
  };

  const tryZones = (zones: readonly Zone[], gfp: number, order: number, nid: NodeId, effort: Effort): Pfn | undefined => {
    const type = gfpMigratetype(gfp);
    for (const zone of zones) {
      if (effort.noFragment && zone.nid !== zones[0]!.nid) break; // rather fragment here than go abroad
      if (!effort.ignoreMarks && !zoneWatermarkOk(zone, order, markOf(zone, effort), gfpZone(gfp))) continue;
      const pfn = allocBlock(zone.buddy, order, type, effort.noFragment);
      if (pfn < 0) continue;
      countNuma(zones[0]!, zone, nid);
      return pfn as Pfn;
    }
    return effort === FAST_WHOLE ? tryZones(zones, gfp, order, nid, FAST) : undefined;
  };

  const shrink = (nids: Iterable<NodeId>, nrPages: number, gfp: number): number => {
    let freed = 0;
    for (const nid of nids) for (const shrinker of shrinkers) freed += shrinker(nid, nrPages - freed, (gfp & __GFP_IO) !== 0);
    return freed;
  };

  /** kswapd has its turn at once: it takes pages back until a zone of the node has its high mark, or nothing is left to take. */
  const wakeKswapds = (zones: readonly Zone[], gfp: number, order: number): void => {
    for (const nid of new Set(zones.map((zone) => zone.nid))) {
      nodes.get(nid)!.kswapdWakeups++;
      const eligible = zones.filter((zone) => zone.nid === nid);
      const isBalanced = (): boolean => eligible.some((zone) => zoneWatermarkOk(zone, order, zone.watermark.high, gfpZone(gfp)));
      while (!isBalanced() && shrink([nid], SWAP_CLUSTER_MAX, gfp) > 0);
    }
  };

  /** Direct reclaim: the caller takes pages back itself, and tries again as long as that gets it anywhere. */
  const reclaimAndTry = (zones: readonly Zone[], gfp: number, order: number, nid: NodeId): Pfn | undefined => {
    const nids = new Set(zones.map((zone) => zone.nid));
    for (let tries = 0; tries < MAX_RECLAIM_RETRIES; tries++) {
      if (shrink(nids, Math.max(SWAP_CLUSTER_MAX, 2 ** order), gfp) === 0) return undefined;
      const found = tryZones(zones, gfp, order, nid, slowEffort(gfp));
      if (found !== undefined) return found;
    }
    return undefined;
  };

  const allocPages = (gfp: number, order: number, nid: NodeId): Pfn | undefined => {
    if (order > MAX_PAGE_ORDER) {
      if (!warnedOfOrder && (gfp & __GFP_NOWARN) === 0) {
        warnedOfOrder = true;
        printk(`WARNING: __alloc_pages: order ${order} is above the largest, ${MAX_PAGE_ORDER}`, KERN.warning);
      }
      return undefined;
    }
    const zones = listFor(gfp, nid);
    if (zones.length === 0) return undefined;
    const found = tryZones(zones, gfp, order, nid, mayAvoidFragmenting(zones[0]!, nodes) ? FAST_WHOLE : FAST);
    if (found !== undefined) return found;
    if ((gfp & __GFP_KSWAPD_RECLAIM) !== 0) wakeKswapds(zones, gfp, order);
    return tryZones(zones, gfp, order, nid, slowEffort(gfp)) ?? ((gfp & __GFP_DIRECT_RECLAIM) !== 0 ? reclaimAndTry(zones, gfp, order, nid) : undefined);
  };

  const pageZone = (frame: Pfn): Zone | undefined => {
    const named = vmemmap.zoneOf(frame);
    return named && nodes.get(named.nid as NodeId)?.zones[named.zoneIndex];
  };

  const zoneOfAllocated = (frame: Pfn): Zone => {
    const zone = pageZone(frame);
    bugOn(zone === undefined || frame < zone.startPfn || frame >= zoneEndPfn(zone), `pfn:${frame.toString(16)} is in no zone`);
    return zone!;
  };

  const freePages = (first: Pfn, order: number): void => putBlock(zoneOfAllocated(first).buddy, first, order);

  const freeBlocks = (order: number, runs: readonly BlockRun[]): void => {
    for (const { start, count } of runs) {
      const first = physToPfn(start);
      const end = first + count * 2 ** order;
      const given = putBulk(zoneOfAllocated(first).buddy, first, end);
      for (let pfn = first as number; pfn < end; pfn += 2 ** order) {
        const done = given.find((range) => pfn >= range.startPfn && pfn < range.endPfn);
        if (done === undefined) freePages(pfn as Pfn, order);
        else pfn = done.endPfn - 2 ** order;
      }
    }
  };

  return {
    allocPages,
    freePages,
    pageZone,
    registerShrinker: (shrinker) => void shrinkers.push(shrinker),
    freeBlocks,
    allocBlocks(nid, order, count) {
      const zones = listFor(GFP_KERNEL, nid);
      const runs: BlockRun[] = [];
      const size = 2 ** order;
      const countFree = (): number => zones.reduce((sum, zone) => sum + zone.buddy.freePages, 0);
      shrink(new Set(zones.map((zone) => zone.nid)), count * size - countFree(), GFP_KERNEL);
      const free = countFree();
      const noMemory = (): KernelError =>
        new KernelError('ENOMEM', `no memory for ${count} blocks of ${size * PAGE_SIZE} bytes near node ${nid}: ${free} pages are free`);
      if (free < count * size) throw noMemory();
      for (let left = count; left > 0; ) {
        const bulk = takeFirstBulk(zones, order, left * size);
        const first = bulk?.startPfn ?? allocPages(GFP_KERNEL | __GFP_NOWARN, order, nid);
        if (first === undefined) {
          freeBlocks(order, runs);
          throw noMemory();
        }
        const taken = bulk === undefined ? 1 : (bulk.endPfn - bulk.startPfn) / size;
        appendRun(runs, { start: pfnToPhys(first as Pfn), count: taken }, size * PAGE_SIZE);
        left -= taken;
      }
      return runs;
    },
  };
}

function appendRun(runs: BlockRun[], run: BlockRun, blockBytes: number): void {
  const last = runs.at(-1);
  if (last !== undefined && last.start + last.count * blockBytes === run.start) runs[runs.length - 1] = { start: last.start, count: last.count + run.count };
  else runs.push(run);
}

/** From the zone that a single call would turn to, as much as keeps its low mark. */
function takeFirstBulk(zones: readonly Zone[], order: number, pages: number): ReturnType<typeof takeBulk> {
  const zone = zones.find((candidate) => zoneWatermarkOk(candidate, order, candidate.watermark.low, ZONE_NORMAL));
  if (zone === undefined) return undefined;
  const spare = zone.buddy.freePages - zone.watermark.low - zone.lowmemReserve[ZONE_NORMAL]! - 2 ** order;
  return takeBulk(zone.buddy, order, gfpMigratetype(GFP_KERNEL), Math.min(pages, spare));
}

function markOf(zone: Zone, { mark, dip }: Effort): number {
  return zone.watermark[mark] - Math.floor(zone.watermark[mark] * dip);
}

/** Who may not wait may dip into the reserve; who frees memory by it may take all (gfp_to_alloc_flags). */
function slowEffort(gfp: number): Effort {
  const memalloc = (gfp & __GFP_MEMALLOC) !== 0 && (gfp & __GFP_NOMEMALLOC) === 0;
  const high = (gfp & __GFP_HIGH) !== 0;
  const harder = (gfp & (__GFP_DIRECT_RECLAIM | __GFP_NOMEMALLOC)) === 0 && high;
  const left = (high ? 1 / 2 : 1) * (harder ? 3 / 4 : 1);
  return { mark: 'min', dip: 1 - left, ignoreMarks: memalloc, noFragment: false };
}

/** In zone Normal with a DMA32 below it, take from there before breaking up another type's pageblock (alloc_flags_nofragment). */
function mayAvoidFragmenting(preferred: Zone, nodes: ReadonlyMap<NodeId, Pgdat>): boolean {
  if (preferred.index !== ZONE_NORMAL) return false;
  return nodes.size === 1 || isPopulated(nodes.get(preferred.nid)!.zones[ZONE_DMA32]!);
}

/** zone_statistics. */
function countNuma(preferred: Zone, zone: Zone, nid: NodeId): void {
  if (zone.nid === preferred.nid) zone.numa.hit++;
  else {
    zone.numa.miss++;
    preferred.numa.foreign++;
  }
  if (zone.nid === nid) zone.numa.local++;
  else zone.numa.other++;
}
