/**
 * Device memory with struct pages: ranges that a driver owns and that everyone may point to. Mirrors mm/memremap.c of 6.1 and
 * mm/memory_hotplug.c: __add_pages.
 *
 * Invariant: the frames of a live pagemap have struct pages, belong to no other pagemap and hold no System RAM. A failed call leaves
 * nothing behind.
 * Differs from Linux: one range a pagemap, types FS_DAX and GENERIC only.
 */
import { KERN, KernelError, PAGES_PER_SUBSECTION, PAGE_SIZE, bugOn, hex, hex16, isAligned, physToPfn, physAdd, regionIntersectsSystemRam } from '@holdfast/lib';
import type { NodeId, Pfn, PhysAddr, Printk, Range, Resource } from '@holdfast/lib';
import { firstEndingAfter, runHolding } from './run-set.js';
import type { ChargeStores, PageSource, Sections } from './sparse.js';
import { type Preallocated, preallocatedAltmap } from './preallocated.js';
import { type VmemAltmap, createVmemAltmap } from './vmem-altmap.js';
import { canDedupVmemmap } from './vmemmap-dedup.js';

/** Who owns a range of device memory, and how its pages behave. */
export interface DevPagemap {
  readonly type: 'fs-dax' | 'generic';
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  /** For people: the device. */
  readonly owner: string;
  /**
   * Struct pages come from the range itself: frames counted from its start, `reserve` for the driver, then `free` to take from
   * (struct vmem_altmap). Device pages begin behind both.
   */
  readonly altmap?: { readonly reserve: number; readonly free: number } | undefined;
  /**
   * Struct pages come from this area instead, wherever it is, set aside by the caller: 2 MiB for each whole section, and no other memory
   * when it is used up. What of it lies in the range itself are no device pages: it must be at an end of it.
   */
  readonly preallocated?: Preallocated | undefined;
  /** Told, instead of whom the kernel tells, of struct pages that lie in one of these: their owner may map them in another way than memory. */
  readonly chargeArray?: ChargeStores | undefined;
  /** Device pages are compound pages of 2^vmemmapShift frames, whose tail struct pages are shared, without an altmap. 0 if left out. */
  readonly vmemmapShift?: number | undefined;
}

/** The first frame of a pagemap that is a device page (pfn_first). */
function pagemapFirstPfn({ start, altmap }: Pick<DevPagemap, 'start' | 'altmap'>): Pfn {
  return (physToPfn(start) + (altmap ? altmap.reserve + altmap.free : 0)) as Pfn;
}

/** The frames of a pagemap that are device pages. */
export function pagemapPages(pgmap: Pick<DevPagemap, 'start' | 'sizeBytes' | 'altmap' | 'preallocated'>): Range<Pfn> {
  const { start, sizeBytes, preallocated } = pgmap;
  const [first, end] = [pagemapFirstPfn(pgmap), physToPfn(physAdd(start, sizeBytes))];
  const inside = preallocated && { start: physToPfn(preallocated.start), end: physToPfn(physAdd(preallocated.start, preallocated.sizeBytes)) };
  if (!inside || inside.end <= first || inside.start >= end) return { start: first, end };
  return inside.start <= first ? { start: inside.end, end } : { start: first, end: inside.start };
}

/** What mm does for device memory. */
export interface ZoneDevice {
  /**
   * Make frames `[start, end)` part of ZONE_DEVICE on a node, whose span grows over them, and give those of `pages` their idle struct
   * pages.
   */
  moveToZoneDevice(range: Range<Pfn>, nid: NodeId, pgmap: DevPagemap, pages: Range<Pfn>): void;
  /** Forget the struct pages; the span of ZONE_DEVICE stays as it is. */
  removeFromZoneDevice(range: Range<Pfn>, nid: NodeId): void;
}

export interface DeviceMemoryDeps {
  sections: Sections;
  source: PageSource;
  zoneDevice: ZoneDevice;
  iomem: Resource;
  /** One past the highest byte that the direct map can reach. */
  maxPhysAddr: number;
  printk: Printk;
}

export interface DeviceMemory {
  /**
   * Give a device's range struct pages, near a node (NUMA_NO_NODE: node 0). The returned function takes them away again (memunmap_pages).
   * @throws KernelError ENOMEM if a pagemap holds either end or there is no room for struct pages, ENXIO if System RAM is inside,
   * EINVAL if an end is not 2 MiB-aligned, the range is beyond the direct map or the altmap beyond the range, EEXIST if memory is in one
   * of its 2 MiB units.
   */
  memremapPages(pgmap: DevPagemap, nid: NodeId): () => void;
  /** The live pagemap that holds a frame (get_dev_pagemap). */
  pagemapOf(frame: Pfn): DevPagemap | undefined;
}

