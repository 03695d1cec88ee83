/**
 * Memory that belongs together: all blocks of a DIMM, or of a device that grows and shrinks. What is online of it, by kind of zone,
 * decides where the rest goes. Mirrors drivers/base/memory.c: struct memory_group.
 */
import type { NodeId } from '@holdfast/lib';

export interface MemoryGroup {
  readonly nid: NodeId;
  /**
   * Static: it holds at most `maxPages` frames, and all of them go one way. Dynamic: it changes in units of `unitPages`, each of which
   * goes one way.
   */
  readonly size: { readonly kind: 'static'; readonly maxPages: number } | { readonly kind: 'dynamic'; readonly unitPages: number };
  /** Frames online in zones other than Movable. */
  presentKernel: number;
  /** Frames online in zone Movable. */
  presentMovable: number;
}

export function createStaticGroup(nid: NodeId, maxPages: number): MemoryGroup {
  return { nid, size: { kind: 'static', maxPages }, presentKernel: 0, presentMovable: 0 };
}

export function createDynamicGroup(nid: NodeId, unitPages: number): MemoryGroup {
  return { nid, size: { kind: 'dynamic', unitPages }, presentKernel: 0, presentMovable: 0 };
}
