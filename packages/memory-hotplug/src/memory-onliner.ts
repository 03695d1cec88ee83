/**
 * What memory hotplug asks of the page allocator's side: which zones there are, and that frames join and leave them.
 * Implemented by mm, handed over by the kernel. Mirrors the fields of struct zone (include/linux/mmzone.h) that mm/memory_hotplug.c and
 * drivers/base/memory.c read, and the parts of online_pages and offline_pages that are the zones'.
 */
import type { NodeId, Pfn, Range } from '@holdfast/lib';

export const ZONE_DMA = 0;
export const ZONE_DMA32 = 1;
export const ZONE_NORMAL = 2;
export const ZONE_MOVABLE = 3;

export interface ZoneView {
  readonly nid: NodeId;
  /** 0 DMA, 1 DMA32, 2 Normal, 3 Movable, 4 Device. */
  readonly index: number;
  readonly name: string;
  readonly startPfn: Pfn;
  /** Frames from the first to the last, holes included. */
  readonly spanned: number;
  /** Frames of memory; 0 in ZONE_DEVICE, always. */
  readonly present: number;
  /** Of these, frames in sections that boot made. */
  readonly presentEarly: number;
}

/** A zone of a node. */
export interface ZoneId {
  readonly nid: NodeId;
  readonly index: number;
}

export interface ZoneViews {
  /** All zones of all nodes that could ever have memory, by node and index, empty ones included. */
  zones(): readonly ZoneView[];
}

/** Frames that go online or offline as one: whole memory blocks. */
export interface BlockFrames extends Range<Pfn> {
  /** So many frames at the start hold the struct pages of all: they are present, and never free. */
  readonly nrVmemmap: number;
  /** So many at the end are present, and never free, either. */
  readonly nrKept: number;
  /** Frames in sections that boot made? They count as the kernel's early memory then. */
  readonly early: boolean;
  /** Frames that nothing is behind yet: they go online, and stay out of the allocator. */
  readonly offline?: readonly Range<Pfn>[];
}

export interface MemoryOnliner extends ZoneViews {
  /** A node that had nothing gets memory: it builds its zonelists, and is online then. Does nothing if it is online. */
  onlineNode(nid: NodeId): void;
  /** The last block of a node is gone: the node goes offline, unless it has a CPU or spans a device's pages. */
  offlineNode(nid: NodeId): void;
  /** Make frames memory of a zone. */
  onlinePages(frames: BlockFrames, zone: ZoneId): void;
  /**
   * Take frames out of the zone that holds them all.
   * @throws KernelError EBUSY, after logging the page that is in use; nothing has changed then.
   */
  offlinePages(frames: BlockFrames, zone: ZoneId): void;
  /** Frames that are offline are removed: forget their struct pages. */
  removePages(range: Range<Pfn>): void;
}
