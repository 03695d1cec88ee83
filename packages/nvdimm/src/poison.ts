/**
 * Lost bytes of a region: who must know of them, and how they are made good.
 * Mirrors drivers/nvdimm/bus.c: nvdimm_clear_poison, nvdimm_account_cleared_poison; region_devs.c and region.c: nvdimm_region_notify.
 *
 * Three lists tell of the same bytes: the bus's, by address; the region's, in sectors; and that of each driver that has a namespace open,
 * in sectors of its own. New errors go down all three; a cleared one leaves the first two here, and the third by who cleared it.
 */
import { SECTOR_SIZE, isPowerOf2, rangesOverlap } from '@holdfast/lib';
import type { Badblocks } from '@holdfast/block';
import type { NdBus, NdRegion } from './nd-device.js';

/** Low half of a status word: did the method itself succeed? */
const FAILED = 0xffff;

/** Fill a driver's list of `[start, end)`, and keep filling it as errors are found, until the returned function is called. */
export function trackBadblocks(region: NdRegion, badblocks: Badblocks, start: number, end: number): () => void {
  const revalidate = (): void => region.bus.badrange.populate(badblocks, start, end);
  revalidate();
  region.poisonWatchers.add(revalidate);
  return () => void region.poisonWatchers.delete(revalidate);
}

/** Errors were found in a region: its list, and those of the drivers on it, take them up (NVDIMM_REVALIDATE_POISON). */
export function notifyPoison(region: NdRegion): void {
  const { bus, badblocks, poisonWatchers, start, sizeBytes } = region;
  if (!badblocks) return;
  bus.badrange.populate(badblocks, start, start + sizeBytes);
  for (const revalidate of poisonWatchers) revalidate();
}

/**
 * Have the firmware make `[start, start + length)` good.
 * Returns how many bytes from `start` on are good now: all of them, by hope, on a bus without firmware; 0 where the firmware refuses, or
 * where the range is not in whole units of clearing.
 */
export function clearPoison({ bus }: NdRegion, start: number, length: number): number {
  if (!bus.methods) return length;
  const range = { address: start, length };
  const cap = bus.methods.arsCap(range);
  if (cap.status & FAILED || !isPowerOf2(cap.clearErrUnit)) return 0;
  if (start % cap.clearErrUnit !== 0 || length % cap.clearErrUnit !== 0) return 0;
  const { status, cleared } = bus.methods.clearError(range);
  if (status & FAILED || cleared === 0) return 0;
  accountCleared(bus, start, cleared);
  return cleared;
}

/** The firmware has made `[start, start + cleared)` good: the bus and the region forget it. */
export function accountCleared(bus: NdBus, start: number, cleared: number): void {
  if (cleared <= 0) return;
  bus.badrange.forget(start, cleared);
  const nrSectors = Math.floor(cleared / SECTOR_SIZE);
  if (nrSectors === 0) return;
  for (const region of bus.regions) {
    const isInside = start >= region.start && start + cleared <= region.start + region.sizeBytes;
    if (isInside) region.badblocks?.clear(Math.floor((start - region.start) / SECTOR_SIZE), nrSectors);
  }
}

/**
 * Is any byte of `[start, end)` known to be lost? Whoever maps the range for a process asks this at a fault, and raises SIGBUS if so.
 * What nobody knows of yet shows only when it is loaded: then the machine tells (onMachineCheck).
 */
export function isKnownPoison({ regions }: Pick<NdBus, 'regions'>, start: number, end: number): boolean {
  return regions.some(
    (region) =>
      region.bus.badrange.ranges.some((range) => rangesOverlap(range, { start, end })) &&
      rangesOverlap({ start, end }, { start: region.start, end: region.start + region.sizeBytes }),
  );
}
