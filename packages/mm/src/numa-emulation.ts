/**
 * `numa=fake=`: cutting the machine's nodes into smaller ones that only the kernel believes in.
 * Mirrors arch/x86/mm/numa_emulation.c.
 *
 * Differs from Linux: a list of distances behind a colon is not read; nodes cut from one node are at distance 10, as there by default.
 */
import {
  type NodeId, type Pfn, type Printk, type Range,
  GIB, KERN, MIB, PAGE_SIZE, hex16, memparse, nodeId, parseUint, pfnToPhys, roundDown, roundUp,
} from '@holdfast/lib';
import type { Memblock } from './memblock.js';
import { type CleanMeminfo, MAX_NUMNODES, type NumaMemblk, addNumaMemblk, cleanupMeminfo } from './numa-memblk.js';
import { type NodeDistance, distanceTable } from './numa-distance.js';

const FAKE_NODE_MIN_SIZE = 32 * MIB;
const DMA32_END = 4 * GIB;

/** The nodes to be cut. */
export interface PhysicalNodes {
  readonly blocks: readonly NumaMemblk[];
  readonly nodes: ReadonlySet<NodeId>;
  readonly distance: NodeDistance;
}

export interface EmulatedNodes extends CleanMeminfo {
  readonly nodes: Set<NodeId>;
  /** The physical node that each emulated node was first cut from. */
  readonly physicalNode: ReadonlyMap<NodeId, NodeId>;
  readonly distance: NodeDistance;
}

/** How the cutting goes on: what is left of the physical blocks, and what was made. */
interface Cutting {
  readonly left: NumaMemblk[];
  readonly made: NumaMemblk[];
  readonly physicalNode: Map<NodeId, NodeId>;
  readonly ram: RamCounter;
  readonly printk: Printk;
}

/** Memory by address, holes left out. Bytes. */
interface RamCounter {
  between(start: number, end: number): number;
  /** The lowest address with `wanted` bytes of memory between `start` and it; Infinity if there is not as much. */
  addressAfter(start: number, wanted: number): number;
}

/** Cut as `spec` (the text behind `fake=`) says; undefined, as if nothing had been asked, if that cannot be done. */
export function emulateNuma(spec: string, physical: PhysicalNodes, memblock: Memblock, maxPfn: Pfn, printk: Printk): EmulatedNodes | undefined {
  const cutting: Cutting = { left: [...physical.blocks], made: [], physicalNode: new Map(), ram: ramCounter(memblock), printk };
  const whole = { start: 0, end: pfnToPhys(maxPfn) };
  if (!cut(spec, cutting, physical.nodes, whole)) return undefined;
  const clean = cleanupMeminfo(cutting.made, memblock, maxPfn, printk);
  if (!clean) {
    printk('NUMA: Warning: constructed meminfo invalid, disabling emulation', KERN.warning);
    return undefined;
  }
  const nodes = new Set(clean.blocks.map(({ nid }) => nid));
  const count = Math.max(...nodes) + 1;
  const fallback = [...cutting.physicalNode.values()][0] ?? nodeId(0);
  const physicalOf = (nid: NodeId): NodeId => cutting.physicalNode.get(nid) ?? fallback;
  const distance = distanceTable(count, (from, to) => physical.distance(physicalOf(from), physicalOf(to)), printk);
  return { ...clean, nodes, physicalNode: cutting.physicalNode, distance };
}

function cut(spec: string, cutting: Cutting, nodes: ReadonlySet<NodeId>, whole: Range): boolean {
  if (spec.includes('U')) return cutEachNode(Number(parseUint(spec).value), cutting, nodes);
  if (/[MG]/.test(spec)) return cutBySize(Number(memparse(spec).value), cutting, nodes, whole);
  return cutByCount(Number(parseUint(spec).value), cutting, nodes, whole);
}

/** `fake=N`: N nodes with about the same amount of memory (split_nodes_interleave). */
function cutByCount(asked: number, cutting: Cutting, nodes: ReadonlySet<NodeId>, whole: Range): boolean {
  if (asked <= 0) return false;
  if (asked > MAX_NUMNODES) cutting.printk(`numa=fake=${asked} too large, reducing to ${MAX_NUMNODES}`);
  const count = Math.min(asked, MAX_NUMNODES);
  const share = pagesBytes(cutting.ram.between(whole.start, whole.end) / PAGE_SIZE / count);
  const size = roundDown(share, FAKE_NODE_MIN_SIZE);
  if (size === 0) {
    cutting.printk('Not enough memory for each node.  NUMA emulation disabled.', KERN.err);
    return false;
  }
  // What rounding took from every node makes the first few larger.
  const bigNodes = Math.floor(((share - size) * count) / FAKE_NODE_MIN_SIZE);
  return fillNodes(cutting, nodes, count, (block, made) => {
    const end = growToSize(block, block.start + size + (made < bigNodes ? FAKE_NODE_MIN_SIZE : 0), size, cutting.ram);
    return leaveNoCrumbs(block, end, size, cutting.ram);
  });
}

