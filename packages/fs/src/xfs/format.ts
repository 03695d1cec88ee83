/**
 * What XFS keeps on the medium, version 5: big-endian, each structure with the sum over itself. Mirrors fs/xfs/libxfs/xfs_format.h.
 *
 * An allocation group begins with four sectors: superblock, AGF (free space), AGI (inodes) and AGFL (blocks for the trees), then the roots.
 */
import { CRC32C_SEED, crc32c } from '../crc32c.js';

export const XFS_SB_MAGIC = 0x58465342;
export const XFS_NULL = 0xffff_ffff;
export const XFS_INODES_PER_CHUNK = 64;
/** Bytes of an inode before its forks. */
export const XFS_INODE_CORE = 0xb0;

export const XFS_FEAT = { RO_FINOBT: 1, RO_REFLINK: 4, RO_INOBTCNT: 8, INCOMPAT_FTYPE: 1, INCOMPAT_SPINODES: 2, INCOMPAT_BIGTIME: 8 } as const;
/** sb_versionnum. */
export const XFS_VERSION = { NLINK: 0x20, ALIGN: 0x80, DALIGN: 0x100, LOGV2: 0x400, SECTOR: 0x800, EXTFLG: 0x1000, DIRV2: 0x2000, MOREBITS: 0x8000 } as const;
/** sb_features2: lazy counters, attr2, 32-bit project ids, checksums. */
export const XFS_FEATURES2 = 0x18a;

/** di_format. */
export const XFS_DINODE_FMT = { DEV: 0, LOCAL: 1, EXTENTS: 2, BTREE: 3 } as const;
/** di_flags2. */
export const XFS_DIFLAG2 = { DAX: 1, REFLINK: 2, BIGTIME: 8 } as const;

/** Where each structure has its sum. */
export const XFS_CRC_AT = { superblock: 0xe0, agf: 0xd8, agi: 0x138, agfl: 0x20, btree: 0x34, inode: 0x64 } as const;

/** Write the sum of a structure into it. */
export function sealXfs(bytes: Uint8Array, at: number): void {
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length).setUint32(at, xfsChecksum(bytes, at), true);
}

export function isSealed(bytes: Uint8Array, at: number): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(at, true) === xfsChecksum(bytes, at);
}

function xfsChecksum(bytes: Uint8Array, at: number): number {
  const before = crc32c(CRC32C_SEED, bytes.subarray(0, at));
  return ~crc32c(crc32c(before, new Uint8Array(4)), bytes.subarray(at + 4)) >>> 0;
}

/** Big-endian words of a structure. */
export interface Words {
  readonly u8: (at: number) => number;
  readonly u16: (at: number) => number;
  readonly u32: (at: number) => number;
  readonly u64: (at: number) => number;
  readonly put8: (at: number, value: number) => void;
  readonly put16: (at: number, value: number) => void;
  readonly put32: (at: number, value: number) => void;
  readonly put64: (at: number, value: number) => void;
}

export function wordsOf(bytes: Uint8Array): Words {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    u8: (at) => view.getUint8(at),
    u16: (at) => view.getUint16(at),
    u32: (at) => view.getUint32(at),
    u64: (at) => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4),
    put8: (at, value) => view.setUint8(at, value),
    put16: (at, value) => view.setUint16(at, value),
    put32: (at, value) => view.setUint32(at, value),
    put64: (at, value) => {
      view.setUint32(at, Math.floor(value / 2 ** 32));
      view.setUint32(at + 4, value % 2 ** 32);
    },
  };
}

/** Nanoseconds since the smallest second of 32 bits (bigtime). */
export function encodeBigtime(seconds: number): bigint {
  return (BigInt(seconds) + 2n ** 31n) * 1_000_000_000n;
}

/** What the superblock says of sizes, and where things are. Blocks, unless a name says bytes. */
export interface XfsGeometry {
  readonly blockBytes: number;
  readonly sectorBytes: number;
  readonly inodeBytes: number;
  readonly dblocks: number;
  readonly agBlocks: number;
  readonly agCount: number;
  readonly agBlockLog: number;
  /** Block of the log in its group, the group, and its length. */
  readonly logAg: number;
  readonly logAgBlock: number;
  readonly logBlocks: number;
  readonly sunit: number;
  readonly swidth: number;
  /** Of the log, in bytes; 1 for none. */
  readonly logSunitBytes: number;
  /** Inode chunks begin at multiples of this. */
  readonly inodeAlign: number;
  readonly hasReflink: boolean;
  readonly uuid: Uint8Array;
  readonly label: string;
}

export interface XfsSuper extends XfsGeometry {
  rootIno: number;
  icount: number;
  ifree: number;
  fdblocks: number;
}

/** Inode number of the first inode of a block of a group. */
export function agBlockToIno({ agBlockLog, blockBytes, inodeBytes }: XfsGeometry, agno: number, agbno: number): number {
  return (agno * 2 ** agBlockLog + agbno) * (blockBytes / inodeBytes);
}

/** Number of a block as fields of 64 bits hold it: the group's number in the high bits. */
export function fsBlockOf({ agBlockLog, agBlocks }: XfsGeometry, block: number): number {
  return Math.floor(block / agBlocks) * 2 ** agBlockLog + (block % agBlocks);
}

