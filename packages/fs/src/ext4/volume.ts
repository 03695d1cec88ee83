/**
 * A mounted ext2 or ext4 as its metadata: superblock, group descriptors, inodes. Mirrors fs/ext4/super.c: ext4_group_desc_init, and
 * fs/ext4/inode.c: __ext4_get_inode_loc, ext4_do_update_inode.
 *
 * Invariant: what changes here changes in the buffers at once; sums and counts are right in them at any time.
 */
import { KernelError } from '@holdfast/lib';
import type { Buffers } from '../buffer-cache.js';
import { type GroupDesc, decodeGroupDesc, encodeGroupDesc, groupDescChecksum } from './group-desc.js';
import { type RawInode, decodeInode, encodeInode, inodeChecksumOk, inodeSeed, inodeSizeOf } from './inode.js';
import {
  RO_COMPAT, SUPER_OFFSET, type Superblock, blockSizeOf, blocksCountOf, checksumSeedOf, descSizeOf, encodeSuperblock, groupCountOf, groupFirstBlock,
  hasRoCompat,
} from './superblock.js';

export interface Ext4Volume {
  readonly sb: Superblock;
  readonly buffers: Buffers;
  readonly blockSize: number;
  readonly groups: number;
  readonly hasCsum: boolean;
  readonly checksumSeed: number;
  /** Seconds since 1970. */
  readonly now: () => number;
  readonly descs: readonly GroupDesc[];
}

/**
 * Read the descriptors behind a superblock that was checked.
 * @throws KernelError EIO, EINVAL for descriptors whose tables lie outside of the device, EBADMSG's like for wrong checksums
 */
export function loadVolume(sb: Superblock, buffers: Buffers, now: () => number): Ext4Volume {
  const blockSize = blockSizeOf(sb);
  const groups = groupCountOf(sb);
  const size = descSizeOf(sb);
  const hasCsum = hasRoCompat(sb, RO_COMPAT.METADATA_CSUM);
  const table = buffers.read((sb.firstDataBlock + 1) * blockSize, groups * size);
  const blocks = blocksCountOf(sb);
  const tableBlocks = Math.ceil((sb.inodesPerGroup * inodeSizeOf(sb)) / blockSize);
  const descs = Array.from({ length: groups }, (_, group) => {
    const bytes = table.subarray(group * size, (group + 1) * size);
    const desc = decodeGroupDesc(sb, bytes);
    const isInside = (block: number, count: number): boolean => block >= sb.firstDataBlock && block + count <= blocks;
    if (hasCsum && groupDescChecksum(sb, group, bytes) !== new DataView(bytes.buffer, bytes.byteOffset).getUint16(0x1e, true)) {
      throw new KernelError('EINVAL', `the checksum of group descriptor ${group} is wrong`);
    }
    for (const [what, block, count] of [
      ['block bitmap', desc.blockBitmap, 1],
      ['inode bitmap', desc.inodeBitmap, 1],
      ['inode table', desc.inodeTable, tableBlocks],
    ] as const) {
      if (!isInside(block, count)) throw new KernelError('EINVAL', `the ${what} of group ${group} is at block ${block}, outside of the device`);
    }
    return desc;
  });
  return { sb, buffers, blockSize, groups, hasCsum, checksumSeed: checksumSeedOf(sb), now, descs };
}

export function writeSuper({ sb, buffers }: Ext4Volume): void {
  buffers.write(SUPER_OFFSET, encodeSuperblock(sb));
}

export function writeGroupDesc({ sb, buffers, blockSize, descs }: Ext4Volume, group: number): void {
  buffers.write((sb.firstDataBlock + 1) * blockSize + group * descSizeOf(sb), encodeGroupDesc(sb, group, descs[group]!));
}

/** Where an inode is, in bytes. @throws KernelError EIO for a number that there cannot be */
function inodeAt({ sb, blockSize, descs }: Ext4Volume, ino: number): number {
  if (ino < 1 || ino > sb.inodesCount) throw new KernelError('EIO', `there is no inode ${ino}`);
  const index = ino - 1;
  return descs[Math.floor(index / sb.inodesPerGroup)]!.inodeTable * blockSize + (index % sb.inodesPerGroup) * inodeSizeOf(sb);
}

/** @throws KernelError EIO for an inode that there is not, or with a wrong checksum */
export function readInode(volume: Ext4Volume, ino: number): RawInode {
  const { sb, buffers } = volume;
  const image = buffers.read(inodeAt(volume, ino), inodeSizeOf(sb));
  if (!inodeChecksumOk(sb, ino, image)) throw new KernelError('EIO', `the checksum of inode ${ino} is wrong`);
  return decodeInode(sb, image);
}

export function writeInode(volume: Ext4Volume, ino: number, inode: RawInode): void {
  volume.buffers.write(inodeAt(volume, ino), encodeInode(volume.sb, ino, inode));
}

/** What checksums of an inode's blocks begin with; undefined without checksums. */
export function seedOf({ sb, hasCsum }: Ext4Volume, ino: number, { generation }: RawInode): number | undefined {
  return hasCsum ? inodeSeed(sb, ino, generation) : undefined;
}

export function groupOfBlock({ sb }: Ext4Volume, block: number): number {
  return Math.floor((block - sb.firstDataBlock) / sb.blocksPerGroup);
}

export function groupOfInode({ sb }: Ext4Volume, ino: number): number {
  return Math.floor((ino - 1) / sb.inodesPerGroup);
}

/** Blocks of a group: the last one has what is left. */
export function blocksInGroup({ sb, groups }: Ext4Volume, group: number): number {
  return group === groups - 1 ? blocksCountOf(sb) - groupFirstBlock(sb, group) : sb.blocksPerGroup;
}

export function freeBlocksOf({ sb }: Ext4Volume): number {
  return sb.freeBlocksCountHi * 2 ** 32 + sb.freeBlocksCountLo;
}

export function changeFreeBlocks(volume: Ext4Volume, by: number): void {
  const { sb } = volume;
  const free = Math.max(0, freeBlocksOf(volume) + by);
  sb.freeBlocksCountLo = free % 2 ** 32;
  sb.freeBlocksCountHi = Math.floor(free / 2 ** 32);
}
