/**
 * Group descriptors: where a group's bitmaps and inode table are, and what is free there. Mirrors fs/ext4/ext4.h: struct ext4_group_desc,
 * and fs/ext4/super.c: ext4_group_desc_csum. 32 bytes, or 64 with the feature 64bit, whose upper half holds the high parts.
 */
import { crc32c, crc32cWord } from '../crc32c.js';
import { RO_COMPAT, type Superblock, checksumSeedOf, descSizeOf, hasRoCompat } from './superblock.js';

/** bg_flags. */
export const BG = { INODE_UNINIT: 1, BLOCK_UNINIT: 2, ITABLE_ZEROED: 4 } as const;

export interface GroupDesc {
  blockBitmap: number;
  inodeBitmap: number;
  inodeTable: number;
  freeBlocks: number;
  freeInodes: number;
  usedDirs: number;
  flags: number;
  blockBitmapCsum: number;
  inodeBitmapCsum: number;
  /** Inodes at the table's end that were never used. */
  itableUnused: number;
}

export function emptyGroupDesc(): GroupDesc {
  return {
    blockBitmap: 0, inodeBitmap: 0, inodeTable: 0, freeBlocks: 0, freeInodes: 0, usedDirs: 0, flags: 0, blockBitmapCsum: 0, inodeBitmapCsum: 0, itableUnused: 0,
  };
}

const CHECKSUM = 0x1e;

/** Read a descriptor of {@link descSizeOf} bytes. */
export function decodeGroupDesc(sb: Superblock, bytes: Uint8Array): GroupDesc {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isWide = descSizeOf(sb) >= 64;
  const wide32 = (lo: number, hi: number): number => view.getUint32(lo, true) + (isWide ? view.getUint32(hi, true) * 2 ** 32 : 0);
  const wide16 = (lo: number, hi: number): number => view.getUint16(lo, true) + (isWide ? view.getUint16(hi, true) * 2 ** 16 : 0);
  return {
    blockBitmap: wide32(0x0, 0x20),
    inodeBitmap: wide32(0x4, 0x24),
    inodeTable: wide32(0x8, 0x28),
    freeBlocks: wide16(0xc, 0x2c),
    freeInodes: wide16(0xe, 0x2e),
    usedDirs: wide16(0x10, 0x30),
    flags: view.getUint16(0x12, true),
    blockBitmapCsum: wide16(0x18, 0x38),
    inodeBitmapCsum: wide16(0x1a, 0x3a),
    itableUnused: wide16(0x1c, 0x32),
  };
}

/** The bytes of group `group`'s descriptor, with its checksum where there is one. */
export function encodeGroupDesc(sb: Superblock, group: number, desc: GroupDesc): Uint8Array {
  const bytes = new Uint8Array(descSizeOf(sb));
  const view = new DataView(bytes.buffer);
  const isWide = bytes.length >= 64;
  const wide32 = (lo: number, hi: number, value: number): void => {
    view.setUint32(lo, value % 2 ** 32, true);
    if (isWide) view.setUint32(hi, Math.floor(value / 2 ** 32), true);
  };
  const wide16 = (lo: number, hi: number, value: number): void => {
    view.setUint16(lo, value & 0xffff, true);
    if (isWide) view.setUint16(hi, value >>> 16, true);
  };
  wide32(0x0, 0x20, desc.blockBitmap);
  wide32(0x4, 0x24, desc.inodeBitmap);
  wide32(0x8, 0x28, desc.inodeTable);
  wide16(0xc, 0x2c, desc.freeBlocks);
  wide16(0xe, 0x2e, desc.freeInodes);
  wide16(0x10, 0x30, desc.usedDirs);
  view.setUint16(0x12, desc.flags, true);
  wide16(0x18, 0x38, desc.blockBitmapCsum);
  wide16(0x1a, 0x3a, desc.inodeBitmapCsum);
  wide16(0x1c, 0x32, desc.itableUnused);
  if (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)) view.setUint16(CHECKSUM, groupDescChecksum(sb, group, bytes), true);
  return bytes;
}

/** Of a descriptor's bytes, whatever stands in the place of the sum itself. */
export function groupDescChecksum(sb: Superblock, group: number, bytes: Uint8Array): number {
  const image = bytes.slice();
  image.fill(0, CHECKSUM, CHECKSUM + 2);
  return crc32c(crc32cWord(checksumSeedOf(sb), group), image) & 0xffff;
}

/** What a descriptor holds of the sum over a bitmap: all of it, or its low half. */
export function bitmapChecksum(sb: Superblock, bits: Uint8Array): number {
  const sum = crc32c(checksumSeedOf(sb), bits);
  return descSizeOf(sb) >= 64 ? sum : sum & 0xffff;
}
