/**
 * From what setup_arch laid out to pages that can be handed out. Mirrors init/main.c: mm_init, and mm/page_alloc.c: memblock_free_all.
 */
import {
  KernelError, type KernelParam, type KernelRelease, type NodeId, PAGE_SIZE, type Pfn, type PhysAddr, type Printk, type Range, intersectRanges,
  physAddr, physToPfn,
} from '@holdfast/lib';
import type { PageSource } from '@holdfast/block';
import type { Machine } from '@holdfast/machine';
import type { MemoryOnliner, PageRun, PageSource as MemmapSource, ZoneDevice } from '@holdfast/memory-hotplug';
import {
  type DevicePagesMap, GFP_KERNEL, GFP_NOIO, type Mm, type MovablePages, type PageCache, type PageRefs, type Pgdat, type Swap, type UserPages,
  ZONE_MOVABLE, ZONE_NORMAL, type ZoneLayout,
  __GFP_RECLAIMABLE,
  anonPageOwner, countPageCache, createMemoryOnline, createMm, createPageCache, createPageRefs, createSwap, createUserPages, earlyFreeK, formatBuddyinfo,
  formatKpageflags, formatMeminfo, formatMemoryLine, formatNodeMeminfo, formatNodeVmstat, formatNumastat, formatPagetypeinfo,
  formatVmstat, formatZoneinfo, isPopulated, logZonelists, nodeFallbackOrders, pageCacheOwner, policyZone, totalReservePages, zonelistPages,
} from '@holdfast/mm';
import type { VirtioMemPages } from '@holdfast/virtio';
import { freeBootMemory } from './boot-memory.js';
import type { KernelImage } from './kernel-image.js';
import type { Arch } from './setup-arch.js';
import { type Swiotlb, swiotlbInit } from './swiotlb.js';
import type { NodeTexts } from './sysfs-memory.js';

export interface MmInitNeeds {
  readonly arch: Arch;
  readonly machine: Machine;
  readonly release: KernelRelease;
  readonly printk: Printk;
  readonly cmdline: string;
  readonly params: readonly KernelParam[];
  readonly image: KernelImage;
  readonly devicePages: DevicePagesMap;
}

/** The texts of /proc that are mm's. */
export interface MmTexts {
  readonly swaps: () => string;
  readonly buddyinfo: () => string;
  readonly kpageflags: () => string;
  readonly meminfo: () => string;
  readonly pagetypeinfo: () => string;
  readonly zoneinfo: () => string;
  readonly vmstat: () => string;
}

/** The page allocator, as each of its users wants to see it. */
export interface MemoryManagement {
  /** For the block layer's own I/O. */
  readonly pages: PageSource;
  /** For processes. */
  readonly userPages: UserPages;
  /** For struct pages of devices. */
  readonly memmapSource: MemmapSource;
  readonly zoneDevice: ZoneDevice;
  /** The references that struct pages of devices count. */
  readonly pageRefs: PageRefs;
  readonly onliner: MemoryOnliner;
  /** For memory that a hypervisor takes and gives. */
  readonly hypervisorPages: VirtioMemPages;
  /** For those whose pages can be moved. */
  readonly movable: MovablePages;
  /** Frames that boot gave a node, holes with struct pages included. */
  readonly pageRuns: readonly PageRun[];
  readonly pageCache: PageCache;
  readonly swap: Swap;
  readonly swiotlb: Swiotlb;
  readonly texts: MmTexts;
  readonly nodeTexts: NodeTexts;
  totalRamBytes(): number;
}

const PAGE_K = PAGE_SIZE / 1024;

export function mmInit({ arch, machine, release, printk, cmdline, params, image, devicePages }: MmInitNeeds): MemoryManagement {
  const { layout, numa, sections, memblock } = arch;
  let cpusUp = false; // no CPU is attached to its node yet when boot builds the lists
  const fallbackOrders = (possible = numa.possible): Map<NodeId, NodeId[]> => {
    return nodeFallbackOrders({ possible, withMemory: numa.withMemory, withOnlineCpu: cpusUp ? numa.withCpu : [], distance: numa.distance });
  };
  const logLists = (totalPages: number, zone: string, orders = fallbackOrders()): void => {
    logZonelists({ orders, onlineCount: numa.online.length, totalPages, policyZone: zone }, release, printk);
  };
  const mm = createMm({
    layout,
    memory: machine.memory,
    memmapPhys: (sectionNr) => sections.memmapPhys(sectionNr),
    structPagePhys: (pfn) => sections.structPagePhys(pfn),
    fallbackOrders: () => fallbackOrders(),
    onZonelistsBuilt: (built) => logLists(built.totalPages, built.policyZone),
    printk,
  });
  logLists(layout.totalPages, layout.policyZone);
  printk(`Kernel command line: ${cmdline}`);

  const swiotlb = swiotlbInit({ params, memblock, maxPossiblePfn: numa.maxPossiblePfn, nrCpus: machine.cpus.length, release, printk });
  const free = memblock.freeRanges();
  freeBootMemory(mm, free);
  const { code, rwdata, rodata, init, bss } = image.sizes;
  const freeK = earlyFreeK(layout, reservedEarlyK(layout, free));
  const sizes = { codeK: code, rwdataK: rwdata, rodataK: rodata, initK: init, bssK: bss };
  printk(formatMemoryLine({ image: sizes, layout, maxPfn: arch.maxPfn, freeK, managedPages: mm.totalRamPages() }, release));
  cpusUp = true;
  const onliner = createMemoryOnline({
    mm,
    numa,
    onNodeZonelists: (nid) => logLists(zonelistPages(mm.nodes.values()), policyZone(mm.nodes.values()), fallbackOrders([nid])),
    // What runs on a node's CPUs allocates near them, from the highest zone: a new one does not stay without pages of the
    // kernel's: slabs and page tables, and the inodes and dentries that could be reclaimed.
    onZonePopulated: ({ nid, index }) => {
      if (index === ZONE_MOVABLE || !numa.withCpu.includes(nid)) return;
      mm.allocPages(GFP_KERNEL, 0, nid);
      mm.allocPages(GFP_KERNEL | __GFP_RECLAIMABLE, 0, nid);
    },
  });
  // The image's first uninitialised page stands for empty_zero_page.
  const zeroFrame = physToPfn(physAddr(image.sections.find(({ name }) => name === 'Kernel bss')!.start));
  const swap = createSwap(printk, release);
  const commitLimit = (): number => mm.totalRamPages() + swap.totalPages;
  const userPages = createUserPages({ memory: machine.memory, mm, devicePages, nid: numa.withMemory[0]!, zeroFrame, commitLimit });
  const views = viewsOf(mm, onliner, arch, machine, swap);
  mm.movable.register(pageCacheOwner(views.pageCache));
  mm.movable.register(anonPageOwner(userPages, mm.vmemmap));
  return { ...views, userPages, swiotlb };
}

