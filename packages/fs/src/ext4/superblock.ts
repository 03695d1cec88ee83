/**
 * The superblock of ext2 and ext4: 1024 bytes at byte 1024 of the device. Mirrors fs/ext4/ext4.h: struct ext4_super_block, and
 * fs/ext4/super.c: ext4_superblock_csum. Layout: Documentation/filesystems/ext4/super.rst.
 */
import { type RecordOf, ascii, bytes, layout, u16, u32, u8 } from '@holdfast/lib';
import { CRC32C_SEED, crc32c } from '../crc32c.js';

export const SUPER_OFFSET = 1024;
export const EXT4_SUPER_MAGIC = 0xef53;

export const COMPAT = {
  HAS_JOURNAL: 0x4,
  EXT_ATTR: 0x8,
  RESIZE_INODE: 0x10,
  DIR_INDEX: 0x20,
  SPARSE_SUPER2: 0x200,
  FAST_COMMIT: 0x400,
  ORPHAN_FILE: 0x1000,
} as const;
export const INCOMPAT = {
  COMPRESSION: 0x1, FILETYPE: 0x2, RECOVER: 0x4, JOURNAL_DEV: 0x8, META_BG: 0x10, EXTENTS: 0x40, BIT64: 0x80, MMP: 0x100, FLEX_BG: 0x200, EA_INODE: 0x400,
  DIRDATA: 0x1000, CSUM_SEED: 0x2000, LARGEDIR: 0x4000, INLINE_DATA: 0x8000, ENCRYPT: 0x10000, CASEFOLD: 0x20000,
} as const;
export const RO_COMPAT = {
  SPARSE_SUPER: 0x1, LARGE_FILE: 0x2, BTREE_DIR: 0x4, HUGE_FILE: 0x8, GDT_CSUM: 0x10, DIR_NLINK: 0x20, EXTRA_ISIZE: 0x40, QUOTA: 0x100, BIGALLOC: 0x200,
  METADATA_CSUM: 0x400, READONLY: 0x1000, PROJECT: 0x2000, VERITY: 0x8000, ORPHAN_PRESENT: 0x10000,
} as const;

/** What each older kind of file system stops at: a kernel that knows no more mounts nothing beyond it. */
export const EXT2_FEATURES = {
  incompat: INCOMPAT.FILETYPE | INCOMPAT.META_BG,
  roCompat: RO_COMPAT.SPARSE_SUPER | RO_COMPAT.LARGE_FILE | RO_COMPAT.BTREE_DIR,
} as const;
export const EXT3_FEATURES = { incompat: EXT2_FEATURES.incompat | INCOMPAT.RECOVER, roCompat: EXT2_FEATURES.roCompat } as const;

/** s_state. */
export const EXT4_VALID_FS = 1;
export const EXT4_ERROR_FS = 2;

export const SUPER_LAYOUT = layout('ext4 superblock', 1024, {
  inodesCount: u32(0x0),
  blocksCountLo: u32(0x4),
  rBlocksCountLo: u32(0x8),
  freeBlocksCountLo: u32(0xc),
  freeInodesCount: u32(0x10),
  firstDataBlock: u32(0x14),
  logBlockSize: u32(0x18),
  logClusterSize: u32(0x1c),
  blocksPerGroup: u32(0x20),
  clustersPerGroup: u32(0x24),
  inodesPerGroup: u32(0x28),
  mtime: u32(0x2c),
  wtime: u32(0x30),
  mntCount: u16(0x34),
  maxMntCount: u16(0x36),
  magic: u16(0x38),
  state: u16(0x3a),
  errors: u16(0x3c),
  minorRevLevel: u16(0x3e),
  lastcheck: u32(0x40),
  checkinterval: u32(0x44),
  creatorOs: u32(0x48),
  revLevel: u32(0x4c),
  defResuid: u16(0x50),
  defResgid: u16(0x52),
  firstIno: u32(0x54),
  inodeSize: u16(0x58),
  blockGroupNr: u16(0x5a),
  featureCompat: u32(0x5c),
  featureIncompat: u32(0x60),
  featureRoCompat: u32(0x64),
  uuid: bytes(0x68, 16),
  volumeName: ascii(0x78, 16),
  lastMounted: ascii(0x88, 64),
  algorithmUsageBitmap: u32(0xc8),
  preallocBlocks: u8(0xcc),
  preallocDirBlocks: u8(0xcd),
  reservedGdtBlocks: u16(0xce),
  journalUuid: bytes(0xd0, 16),
  journalInum: u32(0xe0),
  journalDev: u32(0xe4),
  lastOrphan: u32(0xe8),
  hashSeed: bytes(0xec, 16),
  defHashVersion: u8(0xfc),
  jnlBackupType: u8(0xfd),
  descSize: u16(0xfe),
  defaultMountOpts: u32(0x100),
  firstMetaBg: u32(0x104),
  mkfsTime: u32(0x108),
  jnlBlocks: bytes(0x10c, 68),
  blocksCountHi: u32(0x150),
  rBlocksCountHi: u32(0x154),
  freeBlocksCountHi: u32(0x158),
  minExtraIsize: u16(0x15c),
  wantExtraIsize: u16(0x15e),
  flags: u32(0x160),
  raidStride: u16(0x164),
  mmpInterval: u16(0x166),
  mmpBlock: bytes(0x168, 8),
  raidStripeWidth: u32(0x170),
  logGroupsPerFlex: u8(0x174),
  checksumType: u8(0x175),
  encryptionLevel: u8(0x176),
  reservedPad: u8(0x177),
  kbytesWritten: u32(0x178),
  kbytesWrittenHi: u32(0x17c),
  snapshotFields: bytes(0x180, 20),
  errorFields: bytes(0x194, 108),
  mountOpts: ascii(0x200, 64),
  quotaInums: bytes(0x240, 8),
  overheadClusters: u32(0x248),
  backupBgs: bytes(0x24c, 8),
  encryptAlgos: bytes(0x254, 4),
  encryptPwSalt: bytes(0x258, 16),
  lpfIno: u32(0x268),
  prjQuotaInum: u32(0x26c),
  checksumSeed: u32(0x270),
  timesHi: bytes(0x274, 8),
  encoding: bytes(0x27c, 4),
  orphanFileInum: u32(0x280),
  reserved: bytes(0x284, 376),
  checksum: u32(0x3fc),
});

