/**
 * How much each zone keeps free, and whether an allocation may take more.
 * Mirrors mm/page_alloc.c: calculate_min_free_kbytes, __setup_per_zone_wmarks, setup_per_zone_lowmem_reserve, __zone_watermark_ok; and
 * mm/khugepaged.c: set_recommended_min_free_kbytes.
 *
 * Marks are snapshots of the last {@link recomputeWatermarks}: at boot, and whenever memory goes online or offline.
 */
import { PAGE_SIZE, PAGEBLOCK_NR_PAGES } from '@holdfast/lib';
import { hasFreeBlock } from './buddy-fallback.js';
import { MIGRATE_PCPTYPES } from './migratetype.js';
import type { Pgdat, Zone } from './zone.js';
import { MAX_NR_ZONES, ZONE_NORMAL } from './zone-layout.js';

const KB_PER_PAGE = PAGE_SIZE / 1024;
const MIN_FREE_KBYTES_MIN = 128;
const MIN_FREE_KBYTES_MAX = 262_144;
/** vm.watermark_scale_factor: ten-thousandths of managed pages between the marks. */
const WATERMARK_SCALE_FACTOR = 10;
/** vm.lowmem_reserve_ratio, by zone; 0: none is kept. */
const LOWMEM_RESERVE_RATIO = [256, 256, 32, 0, 0] as const;

/** What the computation reads and writes of a zone. */
export type MarkedZone = Pick<Zone, 'index' | 'present' | 'managed' | 'watermark' | 'lowmemReserve'>;

/**
 * Compute all marks and reserves anew, in Linux's two passes: from the square root of memory, then raised for huge pages.
 * `nodes`: the zones of each node, by index. Returns min_free_kbytes.
 */
export function recomputeWatermarks(nodes: readonly (readonly MarkedZone[])[]): number {
  const zones = nodes.flat();
  const root = Math.floor(Math.sqrt(bufferPages(zones) * KB_PER_PAGE * 16));
  const minFree = Math.min(Math.max(root, MIN_FREE_KBYTES_MIN), MIN_FREE_KBYTES_MAX);
  setMarks(zones, minFree);
  for (const node of nodes) setLowmemReserve(node);
  const recommended = recommendedMinFree(zones); // looks at the marks just set
  if (recommended <= minFree) return minFree;
  setMarks(zones, recommended);
  return recommended;
}

/** Pages above the high marks that ordinary requests can get (nr_free_buffer_pages). */
function bufferPages(zones: readonly MarkedZone[]): number {
  return zones
    .filter(({ index }) => index <= ZONE_NORMAL)
    .reduce((sum, { managed, watermark }) => sum + Math.max(0, managed - watermark.high), 0);
}

/** What keeps pageblocks of each mobility type from mixing, so that huge pages can be found; at most a twentieth of memory. */
function recommendedMinFree(zones: readonly MarkedZone[]): number {
  const populated = zones.filter(({ index, present }) => index <= ZONE_NORMAL && present > 0).length;
  const pages = PAGEBLOCK_NR_PAGES * populated * (2 + MIGRATE_PCPTYPES * MIGRATE_PCPTYPES);
  return Math.min(pages, Math.floor(bufferPages(zones) / 20)) * KB_PER_PAGE;
}

function setMarks(zones: readonly MarkedZone[], minFreeKbytes: number): void {
  const pagesMin = Math.floor(minFreeKbytes / KB_PER_PAGE);
  const total = zones.reduce((sum, { managed }) => sum + managed, 0);
  for (const { managed, watermark } of zones) {
    const min = total === 0 ? 0 : Math.floor((pagesMin * managed) / total);
    const step = Math.max(Math.floor(min / 4), Math.floor((managed * WATERMARK_SCALE_FACTOR) / 10_000));
    watermark.min = min;
    watermark.low = min + step;
    watermark.high = min + 2 * step;
  }
}

function setLowmemReserve(node: readonly MarkedZone[]): void {
  node.forEach((zone, i) => {
    const ratio = LOWMEM_RESERVE_RATIO[zone.index];
    let above = 0;
    zone.lowmemReserve.fill(0);
    for (let j = i + 1; j < MAX_NR_ZONES; j++) {
      above += node[j]?.managed ?? 0;
      if (ratio > 0 && zone.managed > 0) zone.lowmemReserve[j] = Math.floor(above / ratio);
    }
  });
}

/** Pages that no ordinary request will get (totalreserve_pages). */
export function totalReservePages(nodes: readonly Pick<Pgdat, 'zones'>[]): number {
  return nodes
    .flatMap(({ zones }) => zones)
    .reduce((sum, zone) => sum + Math.min(zone.managed, Math.max(...zone.lowmemReserve) + zone.watermark.high), 0);
}

/**
 * Would a zone keep its mark with a block of `order` taken from it, by a request that could go as high as zone `highest`?
 * For more than one page, a fitting block must also be there.
 */
export function zoneWatermarkOk(zone: Zone, order: number, mark: number, highest: number): boolean {
  const left = zone.buddy.freePages - (2 ** order - 1);
  if (left <= mark + zone.lowmemReserve[highest]!) return false;
  return order === 0 || hasFreeBlock(zone.buddy, order);
}
