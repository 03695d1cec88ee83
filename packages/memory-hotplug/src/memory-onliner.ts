/**
 * What memory hotplug asks of the page allocator's side: which zones there are. Implemented by mm, handed over by the kernel.
 * Mirrors the fields of struct zone (include/linux/mmzone.h) that mm/memory_hotplug.c and drivers/base/memory.c read.
 */
import type { NodeId, Pfn } from '@holdfast/lib';

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
}

export interface MemoryOnliner {
  /** All zones of all nodes, by node and index, empty ones included. */
  zones(): readonly ZoneView[];
}
