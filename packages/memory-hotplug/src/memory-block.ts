/**
 * Memory blocks: /sys/devices/system/memory. Mirrors drivers/base/memory.c, and drivers/base/node.c: link_mem_sections.
 *
 * Invariant: there is a block for each group of sections that boot memory touches, and it is online. Device memory has none.
 * Differs from Linux: blocks do not go offline yet; writes that Linux refuses at once are refused alike, the others with EOPNOTSUPP.
 */
import { KernelError, PAGES_PER_SECTION, SECTION_SIZE, hex, isAligned, memparse, parseBool, readOnly, readWrite, regionIntersectsSystemRam } from '@holdfast/lib';
import type { Attribute, NodeId, Pfn, Range, Resource } from '@holdfast/lib';
import type { MemoryOnliner, ZoneView } from './memory-onliner.js';
import type { HotplugPolicy } from './policy.js';
import { ONLINE_WORDS } from './policy.js';
import { createRunSet, firstEndingAfter } from './run-set.js';
import type { Sections } from './sparse.js';

/** Frames `[start, end)` whose struct pages boot initialised for a node: its RAM, and holes that were given to it. Sorted, disjoint. */
export interface PageRun extends Range<Pfn> {
  readonly nid: NodeId;
}

export interface MemoryBlockDeps {
  sections: Sections;
  /** Bytes, from probeMemoryBlockSize. */
  blockSize: number;
  pageRuns: readonly PageRun[];
  onliner: MemoryOnliner;
  policy: HotplugPolicy;
  /** The root of /proc/iomem: a block with holes in its System RAM cannot go offline. */
  iomem: Resource;
}

export interface MemoryBlocks {
  readonly blockSize: number;
  /** How many blocks there are. */
  readonly count: number;
  /** Their numbers, ascending: N of `memoryN`, which is its address divided by the block size. */
  numbers(): IterableIterator<number>;
  has(nr: number): boolean;
  /** The nodes `memoryN` is linked with, ascending. */
  nodes(nr: number): readonly NodeId[];
  /** The files of `memoryN`. */
  attributes(nr: number): Attribute[];
  /** The files beside the blocks. */
  directoryAttributes(): Attribute[];
}

export function createMemoryBlocks(deps: MemoryBlockDeps): MemoryBlocks {
  const { sections, blockSize, policy } = deps;
  const sectionsPerBlock = blockSize / SECTION_SIZE;
  const blocks = createRunSet();
  for (const { start, end } of sections.early) blocks.add(Math.floor(start / sectionsPerBlock), Math.ceil(end / sectionsPerBlock));

  return {
    blockSize,
    count: blocks.runs.reduce((sum, { start, end }) => sum + end - start, 0),
    *numbers() {
      for (const { start, end } of blocks.runs) for (let nr = start; nr < end; nr++) yield nr;
    },
    has: (nr) => blocks.has(nr),
    nodes: (nr) => nodesOf(nr, deps),
    attributes: (nr) => blockAttributes(nr, deps),
    directoryAttributes: () => [
      readOnly('block_size_bytes', () => blockSize.toString(16)),
      readWrite('auto_online_blocks', () => policy.autoOnline, (text) => {
        policy.autoOnline = onlineWord(text);
      }),
      { name: 'probe', mode: 0o200, store: (text) => probe(text, blockSize) },
    ],
  };
}

function blockAttributes(nr: number, deps: MemoryBlockDeps): Attribute[] {
  return [
    readOnly('phys_index', () => nr.toString(16).padStart(8, '0')),
    readWrite('state', () => 'online', (text) => {
      if (onlineWord(text) !== 'offline') throw new KernelError('EINVAL', `memory${nr} is online already`);
      offline(nr, deps);
    }),
    // Unlike `state`, to write what it is already is no error here.
    readWrite('online', () => 1, (text) => {
      if (!parseBool(text)) offline(nr, deps);
    }),
    readOnly('removable', () => 1),
    readOnly('phys_device', () => 0),
    readOnly('valid_zones', () => zoneOf(nr, deps)?.name ?? 'none'),
  ];
}

function framesOf(nr: number, blockSize: number): Range {
  const pages = (blockSize / SECTION_SIZE) * PAGES_PER_SECTION;
  return { start: nr * pages, end: (nr + 1) * pages };
}

/** A node is linked if any frame of the block was initialised for it (register_mem_block_under_node_early). */
function nodesOf(nr: number, { pageRuns, blockSize }: MemoryBlockDeps): NodeId[] {
  const { start, end } = framesOf(nr, blockSize);
  const nodes = new Set<NodeId>();
  for (let at = firstEndingAfter(pageRuns, start); at < pageRuns.length && pageRuns[at]!.start < end; at++) nodes.add(pageRuns[at]!.nid);
  return [...nodes].sort((a, b) => a - b);
}

/** The one populated zone whose span touches the block, if it is one and the block is of one node (early_node_zone_for_memory_block). */
function zoneOf(nr: number, deps: MemoryBlockDeps): ZoneView | undefined {
  const { start, end } = framesOf(nr, deps.blockSize);
  const nodes = nodesOf(nr, deps);
  if (nodes.length !== 1) return undefined;
  const touching = deps.onliner.zones().filter((zone) => zone.nid === nodes[0] && zone.present !== 0 && zone.startPfn < end && zone.startPfn + zone.spanned > start);
  return touching.length === 1 ? touching[0] : undefined;
}

function offline(nr: number, deps: MemoryBlockDeps): never {
  if (!zoneOf(nr, deps)) throw new KernelError('EINVAL', `memory${nr} lies in more than one zone or node`);
  const start = nr * deps.blockSize;
  if (regionIntersectsSystemRam(deps.iomem, start, start + deps.blockSize - 1) !== 'intersects') {
    throw new KernelError('EINVAL', `memory${nr} has holes`);
  }
  throw new KernelError('EOPNOTSUPP', `memory${nr}: taking memory offline is not supported in this release of Holdfast`);
}

function probe(text: string, blockSize: number): never {
  const { value, rest, found } = memparse(text.replace(/\n$/, ''));
  if (!found || rest !== '') throw new KernelError('EINVAL', `probe '${text.trimEnd()}': expected a physical address`);
  if (!isAligned(Number(value), blockSize)) throw new KernelError('EINVAL', `probe ${hex(value)}: expected a multiple of the block size ${hex(blockSize)}`);
  throw new KernelError('EOPNOTSUPP', `probe ${hex(value)}: adding memory is not supported in this release of Holdfast`);
}

function onlineWord(text: string): (typeof ONLINE_WORDS)[number] {
  const word = ONLINE_WORDS.find((each) => each === text.replace(/\n$/, ''));
  if (!word) throw new KernelError('EINVAL', `'${text.trimEnd()}': expected one of ${ONLINE_WORDS.join(', ')}`);
  return word;
}
