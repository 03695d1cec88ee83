/**
 * How an inode says where its blocks are: an extent tree, or pointers and blocks of pointers. Mirrors fs/ext4/extents.c: ext4_ext_insert_extent,
 * ext4_ext_remove_space, and fs/ext4/indirect.c: ext4_ind_map_blocks, ext4_ind_truncate.
 *
 * Invariant: after each change the inode's root and the blocks outside of it say what the list says.
 * Differs from Linux: a tree is written anew when it changes, and is as dense as can be; nodes that do not change stay what they are.
 */
import { KernelError } from '@holdfast/lib';
import { type Extent, type ExtentList, createExtentList } from '../extent-list.js';
import { allocBlocks, freeBlocks } from './balloc.js';
import { EXT_INIT_MAX_LEN, buildExtentTree, readExtentTree } from './extent-format.js';
import { INODE_FL, type RawInode } from './inode.js';
import { blocksCountOf } from './superblock.js';
import { type Ext4Volume, seedOf } from './volume.js';

/** Blocks of one inode. */
export interface BlockMap {
  readonly list: ExtentList;
  /** Blocks that the map itself takes. */
  readonly overhead: number;
  /** Remember that blocks of the file are there now. */
  set(extent: Extent): void;
  /** Give back all blocks of the file from `block` on. */
  truncate(block: number): void;
}

/** @throws KernelError EIO for a map that leads astray */
export function openBlockMap(volume: Ext4Volume, ino: number, inode: RawInode): BlockMap {
  return (inode.flags & INODE_FL.EXTENTS) !== 0 ? openExtents(volume, ino, inode) : openIndirect(volume, inode);
}

function isValidRun({ sb }: Ext4Volume, start: number, count: number): boolean {
  return start > sb.firstDataBlock && start + count <= blocksCountOf(sb);
}

function openExtents(volume: Ext4Volume, ino: number, inode: RawInode): BlockMap {
  const { blockSize, buffers } = volume;
  const seed = seedOf(volume, ino, inode);
  const read = (block: number): Uint8Array => buffers.read(block * blockSize, blockSize);
  const tree = readExtentTree(inode.block, { seed, read, isValid: (start, count) => isValidRun(volume, start, count) });
  const list = createExtentList();
  for (const extent of tree.extents) list.set(extent);
  let nodes = tree.nodes;
  const store = (): void => {
    const spare = [...nodes];
    const goal = list.extents[0]?.start ?? volume.sb.firstDataBlock;
    const built = buildExtentTree(list.extents.flatMap(cutToLength), { blockSize, seed, alloc: () => spare.shift() ?? allocBlocks(volume, goal, 1).start });
    for (const [block, node] of built.nodes) if (!sameBytes(read(block), node)) buffers.write(block * blockSize, node);
    for (const block of spare) freeBlocks(volume, block, 1);
    nodes = [...built.nodes.keys()];
    inode.block = built.root;
  };
  return {
    list,
    get overhead() {
      return nodes.length;
    },
    set(extent) {
      list.set(extent);
      store();
    },
    truncate(block) {
      for (const { start, length } of list.cut(block)) freeBlocks(volume, start, length);
      store();
    },
  };
}

/** An extent of the medium holds at most 32768 blocks, and one less if they are not written. */
function cutToLength({ block, length, start, isUnwritten }: Extent): Extent[] {
  const most = isUnwritten ? EXT_INIT_MAX_LEN - 1 : EXT_INIT_MAX_LEN;
  const pieces: Extent[] = [];
  for (let done = 0; done < length; done += most) pieces.push({ block: block + done, length: Math.min(most, length - done), start: start + done, isUnwritten });
  return pieces;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}

const DIRECT = 12;

