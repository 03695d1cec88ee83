/**
 * From memory ranges to zones: limits, spans, present pages, holes, and what boot logs of them.
 * Mirrors mm/page_alloc.c (mm/mm_init.c since 6.4): free_area_init, and arch/x86/mm/init.c: zone_sizes_init.
 *
 * Invariant: the work depends on the number of ranges and nodes, not on the amount of memory.
 * Differs from Linux: struct pages take 64 bytes in every release; what boot says they take can be told to be otherwise.
 */
import {
  type KernelParam, type KernelRelease, type NodeId, type Pfn, type Printk, type Range,
  PAGE_SIZE, PAGES_PER_SECTION, STRUCT_PAGE_SIZE, pfn, physToPfn, physToPfnUp, releaseAtLeast, roundDown,
} from '@holdfast/lib';
import { type HoleReport, holeReportOf, logNodes, logRanges } from './free-area-log.js';
import { type NodeReport, nodeReportOf } from './node-report.js';
import type { Memblock } from './memblock.js';
import { countPages, findMovableStarts } from './movable-start.js';
import type { Numa } from './numa.js';
import { type NodeRange, findHoles, presentSections, unavailableRanges } from './unavailable-ranges.js';
import {
  type NodeLayout, type ZoneIndex, type ZoneLayout, type ZoneLimit, type ZoneSpan,
  MAX_NR_ZONES, ZONE_DEVICE, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NAMES, ZONE_NORMAL,
} from './zone-layout.js';

export interface FreeAreaNeeds {
  /** Memory, with node ids; what is reserved below 16 MiB counts too. */
  readonly memblock: Memblock;
  /** Behind the last page of memory. */
  readonly maxPfn: Pfn;
  readonly numa: Pick<Numa, 'possible' | 'withMemory' | 'online'>;
  readonly params: readonly KernelParam[];
  readonly release: KernelRelease;
  readonly printk: Printk;
  /** CONFIG_ZONE_DEVICE; from 4.3 on, if left out. */
  readonly zoneDevice?: boolean | undefined;
  /** CONFIG_ZONE_DMA and CONFIG_ZONE_DMA32; true if left out. */
  readonly zoneDma?: boolean | undefined;
  readonly zoneDma32?: boolean | undefined;
  /** sizeof(struct page) of the kernel, for what boot says of it; 64 if left out. Older ones, and those with SLAB, had 56. */
  readonly structPageBytes?: number | undefined;
  /** CONFIG_DEFERRED_STRUCT_PAGE_INIT; true if left out. */
  readonly deferredInit?: boolean | undefined;
  /** Pages below 16 MiB that zone DMA cannot hand out; computed from memblock if left out. */
  readonly dmaReserve?: number | undefined;
  /** For kernels of distributions that report holes, or nodes, as a later release does. */
  readonly holeReport?: HoleReport | undefined;
  readonly nodeReport?: NodeReport | undefined;
}

const MAX_DMA_PFN = 0x1000;
const MAX_DMA32_PFN = 0x10_0000;

