/**
 * What boot logs of zones and nodes, in the words of each release.
 * Mirrors the messages of mm/page_alloc.c: free_area_init, calculate_node_totalpages, free_area_init_core, memmap_init.
 */
import {
  type Integer, type KernelRelease, type NodeId, type Pfn, type Printk, type Range,
  KERN, PAGES_PER_SECTION, hex16, hex8, pfnToPhys, releaseAtLeast, roundDownPow2, roundUp,
} from '@holdfast/lib';
import type { NodeReport } from './node-report.js';
import { type Hole, type NodeRange, unavailableOfZone, zeroedPages } from './unavailable-ranges.js';
import { type NodeLayout, type ZoneLayout, type ZoneSpan, ZONE_DMA, ZONE_NAMES } from './zone-layout.js';

/**
 * How holes with struct pages are reported: not at all, all in one sum, per zone, or one by one.
 * Distributions took the later ways over into earlier releases.
 */
export type HoleReport = 'none' | 'sum' | 'zones' | 'each';

/** The `193` of `4.18.0-193.el8.x86_64`. */
const RHEL_8_2_BUILD = 193;

/** The way of an unpatched release. */
export function holeReportOf(release: KernelRelease): HoleReport {
  if (releaseAtLeast(release, 5, 14)) return 'each';
  if (releaseAtLeast(release, 5, 12)) return 'zones';
  return releaseAtLeast(release, 4, 20) ? 'sum' : 'none';
}

/** What the lines need besides the layout. */
export interface LogContext {
  readonly holeReport: HoleReport;
  readonly nodeReport: NodeReport;
  readonly memory: readonly NodeRange[];
  readonly holes: readonly Hole[];
  readonly online: readonly NodeId[];
  readonly maxPfn: Pfn;
  readonly dmaReserve: number;
}

/** From `Zone ranges:` to `Early memory node ranges`. */
export function logRanges({ limits, nodes }: ZoneLayout, memory: readonly NodeRange[], release: KernelRelease, printk: Printk): void {
  const range = (pages: Range<Pfn>): string => formatRange(pages, release);
  printk('Zone ranges:');
  for (const limit of limits) printk(`  ${limit.name.padEnd(8)} ${limit.start === limit.end ? 'empty' : range(limit)}`);
  printk('Movable zone start for each node');
  for (const { nid, movableStartPfn } of nodes) {
    if (movableStartPfn !== undefined) printk(`  Node ${nid}: ${address(pfnToPhys(movableStartPfn), release)}`);
  }
  printk('Early memory node ranges');
  for (const part of memory) printk(`  node ${String(part.nid).padStart(3)}: ${range(part)}`);
}

/** From `Initmem setup` to the last line on unavailable ranges. */
export function logNodes(layout: ZoneLayout, context: LogContext, release: KernelRelease, printk: Printk): void {
  const { memory, holes, maxPfn, holeReport } = context;
  if (holeReport === 'sum') {
    const end = countsToSectionEnd(release) ? roundUp(maxPfn, PAGES_PER_SECTION) : maxPfn;
    const pages = zeroedPages(memory, end, layout.presentSections);
    if (pages > 0) printk(`Zeroed struct page in unavailable ranges: ${pages} pages`);
  }
  for (const node of layout.nodes) logNode(node, layout, context, release, printk);
  if (holeReport !== 'each') return;
  for (const { nid, zone, pages } of holes) printk(`On node ${nid}, zone ${ZONE_NAMES[zone]}: ${pages} pages in unavailable ranges`);
}

/**
 * Does the sum count what lies behind the last page? Since 5.6, and in the stable releases of 5.4. Before 4.20 there was no sum: the stable
 * releases of 4.19 took both changes over at once, Red Hat's 4.18 the sum first and this one in February 2020 or later, so not before 8.2.
 */
function countsToSectionEnd(release: KernelRelease): boolean {
  const build = /^4\.18\.0-(\d+)\..*\bel8/.exec(release.text)?.[1];
  if (build !== undefined) return Number(build) >= RHEL_8_2_BUILD;
  return releaseAtLeast(release, 5, 4) || !releaseAtLeast(release, 4, 20);
}

function logNode(node: NodeLayout, layout: ZoneLayout, context: LogContext, release: KernelRelease, printk: Printk): void {
  const { nid, startPfn, endPfn } = node;
  if (startPfn === endPfn) {
    logMemoryless(nid, context, release, printk);
    return;
  }
  if (context.nodeReport === 'mm') printk(`Initmem setup node ${nid} ${formatRange({ start: startPfn, end: endPfn }, release)}`);
  const isDebugOn = !releaseAtLeast(release, 5, 14); // from then on these lines are there for dynamic debug only
  if (isDebugOn) printk(`On node ${nid} totalpages: ${node.presentPages}`, KERN.debug);
  for (const zone of node.zones) {
    if (isDebugOn) logZone(zone, context.dmaReserve, release, printk);
    if (context.holeReport !== 'zones' || zone.spannedPages === 0) continue;
    const isFirst = zone.startPfn === context.memory[0]?.start;
    const pages = unavailableOfZone(zone, node.ranges, isFirst, layout.presentSections);
    if (pages > 0) printk(`  ${zone.name} zone: ${pages} pages in unavailable ranges`);
  }
}

/** Since 5.18 every possible node is set up at once; before, only one with a CPU, and as if it had a range. */
function logMemoryless(nid: NodeId, { online, nodeReport }: LogContext, release: KernelRelease, printk: Printk): void {
  if (releaseAtLeast(release, 5, 18)) {
    printk(`Initializing node ${nid} as memoryless`);
    printk(`Initmem setup node ${nid} as memoryless`);
  } else if (online.includes(nid) && nodeReport === 'mm') {
    printk(`Initmem setup node ${nid} [mem ${address(0, release)}-${address(0, release)}]`);
  }
}

function logZone(zone: ZoneSpan, dmaReserve: number, release: KernelRelease, printk: Printk): void {
  const { name, memmapPages, presentPages, managedEstimate } = zone;
  if (memmapPages > presentPages) printk(`  ${name} zone: ${memmapPages} pages exceeds freesize ${presentPages}`, KERN.warning);
  else if (memmapPages > 0) printk(`  ${name} zone: ${memmapPages} pages used for memmap`, KERN.debug);
  if (zone.index === ZONE_DMA && presentPages - memmapPages > dmaReserve) printk(`  ${name} zone: ${dmaReserve} pages reserved`, KERN.debug);
  if (presentPages === 0) return;
  // Managed pages became a count of their own in 3.8; before, "present" was what was left.
  const pages = releaseAtLeast(release, 3, 8) ? presentPages : managedEstimate;
  printk(`  ${name} zone: ${pages} pages, LIFO batch:${lifoBatch(managedEstimate, release)}`, KERN.debug);
}

/** How many pages a CPU's list takes at once (zone_batchsize), doubled in 4.19. */
function lifoBatch(managed: number, release: KernelRelease): number {
  const most = releaseAtLeast(release, 4, 19) ? 256 : 128;
  const quarter = Math.max(1, Math.floor(Math.min(Math.floor(managed / 1024), most) / 4));
  return roundDownPow2(quarter + Math.floor(quarter / 2)) - 1;
}

function formatRange({ start, end }: Range<Pfn>, release: KernelRelease): string {
  return `[mem ${address(pfnToPhys(start), release)}-${address(pfnToPhys(end) - 1, release)}]`;
}

/** Sixteen digits since 4.0, eight before. */
function address(value: Integer, release: KernelRelease): string {
  return releaseAtLeast(release, 4, 0) ? hex16(value) : hex8(value);
}
