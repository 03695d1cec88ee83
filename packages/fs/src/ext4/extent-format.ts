/**
 * Extent trees: nodes of twelve-byte entries, the root in the inode. Mirrors fs/ext4/ext4_extents.h, and fs/ext4/extents.c:
 * ext4_ext_check, ext4_extent_block_csum.
 *
 *   header: magic u16 │ entries u16 │ max u16 │ depth u16 │ generation u32
 *   leaf:   block u32 │ length u16 │ start high u16 │ start low u32          length above 32768: not written yet
 *   index:  block u32 │ child low u32 │ child high u16 │ unused u16
 *
 * With checksums a node outside of the inode ends in the sum over all before it.
 */
import { KernelError } from '@holdfast/lib';
import { crc32c } from '../crc32c.js';
import type { Extent } from '../extent-list.js';

/** The most blocks of one extent; of one that is not written, one less. */
export const EXT_INIT_MAX_LEN = 32768;

const MAGIC = 0xf30a;
const ENTRY = 12;
const ROOT_BYTES = 60;
const MAX_DEPTH = 5;

/** Entries that fit into a node of so many bytes. */
function capacityOf(bytes: number): number {
  return Math.floor((bytes - ENTRY) / ENTRY);
}

export interface ExtentTree {
  readonly root: Uint8Array;
  /** Nodes outside of the inode, by block. */
  readonly nodes: ReadonlyMap<number, Uint8Array>;
}

export interface ExtentNodes {
  readonly blockSize: number;
  /** What checksums of nodes begin with; undefined without checksums. */
  readonly seed: number | undefined;
}

/** Write extents, ascending, as a tree; `alloc` gives a block for each node that the inode does not hold. */
export function buildExtentTree(extents: readonly Extent[], { blockSize, seed, alloc }: ExtentNodes & { readonly alloc: () => number }): ExtentTree {
  const nodes = new Map<number, Uint8Array>();
  let level: Uint8Array[] = extents.map(encodeLeaf);
  let firsts = extents.map(({ block }) => block);
  let depth = 0;
  while (level.length > capacityOf(ROOT_BYTES)) {
    const perNode = capacityOf(blockSize);
    const above: Uint8Array[] = [];
    const aboveFirsts: number[] = [];
    for (let from = 0; from < level.length; from += perNode) {
      const node = new Uint8Array(blockSize);
      encodeNode(node, depth, perNode, level.slice(from, from + perNode));
      if (seed !== undefined) new DataView(node.buffer).setUint32(tailAt(perNode), crc32c(seed, node.subarray(0, tailAt(perNode))), true);
      const block = alloc();
      nodes.set(block, node);
      above.push(encodeIndex(firsts[from]!, block));
      aboveFirsts.push(firsts[from]!);
    }
    level = above;
    firsts = aboveFirsts;
    depth++;
  }
  const root = new Uint8Array(ROOT_BYTES);
  encodeNode(root, depth, capacityOf(ROOT_BYTES), level);
  return { root, nodes };
}

/**
 * Read a tree: its extents, ascending, and the blocks of its nodes.
 * @throws KernelError EIO where it is not one: a bad header, checksum, depth, order, or a block that `isValid` refuses
 */
export function readExtentTree(
  root: Uint8Array,
  {
    seed,
    read,
    isValid,
  }: Pick<ExtentNodes, 'seed'> & { readonly read: (block: number) => Uint8Array; readonly isValid: (start: number, length: number) => boolean },
): { extents: Extent[]; nodes: number[] } {
  const extents: Extent[] = [];
  const nodes: number[] = [];
  const corrupt = (what: string): never => {
    throw new KernelError('EIO', `the extent tree has ${what}`);
  };
  const walk = (node: Uint8Array, depth: number | undefined): void => {
    const view = new DataView(node.buffer, node.byteOffset, node.length);
    const [magic, entries, max, level] = [0, 2, 4, 6].map((at) => view.getUint16(at, true)) as [number, number, number, number];
    if (magic !== MAGIC) corrupt('a node without its magic number');
    if (entries > max || max > capacityOf(node.length)) corrupt(`a node of ${entries} entries, where ${capacityOf(node.length)} fit`);
    if (level > MAX_DEPTH || (depth !== undefined && level !== depth)) corrupt(`a node of depth ${level}`);
    if (depth !== undefined && seed !== undefined && view.getUint32(tailAt(max), true) !== crc32c(seed, node.subarray(0, tailAt(max)))) {
      corrupt('a node with a wrong checksum');
    }
    for (let i = 0; i < entries; i++) {
      const at = ENTRY * (i + 1);
      if (level > 0) {
        const child = view.getUint32(at + 4, true) + view.getUint16(at + 8, true) * 2 ** 32;
        if (!isValid(child, 1) || nodes.includes(child)) corrupt(`a node at block ${child}`);
        nodes.push(child);
        walk(read(child), level - 1);
        continue;
      }
      const extent = decodeLeaf(view, at);
      const last = extents.at(-1);
      if (extent.length === 0 || (last && last.block + last.length > extent.block)) {
        corrupt(`an extent of ${extent.length} blocks at ${extent.block}, out of order`);
      }
      if (!isValid(extent.start, extent.length)) corrupt(`an extent at blocks ${extent.start} to ${extent.start + extent.length}`);
      extents.push(extent);
    }
  };
  walk(root, undefined);
  return { extents, nodes };
}

function tailAt(max: number): number {
  return ENTRY * (max + 1);
}

function encodeNode(node: Uint8Array, depth: number, max: number, entries: readonly Uint8Array[]): void {
  const view = new DataView(node.buffer, node.byteOffset);
  for (const [at, value] of [[0, MAGIC], [2, entries.length], [4, max], [6, depth]] as const) view.setUint16(at, value, true);
  for (const [index, entry] of entries.entries()) node.set(entry, ENTRY * (index + 1));
}

function encodeLeaf({ block, length, start, isUnwritten }: Extent): Uint8Array {
  const entry = new Uint8Array(ENTRY);
  const view = new DataView(entry.buffer);
  view.setUint32(0, block, true);
  view.setUint16(4, isUnwritten ? length + EXT_INIT_MAX_LEN : length, true);
  view.setUint16(6, Math.floor(start / 2 ** 32), true);
  view.setUint32(8, start % 2 ** 32, true);
  return entry;
}

function decodeLeaf(view: DataView, at: number): Extent {
  const length = view.getUint16(at + 4, true);
  const isUnwritten = length > EXT_INIT_MAX_LEN;
  return {
    block: view.getUint32(at, true),
    length: isUnwritten ? length - EXT_INIT_MAX_LEN : length,
    start: view.getUint16(at + 6, true) * 2 ** 32 + view.getUint32(at + 8, true),
    isUnwritten,
  };
}

function encodeIndex(block: number, child: number): Uint8Array {
  const entry = new Uint8Array(ENTRY);
  const view = new DataView(entry.buffer);
  view.setUint32(0, block, true);
  view.setUint32(4, child % 2 ** 32, true);
  view.setUint16(8, Math.floor(child / 2 ** 32), true);
  return entry;
}
