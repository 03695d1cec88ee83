/**
 * Holes that have struct pages, because memory shares their section.
 * Mirrors mm/page_alloc.c: memmap_init, init_unavailable_range; before 5.12 init_unavailable_mem.
 *
 * Invariant: work is per range, never per page: a section is present as a whole, so a hole is cut at section edges only.
 */
import { type NodeId, type Pfn, type Range, PAGES_PER_SECTION, roundDown, roundUp } from '@holdfast/lib';
import { type UnavailableRange, type ZoneIndex, type ZoneSpan, ZONE_DMA } from './zone-layout.js';

/** Memory of a node, in page frames. */
export interface NodeRange extends Range<Pfn> {
  readonly nid: NodeId;
}

/** A hole between two ranges of memory, or behind the last, and the parts of it that have struct pages. */
export interface Hole {
  readonly nid: NodeId;
  readonly zone: ZoneIndex;
  readonly parts: readonly Range<Pfn>[];
  readonly pages: number;
}

/** Runs of sections that any memory touches, ascending. */
export function presentSections(memory: readonly Range[]): Range<Pfn>[] {
  const runs: { start: Pfn; end: Pfn }[] = [];
  for (const range of memory) {
    const start = roundDown(range.start, PAGES_PER_SECTION) as Pfn;
    const end = roundUp(range.end, PAGES_PER_SECTION) as Pfn;
    const last = runs.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end) as Pfn;
    else runs.push({ start, end });
  }
  return runs;
}

/** The parts of `[start, end)` that lie in present sections. */
export function partsInSections(start: number, end: number, sections: readonly Range<Pfn>[]): Range<Pfn>[] {
  return sections
    .map((run) => ({ start: Math.max(run.start, start) as Pfn, end: Math.min(run.end, end) as Pfn }))
    .filter((part) => part.start < part.end);
}

/**
 * The holes of the whole map: each belongs to the zone and node of the memory behind it, the last one to the highest zone with memory of the
 * last range's node.
 * @param memory all memory, ascending. @param zonesOf the zones of a node.
 */
export function findHoles(memory: readonly NodeRange[], zonesOf: (nid: NodeId) => readonly ZoneSpan[], sections: readonly Range<Pfn>[]): Hole[] {
  const holes: Hole[] = [];
  const add = (start: number, end: number, nid: NodeId, zone: ZoneIndex): void => {
    const parts = partsInSections(start, end, sections);
    if (parts.length > 0) holes.push({ nid, zone, parts, pages: pagesOf(parts) });
  };
  let holeStart = 0;
  for (const { start, end, nid } of memory) {
    // A hole ends inside the zone that holds the first page behind it, whatever zones it crosses.
    const zone = zonesOf(nid).find((span) => span.startPfn <= start && start < span.startPfn + span.spannedPages);
    if (holeStart < start && zone) add(holeStart, start, nid, zone.index);
    holeStart = end;
  }
  const last = memory.at(-1);
  if (last) {
    const highest = zonesOf(last.nid).findLast((span) => span.presentPages > 0);
    add(holeStart, roundUp(last.end, PAGES_PER_SECTION), last.nid, highest?.index ?? ZONE_DMA);
  }
  return holes;
}

export function unavailableRanges(holes: readonly Hole[]): UnavailableRange[] {
  return holes.flatMap(({ parts, nid, zone }) => parts.map((part) => ({ ...part, nid, zone })));
}

/** What 5.12 and 5.13 count for one zone: the holes in it, and from its end to the end of that section. */
export function unavailableOfZone(zone: ZoneSpan, nodeMemory: readonly Range[], isFirst: boolean, sections: readonly Range<Pfn>[]): number {
  const { startPfn, spannedPages } = zone;
  const zoneEnd = startPfn + spannedPages;
  let pages = 0;
  let holeStart = isFirst ? 0 : startPfn;
  for (const range of nodeMemory) {
    const start = Math.min(Math.max(range.start, startPfn), zoneEnd);
    if (holeStart < start) pages += pagesOf(partsInSections(holeStart, start, sections));
    holeStart = Math.max(holeStart, Math.min(Math.max(range.end, startPfn), zoneEnd));
  }
  return pages + pagesOf(partsInSections(holeStart, roundUp(zoneEnd, PAGES_PER_SECTION), sections));
}

/** What 4.20 to 5.11 count over all: holes between ranges, and behind the last up to `end`. */
export function zeroedPages(memory: readonly Range[], end: number, sections: readonly Range<Pfn>[]): number {
  const starts = [...memory.map((range) => range.start), end];
  const ends = [0, ...memory.map((range) => range.end)];
  return starts.reduce((sum, start, index) => sum + pagesOf(partsInSections(ends[index]!, start, sections)), 0);
}

function pagesOf(parts: readonly Range[]): number {
  return parts.reduce((sum, { start, end }) => sum + end - start, 0);
}
