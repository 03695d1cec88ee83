/**
 * Giving out a region's capacity: on each DIMM of the interleave set the same share, at multiples of the region's alignment.
 * Mirrors drivers/nvdimm/dimm_devs.c: nd_pmem_available_dpa, nd_pmem_max_contiguous_dpa, and namespace_devs.c: scan_allocate, scan_free.
 *
 * Invariant: a namespace has one extent on each DIMM; a call that throws has changed nothing.
 */
import { KernelError, roundDown, roundUp } from '@holdfast/lib';
import type { DimmLabels, DpaExtent } from './dimm-labels.js';
import { withExtent } from './dimm-labels.js';
import type { NdMapping, NdRegion } from './nd-device.js';

/** Free bytes of a region, in one piece or not; 0 if it has no DIMMs, or one of them has no label area or no driver. */
export function availableDpa(region: NdRegion): number {
  return smallestShare(region, (mapping, align, { extents }) => {
    const inside = extents.map(({ start, sizeBytes }) => [roundDown(start, align), roundUp(start + sizeBytes, align)] as const);
    const busy = inside.reduce((sum, [start, end]) => sum + Math.max(0, Math.min(end, mappingEnd(mapping)) - Math.max(start, mapping.start)), 0);
    return Math.max(0, roundDown(mapping.sizeBytes - busy, align));
  });
}

/** The most that a new namespace may get. */
export function maxAvailableExtent(region: NdRegion): number {
  return smallestShare(region, (mapping, align, labels) => Math.max(0, ...gapsOf(mapping, align, labels.extents).map(({ start, end }) => end - start)));
}

/** Bytes that the namespace of a UUID has, on all DIMMs. */
export function allocatedDpa(region: NdRegion, uuid: string): number {
  return region.mappings.reduce((sum, { dimm }) => sum + extentsOf(dimm.labels, uuid).reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0), 0);
}

/** The first extent of a namespace on one DIMM. */
export function extentOf({ dimm }: NdMapping, uuid: string): DpaExtent | undefined {
  return extentsOf(dimm.labels, uuid)[0];
}

/** Extents of a namespace on all DIMMs. */
export function nrExtents(region: NdRegion, uuid: string): number {
  return region.mappings.reduce((sum, { dimm }) => sum + extentsOf(dimm.labels, uuid).length, 0);
}

/**
 * Make a namespace's share of each DIMM `perDimm` bytes: shrink from the end, grow where it is, or take the first gap that is large enough.
 * @throws KernelError ENXIO if there is no room next to what it has
 */
export function resizeDpa(region: NdRegion, uuid: string, perDimm: number): void {
  const planned = region.mappings.map((mapping) => {
    const labels = mapping.dimm.labels!;
    const old = extentsOf(labels, uuid).at(-1);
    const others = labels.extents.filter((extent) => extent !== old);
    if (perDimm === 0) return { labels, extents: labels.extents.filter((extent) => extent.uuid !== uuid) };
    const start = old && perDimm <= old.sizeBytes ? old.start : placeFor(mapping, region, labels.extents, old, perDimm);
    return { labels, extents: withExtent(others, { start, sizeBytes: perDimm, uuid }) };
  });
  for (const { labels, extents } of planned) labels.extents = extents;
}

/** Let what one UUID has belong to another. */
export function renameDpa(region: NdRegion, from: string, to: string): void {
  for (const { dimm } of region.mappings) {
    if (dimm.labels) dimm.labels.extents = dimm.labels.extents.map((extent) => (extent.uuid === from ? { ...extent, uuid: to } : extent));
  }
}

function placeFor(mapping: NdMapping, region: NdRegion, extents: readonly DpaExtent[], old: DpaExtent | undefined, perDimm: number): number {
  const missing = perDimm - (old?.sizeBytes ?? 0);
  // An empty DIMM is filled from its start, aligned or not.
  if (!extents.some((extent) => touches(mapping, extent)) && perDimm <= mapping.sizeBytes) return mapping.start;
  for (const { start, end } of gapsOf(mapping, alignOf(region), extents)) {
    if (end - start < missing) continue;
    if (!old) return start;
    if (start === old.start + old.sizeBytes) return old.start;
    if (end === old.start) return old.start - missing;
  }
  throw new KernelError('ENXIO', `${mapping.dimm.name}: no ${missing} bytes in one piece${old ? ' next to what the namespace has' : ''}`);
}

/** Free pieces of a mapping, rounded inwards to `align`. */
function gapsOf(mapping: NdMapping, align: number, extents: readonly DpaExtent[]): { start: number; end: number }[] {
  const gaps: { start: number; end: number }[] = [];
  let at = mapping.start;
  const add = (end: number): void => {
    const gap = { start: roundUp(at, align), end: roundDown(end, align) };
    if (gap.start < gap.end) gaps.push(gap);
  };
  for (const extent of extents.filter((each) => touches(mapping, each))) {
    add(extent.start);
    at = Math.max(at, extent.start + extent.sizeBytes);
  }
  add(mappingEnd(mapping));
  return gaps;
}

/** `ways` times the least share that any DIMM has. */
function smallestShare(region: NdRegion, share: (mapping: NdMapping, align: number, labels: DimmLabels) => number): number {
  const { mappings } = region;
  const align = alignOf(region);
  const shares = mappings.map((mapping) => (mapping.dimm.labels ? share(mapping, align, mapping.dimm.labels) : 0));
  return shares.length === 0 ? 0 : shares.length * Math.min(...shares);
}

function alignOf({ align, mappings }: NdRegion): number {
  return align / Math.max(1, mappings.length);
}

function extentsOf(labels: DimmLabels | undefined, uuid: string): DpaExtent[] {
  return labels?.extents.filter((extent) => extent.uuid === uuid) ?? [];
}

function touches(mapping: NdMapping, { start, sizeBytes }: DpaExtent): boolean {
  return start < mappingEnd(mapping) && start + sizeBytes > mapping.start;
}

function mappingEnd({ start, sizeBytes }: NdMapping): number {
  return start + sizeBytes;
}
