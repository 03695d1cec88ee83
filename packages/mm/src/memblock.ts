/**
 * memblock: the allocator of early boot, and the kernel's record of which memory exists and on which node.
 * Mirrors mm/memblock.c.
 *
 * Invariant: both lists are sorted and disjoint, no region is empty, and two that touch differ in node or flags.
 * Differs from Linux: the lists grow as needed, so they are never doubled and never run out; ends stop at 2^53 and not at 2^64.
 */
import { type NodeId, type PhysAddr, type Range, NUMA_NO_NODE, PAGE_SIZE, firstEndingAfter, hex, hex16, roundDown, roundUp } from '@holdfast/lib';

export const MEMBLOCK_NONE = 0;
/** Hot-pluggable, by the firmware's word. */
export const MEMBLOCK_HOTPLUG = 1;
/** Mirrored: more reliable than the rest. */
export const MEMBLOCK_MIRROR = 2;
/** Exists, but is not to be mapped or allocated. */
export const MEMBLOCK_NOMAP = 4;
/** Added by a driver. */
export const MEMBLOCK_DRIVER_MANAGED = 8;

/** A stretch of memory: bytes `[start, end)`. */
export interface MemblockRegion extends Range<PhysAddr> {
  /** `NUMA_NO_NODE` until the nodes are known. */
  readonly nid: NodeId;
  /** `MEMBLOCK_*`. */
  readonly flags: number;
}

export interface MemblockAllocOptions {
  /** Bytes; 64 (a cache line) if left out. */
  readonly align?: number;
  /** The lowest address; page 0 is never given out. */
  readonly min?: number;
  /** Exclusive; `currentLimit` if left out. */
  readonly max?: number;
  /** Where it should lie; any node, if left out. */
  readonly nid?: NodeId;
  /** Fail rather than take another node. */
  readonly exactNid?: boolean;
}

export interface Memblock {
  readonly memory: readonly MemblockRegion[];
  readonly reserved: readonly MemblockRegion[];
  /** Allocations without a `max` end here: bytes, exclusive (memblock_set_current_limit). */
  currentLimit: number;
  /** Search from low addresses upwards; downwards if not. */
  bottomUp: boolean;
  /** The boot parameter of that name: hot-pluggable memory is then not allocated from. */
  movableNode: boolean;

  /** Record memory. What is there already keeps its node and flags. */
  add(start: number, sizeBytes: number, nid?: NodeId, flags?: number): void;
  /** Forget memory. */
  remove(start: number, sizeBytes: number): void;
  /** Mark a range, memory or not, as taken. */
  reserve(start: number, sizeBytes: number, nid?: NodeId): void;
  /** Give a range back; nobody checks that it was taken (memblock_phys_free). */
  free(start: number, sizeBytes: number): void;
  setNode(list: 'memory' | 'reserved', start: number, sizeBytes: number, nid: NodeId): void;
  /** Set a flag on memory; `clear` takes it away. */
  mark(start: number, sizeBytes: number, flag: number): void;
  clear(start: number, sizeBytes: number, flag: number): void;
  /** Cut memory regions inwards to whole multiples of `align`. */
  trimMemory(align: number): void;
  /** Find and reserve; undefined if there is no room. A node that has none is given up before `min` is. */
  alloc(sizeBytes: number, options?: MemblockAllocOptions): PhysAddr | undefined;
  /** Memory that is not reserved, on one node or on all, in ascending order, never crossing a region's edge. */
  freeRanges(nid?: NodeId): Range<PhysAddr>[];
  overlapsMemory(range: Range): boolean;
  /** The end of the highest memory, or 0 (memblock_end_of_DRAM). */
  endOfDram(): PhysAddr;
}

const SMP_CACHE_BYTES = 64;
const ADDRESS_END = Number.MAX_SAFE_INTEGER;
const EVERYWHERE: Range = { start: 0, end: ADDRESS_END };

