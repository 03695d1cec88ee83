/**
 * Where zone Movable begins on each node: `kernelcore=`, `movablecore=` and `movable_node`.
 * Mirrors mm/page_alloc.c (mm/mm_init.c since 6.4): find_zone_movable_pfns_for_nodes, cmdline_parse_core.
 *
 * Differs from Linux: `kernelcore=mirror` is refused as on a machine without mirrored memory, whatever memblock's flags say.
 */
import {
  type KernelParam, type NodeId, type Pfn, type Printk, type Range,
  KERN, MAX_ORDER_NR_PAGES, PAGE_SIZE, memparse, parseUint, roundUp, sameParamName,
} from '@holdfast/lib';
import { MEMBLOCK_HOTPLUG, type Memblock } from './memblock.js';

export interface MovableStartNeeds {
  readonly memblock: Memblock;
  readonly params: readonly KernelParam[];
  readonly printk: Printk;
  /** The memory of each node that has any, nodes and ranges ascending. */
  readonly nodeRanges: ReadonlyMap<NodeId, readonly Range<Pfn>[]>;
  /** The first page of the highest zone with room: what lies below is the kernel's in any case. */
  readonly usableStart: Pfn;
}

/** The first Movable page of each node that gets such a zone. */
export function findMovableStarts(needs: MovableStartNeeds): Map<NodeId, Pfn> {
  const { params, printk } = needs;
  if (params.some(({ name }) => sameParamName(name, 'movable_node'))) return alignStarts(hotpluggableStarts(needs.memblock), needs.nodeRanges);
  if (coreParam(params, 'kernelcore') === 'mirror') {
    printk('The system has no mirror memory, ignore kernelcore=mirror.', KERN.warning);
    return new Map();
  }
  const total = countPages([...needs.nodeRanges.values()].flat());
  const kernelPages = requiredKernelPages(params, total);
  if (kernelPages === 0 || kernelPages >= total) return new Map();
  return alignStarts(spreadKernelPages(needs, kernelPages), needs.nodeRanges);
}

/** With `movable_node`: the lowest hot-pluggable memory of each node. */
function hotpluggableStarts({ memory }: Memblock): Map<NodeId, number> {
  const starts = new Map<NodeId, number>();
  for (const { start, nid, flags } of memory) {
    if ((flags & MEMBLOCK_HOTPLUG) !== 0 && !starts.has(nid)) starts.set(nid, Math.floor(start / PAGE_SIZE));
  }
  return starts;
}

function coreParam(params: readonly KernelParam[], name: string): string | undefined {
  return params.findLast((param) => sameParamName(param.name, name))?.value;
}

/** `nn[KMGTPE]` or `nn%` of `total`, in pages; 0 if not given. */
function corePages(params: readonly KernelParam[], name: string, total: number): number {
  const text = coreParam(params, name) ?? '';
  const percent = parseUint(text);
  if (!percent.rest.startsWith('%')) return Number(memparse(text).value / BigInt(PAGE_SIZE));
  return Math.floor((total * 100 * Number(percent.value)) / 10_000);
}

function requiredKernelPages(params: readonly KernelParam[], total: number): number {
  const kernel = corePages(params, 'kernelcore', total);
  const movable = corePages(params, 'movablecore', total);
  if (movable === 0) return kernel;
  return Math.max(kernel, total - Math.min(total, roundUp(movable, MAX_ORDER_NR_PAGES)));
}

/**
 * Give each node an equal share of the kernel's pages from its low end. What a node was too small for is spread again over the others,
 * counting one node fewer each time.
 */
function spreadKernelPages({ nodeRanges, usableStart }: MovableStartNeeds, kernelPages: number): Map<NodeId, number> {
  const starts = new Map<NodeId, number>();
  let remaining = kernelPages;
  for (let nodes = nodeRanges.size; nodes > 0; nodes--) {
    let share = Math.floor(remaining / nodes);
    for (const [nid, ranges] of nodeRanges) {
      if (remaining < share) share = Math.floor(remaining / nodes);
      const taken = takeShare(ranges, starts.get(nid) ?? 0, usableStart, share);
      starts.set(nid, taken.start);
      remaining = Math.max(0, remaining - taken.pages);
    }
    if (remaining <= nodes - 1) break;
  }
  return starts;
}

/** Walk a node's memory from `start`, taking pages until the share is used up; what lies below `usableStart` goes whole. */
function takeShare(ranges: readonly Range[], start: number, usableStart: number, share: number): { start: number; pages: number } {
  let marker = start;
  let pages = 0;
  for (const range of ranges) {
    const from = Math.max(range.start, marker);
    if (from >= range.end) continue;
    const below = Math.max(0, Math.min(range.end, usableStart) - from);
    pages += below;
    marker = from + below;
    if (range.end <= usableStart) continue;
    const wanted = Math.min(range.end - marker, Math.max(0, share - pages));
    pages += wanted;
    marker += wanted;
    if (pages >= share) break;
  }
  return { start: marker, pages };
}

/** Round up to whole buddy blocks; a start at or behind the node's end is none. */
function alignStarts(starts: ReadonlyMap<NodeId, number>, nodeRanges: MovableStartNeeds['nodeRanges']): Map<NodeId, Pfn> {
  const aligned = [...starts].map(([nid, start]) => [nid, roundUp(start, MAX_ORDER_NR_PAGES) as Pfn] as const);
  return new Map(aligned.filter(([nid, start]) => start > 0 && start < (nodeRanges.get(nid)?.at(-1)?.end ?? 0)));
}

/** Pages of disjoint ranges. */
export function countPages(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