/** The block of the device behind such a number. */
export function blockOfFs({ agBlockLog, agBlocks }: XfsGeometry, fsBlock: number): number {
  return Math.floor(fsBlock / 2 ** agBlockLog) * agBlocks + (fsBlock % 2 ** agBlockLog);
}

/** `isCopy`: as mkfs.xfs leaves copies of the superblock, which were written before the first inodes. */
export function encodeXfsSuper(sb: Omit<XfsSuper, 'rootIno'> & { readonly rootIno: number | undefined }, isCopy = false): Uint8Array {
  const bytes = new Uint8Array(sb.sectorBytes);
  const { put8, put16, put32, put64 } = wordsOf(bytes);
  const log2 = Math.log2;
  const isWideSector = sb.sectorBytes > 512;
  put32(0x0, XFS_SB_MAGIC);
  put32(0x4, sb.blockBytes);
  put64(0x8, sb.dblocks);
  bytes.set(sb.uuid, 0x20);
  put64(0x30, sb.logAg * 2 ** sb.agBlockLog + sb.logAgBlock);
  bytes.fill(0xff, 0x38, 0x50);
  if (sb.rootIno !== undefined) for (const i of isCopy ? [0] : [0, 1, 2]) put64(0x38 + i * 8, sb.rootIno + i);
  put32(0x50, Math.max(1, 4096 / sb.blockBytes));
  put32(0x54, sb.agBlocks);
  put32(0x58, sb.agCount);
  put32(0x60, sb.logBlocks);
  const { NLINK, ALIGN, DALIGN, LOGV2, SECTOR, EXTFLG, DIRV2, MOREBITS } = XFS_VERSION;
  put16(0x64, 5 | NLINK | ALIGN | LOGV2 | EXTFLG | DIRV2 | MOREBITS | (sb.sunit > 0 ? DALIGN : 0) | (isWideSector ? SECTOR : 0));
  put16(0x66, sb.sectorBytes);
  put16(0x68, sb.inodeBytes);
  put16(0x6a, sb.blockBytes / sb.inodeBytes);
  for (let i = 0; i < Math.min(12, sb.label.length); i++) put8(0x6c + i, sb.label.charCodeAt(i));
  put8(0x78, log2(sb.blockBytes));
  put8(0x79, log2(sb.sectorBytes));
  put8(0x7a, log2(sb.inodeBytes));
  put8(0x7b, log2(sb.blockBytes / sb.inodeBytes));
  put8(0x7c, sb.agBlockLog);
  put8(0x7e, Number(isCopy));
  put8(0x7f, sb.dblocks * sb.blockBytes < 2 ** 40 ? 25 : sb.dblocks * sb.blockBytes < 50 * 2 ** 40 ? 5 : 1);
  put64(0x80, sb.icount);
  put64(0x88, sb.ifree);
  put64(0x90, sb.fdblocks);
  put32(0xb4, sb.inodeAlign);
  put32(0xb8, sb.sunit);
  put32(0xbc, sb.swidth);
  put8(0xc0, Math.max(0, log2(4096 / sb.blockBytes)));
  if (isWideSector) {
    put8(0xc1, log2(sb.sectorBytes));
    put16(0xc2, sb.sectorBytes);
  }
  put32(0xc4, sb.logSunitBytes);
  put32(0xc8, XFS_FEATURES2);
  put32(0xcc, XFS_FEATURES2);
  put32(0xd4, XFS_FEAT.RO_FINOBT | XFS_FEAT.RO_INOBTCNT | (sb.hasReflink ? XFS_FEAT.RO_REFLINK : 0));
  put32(0xd8, XFS_FEAT.INCOMPAT_FTYPE | XFS_FEAT.INCOMPAT_SPINODES | XFS_FEAT.INCOMPAT_BIGTIME);
  put32(0xe4, Math.max(1, (XFS_INODES_PER_CHUNK * sb.inodeBytes) / 2 / sb.blockBytes));
  sealXfs(bytes, XFS_CRC_AT.superblock);
  return bytes;
}

/** Read what {@link encodeXfsSuper} writes; the caller has looked at the magic number, the sum and the features. */
export function decodeXfsSuper(bytes: Uint8Array): XfsSuper {
  const { u8, u16, u32, u64 } = wordsOf(bytes);
  const agBlockLog = u8(0x7c);
  const logStart = u64(0x30);
  return {
    blockBytes: u32(0x4), sectorBytes: u16(0x66), inodeBytes: u16(0x68), dblocks: u64(0x8), agBlocks: u32(0x54), agCount: u32(0x58), agBlockLog,
    logAg: Math.floor(logStart / 2 ** agBlockLog), logAgBlock: logStart % 2 ** agBlockLog, logBlocks: u32(0x60), sunit: u32(0xb8), swidth: u32(0xbc),
    logSunitBytes: u32(0xc4),
    inodeAlign: u32(0xb4), hasReflink: (u32(0xd4) & XFS_FEAT.RO_REFLINK) !== 0, uuid: bytes.slice(0x20, 0x30),
    label: String.fromCharCode(...bytes.subarray(0x6c, 0x78)).replace(/\0.*$/s, ''), rootIno: u64(0x38), icount: u64(0x80), ifree: u64(0x88),
    fdblocks: u64(0x90),
  };
}
