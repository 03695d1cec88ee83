/**
 * Inodes on the medium: 128 bytes, and what the size in the superblock adds. Mirrors fs/ext4/ext4.h: struct ext4_inode, and
 * fs/ext4/inode.c: ext4_inode_csum.
 */
import { type RecordOf, bytes, layout, u16, u32 } from '@holdfast/lib';
import { crc32c, crc32cWord } from '../crc32c.js';
import { RO_COMPAT, type Superblock, checksumSeedOf, hasRoCompat } from './superblock.js';

export const EXT4_ROOT_INO = 2;
export const EXT4_RESIZE_INO = 7;
export const EXT4_JOURNAL_INO = 8;
export const GOOD_OLD_INODE_SIZE = 128;

/** i_flags. */
export const INODE_FL = {
  APPEND: 0x20, NODUMP: 0x40, IMMUTABLE: 0x10, ENCRYPT: 0x800, INDEX: 0x1000, JOURNAL_DATA: 0x4000, HUGE_FILE: 0x40000, EXTENTS: 0x80000, VERITY: 0x100000,
  DAX: 0x2000000, INLINE_DATA: 0x10000000,
} as const;

const INODE_LAYOUT = layout('ext4 inode', GOOD_OLD_INODE_SIZE, {
  mode: u16(0x0),
  uidLo: u16(0x2),
  sizeLo: u32(0x4),
  atime: u32(0x8),
  ctime: u32(0xc),
  mtime: u32(0x10),
  dtime: u32(0x14),
  gidLo: u16(0x18),
  links: u16(0x1a),
  blocksLo: u32(0x1c),
  flags: u32(0x20),
  version: u32(0x24),
  block: bytes(0x28, 60),
  generation: u32(0x64),
  fileAclLo: u32(0x68),
  sizeHi: u32(0x6c),
  obsoFaddr: u32(0x70),
  blocksHi: u16(0x74),
  fileAclHi: u16(0x76),
  uidHi: u16(0x78),
  gidHi: u16(0x7a),
  checksumLo: u16(0x7c),
  reserved: u16(0x7e),
});

const EXTRA_LAYOUT = layout('ext4 inode extra', 32, {
  extraIsize: u16(0x0),
  checksumHi: u16(0x2),
  ctimeExtra: u32(0x4),
  mtimeExtra: u32(0x8),
  atimeExtra: u32(0xc),
  crtime: u32(0x10),
  crtimeExtra: u32(0x14),
  versionHi: u32(0x18),
  projid: u32(0x1c),
});

export type RawInode = RecordOf<typeof INODE_LAYOUT.fields> & RecordOf<typeof EXTRA_LAYOUT.fields> & {
  /** What lies behind the known fields: attributes that are kept as they are. */
  tail: Uint8Array;
};

const KNOWN = GOOD_OLD_INODE_SIZE + 32;

/** Read an inode of the superblock's size. */
export function decodeInode(sb: Superblock, image: Uint8Array): RawInode {
  const size = inodeSizeOf(sb);
  const padded = new Uint8Array(Math.max(size, KNOWN));
  padded.set(image.subarray(0, size));
  const inode = { ...INODE_LAYOUT.decode(padded), ...EXTRA_LAYOUT.decode(padded, GOOD_OLD_INODE_SIZE), tail: padded.slice(KNOWN) };
  return inode;
}

export function emptyInode(sb: Superblock): RawInode {
  const inode = decodeInode(sb, new Uint8Array(inodeSizeOf(sb)));
  return inodeSizeOf(sb) > GOOD_OLD_INODE_SIZE ? { ...inode, extraIsize: 32 } : inode;
}

/** The bytes of inode `ino`, with its checksum where there is one. */
export function encodeInode(sb: Superblock, ino: number, inode: RawInode): Uint8Array {
  const size = inodeSizeOf(sb);
  const image = new Uint8Array(Math.max(size, KNOWN));
  INODE_LAYOUT.encode(inode, image);
  EXTRA_LAYOUT.encode(inode, image, GOOD_OLD_INODE_SIZE);
  image.set(inode.tail.subarray(0, image.length - KNOWN), KNOWN);
  const bytesOf = image.subarray(0, size);
  if (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)) setChecksum(sb, ino, inode, bytesOf);
  return bytesOf;
}

/** Whether the checksum of an inode's bytes is right, or there is none. */
export function inodeChecksumOk(sb: Superblock, ino: number, image: Uint8Array): boolean {
  if (!hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)) return true;
  const copy = image.slice(0, inodeSizeOf(sb));
  setChecksum(sb, ino, decodeInode(sb, image), copy);
  return copy.every((byte, index) => byte === image[index]);
}

function setChecksum(sb: Superblock, ino: number, { generation, extraIsize }: RawInode, image: Uint8Array): void {
  const hasHigh = image.length > GOOD_OLD_INODE_SIZE && extraIsize >= 4;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  view.setUint16(0x7c, 0, true);
  if (hasHigh) view.setUint16(0x82, 0, true);
  const sum = crc32c(inodeSeed(sb, ino, generation), image);
  view.setUint16(0x7c, sum & 0xffff, true);
  if (hasHigh) view.setUint16(0x82, sum >>> 16, true);
}

/** What the sums of an inode's own metadata begin with: its extent blocks, its directory blocks. */
export function inodeSeed(sb: Superblock, ino: number, generation: number): number {
  return crc32cWord(crc32cWord(checksumSeedOf(sb), ino), generation);
}

export function inodeSizeOf({ revLevel, inodeSize }: Superblock): number {
  return revLevel === 0 ? GOOD_OLD_INODE_SIZE : inodeSize;
}

export function sizeOfInode({ sizeLo, sizeHi }: RawInode): number {
  return sizeHi * 2 ** 32 + sizeLo;
}
