/**
 * Inodes of XFS version 5: the core, then where the data is: names of a small directory, a link's target, or extents.
 * Mirrors fs/xfs/libxfs/xfs_inode_buf.c, xfs_bmap_btree.c: xfs_bmbt_disk_set_all, and xfs_dir2_sf.c.
 */
import { KernelError } from '@holdfast/lib';
import type { Extent } from '../extent-list.js';
import { utf8Decode, utf8Encode } from '../utf8.js';
import {
  XFS_CRC_AT, XFS_DIFLAG2, XFS_DINODE_FMT, XFS_INODE_CORE, XFS_NULL, type XfsGeometry, blockOfFs, encodeBigtime, fsBlockOf, isSealed, sealXfs,
  wordsOf,
} from './format.js';

export interface XfsInode {
  mode: number;
  format: number;
  uid: number;
  gid: number;
  nlink: number;
  atime: number;
  mtime: number;
  ctime: number;
  crtime: number;
  sizeBytes: number;
  nblocks: number;
  nextents: number;
  /** di_flags and di_flags2. */
  flags: number;
  flags2: number;
  generation: number;
  changeCount: number;
  /** Bytes of the literal area. */
  fork: Uint8Array;
  /** In words of eight bytes: where attributes begin; 0 if there are none. */
  forkoff: number;
}

const DINODE_MAGIC = 0x494e;
const EXTENT_BYTES = 16;
const MAX_EXTENT = 2 ** 21 - 1;
/** Offset of the first name of a directory in the block form, behind its header, `.` and `..`. */
const FIRST_NAME = 0x60;

export function newXfsInode(geometry: XfsGeometry, mode: number, format: number, now: number): XfsInode {
  return {
    mode, format, uid: 0, gid: 0, nlink: 1, atime: now, mtime: now, ctime: now, crtime: now, sizeBytes: 0, nblocks: 0, nextents: 0, flags: 0,
    flags2: XFS_DIFLAG2.BIGTIME,
    generation: 0, changeCount: 1, fork: new Uint8Array(geometry.inodeBytes - XFS_INODE_CORE), forkoff: 0,
  };
}

export function encodeXfsInode(geometry: XfsGeometry, ino: number, inode: XfsInode): Uint8Array {
  const bytes = new Uint8Array(geometry.inodeBytes);
  const { put8, put16, put32, put64 } = wordsOf(bytes);
  const view = new DataView(bytes.buffer);
  put16(0x0, DINODE_MAGIC);
  put16(0x2, inode.mode);
  put8(0x4, 3);
  put8(0x5, inode.format);
  put32(0x8, inode.uid);
  put32(0xc, inode.gid);
  put32(0x10, inode.nlink);
  for (const [at, time] of [
    [0x20, inode.atime],
    [0x28, inode.mtime],
    [0x30, inode.ctime],
    [0x90, inode.crtime],
  ] as const)
    view.setBigUint64(at, encodeBigtime(time));
  put64(0x38, inode.sizeBytes);
  put64(0x40, inode.nblocks);
  put32(0x4c, inode.nextents);
  put8(0x52, inode.forkoff);
  put8(0x53, XFS_DINODE_FMT.EXTENTS);
  put16(0x5a, inode.flags);
  put32(0x5c, inode.generation);
  put32(0x60, XFS_NULL);
  put64(0x68, inode.changeCount);
  put64(0x78, inode.flags2);
  put64(0x98, ino);
  bytes.set(geometry.uuid, 0xa0);
  bytes.set(inode.fork, XFS_INODE_CORE);
  sealXfs(bytes, XFS_CRC_AT.inode);
  return bytes;
}

