/**
 * The shape of a BTT: how a namespace is cut into arenas, an arena into its parts, and the info block that says so.
 * Mirrors drivers/nvdimm/btt.h: struct btt_sb; btt.c: alloc_arena, create_arenas; btt_devs.c: nd_btt_version, nd_btt_arena_is_valid. UEFI 2.7, 6.
 *
 *     0            dataOffset                  mapOffset      logOffset     info2Offset    sizeBytes
 *     ├ info block ┼ data: internalNlba blocks ┼ map ─────────┼ flog ───────┼ info block ──┤   offsets from the arena's start
 *
 * A block more than 256 of the data area is never mapped at any time: those are the free blocks, one a lane.
 */
import { GIB, MIB, ascii, layout, roundDown, roundUp, u16, u32, u64 } from '@holdfast/lib';
import { hasSignature, superBlockChecksum } from './info-block.js';
import type { ClaimClass } from './namespace-label.js';
import { NULL_UUID, uuid } from './uuid.js';

export const BTT_INFO_SIZE = 4096;
export const BTT_SIGNATURE = 'BTT_ARENA_INFO';
export const ARENA_MIN_SIZE = 16 * MIB;
export const ARENA_MAX_SIZE = 512 * GIB;
/** Free blocks, and lanes, of an arena. */
export const BTT_NFREE = 256;
/** Bytes of a map entry, and of the four slots that a lane has in the flog. */
export const MAP_ENTRY_SIZE = 4;
export const LOG_GROUP_SIZE = 64;
/** Bit of an info block's flags: the arena met an error and is not to be written any more. */
export const ARENA_FLAG_ERROR = 1;
/** Sectors that a BTT can make: 512 or 4096 bytes of data, and room for integrity metadata. */
export const BTT_LBA_SIZES: readonly number[] = [512, 520, 528, 4096, 4104, 4160, 4224];

const INTERNAL_LBA_ALIGN = 64;
/** What Linux could allocate a free list for: 4 MiB of 16 bytes each. */
const NFREE_MAX = 2 ** 18;
const CHECKSUM_OFFSET = 4088;

const SUPER_BLOCK = layout('BTT info block', BTT_INFO_SIZE, {
  signature: ascii(0, 16),
  uuid: uuid(16),
  /** Of the namespace; all zeros go with any. */
  parentUuid: uuid(32),
  flags: u32(48),
  versionMajor: u16(52),
  versionMinor: u16(54),
  externalLbaSize: u32(56),
  externalNlba: u32(60),
  internalLbaSize: u32(64),
  internalNlba: u32(68),
  nfree: u32(72),
  infoSize: u32(76),
  /** From this arena's start to the next one's; 0 in the last. */
  nextOffset: u64(80),
  dataOffset: u64(88),
  mapOffset: u64(96),
  logOffset: u64(104),
  info2Offset: u64(112),
  checksum: u64(CHECKSUM_OFFSET),
});

/** An arena's info block as it lies on media. */
export type BttInfo = ReturnType<typeof SUPER_BLOCK.decode>;

/** Which layout a namespace of a claim class has. */
export interface BttVersion {
  readonly major: number;
  readonly minor: number;
  /** Bytes of the namespace before the first arena. */
  readonly initialOffset: number;
}

/** How one arena is cut. Sizes in bytes, offsets from the arena's start. */
export interface ArenaLayout {
  readonly sizeBytes: number;
  readonly externalLbaSize: number;
  readonly internalLbaSize: number;
  readonly externalNlba: number;
  readonly internalNlba: number;
  readonly nextOffset: number;
  readonly dataOffset: number;
  readonly mapOffset: number;
  readonly logOffset: number;
  readonly info2Offset: number;
}

/** v2.0 where a v1.2 label says so, v1.1 everywhere else. */
export function bttVersion(claimClass: ClaimClass): BttVersion {
  return claimClass === 'btt2' ? { major: 2, minor: 0, initialOffset: 0 } : { major: 1, minor: 1, initialOffset: 4096 };
}

/** Bytes of the disk's logical block: metadata is not part of it. */
export function bttSectorSize(lbaSize: number): number {
  return lbaSize >= 4096 ? 4096 : 512;
}

