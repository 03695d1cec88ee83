/**
 * One allocation group: its free space and its inodes, in memory and in its headers and trees.
 * Mirrors fs/xfs/libxfs/xfs_alloc.c: xfs_alloc_ag_vextent_near, xfs_free_ag_extent, and xfs_ialloc.c: xfs_dialloc_ag, xfs_difree.
 *
 * Invariant: headers and trees in the buffers say what is in memory.
 * Differs from Linux: trees have one level, so that a group's free space is at most some 250 pieces, and its chunks of inodes as many: what
 * would need more is refused. Chunks are never sparse, and none is given back.
 */
import { KernelError, isAligned, roundUp } from '@holdfast/lib';
import type { BlockStore } from '../block-store.js';
import { type LeafPlace, XFS_BTREE, decodeLeaf, encodeLeaf, leafCapacity } from './btree-leaf.js';
import { XFS_CRC_AT, XFS_INODES_PER_CHUNK, XFS_NULL, type XfsGeometry, isSealed, sealXfs, wordsOf } from './format.js';

const AGF_MAGIC = 0x58414746;
const AGI_MAGIC = 0x58414749;
const AGFL_MAGIC = 0x5841464c;
const FREE_RECORD = 8;
const INODE_RECORD = 16;
/** Blocks that are kept for trees that grow: two each for free space by place and by size. */
export const AGFL_COUNT = 4;

export interface FreeExtent {
  readonly start: number;
  readonly count: number;
}

/** 64 inodes that lie together. */
export interface InodeChunk {
  /** Number in the group. */
  readonly first: number;
  /** Bit i is set where inode i is free. */
  free: bigint;
}

export interface AllocGroup {
  readonly agno: number;
  readonly blocks: number;
  /** Ascending; numbers of blocks in the group. */
  free: FreeExtent[];
  chunks: InodeChunk[];
  readonly agfl: readonly number[];
  /** The inode chunk that was made last; null before the first. */
  newino: number;
}

/** Blocks of the roots, behind the header sectors. */
export function rootsOf({ sectorBytes, blockBytes, hasReflink }: XfsGeometry): {
  bno: number;
  cnt: number;
  ino: number;
  fino: number;
  refc: number | undefined;
  end: number;
} {
  const first = Math.ceil((4 * sectorBytes) / blockBytes);
  return { bno: first, cnt: first + 1, ino: first + 2, fino: first + 3, refc: hasReflink ? first + 4 : undefined, end: first + (hasReflink ? 5 : 4) };
}

export function blocksInAg({ dblocks, agBlocks, agCount }: XfsGeometry, agno: number): number {
  return agno === agCount - 1 ? dblocks - agBlocks * (agCount - 1) : agBlocks;
}

/** Write all that a group says of itself, but for the superblock's copy. */
export function writeAg(geometry: XfsGeometry, store: BlockStore, ag: AllocGroup): void {
  writeFreeSpace(geometry, store, ag);
  writeInodeTrees(geometry, store, ag);
  const { refc } = rootsOf(geometry);
  if (refc !== undefined) writeLeaf(geometry, store, { magic: XFS_BTREE.REFC, agno: ag.agno, agbno: refc }, []);
  const agfl = new Uint8Array(geometry.sectorBytes).fill(0xff, 0x24);
  const { put32 } = wordsOf(agfl);
  put32(0x0, AGFL_MAGIC);
  put32(0x4, ag.agno);
  agfl.set(geometry.uuid, 0x8);
  for (const [index, block] of ag.agfl.entries()) put32(0x24 + (index + 1) * 4, block);
  writeSector(geometry, store, ag.agno, 3, agfl, XFS_CRC_AT.agfl);
}

export function writeFreeSpace(geometry: XfsGeometry, store: BlockStore, { agno, blocks, free, agfl }: AllocGroup): void {
  const roots = rootsOf(geometry);
  const record = ({ start, count }: FreeExtent): Uint8Array => {
    const bytes = new Uint8Array(FREE_RECORD);
    wordsOf(bytes).put32(0, start);
    wordsOf(bytes).put32(4, count);
    return bytes;
  };
  writeLeaf(geometry, store, { magic: XFS_BTREE.BNO, agno, agbno: roots.bno }, free.map(record));
  writeLeaf(geometry, store, { magic: XFS_BTREE.CNT, agno, agbno: roots.cnt }, [...free].sort((a, b) => a.count - b.count || a.start - b.start).map(record));
  const agf = new Uint8Array(geometry.sectorBytes);
  const { put32 } = wordsOf(agf);
  const words: readonly (readonly [number, number])[] = [
    [0x0, AGF_MAGIC], [0x4, 1], [0x8, agno], [0xc, blocks], [0x10, roots.bno], [0x14, roots.cnt], [0x1c, 1], [0x20, 1], [0x28, 1],
    [0x2c, agfl.length], [0x30, agfl.length],
    [0x34, free.reduce((sum, { count }) => sum + count, 0)], [0x38, free.reduce((most, { count }) => Math.max(most, count), 0)],
    ...(roots.refc === undefined ? [] : ([[0x54, 1], [0x58, roots.refc], [0x5c, 1]] as const)),
  ];
  for (const [at, value] of words) put32(at, value);
  agf.set(geometry.uuid, 0x40);
  writeSector(geometry, store, agno, 1, agf, XFS_CRC_AT.agf);
}

