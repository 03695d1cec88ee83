/**
 * Memory management as a whole: from boot's layout to live zones that hand out pages, and on through hot-plug.
 * Mirrors mm/mm_init.c (free_area_init's struct pages, memblock_free_all, build_all_zonelists) and mm/memory_hotplug.c: online_pages,
 * offline_pages, move_pfn_range_to_zone.
 *
 * Invariant: whenever a zone becomes populated or empty, zonelists are rebuilt; whenever managed pages change, watermarks are.
 */
import { KernelError, MAX_ORDER_NR_PAGES, PAGES_PER_SECTION, type NodeId, type Pfn, type PhysAddr, type Printk, type Range, bugOn, physToPfn, physToPfnUp } from '@holdfast/lib';
import { type PageAllocator, createPageAllocator } from './alloc-pages.js';
import { type Buddy, dropSlots } from './buddy.js';
import { takeFromRun } from './buddy-runs.js';
import { firstBusyPfn, freeRange, isolateRange, offlineRange, undoIsolateRange } from './buddy-range.js';
import { type Vmemmap, type VmemmapNeeds, createVmemmap } from './vmemmap.js';
import { recomputeWatermarks } from './watermark.js';
import { type Pgdat, type Zone, addZoneRange, createPgdat, growZoneSpan, isPopulated, rangesWithin, removeZoneRange, zoneEndPfn } from './zone.js';
import { type Zonelists, buildZonelists, policyZone, zonelistPages } from './zonelist.js';
import { ZONE_DEVICE, type ZoneIndex, type ZoneLayout, type ZoneName } from './zone-layout.js';

export interface MmNeeds extends VmemmapNeeds {
  readonly layout: ZoneLayout;
  /** For each node the nodes its allocations turn to, itself first: nodeFallbackOrders. Asked whenever lists are built. */
  fallbackOrders(): ReadonlyMap<NodeId, readonly NodeId[]>;
  /** Log that zonelists were built (logZonelists); called at hot-plug, not at boot. */
  onZonelistsBuilt?(facts: { readonly totalPages: number; readonly policyZone: ZoneName }): void;
  readonly printk: Printk;
}

/** Frames at both ends of a range that are never free. */
export interface ReservedFrames {
  readonly first: number;
  /** A multiple of 1024. */
  readonly last: number;
}

const NONE_RESERVED: ReservedFrames = { first: 0, last: 0 };

export interface Mm extends PageAllocator {
  readonly vmemmap: Vmemmap;
  readonly nodes: ReadonlyMap<NodeId, Pgdat>;
  /** All zones of all nodes, by node and index, empty ones included. */
  zones(): readonly Zone[];
  /** End of boot: hand over what memblock has not reserved, in bytes and ascending; then set the watermarks (memblock_free_all). */
  freeAll(freeRanges: Iterable<Range<PhysAddr>>): void;
  /** Give back boot memory that was reserved until now: whole frames of one zone (free_reserved_area). Watermarks stay as they are. */
  freeReserved(start: Pfn, end: Pfn): void;
  /** Sum of managed pages (totalram_pages). */
  totalRamPages(): number;
  zone(nid: NodeId, index: ZoneIndex): Zone;
  /**
   * Make frames `[start, end)` memory of a zone, and free all but those that are reserved, which hold struct pages (online_pages).
   * Whole blocks of 1024 frames.
   */
  onlinePages(start: Pfn, end: Pfn, nid: NodeId, index: ZoneIndex, reserved?: ReservedFrames): void;
  /**
   * Take frames out of their zone; `reserved` is what it was when they went online (offline_pages).
   * @throws KernelError EINVAL if they are not all of one zone, EBUSY if one is in use; nothing has changed then.
   */
  offlinePages(start: Pfn, end: Pfn, reserved?: ReservedFrames): void;
  /** Forget the struct pages of frames that are offline, whole sections (remove_memory). */
  removePages(start: Pfn, end: Pfn): void;
  /** Stretch a node's ZONE_DEVICE over frames `[start, end)` and give each its idle struct page, or those of `pages` alone. */
  addDevicePages(start: Pfn, end: Pfn, nid: NodeId, pages?: Range<Pfn>): void;
  /** Forget the struct pages of device frames; the span stays. */
  removeDevicePages(start: Pfn, end: Pfn): void;
}