/** `fake=512M`: as many nodes of at least that much memory as there is room for (split_nodes_size_interleave). */
function cutBySize(asked: number, cutting: Cutting, nodes: ReadonlySet<NodeId>, whole: Range): boolean {
  if (asked === 0) return false;
  const least = pagesBytes(cutting.ram.between(whole.start, whole.end) / PAGE_SIZE / MAX_NUMNODES);
  const size = atLeast(asked, least, cutting.printk);
  return fillNodes(cutting, nodes, MAX_NUMNODES, (block) => {
    const end = growToSize(block, block.start + size, size, cutting.ram);
    return leaveNoCrumbs(block, end, size, cutting.ram);
  });
}

/** `fake=NU`: each node into N of the same extent, holes not considered (the uniform case). */
function cutEachNode(count: number, cutting: Cutting, nodes: ReadonlySet<NodeId>): boolean {
  if (count === 0) return false;
  for (let left = nodes.size; left > 0; left--) {
    const first = cutting.left[0];
    if (!first) break;
    const share = pagesBytes((first.end - first.start) / PAGE_SIZE / count);
    const size = atLeast(share, share, cutting.printk);
    if (!fillNodes(cutting, new Set([first.nid]), MAX_NUMNODES, (block) => coverDma32(block.start + size, cutting.ram))) return false;
    if (cutting.made.length < count) {
      cutting.printk(`numa_emulation: phys: ${first.nid} only got ${cutting.made.length} of ${count} nodes, failing`);
      return false;
    }
  }
  return true;
}

/** The asked-for size in whole grains, raised if it is too small. */
function atLeast(asked: number, least: number, printk: Printk): number {
  const minimum = roundUp(Math.max(least, FAKE_NODE_MIN_SIZE), FAKE_NODE_MIN_SIZE);
  if (asked >= minimum) return roundDown(asked, FAKE_NODE_MIN_SIZE);
  printk(`Fake node size ${Math.floor(asked / MIB)}MB too small, increasing to ${minimum / MIB}MB`, KERN.err);
  return minimum;
}

/** Take one node in turn from each physical node until nothing is left; `endOf` says where the next one ends. */
function fillNodes(cutting: Cutting, nodes: ReadonlySet<NodeId>, idCount: number, endOf: (block: NumaMemblk, made: number) => number): boolean {
  const { left, made, physicalNode, printk } = cutting;
  const open = [...nodes].sort((a, b) => a - b);
  while (open.length > 0) {
    for (const physical of [...open]) {
      const index = left.findIndex(({ nid }) => nid === physical);
      if (index < 0) {
        open.splice(open.indexOf(physical), 1);
        continue;
      }
      const block = left[index]!;
      const end = Math.min(endOf(block, made.length), block.end);
      const nid = nodeId(made.length % idCount);
      if (!addNumaMemblk(made, { start: block.start, end, nid })) {
        printk('NUMA: Too many emulated memblks, failing emulation', KERN.err);
        return false;
      }
      if (!physicalNode.has(nid)) physicalNode.set(nid, physical);
      if (end < block.end) left[index] = { ...block, start: end };
      else left.splice(index, 1);
      const sizeMib = Math.floor((end - block.start) / MIB);
      printk(`Faking node ${nid} at [mem ${hex16(block.start)}-${hex16(end - 1)}] (${sizeMib}MB)`);
    }
  }
  return true;
}

/** Move an end up, grain by grain, until the node has `size` bytes of memory or takes the rest of its block. */
function growToSize({ start, end: limit }: Range, end: number, size: number, ram: RamCounter): number {
  const missing = size - ram.between(start, end);
  if (missing <= 0) return end;
  const enoughAt = ram.addressAfter(end, missing);
  return Math.min(limit, end + roundUp(enoughAt - end, FAKE_NODE_MIN_SIZE));
}

/** The next node must find a grain below 4 GiB if it begins there, and its size in what is left of the block. */
function leaveNoCrumbs({ end: limit }: Range, end: number, size: number, ram: RamCounter): number {
  const covered = coverDma32(end, ram);
  return ram.between(covered, limit) < size ? limit : covered;
}

function coverDma32(end: number, ram: RamCounter): number {
  return end < DMA32_END && ram.between(end, DMA32_END) < FAKE_NODE_MIN_SIZE ? DMA32_END : end;
}

function pagesBytes(pages: number): number {
  return Math.floor(pages) * PAGE_SIZE;
}

function ramCounter({ memory }: Memblock): RamCounter {
  return {
    between: (start, end) => memory.reduce((sum, region) => sum + Math.max(0, Math.min(region.end, end) - Math.max(region.start, start)), 0),
    addressAfter(start, wanted) {
      let missing = wanted;
      for (const region of memory) {
        const from = Math.max(region.start, start);
        const size = region.end - from;
        if (size <= 0) continue;
        if (size >= missing) return from + missing;
        missing -= size;
      }
      return Infinity;
    },
  };
}
