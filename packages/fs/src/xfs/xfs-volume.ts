/**
 * A mounted XFS as its metadata: groups that are read when they are first needed, blocks, inodes, and the superblock's counters.
 * Mirrors fs/xfs/libxfs/xfs_ag.c, xfs_alloc.c: xfs_alloc_vextent, and xfs_ialloc.c: xfs_dialloc.
 *
 * Invariant: what changes here changes in the buffers at once.
 */
import { KernelError } from '@holdfast/lib';
import type { Buffers } from '../buffer-cache.js';
import { type AllocGroup, giveBlocks, readAg, takeBlocks, takeChunk, writeFreeSpace, writeInodeTrees } from './alloc-group.js';
import { XFS_INODES_PER_CHUNK, type XfsSuper, encodeXfsSuper } from './format.js';
import { type XfsInode, decodeXfsInode, encodeFreeInode, encodeXfsInode } from './xfs-dinode.js';

export interface XfsVolume {
  readonly sb: XfsSuper;
  readonly buffers: Buffers;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** @throws KernelError EIO, EOPNOTSUPP */
  group(agno: number): AllocGroup;
}

export function createXfsVolume(sb: XfsSuper, buffers: Buffers, now: () => number): XfsVolume {
  const groups = new Map<number, AllocGroup>();
  return {
    sb,
    buffers,
    now,
    group(agno) {
      let ag = groups.get(agno);
      if (!ag) groups.set(agno, (ag = readAg(sb, buffers, agno)));
      return ag;
    },
  };
}

export function writeXfsSuper({ sb, buffers }: XfsVolume): void {
  buffers.write(0, encodeXfsSuper(sb));
}

/** Take up to `most` blocks of the device that lie together, near `goal`, in one group. @throws KernelError ENOSPC */
export function allocXfsBlocks(volume: XfsVolume, goal: number, most: number, isFirst: boolean): { start: number; count: number } {
  const { sb, buffers } = volume;
  const home = Math.min(Math.floor(goal / sb.agBlocks), sb.agCount - 1);
  const huge = 2 ** 21 / sb.blockBytes;
  for (const align of isFirst && most * 4 >= huge ? [huge, 1] : [1]) {
    for (let i = 0; i < sb.agCount; i++) {
      const agno = (home + i) % sb.agCount;
      const ag = volume.group(agno);
      const taken = takeBlocks(sb, ag, i === 0 ? goal - agno * sb.agBlocks : 0, most, align);
      if (!taken) continue;
      writeFreeSpace(sb, buffers, ag);
      sb.fdblocks -= taken.count;
      writeXfsSuper(volume);
      const start = agno * sb.agBlocks + taken.start;
      buffers.forget(start, taken.count);
      return { start, count: taken.count };
    }
  }
  throw new KernelError('ENOSPC', 'no block is free, or none that one leaf could do without');
}

export function freeXfsBlocks(volume: XfsVolume, start: number, count: number): void {
  const { sb, buffers } = volume;
  const ag = volume.group(Math.floor(start / sb.agBlocks));
  giveBlocks(sb, ag, start % sb.agBlocks, count);
  buffers.forget(start, count);
  writeFreeSpace(sb, buffers, ag);
  sb.fdblocks += count;
  writeXfsSuper(volume);
}

/** Bytes of the device where an inode is. @throws KernelError EIO for a number that there cannot be */
function inodeAt({ sb }: XfsVolume, ino: number): number {
  const perBlock = sb.blockBytes / sb.inodeBytes;
  const agno = Math.floor(ino / (2 ** sb.agBlockLog * perBlock));
  const inAg = ino - agno * 2 ** sb.agBlockLog * perBlock;
  if (agno >= sb.agCount || inAg / perBlock >= sb.agBlocks) throw new KernelError('EIO', `there is no inode ${ino}`);
  return agno * sb.agBlocks * sb.blockBytes + inAg * sb.inodeBytes;
}

export function readXfsInode(volume: XfsVolume, ino: number): XfsInode {
  return decodeXfsInode(ino, volume.buffers.read(inodeAt(volume, ino), volume.sb.inodeBytes));
}

export function writeXfsInode(volume: XfsVolume, ino: number, inode: XfsInode): void {
  volume.buffers.write(inodeAt(volume, ino), encodeXfsInode(volume.sb, ino, inode));
}

/** Take an inode, in the group of `near` if there is one. @throws KernelError ENOSPC */
export function allocXfsInode(volume: XfsVolume, near: number): number {
  const { sb, buffers } = volume;
  const perGroup = (2 ** sb.agBlockLog * sb.blockBytes) / sb.inodeBytes;
  const home = Math.floor(near / perGroup);
  for (let i = 0; i < sb.agCount; i++) {
    const agno = (home + i) % sb.agCount;
    const ag = volume.group(agno);
    let chunk = ag.chunks.find(({ free }) => free !== 0n);
    if (!chunk) {
      chunk = takeChunk(sb, ag);
      if (!chunk) continue;
      const blocks = (XFS_INODES_PER_CHUNK * sb.inodeBytes) / sb.blockBytes;
      const first = agno * perGroup + chunk.first;
      buffers.forget(inodeAt(volume, first) / sb.blockBytes, blocks);
      for (let k = 0; k < XFS_INODES_PER_CHUNK; k++) buffers.write(inodeAt(volume, first + k), encodeFreeInode(sb, first + k));
      writeFreeSpace(sb, buffers, ag);
      sb.icount += XFS_INODES_PER_CHUNK;
      sb.ifree += XFS_INODES_PER_CHUNK;
      sb.fdblocks -= blocks;
    }
    const index = lowestBit(chunk.free);
    chunk.free &= ~(1n << BigInt(index));
    writeInodeTrees(sb, buffers, ag);
    sb.ifree--;
    writeXfsSuper(volume);
    return agno * perGroup + chunk.first + index;
  }
  throw new KernelError('ENOSPC', 'no inode is free');
}

export function freeXfsInode(volume: XfsVolume, ino: number, generation: number): void {
  const { sb, buffers } = volume;
  const perGroup = (2 ** sb.agBlockLog * sb.blockBytes) / sb.inodeBytes;
  const ag = volume.group(Math.floor(ino / perGroup));
  const inAg = ino % perGroup;
  const chunk = ag.chunks.find(({ first }) => inAg >= first && inAg < first + XFS_INODES_PER_CHUNK);
  if (!chunk) throw new KernelError('EIO', `inode ${ino} is in no chunk`);
  chunk.free |= 1n << BigInt(inAg - chunk.first);
  buffers.write(inodeAt(volume, ino), encodeFreeInode(sb, ino, generation + 1));
  writeInodeTrees(sb, buffers, ag);
  sb.ifree++;
  writeXfsSuper(volume);
}

function lowestBit(bits: bigint): number {
  let index = 0;
  while (((bits >> BigInt(index)) & 1n) === 0n) index++;
  return index;
}