export function writeInodeTrees(geometry: XfsGeometry, store: BlockStore, { agno, blocks, chunks, newino }: AllocGroup): void {
  const roots = rootsOf(geometry);
  const record = ({ first, free }: InodeChunk): Uint8Array => {
    const bytes = new Uint8Array(INODE_RECORD);
    const { put8, put32 } = wordsOf(bytes);
    put32(0, first);
    put8(6, XFS_INODES_PER_CHUNK);
    put8(7, countBits(free));
    put32(8, Number(free >> 32n));
    put32(12, Number(free & 0xffff_ffffn));
    return bytes;
  };
  writeLeaf(geometry, store, { magic: XFS_BTREE.INO, agno, agbno: roots.ino }, chunks.map(record));
  writeLeaf(geometry, store, { magic: XFS_BTREE.FINO, agno, agbno: roots.fino }, chunks.filter(({ free }) => free !== 0n).map(record));
  const agi = new Uint8Array(geometry.sectorBytes).fill(0xff, 0x28, 0x128);
  const { put32 } = wordsOf(agi);
  const words: readonly (readonly [number, number])[] = [
    [0x0, AGI_MAGIC], [0x4, 1], [0x8, agno], [0xc, blocks], [0x10, chunks.length * XFS_INODES_PER_CHUNK], [0x14, roots.ino], [0x18, 1],
    [0x1c, chunks.reduce((sum, { free }) => sum + countBits(free), 0)], [0x20, newino], [0x24, XFS_NULL], [0x148, roots.fino], [0x14c, 1], [0x150, 1],
    [0x154, 1],
  ];
  for (const [at, value] of words) put32(at, value);
  agi.set(geometry.uuid, 0x128);
  writeSector(geometry, store, agno, 2, agi, XFS_CRC_AT.agi);
}

/** @throws KernelError EIO for headers that are not what they should be, EOPNOTSUPP for trees of several levels */
export function readAg(geometry: XfsGeometry, store: BlockStore, agno: number): AllocGroup {
  const sector = (index: number): Uint8Array => store.read(agno * geometry.agBlocks * geometry.blockBytes + index * geometry.sectorBytes, geometry.sectorBytes);
  const [agf, agi, agfl] = [sector(1), sector(2), sector(3)];
  for (const [bytes, magic, crcAt, seqAt] of [
    [agf, AGF_MAGIC, XFS_CRC_AT.agf, 0x8],
    [agi, AGI_MAGIC, XFS_CRC_AT.agi, 0x8],
    [agfl, AGFL_MAGIC, XFS_CRC_AT.agfl, 0x4],
  ] as const) {
    const { u32 } = wordsOf(bytes);
    if (u32(0) !== magic || !isSealed(bytes, crcAt) || u32(seqAt) !== agno) {
      throw new KernelError('EIO', `a header of group ${agno} is not what it should be`);
    }
  }
  const words = { agf: wordsOf(agf), agi: wordsOf(agi), agfl: wordsOf(agfl) };
  const roots = rootsOf(geometry);
  if (
    words.agf.u32(0x1c) !== 1 ||
    words.agi.u32(0x18) !== 1 ||
    words.agf.u32(0x10) !== roots.bno ||
    words.agf.u32(0x14) !== roots.cnt ||
    words.agi.u32(0x14) !== roots.ino ||
    words.agi.u32(0x148) !== roots.fino
  ) {
    throw new KernelError('EOPNOTSUPP', `group ${agno} has trees of several levels`);
  }
  const leaf = (magic: number, agbno: number, recordBytes: number): Uint8Array[] => {
    const bytes = store.read((agno * geometry.agBlocks + agbno) * geometry.blockBytes, geometry.blockBytes);
    return decodeLeaf(geometry, { magic, agno, agbno }, bytes, recordBytes);
  };
  const blocks = blocksInAg(geometry, agno);
  const free = leaf(XFS_BTREE.BNO, roots.bno, FREE_RECORD).map((bytes) => ({ start: wordsOf(bytes).u32(0), count: wordsOf(bytes).u32(4) }));
  if (
    free.some(
      ({ start, count }, index) =>
        count === 0 || start + count > blocks || start < (index === 0 ? roots.end : free[index - 1]!.start + free[index - 1]!.count),
    )
  ) {
    throw new KernelError('EIO', `the free space of group ${agno} is in no order`);
  }
  const chunks = leaf(XFS_BTREE.INO, roots.ino, INODE_RECORD).map((bytes) => ({
    first: wordsOf(bytes).u32(0),
    free: (BigInt(wordsOf(bytes).u32(8)) << 32n) | BigInt(wordsOf(bytes).u32(12)),
  }));
  const [from, count] = [words.agf.u32(0x28), words.agf.u32(0x30)];
  const slots = (geometry.sectorBytes - 0x24) / 4;
  return {
    agno,
    blocks,
    free,
    chunks,
    newino: words.agi.u32(0x20),
    agfl: Array.from({ length: Math.min(count, slots) }, (_, i) => words.agfl.u32(0x24 + ((from + i) % slots) * 4)),
  };
}

