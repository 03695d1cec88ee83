/**
 * Live zones and nodes: what boot laid out, and how it changes as memory comes and goes.
 * Mirrors struct zone and struct pglist_data (include/linux/mmzone.h); resize_zone_range, shrink_zone_span and adjust_present_page_count of
 * mm/memory_hotplug.c.
 *
 * Invariant: `present` is the number of frames in `ranges`, all of them inside the span; `managed` is at most `present`; an empty zone has no
 * span. ZONE_DEVICE has a span only.
 */
import { type NodeId, PAGES_PER_SUBSECTION, type Pfn, type Range, bugOn, firstEndingAfter } from '@holdfast/lib';
import { type Buddy, createBuddy } from './buddy.js';
import { setSpan } from './buddy-slots.js';
import { freeListOwner } from './buddy-page.js';
import type { Vmemmap } from './vmemmap.js';
import { MAX_NR_ZONES, type NodeLayout, type ZoneIndex, type ZoneName } from './zone-layout.js';

/** Marks of free pages, as of the last time they were computed. */
export interface Watermarks {
  min: number;
  low: number;
  high: number;
}

/** Where allocations went that asked for a node (numa_hit and its kin, in order of /proc/zoneinfo). */
export interface NumaCounters {
  hit: number;
  miss: number;
  foreign: number;
  local: number;
  other: number;
}

export interface Zone {
  readonly nid: NodeId;
  readonly index: ZoneIndex;
  readonly name: ZoneName;
  startPfn: Pfn;
  /** Frames from the first to the last, holes included. */
  spanned: number;
  present: number;
  /** Of these, frames in sections that boot made (present_early_pages). */
  presentEarly: number;
  /** Frames that were handed to the free lists. */
  managed: number;
  readonly watermark: Watermarks;
  /** Frames to leave for requests that could not go higher, by the highest zone that a request may use. */
  readonly lowmemReserve: number[];
  readonly numa: NumaCounters;
  /** Frames of memory, ascending and disjoint. */
  ranges: Range<Pfn>[];
  /** Of these, frames that the hypervisor has not plugged in, and that are not managed: ascending and disjoint. */
  offline: Range<Pfn>[];
  readonly buddy: Buddy;
}

/** A node: its zones by index. */
export interface Pgdat {
  readonly nid: NodeId;
  readonly zones: readonly Zone[];
  /** How often an allocation found too little and woke the reclaimer; it has nothing to reclaim here. */
  kswapdWakeups: number;
}

/** Make a node's zones as boot laid them out, with nothing free in them. */
export function createPgdat(layout: NodeLayout, vmemmap: Vmemmap): Pgdat {
  const zones = layout.zones.map(({ index, name, startPfn, spannedPages, presentPages }): Zone => {
    const buddy = createBuddy(vmemmap, layout.nid, index);
    const endPfn = startPfn + spannedPages;
    if (spannedPages > 0) setSpan(buddy, startPfn, endPfn);
    vmemmap.addFreeListOwner(layout.nid, index, freeListOwner(buddy));
    return {
      nid: layout.nid,
      index,
      name,
      startPfn,
      spanned: spannedPages,
      present: presentPages,
      presentEarly: presentPages,
      managed: 0,
      watermark: { min: 0, low: 0, high: 0 },
      lowmemReserve: new Array<number>(MAX_NR_ZONES).fill(0),
      numa: { hit: 0, miss: 0, foreign: 0, local: 0, other: 0 },
      ranges: rangesWithin(layout.ranges, startPfn, endPfn),
      offline: [],
      buddy,
    };
  });
  return { nid: layout.nid, zones, kswapdWakeups: 0 };
}

/** One past the last frame of a zone's span (zone_end_pfn). */
export function zoneEndPfn(zone: Zone): number {
  return zone.startPfn + zone.spanned;
}

/** Does the zone have memory (populated_zone)? */
export function isPopulated(zone: Zone): boolean {
  return zone.present > 0;
}

/** The parts of sorted, disjoint ranges that lie in `[start, end)`. */
export function rangesWithin(ranges: readonly Range<Pfn>[], start: number, end: number): Range<Pfn>[] {
  const parts: Range<Pfn>[] = [];
  for (let i = firstEndingAfter(ranges, start); i < ranges.length && ranges[i]!.start < end; i++) {
    const range = ranges[i]!;
    if (range.start < range.end) parts.push({ start: Math.max(range.start, start) as Pfn, end: Math.min(range.end, end) as Pfn });
  }
  return parts.filter((part) => part.start < part.end);
}