/** An inode that nobody has. */
export function encodeFreeInode(geometry: XfsGeometry, ino: number, generation = 0): Uint8Array {
  const bytes = new Uint8Array(geometry.inodeBytes);
  const { put8, put16, put32, put64 } = wordsOf(bytes);
  put16(0x0, DINODE_MAGIC);
  put8(0x4, 3);
  if (generation > 0) {
    put8(0x5, XFS_DINODE_FMT.EXTENTS);
    put8(0x53, XFS_DINODE_FMT.EXTENTS);
    put32(0x5c, generation);
  }
  put32(0x60, XFS_NULL);
  put64(0x98, ino);
  bytes.set(geometry.uuid, 0xa0);
  sealXfs(bytes, XFS_CRC_AT.inode);
  return bytes;
}

/** @throws KernelError EIO for what is no inode of that number, EOPNOTSUPP for forms that are not read here */
export function decodeXfsInode(ino: number, bytes: Uint8Array): XfsInode {
  const { u8, u16, u32, u64 } = wordsOf(bytes);
  if (u16(0x0) !== DINODE_MAGIC || u8(0x4) !== 3 || u64(0x98) !== ino || !isSealed(bytes, XFS_CRC_AT.inode)) {
    throw new KernelError('EIO', `inode ${ino} is not what it should be`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (u8(0x52) !== 0) throw new KernelError('EOPNOTSUPP', `inode ${ino} has attributes, which are not kept here`);
  const flags2 = u64(0x78);
  const time = (at: number): number => ((flags2 & XFS_DIFLAG2.BIGTIME) !== 0 ? Number(view.getBigUint64(at) / 1_000_000_000n - 2n ** 31n) : u32(at));
  return {
    mode: u16(0x2), format: u8(0x5), uid: u32(0x8), gid: u32(0xc), nlink: u32(0x10), atime: time(0x20), mtime: time(0x28), ctime: time(0x30),
    crtime: time(0x90), sizeBytes: u64(0x38),
    nblocks: u64(0x40), nextents: u32(0x4c), flags: u16(0x5a), flags2, generation: u32(0x5c), changeCount: u64(0x68),
    fork: bytes.slice(XFS_INODE_CORE), forkoff: 0,
  };
}

/** Extents, of device blocks, as the fork has them. @throws KernelError EOPNOTSUPP if there are more than it holds */
export function encodeXfsExtents(geometry: XfsGeometry, extents: readonly Extent[], forkBytes: number): { fork: Uint8Array; count: number } {
  const pieces = extents.flatMap((extent) => cutExtent(extent));
  if (pieces.length * EXTENT_BYTES > forkBytes) {
    throw new KernelError(
      'EOPNOTSUPP',
      `a file in ${pieces.length} pieces: an inode holds ${Math.floor(forkBytes / EXTENT_BYTES)}, and trees of them are not made here`,
    );
  }
  const fork = new Uint8Array(forkBytes);
  const view = new DataView(fork.buffer);
  for (const [index, { block, length, start, isUnwritten }] of pieces.entries()) {
    const word = ((isUnwritten ? 1n : 0n) << 127n) | (BigInt(block) << 73n) | (BigInt(fsBlockOf(geometry, start)) << 21n) | BigInt(length);
    view.setBigUint64(index * EXTENT_BYTES, word >> 64n);
    view.setBigUint64(index * EXTENT_BYTES + 8, word & (2n ** 64n - 1n));
  }
  return { fork, count: pieces.length };
}

/** @throws KernelError EIO for an extent outside of the device or out of order */
export function decodeXfsExtents(geometry: XfsGeometry, { fork, nextents }: XfsInode): Extent[] {
  if (nextents * EXTENT_BYTES > fork.length) throw new KernelError('EIO', `${nextents} extents do not fit an inode`);
  const view = new DataView(fork.buffer, fork.byteOffset);
  const extents: Extent[] = [];
  for (let i = 0; i < nextents; i++) {
    const word = (view.getBigUint64(i * EXTENT_BYTES) << 64n) | view.getBigUint64(i * EXTENT_BYTES + 8);
    const extent = {
      isUnwritten: word >> 127n === 1n,
      block: Number((word >> 73n) & (2n ** 54n - 1n)),
      start: blockOfFs(geometry, Number((word >> 21n) & (2n ** 52n - 1n))),
      length: Number(word & (2n ** 21n - 1n)),
    };
    const last = extents.at(-1);
    if (extent.length === 0 || extent.start + extent.length > geometry.dblocks || (last && last.block + last.length > extent.block)) {
      throw new KernelError('EIO', 'an extent leads out of the device, or back');
    }
    extents.push(extent);
  }
  return extents;
}

function cutExtent({ block, length, start, isUnwritten }: Extent): Extent[] {
  const pieces: Extent[] = [];
  for (let done = 0; done < length; done += MAX_EXTENT) {
    pieces.push({ block: block + done, length: Math.min(MAX_EXTENT, length - done), start: start + done, isUnwritten });
  }
  return pieces;
}

export interface XfsDirEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
  /** Where the name would be in the block form: cookies of readdir. */
  readonly offset: number;
}

export interface XfsShortDir {
  readonly parent: number;
  readonly entries: readonly XfsDirEntry[];
}

/** Bytes of a directory that lies in its inode. @throws KernelError EOPNOTSUPP if it does not fit */
export function encodeShortDir({ parent, entries }: XfsShortDir, forkBytes: number): Uint8Array {
  const isWide = parent > XFS_NULL || entries.some(({ ino }) => ino > XFS_NULL);
  const inoBytes = isWide ? 8 : 4;
  const parts: number[] = [entries.length, isWide ? entries.filter(({ ino }) => ino > XFS_NULL).length + Number(parent > XFS_NULL) : 0];
  const putIno = (ino: number): void => {
    for (let shift = inoBytes - 1; shift >= 0; shift--) parts.push(Math.floor(ino / 2 ** (8 * shift)) % 256);
  };
  putIno(parent);
  for (const { name, ino, type, offset } of entries) {
    const bytes = utf8Encode(name);
    parts.push(bytes.length, offset >> 8, offset & 0xff, ...bytes, type);
    putIno(ino);
  }
  if (parts.length > forkBytes || entries.length > 255) {
    throw new KernelError('EOPNOTSUPP', `a directory of ${entries.length} names: those that outgrow their inode are not made here`);
  }
  return Uint8Array.from(parts);
}

/** @throws KernelError EIO, EOPNOTSUPP for a directory that has blocks of its own */
export function decodeShortDir({ format, fork, sizeBytes }: XfsInode): XfsShortDir {
  if (format !== XFS_DINODE_FMT.LOCAL) throw new KernelError('EOPNOTSUPP', 'a directory that has outgrown its inode is not read here');
  if (sizeBytes > fork.length || sizeBytes < 6) throw new KernelError('EIO', `a directory of ${sizeBytes} bytes in its inode`);
  const inoBytes = fork[1] === 0 ? 4 : 8;
  const inoAt = (at: number): number => {
    if (at + inoBytes > sizeBytes) throw new KernelError('EIO', 'a directory ends within an entry');
    let ino = 0;
    for (let i = 0; i < inoBytes; i++) ino = ino * 256 + fork[at + i]!;
    return ino;
  };
  const entries: XfsDirEntry[] = [];
  let at = 2 + inoBytes;
  for (let i = 0; i < fork[0]!; i++) {
    const length = fork[at] ?? 0;
    const inoStart = at + 4 + length;
    const ino = inoAt(inoStart);
    entries.push({ name: utf8Decode(fork.subarray(at + 3, at + 3 + length)), offset: fork[at + 1]! * 256 + fork[at + 2]!, type: fork[at + 3 + length]!, ino });
    at = inoStart + inoBytes;
  }
  return { parent: inoAt(2), entries };
}

/** The cookie of a name that is added last. */
export function nextDirOffset(entries: readonly XfsDirEntry[]): number {
  return entries.reduce((end, { offset, name }) => Math.max(end, offset + Math.ceil((utf8Encode(name).length + 12) / 8) * 8), FIRST_NAME);
}