/** Lay out the zones of every node, and log it as the release does. */
export function freeAreaInit(needs: FreeAreaNeeds): ZoneLayout {
  const { memblock, numa, params, printk, release } = needs;
  const memory = memoryRanges(memblock);
  const nodeRanges = new Map(numa.withMemory.map((nid) => [nid, memory.filter((range) => range.nid === nid)]));
  const limits = zoneLimits(memory[0]?.start ?? pfn(0), needs);
  const usableStart = limits.findLast(({ start, end }) => start < end)?.start ?? pfn(0);
  const movableStarts = findMovableStarts({ memblock, params, printk, nodeRanges, usableStart });
  const zoneDevice = needs.zoneDevice ?? releaseAtLeast(release, 4, 3);
  const dmaReserve = needs.dmaReserve ?? findDmaReserve(memblock);
  const nodes = numa.possible.map((nid) => {
    const zones = layoutZones(nodeRanges.get(nid) ?? [], limits, movableStarts.get(nid), dmaReserve, needs);
    return layoutNode(nid, nodeRanges.get(nid) ?? [], zones, movableStarts.get(nid), needs.deferredInit ?? true);
  });
  const sections = presentSections(memory);
  const zonesOf = new Map(nodes.map(({ nid, zones }) => [nid, zones]));
  const holes = findHoles(memory, (nid) => zonesOf.get(nid) ?? [], sections);
  const layout: ZoneLayout = {
    nodes,
    limits: zoneDevice ? limits : limits.filter(({ index }) => index !== ZONE_DEVICE),
    unavailable: unavailableRanges(holes),
    presentSections: sections,
    totalPages: nodes.flatMap(({ zones }) => zones).reduce((sum, zone) => sum + zone.managedEstimate, 0),
    policyZone: policyZone(nodes),
  };
  logRanges(layout, memory, release, printk);
  const holeReport = needs.holeReport ?? holeReportOf(release);
  logNodes(
    layout,
    { memory, holes, holeReport, nodeReport: needs.nodeReport ?? nodeReportOf(release), online: numa.online, maxPfn: needs.maxPfn, dmaReserve },
    release,
    printk,
  );
  return layout;
}

/** Memory in whole page frames; what holds none is passed over. */
function memoryRanges({ memory }: Memblock): NodeRange[] {
  const ranges = memory.map(({ start, end, nid }) => ({ start: physToPfnUp(start), end: physToPfn(end), nid }));
  return ranges.filter(({ start, end }) => start < end);
}

/** Each zone begins where the one before ends; the first at the first memory. Movable has no limits of its own. */
function zoneLimits(first: Pfn, { maxPfn, release, zoneDma = true, zoneDma32 = true }: FreeAreaNeeds): ZoneLimit[] {
  const limitsEndWithMemory = releaseAtLeast(release, 3, 19); // before, zone DMA32 was said to end at 4 GiB wherever memory did
  const ends: [ZoneIndex, number][] = [
    ...(zoneDma ? [[ZONE_DMA, Math.min(MAX_DMA_PFN, maxPfn)] as [ZoneIndex, number]] : []),
    ...(zoneDma32 ? [[ZONE_DMA32, limitsEndWithMemory ? Math.min(MAX_DMA32_PFN, maxPfn) : MAX_DMA32_PFN] as [ZoneIndex, number]] : []),
    [ZONE_NORMAL, maxPfn],
    [ZONE_DEVICE, 0],
  ];
  let start: number = first;
  return ends.map(([index, highest]) => {
    const limit = { index, name: ZONE_NAMES[index], start: pfn(start), end: pfn(Math.max(highest, start)) };
    start = limit.end;
    return limit;
  });
}

function layoutZones(
  ranges: readonly Range<Pfn>[],
  limits: readonly ZoneLimit[],
  movableStart: Pfn | undefined,
  dmaReserve: number,
  needs: FreeAreaNeeds,
): ZoneSpan[] {
  const node = { start: ranges[0]?.start ?? 0, end: ranges.at(-1)?.end ?? 0 };
  return Array.from({ length: MAX_NR_ZONES }, (_, zone) => {
    const index = zone as ZoneIndex;
    return layoutZone(index, zoneSpan(index, node, limits, movableStart), ranges, dmaReserve, needs);
  });
}

function layoutNode(
  nid: NodeId,
  ranges: readonly Range<Pfn>[],
  zones: readonly ZoneSpan[],
  movableStartPfn: Pfn | undefined,
  deferredInit: boolean,
): NodeLayout {
  const endPfn = ranges.at(-1)?.end ?? pfn(0);
  const presentPages = countPages(ranges);
  const firstDeferredPfn = deferredInit ? findFirstDeferred(zones, endPfn, ranges) : undefined;
  return {
    nid,
    startPfn: ranges[0]?.start ?? pfn(0),
    endPfn,
    spannedPages: zones.reduce((sum, zone) => sum + zone.spannedPages, 0),
    presentPages,
    ranges: ranges.map(({ start, end }) => ({ start, end })),
    zones,
    movableStartPfn,
    earlyPages: firstDeferredPfn === undefined ? presentPages : presentWithin(ranges, { start: 0, end: firstDeferredPfn }),
    firstDeferredPfn,
  };
}