/** The parts of sorted ranges that do not lie in `[start, end)`. */
export function withoutRange(ranges: readonly Range<Pfn>[], start: number, end: number): Range<Pfn>[] {
  return [...rangesWithin(ranges, 0, start), ...rangesWithin(ranges, end, Infinity)];
}

/** Stretch the span over `[start, end)` (resize_zone_range). */
export function growZoneSpan(zone: Zone, start: number, end: number): void {
  const oldEnd = zoneEndPfn(zone);
  const newStart = zone.spanned === 0 ? start : Math.min(zone.startPfn, start);
  zone.spanned = (zone.spanned === 0 ? end : Math.max(oldEnd, end)) - newStart;
  zone.startPfn = newStart as Pfn;
  setSpan(zone.buddy, newStart, newStart + zone.spanned);
}

/** Count `[start, end)`, which is in no zone, as memory of this one, and stretch the span over it. */
export function addZoneRange(zone: Zone, start: Pfn, end: Pfn): void {
  growZoneSpan(zone, start, end);
  insertRange(zone.ranges, start, end);
  zone.present += end - start;
}

/** Take `[start, end)` out; the span moves in if it was at one of its ends (shrink_zone_span). */
export function removeZoneRange(zone: Zone, start: Pfn, end: Pfn): void {
  const inside = rangesWithin(zone.ranges, start, end).reduce((sum, range) => sum + range.end - range.start, 0);
  bugOn(inside !== end - start, `zone ${zone.name}: frames ${start}-${end - 1} are not all in it`);
  cutRange(zone.ranges, start, end);
  if (zone.offline.length > 0) zone.offline = withoutRange(zone.offline, start, end);
  zone.present -= end - start;
  shrinkZoneSpan(zone, start, end);
}

function shrinkZoneSpan(zone: Zone, start: number, end: number): void {
  let first: number | undefined = zone.startPfn;
  let last: number | undefined = zoneEndPfn(zone);
  if (start === first) first = smallestOnline(zone, end);
  else if (end === last) last = biggestOnline(zone, start);
  else return;
  const empty = first === undefined || last === undefined;
  zone.startPfn = (empty ? 0 : first) as Pfn;
  zone.spanned = empty ? 0 : last! - first!;
  setSpan(zone.buddy, zone.startPfn, zoneEndPfn(zone));
}

/** The first frame of the zone at `from`, or a multiple of 2 MiB behind it. */
function smallestOnline(zone: Zone, from: number): number | undefined {
  for (const range of zone.ranges) {
    if (range.end <= from) continue;
    const steps = Math.max(0, Math.ceil((range.start - from) / PAGES_PER_SUBSECTION));
    const pfn = from + steps * PAGES_PER_SUBSECTION;
    if (pfn < range.end) return pfn;
  }
  return undefined;
}

/** One past the last frame of the zone before `end`, or a multiple of 2 MiB before that. */
function biggestOnline(zone: Zone, end: number): number | undefined {
  for (let i = zone.ranges.length - 1; i >= 0; i--) {
    const range = zone.ranges[i]!;
    if (range.start >= end) continue;
    const steps = Math.max(0, Math.ceil((end - range.end) / PAGES_PER_SUBSECTION));
    const pfn = end - 1 - steps * PAGES_PER_SUBSECTION;
    if (pfn >= range.start) return pfn + 1;
  }
  return undefined;
}

/** Add a range that overlaps none, joined to those that it touches. */
function insertRange(ranges: Range<Pfn>[], start: Pfn, end: Pfn): void {
  const at = firstEndingAfter(ranges, start);
  const [before, after] = [ranges[at - 1], ranges[at]];
  const first = before?.end === start ? at - 1 : at;
  const last = after?.start === end ? at + 1 : at;
  ranges.splice(first, last - first, { start: first < at ? before!.start : start, end: last > at ? after!.end : end });
}

/** Take away `[start, end)`. */
function cutRange(ranges: Range<Pfn>[], start: Pfn, end: Pfn): void {
  const first = firstEndingAfter(ranges, start);
  let last = first;
  while (last < ranges.length && ranges[last]!.start < end) last++;
  ranges.splice(first, last - first, ...withoutRange(ranges.slice(first, last), start, end));
}

/** Sorted, with those that touch made one. */
export function mergeRanges(ranges: readonly Range<Pfn>[]): Range<Pfn>[] {
  const merged: Range<Pfn>[] = [];
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last?.end === range.start) merged[merged.length - 1] = { start: last.start, end: range.end };
    else merged.push(range);
  }
  return merged;
}
