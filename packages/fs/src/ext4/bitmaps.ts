/**
 * The bitmaps of a group: read, made where mke2fs left that to the kernel, and written with their sums.
 * Mirrors fs/ext4/balloc.c: ext4_init_block_bitmap, ext4_read_block_bitmap, and fs/ext4/ialloc.c: ext4_read_inode_bitmap.
 */
import { KernelError } from '@holdfast/lib';
import { BG, bitmapChecksum } from './group-desc.js';
import { inodeSizeOf } from './inode.js';
import { type Superblock, descSizeOf, groupFirstBlock, groupHasSuper } from './superblock.js';
import { type Ext4Volume, blocksInGroup, writeGroupDesc } from './volume.js';

export type BitmapKind = 'block' | 'inode';

/** A group's bitmap, to be changed and given to {@link writeBitmap}. @throws KernelError EIO for a wrong checksum */
export function readBitmap(volume: Ext4Volume, group: number, kind: BitmapKind): Uint8Array {
  const { sb, buffers, blockSize, descs, hasCsum } = volume;
  const desc = descs[group]!;
  if (kind === 'inode' && (desc.flags & BG.INODE_UNINIT) !== 0 && hasCsum) return padded(blockSize, sb.inodesPerGroup);
  if (kind === 'block' && (desc.flags & BG.BLOCK_UNINIT) !== 0 && hasCsum) return initialBlockBitmap(volume, group);
  const bits = buffers.read((kind === 'block' ? desc.blockBitmap : desc.inodeBitmap) * blockSize, blockSize);
  const stored = kind === 'block' ? desc.blockBitmapCsum : desc.inodeBitmapCsum;
  if (hasCsum && bitmapChecksum(sb, summed(sb, kind, bits)) !== stored) {
    throw new KernelError('EIO', `the checksum of the ${kind} bitmap of group ${group} is wrong`);
  }
  return bits;
}

/** Write a bitmap, and the group's descriptor with it. */
export function writeBitmap(volume: Ext4Volume, group: number, kind: BitmapKind, bits: Uint8Array): void {
  const { sb, buffers, blockSize, descs, hasCsum } = volume;
  const desc = descs[group]!;
  buffers.write((kind === 'block' ? desc.blockBitmap : desc.inodeBitmap) * blockSize, bits);
  const sum = hasCsum ? bitmapChecksum(sb, summed(sb, kind, bits)) : 0;
  if (kind === 'block') {
    desc.flags &= ~BG.BLOCK_UNINIT;
    desc.blockBitmapCsum = sum;
  } else {
    desc.flags &= ~BG.INODE_UNINIT;
    desc.inodeBitmapCsum = sum;
  }
  writeGroupDesc(volume, group);
}

export function testBit(bits: Uint8Array, bit: number): boolean {
  return (bits[bit >> 3]! & (1 << (bit & 7))) !== 0;
}

export function setBits(bits: Uint8Array, from: number, to: number): void {
  for (let bit = from; bit < to;) {
    if (bit % 8 === 0 && to - bit >= 8) {
      const whole = Math.floor((to - bit) / 8);
      bits.fill(0xff, bit / 8, bit / 8 + whole);
      bit += whole * 8;
    } else {
      bits[bit >> 3]! |= 1 << (bit & 7);
      bit++;
    }
  }
}

export function clearBits(bits: Uint8Array, from: number, to: number): void {
  for (let bit = from; bit < to; bit++) bits[bit >> 3]! &= ~(1 << (bit & 7));
}

function padded(blockSize: number, used: number): Uint8Array {
  const bits = new Uint8Array(blockSize);
  setBits(bits, used, blockSize * 8);
  return bits;
}

function summed(sb: Superblock, kind: BitmapKind, bits: Uint8Array): Uint8Array {
  return bits.subarray(0, (kind === 'block' ? sb.clustersPerGroup : sb.inodesPerGroup) / 8);
}

/** What a group holds that nobody has allocated from: copies of the superblock, and tables that lie in it. */
function initialBlockBitmap(volume: Ext4Volume, group: number): Uint8Array {
  const { sb, blockSize, groups, descs } = volume;
  const first = groupFirstBlock(sb, group);
  const count = blocksInGroup(volume, group);
  const bits = padded(blockSize, count);
  if (groupHasSuper(sb, group)) setBits(bits, 0, 1 + Math.ceil((groups * descSizeOf(sb)) / blockSize) + sb.reservedGdtBlocks);
  const tableBlocks = Math.ceil((sb.inodesPerGroup * inodeSizeOf(sb)) / blockSize);
  const { blockBitmap, inodeBitmap, inodeTable } = descs[group]!;
  for (const [block, length] of [[blockBitmap, 1], [inodeBitmap, 1], [inodeTable, tableBlocks]] as const) {
    const from = Math.max(block, first);
    const to = Math.min(block + length, first + count);
    if (from < to) setBits(bits, from - first, to - first);
  }
  return bits;
}
