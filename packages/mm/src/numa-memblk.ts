/**
 * numa_meminfo: the list of which node owns which physical range, and how firmware's list is made fit for use.
 * Mirrors arch/x86/mm/numa.c: numa_add_memblk_to, numa_cleanup_meminfo, numa_meminfo_cover_memory.
 */
import { type NodeId, type Pfn, type Printk, type Range, KERN, MIB, PAGE_SIZE, memRange, pfnToPhys, rangesOverlap } from '@holdfast/lib';
import type { Memblock } from './memblock.js';

/** The most nodes a kernel can have (NODES_SHIFT 10). */
export const MAX_NUMNODES = 1024;
const NR_NODE_MEMBLKS = 2 * MAX_NUMNODES;

/** Bytes `[start, end)` of a node. */
export interface NumaMemblk extends Range {
  readonly nid: NodeId;
}

/** Append a range. Empty ones are passed over; false if the list is full. */
export function addNumaMemblk(blocks: NumaMemblk[], block: NumaMemblk): boolean {
  if (block.start === block.end) return true;
  if (blocks.length >= NR_NODE_MEMBLKS) return false;
  blocks.push(block);
  return true;
}

/** The node whose range holds the address, or undefined. */
export function memblkNode(blocks: readonly NumaMemblk[], addr: number): NodeId | undefined {
  return blocks.find(({ start, end }) => start <= addr && addr < end)?.nid;
}

export interface CleanMeminfo {
  readonly blocks: NumaMemblk[];
  /** Ranges without memory today, kept for what may be plugged there. */
  readonly reserved: NumaMemblk[];
}

/**
 * Set apart what holds no memory or lies beyond the last page, then join the ranges of a node that no other node's range separates.
 * Returns undefined, with a line in the log, if ranges of two nodes overlap. Before 2.6.39 joins were not told.
 */
export function cleanupMeminfo(raw: readonly NumaMemblk[], memblock: Memblock, maxPfn: Pfn, printk: Printk, tellsJoins = true): CleanMeminfo | undefined {
  const { blocks, reserved } = trimToMemory(raw, memblock, pfnToPhys(maxPfn));
  for (let i = 0; i < blocks.length; i++) {
    for (let j = i + 1; j < blocks.length; j++) {
      if (!reportOverlap(blocks[i]!, blocks[j]!, printk)) return undefined;
      const union = joinable(blocks[i]!, blocks[j]!, blocks);
      if (!union) continue;
      if (tellsJoins) printk(`NUMA: Node ${union.nid} ${inclusive(blocks[i]!)} + ${inclusive(blocks[j]!)} -> ${inclusive(union)}`);
      blocks[i] = union;
      blocks.splice(j, 1);
      j -= 1;
    }
  }
  return { blocks, reserved };
}

function trimToMemory(raw: readonly NumaMemblk[], memblock: Memblock, high: number): CleanMeminfo {
  const blocks: NumaMemblk[] = [];
  const reserved: NumaMemblk[] = [];
  for (const block of raw) {
    if (!memblock.overlapsMemory(block)) {
      reserved.push(block);
      continue;
    }
    if (block.end > high) addNumaMemblk(reserved, { ...block, start: high });
    const end = Math.min(block.end, high);
    if (block.start < end) blocks.push({ ...block, end });
  }
  return { blocks, reserved };
}

/** False if the two blocks are of different nodes and overlap. */
function reportOverlap(a: NumaMemblk, b: NumaMemblk, printk: Printk): boolean {
  if (!rangesOverlap(a, b)) return true;
  if (a.nid === b.nid) {
    printk(`NUMA: Warning: node ${a.nid} ${inclusive(a)} overlaps with itself ${inclusive(b)}`, KERN.warning);
    return true;
  }
  printk(`NUMA: node ${a.nid} ${inclusive(a)} overlaps with node ${b.nid} ${inclusive(b)}`, KERN.err);
  return false;
}

/** The union of two blocks of one node, unless another node has a range in it. */
function joinable(a: NumaMemblk, b: NumaMemblk, blocks: readonly NumaMemblk[]): NumaMemblk | undefined {
  if (a.nid !== b.nid) return undefined;
  const union = { start: Math.min(a.start, b.start), end: Math.max(a.end, b.end), nid: a.nid };
  return blocks.some((other) => other.nid !== a.nid && rangesOverlap(other, union)) ? undefined : union;
}

function inclusive({ start, end }: Range): string {
  return memRange(start, end - 1);
}

/** Do the nodes' ranges hold all memory but for 1 MiB? Says so in the log if not. */
export function meminfoCoversMemory(blocks: readonly NumaMemblk[], memblock: Memblock, maxPfn: Pfn, printk: Printk): boolean {
  const pagesIn = (range: Range): number =>
    memblock.memory.reduce((sum, region) => sum + Math.max(0, Math.min(region.end, range.end) - Math.max(region.start, range.start)) / PAGE_SIZE, 0);
  const covered = blocks.reduce((sum, block) => sum + Math.floor(pagesIn(block)), 0);
  const present = Math.floor(pagesIn({ start: 0, end: pfnToPhys(maxPfn) }));
  if (present - covered < MIB / PAGE_SIZE) return true;
  const mib = (pages: number): number => Math.floor((pages * PAGE_SIZE) / MIB);
  printk(`NUMA: nodes only cover ${mib(covered)}MB of your ${mib(present)}MB e820 RAM. Not used.`, KERN.err);
  return false;
}