/** Cut `[0, rawSize)` into arenas; a rest below 16 MiB stays unused. Empty if not even one fits. */
export function planArenas(rawSize: number, lbaSize: number): ArenaLayout[] {
  const arenas: ArenaLayout[] = [];
  for (let remaining = rawSize; remaining >= ARENA_MIN_SIZE; ) {
    const sizeBytes = Math.min(ARENA_MAX_SIZE, remaining);
    remaining -= sizeBytes;
    arenas.push(planArena(sizeBytes, lbaSize, remaining >= ARENA_MIN_SIZE ? sizeBytes : 0));
  }
  return arenas;
}

/** Bytes of the disk that a namespace would make; 0 if it is too small. */
export function bttCapacity(namespaceSize: number, lbaSize: number, claimClass: ClaimClass): number {
  const arenas = planArenas(namespaceSize - bttVersion(claimClass).initialOffset, lbaSize);
  return arenas.reduce((sum, { externalNlba }) => sum + externalNlba, 0) * bttSectorSize(lbaSize);
}

function planArena(sizeBytes: number, externalLbaSize: number, nextOffset: number): ArenaLayout {
  const internalLbaSize = roundUp(externalLbaSize, INTERNAL_LBA_ALIGN);
  const logSize = roundUp(BTT_NFREE * LOG_GROUP_SIZE, BTT_INFO_SIZE);
  const available = roundDown(sizeBytes, BTT_INFO_SIZE) - 2 * BTT_INFO_SIZE - logSize;
  const internalNlba = Math.floor((available - BTT_INFO_SIZE) / (internalLbaSize + MAP_ENTRY_SIZE));
  const externalNlba = internalNlba - BTT_NFREE;
  const mapSize = roundUp(externalNlba * MAP_ENTRY_SIZE, BTT_INFO_SIZE);
  const dataOffset = BTT_INFO_SIZE;
  const mapOffset = dataOffset + available - mapSize;
  const logOffset = mapOffset + mapSize;
  const info2Offset = logOffset + logSize;
  return { sizeBytes, externalLbaSize, internalLbaSize, externalNlba, internalNlba, nextOffset, dataOffset, mapOffset, logOffset, info2Offset };
}

/** The info block's 4096 bytes, with its checksum. */
export function encodeBttInfo(info: Omit<BttInfo, 'signature' | 'infoSize' | 'checksum'>): Uint8Array {
  const bytes = new Uint8Array(BTT_INFO_SIZE);
  const record = { ...info, signature: BTT_SIGNATURE, infoSize: BTT_INFO_SIZE };
  SUPER_BLOCK.encode({ ...record, checksum: 0n }, bytes);
  SUPER_BLOCK.encode({ ...record, checksum: superBlockChecksum(bytes) }, bytes);
  return bytes;
}

/** What the bytes say, valid or not. */
export function decodeBttInfo(bytes: Uint8Array): BttInfo {
  return SUPER_BLOCK.decode(bytes);
}

/** Is it an info block, undamaged, and of this namespace? */
export function bttInfoIsValid(bytes: Uint8Array, parentUuid: string | undefined): boolean {
  if (!hasSignature(bytes, BTT_SIGNATURE)) return false;
  const info = decodeBttInfo(bytes);
  if (info.parentUuid !== NULL_UUID && info.parentUuid !== parentUuid) return false;
  return info.checksum === superBlockChecksum(bytes);
}

/**
 * Do the arena's parts lie in order and hold what they must? Linux takes a checksum for proof of that; what passed as a valid block but
 * describes parts that overlap would have its metadata overwritten.
 */
export function bttInfoIsSane(info: BttInfo): boolean {
  const { externalLbaSize, internalLbaSize, externalNlba, internalNlba, nfree } = info;
  const [data, map, log, info2, next] = [info.dataOffset, info.mapOffset, info.logOffset, info.info2Offset, info.nextOffset].map(Number);
  return (
    externalLbaSize >= 512 && externalLbaSize <= internalLbaSize && externalNlba <= internalNlba &&
    data! >= BTT_INFO_SIZE &&
    data! + internalNlba * internalLbaSize <= map! &&
    map! + externalNlba * MAP_ENTRY_SIZE <= log! &&
    nfree <= NFREE_MAX && log! + nfree * LOG_GROUP_SIZE <= info2! &&
    info2! < 2 ** 52 &&
    (next! === 0 || next! >= info2! + BTT_INFO_SIZE)
  );
}