export type Superblock = RecordOf<typeof SUPER_LAYOUT.fields>;

/** A superblock of zeros, of which only the magic number is set. */
export function emptySuperblock(): Superblock {
  return { ...SUPER_LAYOUT.decode(new Uint8Array(1024)), magic: EXT4_SUPER_MAGIC };
}

/** The bytes, with the checksum where the file system has one. */
export function encodeSuperblock(sb: Superblock): Uint8Array {
  const image = new Uint8Array(1024);
  SUPER_LAYOUT.encode(sb, image);
  if (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)) new DataView(image.buffer).setUint32(0x3fc, superblockChecksum(image), true);
  return image;
}

export function superblockChecksum(image: Uint8Array): number {
  return crc32c(CRC32C_SEED, image.subarray(0, 0x3fc));
}

export function hasCompat({ featureCompat }: Superblock, flag: number): boolean {
  return (featureCompat & flag) !== 0;
}

export function hasIncompat({ featureIncompat }: Superblock, flag: number): boolean {
  return (featureIncompat & flag) !== 0;
}

export function hasRoCompat({ featureRoCompat }: Superblock, flag: number): boolean {
  return (featureRoCompat & flag) !== 0;
}

export function blockSizeOf({ logBlockSize }: Superblock): number {
  return 1024 * 2 ** logBlockSize;
}

export function blocksCountOf({ blocksCountLo, blocksCountHi }: Superblock): number {
  return blocksCountHi * 2 ** 32 + blocksCountLo;
}

export function groupCountOf(sb: Superblock): number {
  return Math.ceil((blocksCountOf(sb) - sb.firstDataBlock) / sb.blocksPerGroup);
}

export function groupFirstBlock(sb: Superblock, group: number): number {
  return sb.firstDataBlock + group * sb.blocksPerGroup;
}

/** Bytes of a group descriptor. */
export function descSizeOf(sb: Superblock): number {
  return hasIncompat(sb, INCOMPAT.BIT64) ? sb.descSize : 32;
}

/** What metadata checksums begin with (ext4_init_metadata_csum). */
export function checksumSeedOf(sb: Superblock): number {
  return hasIncompat(sb, INCOMPAT.CSUM_SEED) ? sb.checksumSeed : crc32c(CRC32C_SEED, sb.uuid);
}

/** Does a group begin with a copy of the superblock and the descriptors: 0, 1, and powers of 3, 5 and 7 (ext4_bg_has_super)? */
export function groupHasSuper(sb: Superblock, group: number): boolean {
  if (group <= 1) return true;
  if (!hasRoCompat(sb, RO_COMPAT.SPARSE_SUPER)) return true;
  return [3, 5, 7].some((base) => isPowerOf(group, base));
}

function isPowerOf(number: number, base: number): boolean {
  let power = base;
  while (power < number) power *= base;
  return power === number;
}