export function createMemblock(): Memblock {
  let memory: MemblockRegion[] = [];
  let reserved: MemblockRegion[] = [];

  const allocWithin = (sizeBytes: number, options: MemblockAllocOptions, skipUnmirrored: boolean): PhysAddr | undefined => {
    const { align = SMP_CACHE_BYTES, min = 0, max = block.currentLimit, nid = NUMA_NO_NODE } = options;
    const window = { start: Math.max(min, PAGE_SIZE), end: max };
    const usable = memory.filter((region) => isAllocatable(region, nid, block.movableNode, skipUnmirrored));
    return findInRange(subtractRanges(usable, reserved), sizeBytes, align, window, block.bottomUp);
  };
  /** Linux's order of giving up: the node, then mirroring, then the lower bound. */
  const find = (sizeBytes: number, options: MemblockAllocOptions): PhysAddr | undefined => {
    const nodes = options.nid === undefined || options.exactNid ? [options] : [options, { ...options, nid: NUMA_NO_NODE }];
    const hasMirror = memory.some((region) => hasFlag(region, MEMBLOCK_MIRROR));
    for (const lowered of options.min ? [{}, { min: 0 }] : [{}]) {
      for (const skipUnmirrored of hasMirror ? [true, false] : [false]) {
        for (const attempt of nodes) {
          const found = allocWithin(sizeBytes, { ...attempt, ...lowered }, skipUnmirrored);
          if (found !== undefined) return found;
        }
      }
    }
    return undefined;
  };
  const edit = (start: number, sizeBytes: number, change: (region: MemblockRegion) => MemblockRegion): void => {
    memory = editRegions(memory, rangeOf(start, sizeBytes), change);
  };

  const block: Memblock = {
    get memory() {
      return memory;
    },
    get reserved() {
      return reserved;
    },
    currentLimit: ADDRESS_END,
    bottomUp: false,
    movableNode: false,
    add(start, sizeBytes, nid = NUMA_NO_NODE, flags = MEMBLOCK_NONE) {
      memory = insertRegions(memory, rangeOf(start, sizeBytes), nid, flags);
    },
    remove(start, sizeBytes) {
      memory = removeRange(memory, rangeOf(start, sizeBytes));
    },
    reserve(start, sizeBytes, nid = NUMA_NO_NODE) {
      reserved = insertRegions(reserved, rangeOf(start, sizeBytes), nid, MEMBLOCK_NONE);
    },
    free(start, sizeBytes) {
      reserved = removeRange(reserved, rangeOf(start, sizeBytes));
    },
    setNode(list, start, sizeBytes, nid) {
      const change = (region: MemblockRegion): MemblockRegion => ({ ...region, nid });
      if (list === 'memory') edit(start, sizeBytes, change);
      else reserved = editRegions(reserved, rangeOf(start, sizeBytes), change);
    },
    mark: (start, sizeBytes, flag) => edit(start, sizeBytes, (region) => ({ ...region, flags: region.flags | flag })),
    clear: (start, sizeBytes, flag) => edit(start, sizeBytes, (region) => ({ ...region, flags: region.flags & ~flag })),
    trimMemory(align) {
      const trim = ({ start, end }: MemblockRegion): Range => ({ start: roundUp(start, align), end: roundDown(end, align) });
      const trimmed = memory.map((region) => ({ ...region, ...trim(region) }) as MemblockRegion);
      memory = trimmed.filter(({ start, end }) => start < end);
    },
    alloc(sizeBytes, options = {}) {
      const found = find(sizeBytes, options);
      if (found !== undefined) block.reserve(found, sizeBytes);
      return found;
    },
    freeRanges: (nid) => subtractRanges(nid === undefined ? memory : memory.filter((region) => region.nid === nid), reserved),
    overlapsMemory: (range) => memory.some((region) => region.start < range.end && range.start < region.end),
    endOfDram: () => memory.at(-1)?.end ?? (0 as PhysAddr),
  };
  return block;
}

/** `[start, start + sizeBytes)`, cut where addresses end. */
function rangeOf(start: number, sizeBytes: number): Range {
  return { start, end: Math.min(start + sizeBytes, EVERYWHERE.end) };
}

function hasFlag(region: MemblockRegion, flag: number): boolean {
  return (region.flags & flag) !== 0;
}

function isAllocatable(region: MemblockRegion, nid: NodeId, movableNode: boolean, skipUnmirrored: boolean): boolean {
  if (nid !== NUMA_NO_NODE && region.nid !== nid) return false;
  if (movableNode && hasFlag(region, MEMBLOCK_HOTPLUG)) return false;
  if (skipUnmirrored && !hasFlag(region, MEMBLOCK_MIRROR)) return false;
  return !hasFlag(region, MEMBLOCK_NOMAP) && !hasFlag(region, MEMBLOCK_DRIVER_MANAGED);
}

