/**
 * How large everything of a new ext2 or ext4 is. Computes what lib/ext2fs/initialize.c and misc/mke2fs.c of e2fsprogs 1.47 compute.
 */
import { KernelError, isPowerOf2 } from '@holdfast/lib';
import {
  COMPAT, INCOMPAT, RO_COMPAT, type Superblock, blocksCountOf, descSizeOf, emptySuperblock, groupCountOf, groupHasSuper, hasCompat,
} from './superblock.js';
import { GOOD_OLD_INODE_SIZE } from './inode.js';

export interface Features {
  compat: number;
  incompat: number;
  roCompat: number;
}

export interface Mke2fsOptions {
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly features: Features;
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** Seconds since 1970. */
  readonly now: number;
  readonly label?: string;
  /** Per cent for root. */
  readonly reservedPercent?: number;
  /** Bytes of device for each inode. */
  readonly inodeRatio: number;
  readonly inodeSize?: number;
  /** How many inodes, whatever the ratio says. */
  readonly inodes?: number;
  /** Blocks of the journal; by the device's size if not given. */
  readonly journalBlocks?: number;
  /** In blocks. */
  readonly stride?: number;
  readonly stripeWidth?: number;
  /** The kernel will initialise inode tables when it mounts (lazy_itable_init). */
  readonly lazyItable?: boolean;
  /** The device reads as zeros where nothing was written. */
  readonly isZeroed?: boolean;
}

const BASE: Features = {
  compat: COMPAT.EXT_ATTR | COMPAT.RESIZE_INODE | COMPAT.DIR_INDEX,
  incompat: INCOMPAT.FILETYPE,
  roCompat: RO_COMPAT.SPARSE_SUPER | RO_COMPAT.LARGE_FILE,
};

/** What a type of file system brings, as Debian's mke2fs.conf of e2fsprogs 1.47 has it. */
export const TYPE_FEATURES: Readonly<Record<'ext2' | 'ext4', Features>> = {
  ext2: BASE,
  ext4: {
    compat: BASE.compat | COMPAT.HAS_JOURNAL,
    incompat: BASE.incompat | INCOMPAT.EXTENTS | INCOMPAT.FLEX_BG | INCOMPAT.BIT64,
    roCompat: BASE.roCompat | RO_COMPAT.HUGE_FILE | RO_COMPAT.METADATA_CSUM | RO_COMPAT.DIR_NLINK | RO_COMPAT.EXTRA_ISIZE,
  },
};

const MIB = 2 ** 20;
const TIB = 2 ** 40;

/** What mke2fs.conf says of a device by its size: `floppy`, `small`, `big` and `huge` are its words. */
export function usageBySize(sizeBytes: number): { readonly blockSize: number; readonly inodeRatio: number } {
  if (sizeBytes < 3 * MIB) return { blockSize: 1024, inodeRatio: 8192 };
  if (sizeBytes < 512 * MIB) return { blockSize: 1024, inodeRatio: 4096 };
  if (sizeBytes < 4 * TIB) return { blockSize: 4096, inodeRatio: 16384 };
  return { blockSize: 4096, inodeRatio: sizeBytes < 16 * TIB ? 32768 : 65536 };
}

export interface Geometry {
  readonly sb: Superblock;
  readonly groups: number;
  readonly descBlocks: number;
  readonly inodeBlocksPerGroup: number;
}

/** Lay out a superblock. @throws KernelError EINVAL for sizes that no file system can have, ENOSPC for a device that is too small */
export function planExt4(options: Mke2fsOptions): Geometry {
  const { blockSize, features, inodeSize = 256, reservedPercent = 5, inodeRatio, sizeBytes } = options;
  if (!isPowerOf2(blockSize) || blockSize < 1024 || blockSize > 65536) {
    throw new KernelError('EINVAL', `block size ${blockSize}: expected a power of two from 1024 to 65536`);
  }
  const blocks = Math.floor(sizeBytes / blockSize);
  const sb: Superblock = {
    ...emptySuperblock(),
    state: 1,
    errors: 1,
    revLevel: 1,
    logBlockSize: Math.log2(blockSize / 1024),
    logClusterSize: Math.log2(blockSize / 1024),
    firstDataBlock: blockSize === 1024 ? 1 : 0,
    blocksPerGroup: Math.min(blockSize * 8, 65528),
    maxMntCount: 0xffff,
    firstIno: 11,
    inodeSize,
    featureCompat: features.compat,
    featureIncompat: features.incompat,
    featureRoCompat: features.roCompat,
    descSize: (features.incompat & INCOMPAT.BIT64) !== 0 ? 64 : 0,
    mkfsTime: options.now,
    lastcheck: options.now,
    wtime: options.now,
    uuid: options.uuid,
    hashSeed: options.hashSeed,
    defHashVersion: 1,
    flags: 1,
    defaultMountOpts: 0x0c,
    volumeName: options.label ?? '',
    minExtraIsize: inodeSize > GOOD_OLD_INODE_SIZE ? 32 : 0,
    wantExtraIsize: inodeSize > GOOD_OLD_INODE_SIZE ? 32 : 0,
    raidStride: options.stride ?? 0,
    raidStripeWidth: options.stripeWidth ?? 0,
    logGroupsPerFlex: (features.incompat & INCOMPAT.FLEX_BG) !== 0 ? 4 : 0,
    checksumType: (features.roCompat & RO_COMPAT.METADATA_CSUM) !== 0 ? 1 : 0,
    kbytesWritten: 1,
  };
  sb.clustersPerGroup = sb.blocksPerGroup;
  if ((features.incompat & INCOMPAT.ENCRYPT) !== 0) sb.encryptAlgos = Uint8Array.of(1, 4, 0, 0); // AES-256-XTS for contents, AES-256-CTS for names
  setBlocksCount(sb, blocks);
  const reserved = Math.floor((blocks * reservedPercent) / 100);
  setReserved(sb, reserved);
  const wanted = options.inodes ?? Math.floor((blocks * blockSize) / inodeRatio);
  for (;;) {
    const geometry = planGroups(sb, wanted);
    const left = tooSmallLastGroup(geometry);
    if (left === 0) return geometry;
    if (geometry.groups === 1) throw new KernelError('ENOSPC', `a device of ${sizeBytes} bytes is too small`);
    const fewer = blocksCountOf(sb) - left;
    setReserved(sb, Math.floor((reserved / blocks) * fewer));
    setBlocksCount(sb, fewer);
  }
}