export function createMm(needs: MmNeeds): Mm {
  const { layout, printk } = needs;
  const vmemmap = createVmemmap(needs);
  initMemmap(vmemmap, layout);
  const nodes = new Map(layout.nodes.map((node) => [node.nid, createPgdat(node, vmemmap)]));
  let zonelists: Zonelists = buildZonelists(nodes, needs.fallbackOrders());
  const allocator = createPageAllocator({ nodes, vmemmap, printk, zonelists: () => zonelists });
  const allZones = (): Zone[] => [...nodes.values()].flatMap(({ zones }) => zones);

  const zone = (nid: NodeId, index: ZoneIndex): Zone => {
    const pgdat = nodes.get(nid);
    bugOn(pgdat === undefined, `node ${nid} does not exist`);
    return pgdat!.zones[index]!;
  };
  const setWatermarks = (): void => void recomputeWatermarks([...nodes.values()].map(({ zones }) => zones));
  const rebuildZonelists = (): void => {
    zonelists = buildZonelists(nodes, needs.fallbackOrders());
    needs.onZonelistsBuilt?.({ totalPages: zonelistPages(nodes.values()), policyZone: policyZone(nodes.values()) });
  };
  const freeInto = (target: Zone, start: Pfn, end: Pfn): void => {
    freeRange(target.buddy, start, end);
    target.managed += end - start;
  };

  /** Frames that left their zone: nothing in use, nothing free, and poison for struct pages (remove_pfn_range_from_zone). */
  const forget = (start: Pfn, end: Pfn): void => {
    const whole = start % PAGES_PER_SECTION === 0 && end % PAGES_PER_SECTION === 0;
    if (whole) for (const { buddy } of allZones()) dropSlots(buddy, start, end);
    vmemmap.removeRange(start, end);
  };

  return {
    ...allocator,
    vmemmap,
    nodes,
    zones: allZones,
    zone,
    freeAll(freeRanges) {
      const populated = allZones().filter(isPopulated);
      for (const range of freeRanges) {
        const [start, end] = [physToPfnUp(range.start), physToPfn(range.end)];
        for (const target of populated) {
          for (const part of rangesWithin(target.ranges, start, end)) freeInto(target, part.start, part.end);
        }
      }
      setWatermarks();
    },
    freeReserved(start, end) {
      const target = allocator.pageZone(start);
      bugOn(target === undefined || end > zoneEndPfn(target), `pfns ${start}-${end - 1} are not of one zone`);
      freeInto(target!, start, end);
    },
    totalRamPages: () => allZones().reduce((sum, { managed }) => sum + managed, 0),
    onlinePages(start, end, nid, index, reserved = NONE_RESERVED) {
      const target = zone(nid, index);
      const online = allZones().flatMap(({ ranges }) => rangesWithin(ranges, start, end))[0];
      bugOn(online !== undefined, `pfns ${start}-${end - 1} cannot go online: ${online?.start} is`);
      const wasEmpty = !isPopulated(target);
      addZoneRange(target, start, end);
      vmemmap.initRange(start, end, nid, index, 'reserved');
      const [from, to] = [start + reserved.first, end - reserved.last];
      if (from < to) freeInto(target, from as Pfn, to as Pfn);
      if (wasEmpty) rebuildZonelists();
      setWatermarks();
    },
    offlinePages(start, end, reserved = NONE_RESERVED) {
      const target = allocator.pageZone(start);
      const inside = rangesWithin(target?.ranges ?? [], start, end)[0];
      if (target === undefined || inside?.start !== start || inside.end !== end || (end - start) % MAX_ORDER_NR_PAGES !== 0) {
        throw new KernelError('EINVAL', `pfns ${start}-${end - 1} cannot go offline: expected memory of one zone, without holes`);
      }
      const [from, to] = [start + reserved.first, end - reserved.last];
      if (from < to) target.managed -= takeFromRun(target.buddy, from, to) ? to - from : isolateAndTake(target.buddy, from, to);
      forget(start, end);
      removeZoneRange(target, start, end);
      setWatermarks();
      if (!isPopulated(target)) rebuildZonelists();
    },
    removePages: (start, end) => vmemmap.removeRange(start, end),
    addDevicePages(start, end, nid, pages = { start, end }) {
      growZoneSpan(zone(nid, ZONE_DEVICE), start, end);
      if (pages.start < pages.end) vmemmap.initRange(pages.start, pages.end, nid, ZONE_DEVICE, 'device');
    },
    removeDevicePages: (start, end) => vmemmap.removeRange(start, end),
  };
}

/** Take a range's free blocks out of the lists; returns the number of frames. @throws KernelError EBUSY if one is in use, and nothing has changed */
function isolateAndTake(buddy: Buddy, first: number, end: number): number {
  isolateRange(buddy, first, end);
  const busy = firstBusyPfn(buddy, first, end);
  if (busy === undefined) return offlineRange(buddy, first, end);
  undoIsolateRange(buddy, first, end);
  throw new KernelError('EBUSY', `pfns ${first}-${end - 1} cannot go offline: page pfn:${busy.toString(16)} is in use`);
}

/** Describe the struct pages of boot: memory, all reserved until it is freed, and the holes that got struct pages too. */
function initMemmap(vmemmap: Vmemmap, layout: ZoneLayout): void {
  for (const { nid, zones, ranges } of layout.nodes) {
    for (const { index, startPfn, spannedPages } of zones) {
      for (const { start, end } of rangesWithin(ranges, startPfn, startPfn + spannedPages)) vmemmap.initRange(start, end, nid, index, 'reserved');
    }
  }
  for (const { start, end, nid, zone } of layout.unavailable) vmemmap.initRange(start, end, nid, zone, 'reserved');
}
