/**
 * What an allocation asks for: which zones will do, how movable it is, how hard to try.
 * Mirrors include/linux/gfp_types.h and gfp.h of 6.1 on x86-64: no HIGHMEM zone, ZONE_DEVICE never a target.
 */
import { BugError } from '@holdfast/lib';
import { MIGRATE_PCPTYPES, type MigrateType } from './migratetype.js';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, type ZoneIndex } from './zone-layout.js';

export const __GFP_DMA = 0x01;
export const __GFP_HIGHMEM = 0x02;
export const __GFP_DMA32 = 0x04;
export const __GFP_MOVABLE = 0x08;
export const __GFP_RECLAIMABLE = 0x10;
export const __GFP_HIGH = 0x20;
export const __GFP_IO = 0x40;
export const __GFP_FS = 0x80;
export const __GFP_ATOMIC = 0x200;
export const __GFP_DIRECT_RECLAIM = 0x400;
export const __GFP_KSWAPD_RECLAIM = 0x800;
export const __GFP_NOWARN = 0x2000;
export const __GFP_MEMALLOC = 0x20000;
export const __GFP_NOMEMALLOC = 0x80000;
export const __GFP_HARDWALL = 0x100000;
export const __GFP_THISNODE = 0x200000;
const __GFP_RECLAIM = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM;

export const GFP_ATOMIC = __GFP_HIGH | __GFP_ATOMIC | __GFP_KSWAPD_RECLAIM;
export const GFP_NOWAIT = __GFP_KSWAPD_RECLAIM;
export const GFP_NOIO = __GFP_RECLAIM;
export const GFP_KERNEL = __GFP_RECLAIM | __GFP_IO | __GFP_FS;
export const GFP_USER = GFP_KERNEL | __GFP_HARDWALL;
export const GFP_DMA = __GFP_DMA;
export const GFP_DMA32 = __GFP_DMA32;
/** User pages and the page cache: the only request that zone Movable serves. */
export const GFP_HIGHUSER_MOVABLE = GFP_USER | __GFP_HIGHMEM | __GFP_MOVABLE;

/** The highest zone by the request's zone bits; undefined where they contradict each other. */
const ZONE_TABLE: readonly (ZoneIndex | undefined)[] = [
  ZONE_NORMAL, ZONE_DMA, ZONE_NORMAL, undefined, ZONE_DMA32, undefined, undefined, undefined,
  ZONE_NORMAL, ZONE_DMA, ZONE_MOVABLE, undefined, ZONE_DMA32, undefined, undefined, undefined,
];

/** The highest zone that may serve a request (gfp_zone). */
export function gfpZone(gfp: number): ZoneIndex {
  const zone = ZONE_TABLE[gfp & 0x0f];
  if (zone === undefined) throw new BugError(`gfp 0x${gfp.toString(16)}: zone modifiers that contradict each other`);
  return zone;
}

/** The mobility type of a request (gfp_migratetype). */
export function gfpMigratetype(gfp: number): MigrateType {
  const type = (gfp & (__GFP_MOVABLE | __GFP_RECLAIMABLE)) >> 3;
  if (type >= MIGRATE_PCPTYPES) throw new BugError(`gfp 0x${gfp.toString(16)}: both movable and reclaimable`);
  return type as MigrateType;
}
