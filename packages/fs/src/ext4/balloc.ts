/**
 * Taking blocks and inodes, and giving them back. Mirrors fs/ext4/mballoc.c: ext4_mb_new_blocks, ext4_free_blocks, and fs/ext4/ialloc.c:
 * __ext4_new_inode, ext4_free_inode.
 *
 * Invariant: a bit is set exactly while somebody has the block or inode, and all counts say so.
 * Differs from Linux: nothing is allocated late or ahead of need; groups are searched in their order from the goal's on, and no group's
 * buddies are kept. Of the rules of mballoc it keeps that what is large starts at a multiple of 2 MiB if it can.
 */
import { KernelError, roundUp } from '@holdfast/lib';
import { clearBits, readBitmap, setBits, testBit, writeBitmap } from './bitmaps.js';
import { groupFirstBlock } from './superblock.js';
import { type Ext4Volume, blocksInGroup, changeFreeBlocks, groupOfBlock, writeGroupDesc, writeSuper } from './volume.js';

export interface BlockRun {
  readonly start: number;
  readonly count: number;
}

/** From so many blocks on a file that begins is placed at a multiple of 2 MiB. */
const LARGE_BYTES = 2 ** 19;
const HUGE_BYTES = 2 ** 21;

/** Take up to `most` blocks that lie together, at `goal` or as near behind it as there are any. @throws KernelError ENOSPC */
export function allocBlocks(volume: Ext4Volume, goal: number, most: number, isFirst = false): BlockRun {
  const { sb, groups, descs, blockSize } = volume;
  const grain = isFirst && most * blockSize >= LARGE_BYTES ? HUGE_BYTES / blockSize : 1;
  const home = Math.min(Math.max(0, groupOfBlock(volume, goal)), groups - 1);
  for (const align of grain > 1 ? [grain, 1] : [1]) {
    for (let i = 0; i <= groups; i++) {
      const group = (home + i) % groups;
      if (descs[group]!.freeBlocks === 0) continue;
      const first = groupFirstBlock(sb, group);
      const bits = readBitmap(volume, group, 'block');
      const run = findRun(bits, i === 0 ? goal - first : 0, blocksInGroup(volume, group), most, first, align);
      if (!run) continue;
      takeBlocks(volume, group, bits, run.start - first, run.count);
      return run;
    }
  }
  throw new KernelError('ENOSPC', `no block is free of ${descs.length} groups`);
}

/** The first run of free bits from `from` on, `align` blocks of the device apart; with an alignment it must be as long as wanted. */
function findRun(bits: Uint8Array, from: number, end: number, most: number, first: number, align: number): BlockRun | undefined {
  for (let bit = roundUp(first + Math.max(0, from), align) - first; bit < end;) {
    if (testBit(bits, bit)) {
      bit = align === 1 ? nextFree(bits, bit, end) : bit + align;
      continue;
    }
    let count = 1;
    while (count < most && bit + count < end && !testBit(bits, bit + count)) count++;
    if (align === 1 || count >= Math.min(most, align)) return { start: first + bit, count };
    bit += align;
  }
  return undefined;
}

function nextFree(bits: Uint8Array, bit: number, end: number): number {
  let at = bit;
  while (at < end && testBit(bits, at)) at += at % 8 === 0 && bits[at >> 3] === 0xff ? 8 : 1;
  return at;
}

function takeBlocks(volume: Ext4Volume, group: number, bits: Uint8Array, from: number, count: number): void {
  setBits(bits, from, from + count);
  volume.descs[group]!.freeBlocks -= count;
  writeBitmap(volume, group, 'block', bits);
  changeFreeBlocks(volume, -count);
  writeSuper(volume);
}

export function freeBlocks(volume: Ext4Volume, start: number, count: number): void {
  const { sb, descs, buffers } = volume;
  for (let done = 0; done < count;) {
    const group = groupOfBlock(volume, start + done);
    const from = start + done - groupFirstBlock(sb, group);
    const here = Math.min(count - done, blocksInGroup(volume, group) - from);
    const bits = readBitmap(volume, group, 'block');
    clearBits(bits, from, from + here);
    descs[group]!.freeBlocks += here;
    writeBitmap(volume, group, 'block', bits);
    done += here;
  }
  buffers.forget(start, count);
  changeFreeBlocks(volume, count);
  writeSuper(volume);
}

/** Take an inode, in its directory's group if there is one. @throws KernelError ENOSPC */
export function allocInode(volume: Ext4Volume, home: number, isDir: boolean): number {
  const { sb, groups, descs } = volume;
  for (let i = 0; i < groups; i++) {
    const group = (home + i) % groups;
    const desc = descs[group]!;
    if (desc.freeInodes === 0) continue;
    const bits = readBitmap(volume, group, 'inode');
    const bit = nextFree(bits, group === 0 ? sb.firstIno - 1 : 0, sb.inodesPerGroup);
    if (bit >= sb.inodesPerGroup) continue;
    setBits(bits, bit, bit + 1);
    desc.freeInodes--;
    if (isDir) desc.usedDirs++;
    if (volume.hasCsum) desc.itableUnused = Math.min(desc.itableUnused, sb.inodesPerGroup - bit - 1);
    writeBitmap(volume, group, 'inode', bits);
    sb.freeInodesCount--;
    writeSuper(volume);
    return group * sb.inodesPerGroup + bit + 1;
  }
  throw new KernelError('ENOSPC', 'no inode is free');
}

export function freeInode(volume: Ext4Volume, ino: number, isDir: boolean): void {
  const { sb, descs } = volume;
  const group = Math.floor((ino - 1) / sb.inodesPerGroup);
  const bits = readBitmap(volume, group, 'inode');
  const bit = (ino - 1) % sb.inodesPerGroup;
  clearBits(bits, bit, bit + 1);
  const desc = descs[group]!;
  desc.freeInodes++;
  if (isDir) desc.usedDirs--;
  writeBitmap(volume, group, 'inode', bits);
  writeGroupDesc(volume, group);
  sb.freeInodesCount++;
  writeSuper(volume);
}
