/**
 * Which zones to try, in order: the node's own from high to low, then those of other nodes.
 * Mirrors build_zonelists of mm/page_alloc.c (node order). ZONE_DEVICE is in no list.
 */
import type { NodeId } from '@holdfast/lib';
import { type Pgdat, type Zone, isPopulated } from './zone.js';
import { ZONE_DEVICE, ZONE_DMA, ZONE_MOVABLE, ZONE_NAMES, type ZoneIndex, type ZoneName } from './zone-layout.js';

/** The zones that may serve a request on a node, by the highest zone it may use (0 to 3); in the order in which they are tried. */
export type ZonesByHighest = readonly (readonly Zone[])[];

/** For each node: all zones that may serve it (`fallback`), and its own only (`thisNode`, for __GFP_THISNODE). */
export interface Zonelists {
  readonly fallback: ReadonlyMap<NodeId, ZonesByHighest>;
  readonly thisNode: ReadonlyMap<NodeId, ZonesByHighest>;
}

/** Build the lists of all nodes. `orders`: for each node, the nodes to ask, itself first. */
export function buildZonelists(nodes: ReadonlyMap<NodeId, Pgdat>, orders: ReadonlyMap<NodeId, readonly NodeId[]>): Zonelists {
  const listOf = (order: readonly NodeId[]): ZonesByHighest => {
    const zones = order.flatMap((nid) => (nodes.get(nid)?.zones ?? []).filter(isPopulated).toReversed());
    return Array.from({ length: ZONE_DEVICE }, (_, highest) => zones.filter(({ index }) => index <= highest));
  };
  const fallback = new Map([...orders].map(([nid, order]) => [nid, listOf(order)]));
  const thisNode = new Map([...orders.keys()].map((nid) => [nid, listOf([nid])]));
  return { fallback, thisNode };
}

/** Pages above the high marks of every zone in the lists: `Total pages` of the line that is logged when they are built. */
export function zonelistPages(nodes: Iterable<Pgdat>): number {
  return [...nodes].flatMap(({ zones }) => zones).reduce((sum, zone) => sum + Math.max(0, zone.managed - zone.watermark.high), 0);
}

/** The highest populated zone of any node, Movable apart: what memory policies apply to. */
export function policyZone(nodes: Iterable<Pgdat>): ZoneName {
  const zones = [...nodes].flatMap((node) => node.zones);
  const highest = zones.reduce<ZoneIndex>(
    (best, zone) => (isPopulated(zone) && zone.index < ZONE_MOVABLE && zone.index > best ? zone.index : best),
    ZONE_DMA,
  );
  return ZONE_NAMES[highest];
}
