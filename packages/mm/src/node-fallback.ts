/**
 * In which order each node's allocations turn to other nodes, and what is logged whenever zonelists are built.
 * Mirrors mm/page_alloc.c: find_next_best_node, build_zonelists, build_all_zonelists.
 */
import { type KernelRelease, type NodeId, type Printk, PAGEBLOCK_NR_PAGES, releaseAtLeast } from '@holdfast/lib';
import type { NodeDistance } from './numa-distance.js';

const MAX_NUMNODES = 1024;
/** Linux with CMA and isolation has six; grouping by mobility pays only if each can have a pageblock. */
const MIGRATE_TYPES = 6;

export interface FallbackNeeds {
  /** The nodes to make lists for, ascending. */
  readonly possible: readonly NodeId[];
  /** Nodes that allocations can be served from. */
  readonly withMemory: readonly NodeId[];
  /** Nodes with an online CPU, which need their memory themselves. None yet when boot builds the lists. */
  readonly withOnlineCpu?: readonly NodeId[];
  readonly distance: NodeDistance;
}

/** The order of nodes for each node: itself, with or without memory, then others by distance, loads spread over equals. */
export function nodeFallbackOrders({ possible, withMemory, withOnlineCpu = [], distance }: FallbackNeeds): Map<NodeId, NodeId[]> {
  const load = new Map<NodeId, number>();
  const busy = new Set(withOnlineCpu);
  const orderFor = (local: NodeId): NodeId[] => {
    const order = [local];
    const left = new Set(withMemory.filter((nid) => nid !== local));
    const cost = (nid: NodeId): number =>
      (distance(local, nid) + (nid < local ? 1 : 0) + (busy.has(nid) ? 1 : 0)) * MAX_NUMNODES + (load.get(nid) ?? 0);
    while (left.size > 0) {
      const next = [...left].reduce((best, nid) => (cost(nid) < cost(best) ? nid : best));
      // The first node at a new distance will be asked first by all who are as far: make it dearer for the others.
      if (distance(local, next) !== distance(local, order.at(-1)!)) load.set(next, (load.get(next) ?? 0) + 1);
      order.push(next);
      left.delete(next);
    }
    return order;
  };
  return new Map(possible.map((nid) => [nid, orderFor(nid)]));
}

export interface ZonelistLog {
  readonly orders: ReadonlyMap<NodeId, readonly NodeId[]>;
  readonly onlineCount: number;
  /** Pages above the high watermarks of all zones. */
  readonly totalPages: number;
  readonly policyZone: string;
}

/** Log that zonelists were built: at boot, and when a zone becomes populated or empty. */
export function logZonelists({ orders, onlineCount, totalPages, policyZone }: ZonelistLog, release: KernelRelease, printk: Printk): void {
  if (releaseAtLeast(release, 5, 16)) {
    for (const [nid, order] of orders) printk(`Fallback order for Node ${nid}: ${order.map((other) => `${other} `).join('')}`);
  }
  const inOrder = releaseAtLeast(release, 4, 14) ? '' : ' in Node order';
  const mobility = totalPages < PAGEBLOCK_NR_PAGES * MIGRATE_TYPES ? 'off' : 'on';
  printk(`Built ${onlineCount} zonelists${inOrder}, mobility grouping ${mobility}.  Total pages: ${totalPages}`);
  printk(`Policy zone: ${policyZone}`);
}
