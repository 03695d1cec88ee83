/**
 * What boot decides about zones: plain data, from which live zones, memory blocks and logs are made.
 * Mirrors struct zone and struct pglist_data (include/linux/mmzone.h) as free_area_init leaves them.
 */
import type { NodeId, Pfn, Range } from '@holdfast/lib';

export const ZONE_DMA = 0;
export const ZONE_DMA32 = 1;
export const ZONE_NORMAL = 2;
export const ZONE_MOVABLE = 3;
export const ZONE_DEVICE = 4;
export const MAX_NR_ZONES = 5;

/** By zone index. */
export const ZONE_NAMES = ['DMA', 'DMA32', 'Normal', 'Movable', 'Device'] as const;
export type ZoneIndex = 0 | 1 | 2 | 3 | 4;
export type ZoneName = (typeof ZONE_NAMES)[ZoneIndex];

/** A zone of a node. An empty one has 0 everywhere. Counts are pages. */
export interface ZoneSpan {
  readonly index: ZoneIndex;
  readonly name: ZoneName;
  readonly startPfn: Pfn;
  /** From the first page to the last, holes included. */
  readonly spannedPages: number;
  /** Pages of memory in it. */
  readonly presentPages: number;
  /** Pages of the struct pages that describe it, as boot estimates them. */
  readonly memmapPages: number;
  /** Boot's first estimate of the pages to hand out: present less memmap and, in zone DMA, what is reserved. Replaced by the real count later. */
  readonly managedEstimate: number;
}

/** A node. One without memory has no ranges and 0 everywhere. */
export interface NodeLayout {
  readonly nid: NodeId;
  readonly startPfn: Pfn;
  /** Exclusive. */
  readonly endPfn: Pfn;
  /** Sum over its zones, as node_spanned_pages. */
  readonly spannedPages: number;
  readonly presentPages: number;
  /** Its memory, ascending. */
  readonly ranges: readonly Range<Pfn>[];
  /** All five, by index. */
  readonly zones: readonly ZoneSpan[];
  /** Where zone Movable begins, if boot parameters made one. */
  readonly movableStartPfn: Pfn | undefined;
  /** Pages whose struct pages are made before the page allocator starts; all of `presentPages` without deferred init. */
  readonly earlyPages: number;
  /** The first page left to deferred init. */
  readonly firstDeferredPfn: Pfn | undefined;
}

/** Pages that are no memory but have struct pages, for lying in a section with memory: initialised and reserved. */
export interface UnavailableRange extends Range<Pfn> {
  readonly nid: NodeId;
  readonly zone: ZoneIndex;
}

/** The pages that a zone may hold on any node, `[start, end)`; empty if equal. */
export interface ZoneLimit extends Range<Pfn> {
  readonly index: ZoneIndex;
  readonly name: ZoneName;
}

export interface ZoneLayout {
  /** Every possible node, ascending. */
  readonly nodes: readonly NodeLayout[];
  /** DMA, DMA32, Normal and, if the kernel has it, Device. */
  readonly limits: readonly ZoneLimit[];
  readonly unavailable: readonly UnavailableRange[];
  /** Runs of sections that hold any memory: page frames, in multiples of a section. */
  readonly presentSections: readonly Range<Pfn>[];
  /** Sum of the zones' managed estimates: the first `Total pages`. */
  readonly totalPages: number;
  /** The highest zone with memory, Movable apart: what memory policies apply to. */
  readonly policyZone: ZoneName;
}
