/**
 * What memory hot-plug asks of zones and nodes: frames that join and leave, and nodes that get their first memory.
 * Mirrors the parts of mm/memory_hotplug.c that are not about blocks: online_pages, offline_pages, try_online_node, try_offline_node.
 *
 * Invariant: a node counts as having memory from before its first zone's lists are built until after its last zone's are.
 */
import type { NodeId, Pfn, Range } from '@holdfast/lib';
import type { Mm } from './mm-init.js';
import type { Numa } from './numa.js';
import { type Zone, isPopulated } from './zone.js';
import { ZONE_DEVICE, type ZoneIndex } from './zone-layout.js';

export interface MemoryOnlineNeeds {
  readonly mm: Mm;
  readonly numa: Pick<Numa, 'online' | 'withCpu' | 'setOnline' | 'setMemory'>;
  /** A node that is not online yet builds its own zonelists. */
  readonly onNodeZonelists: (nid: NodeId) => void;
  /** A zone that had no memory has some now. */
  readonly onZonePopulated: (zone: Zone) => void;
}

/** Frames that go online or offline together: the first `nrVmemmap` hold the struct pages of all, the last `nrKept` are never free. */
export interface OnlineFrames extends Range<Pfn> {
  readonly nrVmemmap: number;
  readonly nrKept: number;
  /** In sections that boot made. */
  readonly early: boolean;
  /** Frames that the hypervisor has not plugged in. */
  readonly offline?: readonly Range<Pfn>[];
}

export interface MemoryOnline {
  zones(): readonly Zone[];
  onlineNode(nid: NodeId): void;
  offlineNode(nid: NodeId): void;
  onlinePages(frames: OnlineFrames, zone: { readonly nid: NodeId; readonly index: number }): void;
  /** @throws KernelError EBUSY, after logging the page that is in use; nothing has changed then. */
  offlinePages(frames: OnlineFrames, zone: { readonly nid: NodeId; readonly index: number }): void;
  removePages(range: Range<Pfn>): void;
}

export function createMemoryOnline({ mm, numa, onNodeZonelists, onZonePopulated }: MemoryOnlineNeeds): MemoryOnline {
  return {
    zones: () => mm.zones(),
    onlineNode(nid) {
      if (numa.online.includes(nid)) return;
      onNodeZonelists(nid);
      numa.setOnline(nid, true);
    },
    offlineNode(nid) {
      const spansAny = mm.nodes.get(nid)!.zones.some(({ spanned }) => spanned > 0);
      if (!spansAny && !numa.withCpu.includes(nid)) numa.setOnline(nid, false);
    },
    onlinePages({ start, end, nrVmemmap, nrKept, early, offline }, { nid, index }) {
      const zone = mm.zone(nid, index as ZoneIndex);
      const wasEmpty = !isPopulated(zone);
      numa.setMemory(nid, true);
      if (early) zone.presentEarly += end - start;
      mm.onlinePages(start, end, nid, zone.index, { first: nrVmemmap, last: nrKept }, offline);
      if (wasEmpty) onZonePopulated(zone);
    },
    offlinePages({ start, end, nrVmemmap, nrKept, early }, { nid, index }) {
      const zone = mm.zone(nid, index as ZoneIndex);
      mm.offlinePages(start, end, { first: nrVmemmap, last: nrKept });
      if (early) zone.presentEarly -= end - start;
      const left = mm.nodes.get(nid)!.zones.some((other) => other.index !== ZONE_DEVICE && isPopulated(other));
      if (!left) numa.setMemory(nid, false);
    },
    removePages: ({ start, end }) => mm.removePages(start, end),
  };
}