/** Take up to `most` blocks, at `goal` or behind it, else anywhere in the group; undefined if there are none. */
export function takeBlocks(geometry: XfsGeometry, ag: AllocGroup, goal: number, most: number, align = 1): FreeExtent | undefined {
  const candidates = [...ag.free.filter(({ start, count }) => start + count > goal), ...ag.free.filter(({ start, count }) => start + count <= goal)];
  for (const extent of candidates) {
    const agStart = ag.agno * geometry.agBlocks;
    const from = roundUp(agStart + Math.max(extent.start, goal > extent.start && goal < extent.start + extent.count ? goal : 0), align) - agStart;
    const count = Math.min(most, extent.start + extent.count - from);
    if (count <= 0 || (align > 1 && count < Math.min(most, align))) continue;
    const pieces = [
      { start: extent.start, count: from - extent.start },
      { start: from + count, count: extent.start + extent.count - from - count },
    ].filter((piece) => piece.count > 0);
    if (ag.free.length - 1 + pieces.length > leafCapacity(geometry, FREE_RECORD)) continue;
    ag.free.splice(ag.free.indexOf(extent), 1, ...pieces);
    return { start: from, count };
  }
  return undefined;
}

/** Give blocks back, joined with what is free around them. @throws KernelError EOPNOTSUPP if the tree would need a second level */
export function giveBlocks(geometry: XfsGeometry, ag: AllocGroup, start: number, count: number): void {
  const before = ag.free.findIndex((extent) => extent.start + extent.count === start);
  const behind = ag.free.findIndex((extent) => extent.start === start + count);
  const first = before >= 0 ? ag.free[before]!.start : start;
  const end = behind >= 0 ? ag.free[behind]!.start + ag.free[behind]!.count : start + count;
  const rest = ag.free.filter((_, index) => index !== before && index !== behind);
  if (rest.length >= leafCapacity(geometry, FREE_RECORD)) {
    throw new KernelError('EOPNOTSUPP', `the free space of group ${ag.agno} is in more pieces than one leaf holds`);
  }
  ag.free = [...rest, { start: first, count: end - first }].sort((a, b) => a.start - b.start);
}

/** Make room for a chunk of inodes; the caller writes them. undefined if there is none. */
export function takeChunk(geometry: XfsGeometry, ag: AllocGroup): InodeChunk | undefined {
  if (ag.chunks.length >= leafCapacity(geometry, INODE_RECORD)) return undefined;
  const blocks = (XFS_INODES_PER_CHUNK * geometry.inodeBytes) / geometry.blockBytes;
  const align = geometry.sunit > 0 && isAligned(geometry.sunit, geometry.inodeAlign) ? geometry.sunit : geometry.inodeAlign;
  // The alignment counts within the group.
  for (const grain of [align, geometry.inodeAlign]) {
    for (const extent of ag.free) {
      const from = roundUp(extent.start, grain);
      if (from + blocks > extent.start + extent.count) continue;
      const pieces = [
        { start: extent.start, count: from - extent.start },
        { start: from + blocks, count: extent.start + extent.count - from - blocks },
      ].filter(({ count }) => count > 0);
      ag.free.splice(ag.free.indexOf(extent), 1, ...pieces);
      const chunk: InodeChunk = { first: from * (geometry.blockBytes / geometry.inodeBytes), free: 2n ** 64n - 1n };
      ag.chunks = [...ag.chunks, chunk].sort((a, b) => a.first - b.first);
      ag.newino = chunk.first;
      return chunk;
    }
  }
  return undefined;
}

export function countBits(bits: bigint): number {
  let count = 0;
  for (let rest = bits; rest > 0n; rest >>= 1n) count += Number(rest & 1n);
  return count;
}

function writeLeaf(geometry: XfsGeometry, store: BlockStore, place: LeafPlace, records: readonly Uint8Array[]): void {
  store.write((place.agno * geometry.agBlocks + place.agbno) * geometry.blockBytes, encodeLeaf(geometry, place, records));
}

function writeSector(
  { agBlocks, blockBytes, sectorBytes }: XfsGeometry,
  store: BlockStore,
  agno: number,
  index: number,
  bytes: Uint8Array,
  crcAt: number,
): void {
  sealXfs(bytes, crcAt);
  store.write(agno * agBlocks * blockBytes + index * sectorBytes, bytes);
}
