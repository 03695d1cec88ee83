/**
 * How far nodes are from each other: 10 to oneself, 20 to another, unless a SLIT says otherwise.
 * Mirrors arch/x86/mm/numa.c: numa_set_distance, __node_distance, and drivers/acpi/numa/srat.c: slit_valid.
 */
import { type NodeId, type Printk, KERN } from '@holdfast/lib';

export const LOCAL_DISTANCE = 10;
export const REMOTE_DISTANCE = 20;

export type NodeDistance = (from: NodeId, to: NodeId) => number;

/** What this package needs of a SLIT: `distances[from][to]` by proximity domain. */
export interface SlitDistances {
  readonly distances: readonly (readonly number[])[];
}

export const defaultDistance: NodeDistance = (from, to) => (from === to ? LOCAL_DISTANCE : REMOTE_DISTANCE);

/** A table of `count` by `count` nodes, announced in the log; outside it the defaults hold. */
export function distanceTable(count: number, entry: NodeDistance, printk: Printk): NodeDistance {
  const table = Array.from({ length: count }, (_, from) => Array.from({ length: count }, (_, to) => entry(from as NodeId, to as NodeId)));
  printk(`NUMA: Initialized distance table, cnt=${count}`, KERN.debug);
  return (from, to) => table[from]?.[to] ?? defaultDistance(from, to);
}

/** The distances of a SLIT between `count` nodes, or undefined if it makes no sense or names none of them. */
export function slitDistance(slit: SlitDistances, pxmToNode: ReadonlyMap<number, NodeId>, count: number, printk: Printk): NodeDistance | undefined {
  const { distances } = slit;
  const isValid = distances.every((row, from) => row.every((value, to) => (from === to ? value === LOCAL_DISTANCE : value > LOCAL_DISTANCE)));
  if (!isValid) {
    printk('ACPI: SLIT table looks invalid. Not used.');
    return undefined;
  }
  const known = [...pxmToNode].filter(([pxm]) => pxm < distances.length);
  if (known.length === 0) return undefined;
  const pxmOf = new Map(known.map(([pxm, nid]) => [nid, pxm]));
  const entry: NodeDistance = (from, to) => {
    const [row, column] = [pxmOf.get(from), pxmOf.get(to)];
    return row === undefined || column === undefined ? defaultDistance(from, to) : (distances[row]?.[column] ?? defaultDistance(from, to));
  };
  return distanceTable(count, entry, printk);
}