/** KiB that are taken of the memory whose struct pages are made before the allocator starts. */
function reservedEarlyK({ nodes }: ZoneLayout, free: readonly Range<PhysAddr>[]): number {
  let reserved = 0;
  for (const { earlyPages, firstDeferredPfn, ranges } of nodes) {
    reserved += earlyPages;
    for (const { start, end } of ranges) {
      const early = { start: start * PAGE_SIZE, end: Math.min(end, firstDeferredPfn ?? end) * PAGE_SIZE };
      for (const range of free) {
        const part = intersectRanges(early, range);
        if (part) reserved -= (part.end - part.start) / PAGE_SIZE;
      }
    }
  }
  return reserved * PAGE_K;
}

type Views = Omit<MemoryManagement, 'userPages' | 'swiotlb'>;

function viewsOf(mm: Mm, onliner: MemoryOnliner, { layout, numa }: Arch, { memory, clock, cpus: { length: nrCpus } }: Machine, swap: Swap): Views {
  const onlineNodes = (): Pgdat[] => numa.online.map((nid) => mm.nodes.get(nid)!);
  const home = numa.withMemory[0]!;
  const freePages = (): number => mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0);
  const sparePages = (): number => Math.max(0, freePages() - totalReservePages([...mm.nodes.values()]));
  const pageCache = createPageCache({
    pages: mm,
    home,
    memmap: (sectionNr) => mm.vmemmap.memmap(sectionNr),
    pageWords: (pfn) => mm.vmemmap.pageWords(pfn),
    memory,
    clock,
    sparePages,
  });
  return {
    pages: {
      allocPages(order) {
        const first = mm.allocPages(GFP_NOIO, order, home); // for I/O that may be what would free memory
        if (first === undefined) throw new KernelError('ENOMEM', `no memory for a block of ${2 ** order} pages`);
        return first;
      },
      freePages: (first, order) => mm.freePages(first, order),
    },
    memmapSource: mm,
    zoneDevice: {
      moveToZoneDevice: ({ start, end }, nid, _pgmap, pages) => mm.addDevicePages(start, end, nid, pages),
      removeFromZoneDevice: ({ start, end }) => mm.removeDevicePages(start, end),
    },
    pageRefs: createPageRefs(mm.vmemmap),
    onliner,
    hypervisorPages: mm,
    movable: mm.movable,
    pageRuns: pageRunsOf(layout),
    pageCache,
    swap,
    texts: {
      buddyinfo: () => formatBuddyinfo(onlineNodes()),
      kpageflags: () => formatKpageflags(onlineNodes(), mm.vmemmap),
      meminfo: () => formatMeminfo(onlineNodes(), { pageCache: countPageCache(pageCache), swapPages: swap.totalPages }),
      pagetypeinfo: () => formatPagetypeinfo(onlineNodes()),
      zoneinfo: () => formatZoneinfo(onlineNodes(), { count: nrCpus, countOf: (nid) => numa.cpusOf(nid).length }),
      swaps: () => swap.format(),
      vmstat: () => formatVmstat(pageCache, freePages()),
    },
    nodeTexts: {
      meminfo: (nid) => formatNodeMeminfo(nid, mm.nodes.get(nid)),
      numastat: (nid) => formatNumastat(mm.nodes.get(nid)),
      vmstat: (nid) => formatNodeVmstat(mm.nodes.get(nid)),
      withNormalMemory: () => nodesWithNormalMemory(mm),
    },
    totalRamBytes: () => mm.totalRamPages() * PAGE_SIZE,
  };
}

/** A hole counts only inside its node's span: struct pages beyond it are the node's, but no block looks there. */
function pageRunsOf({ nodes, unavailable }: ZoneLayout): PageRun[] {
  const runs: PageRun[] = nodes.flatMap(({ nid, ranges }) => ranges.map(({ start, end }) => ({ start, end, nid })));
  for (const hole of unavailable) {
    const node = nodes.find(({ nid }) => nid === hole.nid)!;
    const part = intersectRanges<Pfn>(hole, { start: node.startPfn, end: node.endPfn });
    if (part) runs.push({ ...part, nid: hole.nid });
  }
  return runs.sort((a, b) => a.start - b.start);
}

function nodesWithNormalMemory({ nodes }: Mm): NodeId[] {
  return [...nodes.values()].filter(({ zones }) => zones.some((zone) => zone.index <= ZONE_NORMAL && isPopulated(zone))).map(({ nid }) => nid);
}
