/**
 * Memory management as a whole: from boot's layout to live zones that hand out pages, and on through hot-plug.
 * Mirrors mm/mm_init.c (free_area_init's struct pages, memblock_free_all, build_all_zonelists) and mm/memory_hotplug.c: online_pages,
 * offline_pages, move_pfn_range_to_zone.
 *
 * Invariant: whenever a zone becomes populated or empty, zonelists are rebuilt; whenever managed pages change, watermarks are.
 */
import {
  KERN, KernelError, MAX_ORDER_NR_PAGES, PAGES_PER_SECTION, PAGE_SIZE, type NodeId, type Pfn, type PhysAddr, type Printk, type Range, bugOn,
  physToPfn, physToPfnUp,
} from '@holdfast/lib';
import { CHUNK_SIZE } from '@holdfast/machine';
import { type PageAllocator, createPageAllocator } from './alloc-pages.js';
import { type Buddy } from './buddy.js';
import { dropSlots } from './buddy-slots.js';
import { takeFromRun } from './buddy-runs.js';
import { freeRange, isolateRange, offlineRange, undoIsolateRange } from './buddy-range.js';
import { GFP_USER, __GFP_HIGHMEM, __GFP_MOVABLE, __GFP_NOWARN, __GFP_THISNODE } from './gfp.js';
import { type FrameRange, type MigrateNeeds, type Stuck, migrateAway } from './migrate.js';
import { type MovablePages, createMovablePages } from './movable-pages.js';
import { dumpPage } from './page-dump.js';
import { type Vmemmap, type VmemmapNeeds, createVmemmap } from './vmemmap.js';
import { recomputeWatermarks } from './watermark.js';
import {
  type Pgdat, type Zone, addZoneRange, createPgdat, growZoneSpan, isPopulated, mergeRanges, rangesWithin, removeZoneRange, withoutRange, zoneEndPfn,
} from './zone.js';
import { type Zonelists, buildZonelists, policyZone, zonelistPages } from './zonelist.js';
import { ZONE_DEVICE, ZONE_MOVABLE, type ZoneIndex, type ZoneLayout, type ZoneName } from './zone-layout.js';

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
   * Whole blocks of 1024 frames. Frames of `offline`, whole pageblocks, are not free and not managed: nothing is behind them yet.
   */
  onlinePages(start: Pfn, end: Pfn, nid: NodeId, index: ZoneIndex, reserved?: ReservedFrames, offline?: readonly Range<Pfn>[]): void;
  /**
   * Take frames out of their zone; `reserved` is what it was when they went online (offline_pages). What is in use is moved to other
   * memory if its owner can do that ({@link movable}).
   * @throws KernelError EINVAL if they are not all of one zone; EBUSY, after logging the page that is in the way, if one cannot be moved:
   * then all are online as before, some of them moved.
   */
  offlinePages(start: Pfn, end: Pfn, reserved?: ReservedFrames): void;
  /**
   * Take online frames, whole pageblocks, from the allocator for the hypervisor, moving what is in use; they stay in their zone
   * (alloc_contig_range, virtio_mem_fake_offline). @throws KernelError EINVAL if they are not all of one zone, EBUSY if one cannot be moved
   */
  fakeOffline(start: Pfn, end: Pfn): void;
  /** The hypervisor has plugged such frames in: hand them to the allocator (virtio_mem_fake_online). */
  fakeOnline(start: Pfn, end: Pfn): void;
  /** Who owns pages that can be moved. */
  readonly movable: MovablePages;
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
  const zones = [...nodes.values()].flatMap((node) => node.zones);
  const allZones = (): readonly Zone[] => zones;

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

  const movable = createMovablePages();
  /** How a zone's pages are moved: from Movable to anywhere, else to kernel zones; to other nodes if there are any and they are preferred. */
  const migrateNeeds = ({ nid, index }: Zone, preferOthers: boolean): MigrateNeeds => {
    const gfp = GFP_USER | __GFP_MOVABLE | __GFP_NOWARN | (index === ZONE_MOVABLE ? __GFP_HIGHMEM : 0);
    const hasMemory = (other: NodeId): boolean => nodes.get(other)!.zones.some((zone) => zone.index !== ZONE_DEVICE && isPopulated(zone));
    const others = preferOthers ? (needs.fallbackOrders().get(nid) ?? []).filter((other) => other !== nid && nodes.has(other) && hasMemory(other)) : [];
    const allocThere = (order: number): Pfn | undefined => {
      for (const other of others) {
        const found = allocator.allocPages(gfp | __GFP_THISNODE, order, other);
        if (found !== undefined) return found;
      }
      return undefined;
    };
    return {
      movable,
      allocTarget: (order) => (others.length > 0 ? allocThere(order) : allocator.allocPages(gfp, order, nid)),
      copy: (from, to, order) => copyFrames(needs.memory, from, to, 2 ** order),
      free: (first, order) => allocator.freePages(first, order),
    };
  };

  /** Take the managed frames of `[first, end)` from a zone's allocator; returns how many. Or what is in the way. */
  const takeOut = (target: Zone, first: number, end: number, preferOthers: boolean): number | Stuck => {
    if (first >= end) return 0;
    const parts: FrameRange[] = [{ start: first as Pfn, end: end as Pfn }]
      .flatMap((range) => rangesWithin(target.offline, first, end).reduce((left, hole) => withoutRange(left, hole.start, hole.end), [range]))
      .map((part) => ({ startPfn: part.start, endPfn: part.end }));
    return isolateAndTake(target.buddy, parts, migrateNeeds(target, preferOthers));
  };

  const zoneHolding = (start: Pfn, end: Pfn): Zone => {
    const target = allocator.pageZone(start);
    const inside = rangesWithin(target?.ranges ?? [], start, end)[0];
    if (target === undefined || inside?.start !== start || inside.end !== end) {
      throw new KernelError('EINVAL', `pfns ${start}-${end - 1} cannot go offline: expected memory of one zone, without holes`);
    }
    return target;
  };

  const refuse = ({ start, end }: Range, { pfn }: Stuck): KernelError =>
    new KernelError('EBUSY', `pfns ${start}-${end - 1} cannot go offline: page pfn:${pfn.toString(16)} is in use`);

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
    onlinePages(start, end, nid, index, reserved = NONE_RESERVED, offline = []) {
      const target = zone(nid, index);
      const online = zones.map(({ ranges }) => rangesWithin(ranges, start, end)[0]).find((range) => range !== undefined);
      bugOn(online !== undefined, `pfns ${start}-${end - 1} cannot go online: ${online?.start} is`);
      const wasEmpty = !isPopulated(target);
      addZoneRange(target, start, end);
      vmemmap.initRange(start, end, nid, index, 'reserved');
      for (const hole of offline) vmemmap.initRange(hole.start, hole.end, nid, index, 'offline');
      target.offline = mergeRanges([...target.offline, ...offline]);
      const present = [{ start: (start + reserved.first) as Pfn, end: (end - reserved.last) as Pfn }].filter((part) => part.start < part.end);
      for (const part of offline.reduce<Range<Pfn>[]>((left, hole) => withoutRange(left, hole.start, hole.end), present)) {
        freeInto(target, part.start, part.end);
      }
      if (wasEmpty) rebuildZonelists();
      setWatermarks();
    },
    offlinePages(start, end, reserved = NONE_RESERVED) {
      const target = zoneHolding(start, end);
      if ((end - start) % MAX_ORDER_NR_PAGES !== 0) throw new KernelError('EINVAL', `pfns ${start}-${end - 1} cannot go offline: expected whole blocks`);
      const taken = takeOut(target, start + reserved.first, end - reserved.last, true);
      if (typeof taken !== 'number') {
        if (taken.line !== undefined) printk(taken.line, KERN.warning);
        dumpPage(vmemmap, taken.pfn, taken.reason, printk);
        throw refuse({ start, end }, taken);
      }
      target.managed -= taken;
      forget(start, end);
      removeZoneRange(target, start, end);
      setWatermarks();
      if (!isPopulated(target)) rebuildZonelists();
    },
    fakeOffline(start, end) {
      const target = zoneHolding(start, end);
      const taken = takeOut(target, start, end, false);
      if (typeof taken !== 'number') throw refuse({ start, end }, taken);
      target.managed -= taken;
      target.offline = mergeRanges([...target.offline, { start, end }]);
      vmemmap.initRange(start, end, target.nid, target.index, 'offline');
    },
    fakeOnline(start, end) {
      const target = zoneHolding(start, end);
      bugOn(rangesWithin(target.offline, start, end)[0]?.end !== end, `pfns ${start}-${end - 1} are not all offline`);
      target.offline = withoutRange(target.offline, start, end);
      vmemmap.initRange(start, end, target.nid, target.index, 'reserved');
      freeInto(target, start, end);
    },
    movable,
    removePages: (start, end) => vmemmap.removeRange(start, end),
    addDevicePages(start, end, nid, pages = { start, end }) {
      growZoneSpan(zone(nid, ZONE_DEVICE), start, end);
      if (pages.start < pages.end) vmemmap.initRange(pages.start, pages.end, nid, ZONE_DEVICE, 'device');
    },
    removeDevicePages: (start, end) => vmemmap.removeRange(start, end),
  };
}