/** Twelve pointers, then a block of them, a block of such blocks, and a third level. */
function openIndirect(volume: Ext4Volume, inode: RawInode): BlockMap {
  const { blockSize, buffers } = volume;
  const perBlock = blockSize / 4;
  const root = (): DataView => new DataView(inode.block.buffer, inode.block.byteOffset);
  const pointers = (block: number): DataView => {
    const bytes = buffers.read(block * blockSize, blockSize);
    return new DataView(bytes.buffer);
  };
  const list = createExtentList();
  const indirect = new Set<number>();
  const load = (pointer: number, level: number, first: number): void => {
    if (pointer === 0) return;
    if (!isValidRun(volume, pointer, 1) || indirect.has(pointer)) throw new KernelError('EIO', `block ${first} of an inode is said to be at block ${pointer}`);
    if (level === 0) {
      list.set({ block: first, length: 1, start: pointer, isUnwritten: false });
      return;
    }
    indirect.add(pointer);
    const view = pointers(pointer);
    for (let i = 0; i < perBlock; i++) load(view.getUint32(i * 4, true), level - 1, first + i * perBlock ** (level - 1));
  };
  const levelStarts = [DIRECT, DIRECT + perBlock, DIRECT + perBlock + perBlock ** 2] as const;
  for (let i = 0; i < DIRECT; i++) load(root().getUint32(i * 4, true), 0, i);
  for (const [index, first] of levelStarts.entries()) load(root().getUint32((DIRECT + index) * 4, true), index + 1, first);

  /** The pointers that lead to a block: slots in the root, then in block after block. */
  const pathOf = (block: number): number[] => {
    if (block < DIRECT) return [block];
    const level = levelStarts.findLastIndex((first) => block >= first);
    const into = block - levelStarts[level]!;
    if (into >= perBlock ** (level + 1)) throw new KernelError('EFBIG', `block ${block} is behind what pointers reach`);
    return [DIRECT + level, ...Array.from({ length: level + 1 }, (_, depth) => Math.floor(into / perBlock ** (level - depth)) % perBlock)];
  };
  const putPointer = (block: number, to: number): void => {
    const [slot, ...rest] = pathOf(block);
    let get = (): number => root().getUint32(slot! * 4, true);
    let set = (value: number): void => root().setUint32(slot! * 4, value, true);
    for (const index of rest) {
      let at = get();
      if (at === 0) {
        at = allocBlocks(volume, to, 1).start;
        buffers.forget(at, 1);
        buffers.write(at * blockSize, new Uint8Array(blockSize));
        indirect.add(at);
        set(at);
      }
      const byte = at * blockSize + index * 4;
      get = () => new DataView(buffers.read(byte, 4).buffer).getUint32(0, true);
      set = (value) => {
        const word = new Uint8Array(4);
        new DataView(word.buffer).setUint32(0, value, true);
        buffers.write(byte, word);
      };
    }
    set(to);
  };
  /** Take the pointers behind `from` out of a subtree, with blocks of nothing else; true if nothing is left of it. */
  const cut = (pointer: number, level: number, first: number, from: number): boolean => {
    if (pointer === 0) return true;
    const span = perBlock ** level;
    if (first + span <= from) return false;
    if (level === 0) return true;
    const view = pointers(pointer);
    let isEmpty = true;
    for (let i = 0; i < perBlock; i++) {
      if (cut(view.getUint32(i * 4, true), level - 1, first + i * perBlock ** (level - 1), from)) view.setUint32(i * 4, 0, true);
      else isEmpty = false;
    }
    if (isEmpty) {
      indirect.delete(pointer);
      freeBlocks(volume, pointer, 1);
    } else buffers.write(pointer * blockSize, new Uint8Array(view.buffer));
    return isEmpty;
  };
  return {
    list,
    get overhead() {
      return indirect.size;
    },
    set({ block, length, start }) {
      for (let i = 0; i < length; i++) putPointer(block + i, start + i);
      list.set({ block, length, start, isUnwritten: false });
    },
    truncate(block) {
      for (const { start, length } of list.cut(block)) freeBlocks(volume, start, length);
      const clear = (slot: number, level: number, first: number): void => {
        if (cut(root().getUint32(slot * 4, true), level, first, block)) root().setUint32(slot * 4, 0, true);
      };
      for (let i = 0; i < DIRECT; i++) clear(i, 0, i);
      for (const [index, first] of levelStarts.entries()) clear(DIRECT + index, index + 1, first);
    },
  };
}
