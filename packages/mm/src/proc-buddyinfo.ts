/**
 * The texts of /proc/buddyinfo and /proc/pagetypeinfo. Mirrors frag_show_print and pagetypeinfo_show of mm/vmstat.c of 6.1.
 */
import { PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, PAGES_PER_SUBSECTION } from '@holdfast/lib';
import { LIST_STRIDE, NR_ORDERS, countFreeBlocks } from './buddy.js';
import { countPageblockTypes } from './buddy-range.js';
import { MIGRATETYPE_NAMES, MIGRATE_MOVABLE, MIGRATE_TYPES } from './migratetype.js';
import { type Pgdat, type Zone, isPopulated, zoneEndPfn } from './zone.js';

/** pagetypeinfo stops counting here, and says so with a `>`. */
const MAX_COUNTED = 100_000;
const ORDERS = Array.from({ length: NR_ORDERS }, (_, order) => order);
const TYPES = Array.from({ length: MIGRATE_TYPES }, (_, type) => type);

function populatedZones(nodes: Iterable<Pgdat>): Zone[] {
  return [...nodes].flatMap(({ zones }) => zones.filter(isPopulated));
}

/** Free blocks by zone and order. */
export function formatBuddyinfo(nodes: Iterable<Pgdat>): string {
  return populatedZones(nodes)
    .map((zone) => {
      const counts = countFreeBlocks(zone.buddy);
      const columns = ORDERS.map((order) => TYPES.reduce((sum, type) => sum + counts[order * LIST_STRIDE + type]!, 0));
      return `Node ${zone.nid}, zone ${zone.name.padStart(8)} ${columns.map((count) => `${String(count).padStart(6)} `).join('')}\n`;
    })
    .join('');
}

/** Free blocks by zone, mobility type and order; then the pageblocks of each type. */
export function formatPagetypeinfo(nodes: Iterable<Pgdat>): string {
  const zones = populatedZones(nodes);
  const orders = ORDERS.map((order) => `${String(order).padStart(6)} `).join('');
  const types = MIGRATETYPE_NAMES.map((name) => `${name.padStart(12)} `).join('');
  return [
    `Page block order: ${PAGEBLOCK_ORDER}\nPages per block:  ${PAGEBLOCK_NR_PAGES}\n\n`,
    `${'Free pages count per migrate type at order '.padEnd(43)} ${orders}\n`,
    ...zones.flatMap(formatFreeCounts),
    `\n${'Number of blocks type '.padEnd(23)} ${types.slice(1)}\n`,
    ...zones.map(formatBlockTypes),
  ].join('');
}

function formatFreeCounts(zone: Zone): string[] {
  const counts = countFreeBlocks(zone.buddy);
  return MIGRATETYPE_NAMES.map((name, type) => {
    const columns = ORDERS.map((order) => formatCount(counts[order * LIST_STRIDE + type]!)).join('');
    return `Node ${String(zone.nid).padStart(4)}, zone ${zone.name.padStart(8)}, type ${name.padStart(12)} ${columns}\n`;
  });
}

function formatCount(count: number): string {
  return count >= MAX_COUNTED ? `>${MAX_COUNTED} ` : `${String(count).padStart(6)} `;
}

/** Pageblocks are visited in steps from the zone's start, and counted by the type of the one that the frame lies in, if it is online. */
function formatBlockTypes(zone: Zone): string {
  const counts = countPageblockTypes(zone.buddy, zone.startPfn, zoneEndPfn(zone));
  const others = [...counts.values()].reduce((sum, count) => sum + count, 0);
  counts.set(MIGRATE_MOVABLE, visitedPageblocks(zone) - others);
  const columns = TYPES.map((type) => `${String(counts.get(type as 0) ?? 0).padStart(12)} `).join('');
  return `Node ${zone.nid}, zone ${zone.name.padStart(8)} ${columns}\n`;
}

function visitedPageblocks({ startPfn, ranges }: Zone): number {
  let visited = 0;
  let from = startPfn as number;
  for (const { start, end } of ranges) {
    const first = Math.max(from, startOfStep(startPfn, Math.floor(start / PAGES_PER_SUBSECTION) * PAGES_PER_SUBSECTION));
    const onlineEnd = Math.ceil(end / PAGES_PER_SUBSECTION) * PAGES_PER_SUBSECTION;
    const steps = Math.max(0, Math.ceil((Math.min(onlineEnd, roundUpToStep(startPfn, end)) - first) / PAGEBLOCK_NR_PAGES));
    visited += steps;
    from = first + steps * PAGEBLOCK_NR_PAGES;
  }
  return visited;
}

function startOfStep(origin: number, pfn: number): number {
  return origin + Math.max(0, Math.ceil((pfn - origin) / PAGEBLOCK_NR_PAGES)) * PAGEBLOCK_NR_PAGES;
}

function roundUpToStep(origin: number, pfn: number): number {
  return origin + Math.ceil((pfn - origin) / PAGEBLOCK_NR_PAGES) * PAGEBLOCK_NR_PAGES;
}