/** Empty ranges of whole pageblocks, and take them out of the lists; returns the number of frames. Or what is in the way: then none are isolated. */
function isolateAndTake(buddy: Buddy, ranges: readonly FrameRange[], needs: MigrateNeeds): number | Stuck {
  const size = ranges.reduce((sum, { startPfn, endPfn }) => sum + endPfn - startPfn, 0);
  const [only] = ranges;
  if (only && ranges.length === 1 && takeFromRun(buddy, only.startPfn, only.endPfn)) return size;
  for (const { startPfn, endPfn } of ranges) isolateRange(buddy, startPfn, endPfn);
  const stuck = migrateAway(buddy, ranges, needs);
  for (const { startPfn, endPfn } of ranges) {
    if (stuck) undoIsolateRange(buddy, startPfn, endPfn);
    else offlineRange(buddy, startPfn, endPfn);
  }
  return stuck ?? size;
}

/** Copy the bytes of frames. */
function copyFrames(memory: MmNeeds['memory'], from: number, to: number, count: number): void {
  for (let frame = 0; frame < count; frame++) {
    const source = (from + frame) * PAGE_SIZE;
    const target = (to + frame) * PAGE_SIZE;
    const bytes = memory.chunk(Math.floor(source / CHUNK_SIZE)).subarray(source % CHUNK_SIZE, (source % CHUNK_SIZE) + PAGE_SIZE);
    memory.chunk(Math.floor(target / CHUNK_SIZE)).set(bytes, target % CHUNK_SIZE);
  }
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