interface LivePagemap extends Range<Pfn> {
  readonly pgmap: DevPagemap;
}

export function createDeviceMemory(deps: DeviceMemoryDeps): DeviceMemory {
  const { sections, source, zoneDevice } = deps;
  /** Sorted and disjoint. */
  const live: LivePagemap[] = [];

  return {
    pagemapOf: (frame) => runHolding(live, frame)?.pgmap,

    memremapPages(pgmap, nid) {
      checkRange(pgmap, live, deps);
      const node = nid < 0 ? (0 as NodeId) : nid;
      const range = { start: physToPfn(pgmap.start), end: physToPfn(physAdd(pgmap.start, pgmap.sizeBytes)) };
      const altmap = altmapOf(pgmap, range.start);
      const shift = altmap ? 0 : (pgmap.vmemmapShift ?? 0);
      sections.addRange(range, node, source, { altmap, chargeAltmap: pgmap.chargeArray, ...(canDedupVmemmap(shift) ? { compoundFrames: 2 ** shift } : {}) });
      zoneDevice.moveToZoneDevice(range, node, pgmap, pagemapPages(pgmap));
      const entry = { ...range, pgmap };
      live.splice(firstEndingAfter(live, range.start), 0, entry);
      return () => {
        bugOn(!live.includes(entry), `pagemap of ${pgmap.owner} was released twice`);
        live.splice(live.indexOf(entry), 1);
        zoneDevice.removeFromZoneDevice(range, node);
        sections.removeRange(range, source);
        checkAllGivenBack(altmap);
      };
    },
  };
}

function altmapOf({ altmap, preallocated }: DevPagemap, basePfn: Pfn): VmemAltmap | undefined {
  if (preallocated) return preallocatedAltmap(preallocated);
  return altmap && createVmemAltmap(basePfn, altmap);
}

function checkAllGivenBack(altmap: VmemAltmap | undefined): void {
  bugOn(altmap !== undefined && altmap.alloc !== 0, 'failed to free all reserved pages');
}

/** The refusals of pagemap_range and __add_pages, in their order. */
function checkRange(pgmap: DevPagemap, live: readonly LivePagemap[], { iomem, maxPhysAddr, printk }: DeviceMemoryDeps): void {
  const { start, sizeBytes, owner } = pgmap;
  const last = start + sizeBytes - 1;
  const where = `${owner}: ${hex(start)}-${hex(last)}`;
  if (runHolding(live, physToPfn(start)) || runHolding(live, physToPfn(last as PhysAddr))) {
    printk('Conflicting mapping in same section', KERN.warning);
    throw new KernelError('ENOMEM', `${where}: an end of it has struct pages of another device`);
  }
  const ram = regionIntersectsSystemRam(iomem, start, last);
  if (ram !== 'disjoint') {
    printk(`attempted on ${ram === 'mixed' ? 'mixed' : 'ram'} region ${hex(start)}-${hex(last)}`, KERN.warning);
    throw new KernelError('ENXIO', `${where}: there is System RAM in it`);
  }
  if (last >= maxPhysAddr) {
    printk(`Hotplug memory [${hex(start)}-${hex(last)}] exceeds maximum addressable range [0x0-${hex(maxPhysAddr - 1)}]`, KERN.warning);
    throw new KernelError('EINVAL', `${where}: beyond the direct map, which ends at ${hex16(maxPhysAddr)}`);
  }
  const { altmap } = pgmap;
  if (altmap && altmap.reserve + altmap.free > sizeBytes / PAGE_SIZE) {
    printk('memory add fail, invalid altmap', KERN.warning);
    throw new KernelError('EINVAL', `${where}: it cannot hold ${altmap.reserve} + ${altmap.free} frames of its own struct pages`);
  }
  const [startPfn, endPfn] = [start / PAGE_SIZE, (last + 1) / PAGE_SIZE];
  if (!isAligned(startPfn, PAGES_PER_SUBSECTION) || !isAligned(endPfn, PAGES_PER_SUBSECTION) || sizeBytes <= 0) {
    printk(`Misaligned __add_pages start: ${hex(Math.floor(startPfn))} end: #${Math.floor(last / PAGE_SIZE).toString(16)}`, KERN.warning);
    throw new KernelError('EINVAL', `${where}: expected both ends aligned to 2 MiB`);
  }
}
