/**
 * The info block of fsdax and devdax namespaces: where the data begins, and where the struct pages of it live.
 * Mirrors drivers/nvdimm/pfn.h: struct nd_pfn_sb, and core.c: nd_sb_checksum. Both kinds have one layout and differ by signature.
 */
import { ascii, fletcher64, layout, u16, u32, u64 } from '@holdfast/lib';
import { uuid } from './uuid.js';

export const INFO_BLOCK_OFFSET = 4096;
export const INFO_BLOCK_SIZE = 4096;
/** What a namespace with an info block gives up at its start. */
export const INFO_BLOCK_RESERVE = 8192;

/** `pfn` makes a disk (fsdax), `dax` a character device (devdax). */
export type InfoBlockKind = 'pfn' | 'dax';
export const INFO_BLOCK_SIGNATURE = { pfn: 'NVDIMM_PFN_INFO', dax: 'NVDIMM_DAX_INFO' } as const;
/** Where struct pages live: in RAM, or in the pmem itself (enum nd_pfn_mode). */
export const PFN_MODE = { none: 0, ram: 1, pmem: 2 } as const;
export type PfnMode = keyof typeof PFN_MODE;

const CHECKSUM_OFFSET = 4088;

const SUPER_BLOCK = layout('info block', INFO_BLOCK_SIZE, {
  signature: ascii(0, 16),
  /** Of this pfn or dax instance. */
  uuid: uuid(16),
  /** Of the namespace; all zeros if it has none. */
  parentUuid: uuid(32),
  flags: u32(48),
  versionMajor: u16(52),
  versionMinor: u16(54),
  /** Bytes from the namespace's start to its data. */
  dataOffset: u64(56),
  /** Data pages of 4 KiB. */
  nrPfns: u64(64),
  mode: u32(72),
  startPad: u32(76),
  endTrunc: u32(80),
  align: u32(84),
  pageSize: u32(88),
  pageStructSize: u16(92),
  checksum: u64(CHECKSUM_OFFSET),
});

/** The fields as they lie on media; what they mean depends on the version (see checkInfoBlock). */
export type InfoBlock = ReturnType<typeof SUPER_BLOCK.decode>;

/** The block's 4096 bytes, with its checksum. */
export function encodeInfoBlock(block: Omit<InfoBlock, 'checksum'>): Uint8Array {
  const bytes = new Uint8Array(INFO_BLOCK_SIZE);
  SUPER_BLOCK.encode({ ...block, checksum: 0n }, bytes);
  SUPER_BLOCK.encode({ ...block, checksum: superBlockChecksum(bytes) }, bytes);
  return bytes;
}

/** What the bytes say, valid or not. */
export function decodeInfoBlock(bytes: Uint8Array): InfoBlock {
  return SUPER_BLOCK.decode(bytes);
}

/** Fletcher64 of a 4096-byte block whose last 8 bytes count as zeros; BTT info blocks have it too (nd_sb_checksum). */
export function superBlockChecksum(bytes: Uint8Array): bigint {
  const copy = bytes.slice(0, INFO_BLOCK_SIZE);
  copy.fill(0, CHECKSUM_OFFSET);
  return fletcher64(copy);
}

/** Do the first 16 bytes spell `signature`, filled up with NULs? */
export function hasSignature(bytes: Uint8Array, signature: string): boolean {
  for (let at = 0; at < 16; at++) {
    if (bytes[at] !== (at < signature.length ? signature.charCodeAt(at) : 0)) return false;
  }
  return true;
}
