/**
 * Trees of an allocation group that are one leaf: free space by place and by size, inodes, inodes with free ones, shared blocks.
 * Mirrors fs/xfs/libxfs/xfs_btree.c, as far as one block goes.
 */
import { KernelError } from '@holdfast/lib';
import { XFS_CRC_AT, XFS_NULL, type XfsGeometry, isSealed, sealXfs, wordsOf } from './format.js';

export const XFS_BTREE = { BNO: 0x41423342, CNT: 0x41423343, INO: 0x49414233, FINO: 0x46494233, REFC: 0x52334643 } as const;

const HEADER = 0x38;

/** Records that fit a leaf. */
export function leafCapacity({ blockBytes }: XfsGeometry, recordBytes: number): number {
  return Math.floor((blockBytes - HEADER) / recordBytes);
}

export interface LeafPlace {
  readonly magic: number;
  readonly agno: number;
  /** Block in the group. */
  readonly agbno: number;
}

export function encodeLeaf(geometry: XfsGeometry, { magic, agno, agbno }: LeafPlace, records: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(geometry.blockBytes);
  const { put16, put32, put64 } = wordsOf(bytes);
  put32(0x0, magic);
  put16(0x6, records.length);
  put32(0x8, XFS_NULL);
  put32(0xc, XFS_NULL);
  put64(0x10, ((agno * geometry.agBlocks + agbno) * geometry.blockBytes) / 512);
  bytes.set(geometry.uuid, 0x20);
  put32(0x30, agno);
  let at = HEADER;
  for (const record of records) {
    bytes.set(record, at);
    at += record.length;
  }
  sealXfs(bytes, XFS_CRC_AT.btree);
  return bytes;
}

/** @throws KernelError EIO for what is no such leaf, EOPNOTSUPP for a node of a higher tree */
export function decodeLeaf(geometry: XfsGeometry, { magic, agno }: LeafPlace, bytes: Uint8Array, recordBytes: number): Uint8Array[] {
  const { u16, u32 } = wordsOf(bytes);
  if (u32(0x0) !== magic || !isSealed(bytes, XFS_CRC_AT.btree) || u32(0x30) !== agno) {
    throw new KernelError('EIO', `group ${agno} has a tree that is not what it should be`);
  }
  if (u16(0x4) !== 0) throw new KernelError('EOPNOTSUPP', `group ${agno} has a tree of several levels`);
  const count = u16(0x6);
  if (count > leafCapacity(geometry, recordBytes)) throw new KernelError('EIO', `group ${agno} has a leaf of ${count} records`);
  return Array.from({ length: count }, (_, i) => bytes.slice(HEADER + i * recordBytes, HEADER + (i + 1) * recordBytes));
}