/** The part of a node that a zone spans, the start of Movable considered; empty if none. */
function zoneSpan(index: ZoneIndex, node: Range, limits: readonly ZoneLimit[], movableStart: number | undefined): Range {
  if (index === ZONE_MOVABLE) return movableStart === undefined ? { start: 0, end: 0 } : { start: movableStart, end: node.end };
  const limit = limits.find((one) => one.index === index);
  if (!limit) return { start: 0, end: 0 };
  const start = Math.max(limit.start, node.start);
  const end = Math.min(limit.end, node.end, movableStart ?? Infinity);
  return start < end ? { start, end } : { start: 0, end: 0 };
}

function layoutZone(index: ZoneIndex, span: Range, ranges: readonly Range[], dmaReserve: number, needs: FreeAreaNeeds): ZoneSpan {
  const spannedPages = span.end - span.start;
  const presentPages = presentWithin(ranges, span);
  const memmapPages = calcMemmapPages(spannedPages, presentPages, needs);
  const afterMemmap = presentPages >= memmapPages ? presentPages - memmapPages : presentPages;
  const managedEstimate = index === ZONE_DMA && afterMemmap > dmaReserve ? afterMemmap - dmaReserve : afterMemmap;
  return { index, name: ZONE_NAMES[index], startPfn: pfn(span.start), spannedPages, presentPages, memmapPages, managedEstimate };
}

/** Struct pages for the whole span, or, from 3.8 on, only for the pages present if holes make up more than a sixteenth. */
function calcMemmapPages(spanned: number, present: number, { release, structPageBytes = STRUCT_PAGE_SIZE }: FreeAreaNeeds): number {
  const pages = spanned > present + Math.floor(present / 16) && releaseAtLeast(release, 3, 8) ? present : spanned;
  return Math.ceil((pages * structPageBytes) / PAGE_SIZE);
}

function presentWithin(ranges: readonly Range[], { start, end }: Range): number {
  return ranges.reduce((sum, range) => sum + Math.max(0, Math.min(range.end, end) - Math.max(range.start, start)), 0);
}

/** Memory below 16 MiB that is not free any more (memblock_find_dma_reserve). */
export function findDmaReserve(memblock: Memblock): number {
  const wholePages = ({ start, end }: Range): Range => ({ start: Math.ceil(start / PAGE_SIZE), end: Math.floor(end / PAGE_SIZE) });
  const below = (ranges: readonly Range[]): number => presentWithin(ranges.map(wholePages), { start: 0, end: MAX_DMA_PFN });
  return below(memblock.memory) - below(memblock.freeRanges());
}

/**
 * The page where a node's early struct page initialisation stops (defer_init): only in its last zone, at the first section edge behind
 * more than a section's worth of pages.
 */
function findFirstDeferred(zones: readonly ZoneSpan[], nodeEnd: number, ranges: readonly Range[]): Pfn | undefined {
  const last = zones.find(({ startPfn, spannedPages }) => spannedPages > 0 && startPfn + spannedPages >= nodeEnd);
  if (!last) return undefined;
  let before = 0; // pages of the zone that have been met
  for (const range of ranges) {
    const start = Math.max(range.start, last.startPfn);
    if (start >= range.end) continue;
    const reached = start + Math.max(0, PAGES_PER_SECTION - before); // here this page is the one too many
    const edge = reached === roundDown(reached, PAGES_PER_SECTION) ? reached : roundDown(reached, PAGES_PER_SECTION) + PAGES_PER_SECTION;
    if (edge < range.end) return pfn(edge);
    before += range.end - start;
  }
  return undefined;
}

function policyZone(nodes: readonly NodeLayout[]): ZoneLayout['policyZone'] {
  const populated = nodes.flatMap(({ zones }) => zones).filter(({ index, presentPages }) => index !== ZONE_MOVABLE && presentPages > 0);
  return ZONE_NAMES[populated.reduce<ZoneIndex>((highest, { index }) => (index > highest ? index : highest), ZONE_DMA)];
}