function planGroups(sb: Superblock, wantedInodes: number): Geometry {
  const blockSize = 1024 * 2 ** sb.logBlockSize;
  const groups = groupCountOf(sb);
  if (groups === 0) throw new KernelError('ENOSPC', 'the device holds no block group');
  const descBlocks = Math.ceil((groups * descSizeOf(sb)) / blockSize);
  const inodesPerBlock = blockSize / sb.inodeSize;
  let perGroup = Math.min(Math.ceil(wantedInodes / groups), blockSize * 8);
  let inodeBlocksPerGroup: number;
  do {
    inodeBlocksPerGroup = Math.ceil(perGroup / inodesPerBlock);
    sb.inodesPerGroup = Math.max(8, Math.floor((inodeBlocksPerGroup * inodesPerBlock) / 8) * 8);
    inodeBlocksPerGroup = Math.ceil(sb.inodesPerGroup / inodesPerBlock);
    perGroup += 8;
  } while (sb.inodesPerGroup * groups < sb.firstIno + 1);
  sb.inodesCount = sb.inodesPerGroup * groups;
  sb.reservedGdtBlocks = hasCompat(sb, COMPAT.RESIZE_INODE) ? reservedGdtBlocks(sb, descBlocks) : 0;
  return { sb, groups, descBlocks, inodeBlocksPerGroup };
}

/** Room for descriptors of a file system 1024 times as large (calc_reserved_gdt_blocks). */
function reservedGdtBlocks(sb: Superblock, descBlocks: number): number {
  const blockSize = 1024 * 2 ** sb.logBlockSize;
  const most = 2 ** 32 - 1;
  const blocks = blocksCountOf(sb);
  const maxBlocks = blocks < Math.floor(most / 1024) ? blocks * 1024 : most;
  const groups = Math.ceil((maxBlocks - sb.firstDataBlock) / sb.blocksPerGroup);
  return Math.max(0, Math.min(Math.ceil(groups / Math.floor(blockSize / descSizeOf(sb))) - descBlocks, blockSize / 4));
}

/** Blocks of a last group that would not hold its own metadata and 50 more; 0 if it does. */
function tooSmallLastGroup({ sb, groups, descBlocks, inodeBlocksPerGroup }: Geometry): number {
  const rest = (blocksCountOf(sb) - sb.firstDataBlock) % sb.blocksPerGroup;
  if (rest === 0) return 0;
  const overhead = 2 + inodeBlocksPerGroup + (groupHasSuper(sb, groups - 1) ? 1 + descBlocks + sb.reservedGdtBlocks : 0);
  return rest < overhead + 50 ? rest : 0;
}

/** Blocks of the journal by the blocks of the device; undefined if it is too small for one (ext2fs_default_journal_size). */
export function defaultJournalBlocks(blocks: number): number | undefined {
  if (blocks < 2048) return undefined;
  const steps: readonly (readonly [below: number, size: number])[] = [
    [32768, 1024], [256 * 1024, 4096], [512 * 1024, 8192], [4096 * 1024, 16384], [8192 * 1024, 32768], [16384 * 1024, 65536], [32768 * 1024, 131072],
  ];
  return steps.find(([below]) => blocks < below)?.[1] ?? 262144;
}

function setBlocksCount(sb: Superblock, blocks: number): void {
  sb.blocksCountLo = blocks % 2 ** 32;
  sb.blocksCountHi = Math.floor(blocks / 2 ** 32);
}

function setReserved(sb: Superblock, blocks: number): void {
  sb.rBlocksCountLo = blocks % 2 ** 32;
  sb.rBlocksCountHi = Math.floor(blocks / 2 ** 32);
}