/** Replace the regions that touch or meet `range`, and merge what then is alike and contiguous. */
function replaceAround(
  regions: readonly MemblockRegion[],
  range: Range,
  replace: (region: MemblockRegion) => MemblockRegion[],
  added: readonly MemblockRegion[] = [],
): MemblockRegion[] {
  // From the last region that ends at or before the range, which may merge with it, to the first that begins behind.
  const first = Math.max(0, firstEndingAfter(regions, range.start) - 1);
  let last = firstEndingAfter(regions, range.end);
  if (last < regions.length) last += 1;
  const middle = regions.slice(first, last).flatMap(replace).concat(added);
  middle.sort((a, b) => a.start - b.start);
  return [...regions.slice(0, first), ...mergeAlike(middle), ...regions.slice(last)];
}

function mergeAlike(regions: readonly MemblockRegion[]): MemblockRegion[] {
  const merged: MemblockRegion[] = [];
  for (const region of regions) {
    const before = merged.at(-1);
    if (before && before.end === region.start && before.nid === region.nid && before.flags === region.flags) {
      merged[merged.length - 1] = { ...before, end: region.end };
    } else {
      merged.push(region);
    }
  }
  return merged;
}

function insertRegions(regions: readonly MemblockRegion[], range: Range, nid: NodeId, flags: number): MemblockRegion[] {
  const added = subtractRanges([range], regions).map((part) => ({ ...part, nid, flags }));
  return added.length === 0 ? [...regions] : replaceAround(regions, range, (region) => [region], added);
}

function removeRange(regions: readonly MemblockRegion[], range: Range): MemblockRegion[] {
  return replaceAround(regions, range, (region) => splitAt(region, range).filter((part) => !isInside(part, range)));
}

function editRegions(regions: readonly MemblockRegion[], range: Range, change: (region: MemblockRegion) => MemblockRegion): MemblockRegion[] {
  return replaceAround(regions, range, (region) => splitAt(region, range).map((part) => (isInside(part, range) ? change(part) : part)));
}

function isInside(part: Range, range: Range): boolean {
  return range.start <= part.start && part.end <= range.end;
}

/** A region cut at the edges of a range: one to three parts. */
function splitAt(region: MemblockRegion, { start, end }: Range): MemblockRegion[] {
  const cuts = [region.start, start, end, region.end].filter((cut) => cut >= region.start && cut <= region.end);
  const edges = [...new Set(cuts)].sort((a, b) => a - b) as PhysAddr[];
  return edges.slice(1).map((edge, index) => ({ ...region, start: edges[index]!, end: edge }));
}

/** The parts of sorted ranges that lie in none of the sorted `holes`. */
function subtractRanges(ranges: readonly Range[], holes: readonly Range[]): Range<PhysAddr>[] {
  const left: Range<PhysAddr>[] = [];
  const keep = (start: number, end: number): void => {
    if (start < end) left.push({ start: start as PhysAddr, end: end as PhysAddr });
  };
  for (const { start, end } of ranges) {
    let at = start;
    for (let index = firstEndingAfter(holes, start); index < holes.length && holes[index]!.start < end; index++) {
      keep(at, holes[index]!.start);
      at = holes[index]!.end;
    }
    keep(at, end);
  }
  return left;
}

function findInRange(free: readonly Range[], sizeBytes: number, align: number, window: Range, bottomUp: boolean): PhysAddr | undefined {
  for (const range of bottomUp ? free : free.toReversed()) {
    const start = Math.max(range.start, window.start);
    const end = Math.min(range.end, window.end);
    const candidate = bottomUp ? roundUp(start, align) : roundDown(end - sizeBytes, align);
    if (candidate >= start && candidate + sizeBytes <= end) return candidate as PhysAddr;
  }
  return undefined;
}

/** What `memblock=debug` dumps when the nodes are known (memblock_dump_all). Sizes are summed over what the lists hold. */
export function formatMemblock({ memory, reserved }: Memblock): string[] {
  const sizeOf = (regions: readonly MemblockRegion[]): string => hex16(regions.reduce((sum, { start, end }) => sum + end - start, 0));
  const dump = (name: string, regions: readonly MemblockRegion[]): string[] => [
    ` ${name}.cnt  = ${hex(regions.length)}`,
    ...regions.map(({ start, end, nid, flags }, index) => {
      const node = nid === NUMA_NO_NODE ? '' : ` on node ${nid}`;
      return ` ${name}[${hex(index)}]\t[${hex16(start)}-${hex16(end - 1)}], ${hex16(end - start)} bytes${node} flags: ${hex(flags)}`;
    }),
  ];
  const sizes = ` memory size = ${sizeOf(memory)} reserved size = ${sizeOf(reserved)}`;
  return ['MEMBLOCK configuration:', sizes, ...dump('memory', memory), ...dump('reserved', reserved)];
}
