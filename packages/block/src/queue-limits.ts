/**
 * What a device can take in one piece. Mirrors block/blk-settings.c: struct queue_limits, its setters, and blk_stack_limits.
 *
 * Invariant: physical >= logical block size, minimumIo >= physical, and the sector limits are multiples of the logical block.
 */
import { PAGE_SIZE, SECTOR_SIZE, isAligned, roundDown } from '@holdfast/lib';

export interface QueueLimits {
  /** Bytes. */
  logicalBlockSize: number;
  physicalBlockSize: number;
  ioMin: number;
  ioOpt: number;
  /** Sectors that one request takes: the soft limit, which root may move up to the hard one. */
  maxSectors: number;
  maxHwSectors: number;
  maxSegments: number;
  maxSegmentSize: number;
  /** A segment stays inside one block of this many bytes plus one. */
  segBoundaryMask: number;
  /** Segments other than the first start, and other than the last end, at a multiple of this plus one; 0 is no limit. */
  virtBoundaryMask: number;
  /** Buffer addresses and lengths are multiples of this plus one. */
  dmaAlignment: number;
  /** Requests do not cross a multiple of this; 0 is no limit. */
  chunkSectors: number;
  maxDiscardSectors: number;
  maxHwDiscardSectors: number;
  maxSecureEraseSectors: number;
  maxWriteZeroesSectors: number;
  maxDiscardSegments: number;
  /** Of integrity metadata beside the data; 0 without any. */
  maxIntegritySegments: number;
  discardGranularity: number;
  discardAlignment: number;
  /** Bytes by which the device's physical blocks are out of step with its start. */
  alignmentOffset: number;
  /** The stack below cannot be aligned. */
  misaligned: boolean;
}

export const UINT_MAX = 2 ** 32 - 1;
const USHRT_MAX = 2 ** 16 - 1;
const SAFE_MAX_SECTORS = 255;
const MAX_SEGMENTS = 128;
const MAX_SEGMENT_SIZE = 65_536;
const SEG_BOUNDARY_MASK = 0xffff_ffff;
/** The soft limit of a device that could take more, since 4.3: 1280 KiB. */
export const BLK_DEF_MAX_SECTORS = 2560;

/** The limits of a fresh queue (blk_set_default_limits). */
export function defaultLimits(): QueueLimits {
  return {
    logicalBlockSize: SECTOR_SIZE,
    physicalBlockSize: SECTOR_SIZE,
    ioMin: SECTOR_SIZE,
    ioOpt: 0,
    maxSectors: SAFE_MAX_SECTORS,
    maxHwSectors: SAFE_MAX_SECTORS,
    maxSegments: MAX_SEGMENTS,
    maxSegmentSize: MAX_SEGMENT_SIZE,
    segBoundaryMask: SEG_BOUNDARY_MASK,
    virtBoundaryMask: 0,
    dmaAlignment: SECTOR_SIZE - 1,
    chunkSectors: 0,
    maxDiscardSectors: 0,
    maxHwDiscardSectors: 0,
    maxSecureEraseSectors: 0,
    maxWriteZeroesSectors: 0,
    maxDiscardSegments: 1,
    maxIntegritySegments: 0,
    discardGranularity: 0,
    discardAlignment: 0,
    alignmentOffset: 0,
    misaligned: false,
  };
}

/** The limits a stacked device starts with, before it takes the minima of those below (blk_set_stacking_limits). */
export function stackingLimits(): QueueLimits {
  return {
    ...defaultLimits(),
    maxSectors: UINT_MAX,
    maxHwSectors: UINT_MAX,
    maxSegments: USHRT_MAX,
    maxSegmentSize: UINT_MAX,
    maxSecureEraseSectors: UINT_MAX,
    maxWriteZeroesSectors: UINT_MAX,
  };
}

const sectorsPerBlock = (limits: QueueLimits): number => limits.logicalBlockSize / SECTOR_SIZE;

/** Set the size of the smallest unit of I/O, and what follows from it. */
export function setLogicalBlockSize(limits: QueueLimits, sizeBytes: number): void {
  limits.logicalBlockSize = sizeBytes;
  raiseBlockSizes(limits);
  limits.maxHwSectors = roundDown(limits.maxHwSectors, sectorsPerBlock(limits));
  limits.maxSectors = roundDown(limits.maxSectors, sectorsPerBlock(limits));
}

/** Set the unit that the medium writes without read-modify-write. */
export function setPhysicalBlockSize(limits: QueueLimits, sizeBytes: number): void {
  limits.physicalBlockSize = sizeBytes;
  raiseBlockSizes(limits);
}

function raiseBlockSizes(limits: QueueLimits): void {
  limits.physicalBlockSize = Math.max(limits.physicalBlockSize, limits.logicalBlockSize);
  limits.ioMin = Math.max(limits.ioMin, limits.physicalBlockSize);
}

/**
 * Set the most that the device takes in one request, and with it the soft limit.
 * @param softCap {@link BLK_DEF_MAX_SECTORS}, or Infinity before 4.3
 */
export function setMaxHwSectors(limits: QueueLimits, sectors: number, softCap: number = BLK_DEF_MAX_SECTORS): void {
  const atLeastAPage = Math.max(sectors, PAGE_SIZE / SECTOR_SIZE);
  limits.maxHwSectors = roundDown(atLeastAPage, sectorsPerBlock(limits));
  limits.maxSectors = roundDown(Math.min(limits.maxHwSectors, softCap), sectorsPerBlock(limits));
}

/**
 * Narrow `top`, a stacked device, to what `bottom` takes from sector `start` of it on (blk_stack_limits).
 * Returns false, and marks `top` misaligned, if their blocks cannot be brought into step.
 */
export function stackLimits(top: QueueLimits, bottom: QueueLimits, start: number): boolean {
  stackMinima(top, bottom);
  const offset = alignmentOffsetAt(bottom, start);
  const inStep = top.alignmentOffset === offset || blocksInStep(top, bottom, offset);
  top.logicalBlockSize = Math.max(top.logicalBlockSize, bottom.logicalBlockSize);
  top.physicalBlockSize = Math.max(top.physicalBlockSize, bottom.physicalBlockSize);
  top.ioMin = Math.max(top.ioMin, bottom.ioMin);
  top.ioOpt = lcmNotZero(top.ioOpt, bottom.ioOpt);
  top.chunkSectors = gcd(top.chunkSectors, bottom.chunkSectors);
  const clean = dropUnaligned(top);
  top.alignmentOffset = lcmNotZero(top.alignmentOffset, offset) % Math.max(top.physicalBlockSize, top.ioMin);
  const aligned = isAligned(top.alignmentOffset, top.logicalBlockSize);
  top.maxSectors = roundDown(top.maxSectors, sectorsPerBlock(top));
  top.maxHwSectors = roundDown(top.maxHwSectors, sectorsPerBlock(top));
  const fits = inStep && clean && aligned;
  top.misaligned ||= bottom.misaligned || !fits;
  return fits;
}

function stackMinima(top: QueueLimits, bottom: QueueLimits): void {
  const least = [
    'maxSectors', 'maxHwSectors', 'maxSegments', 'maxSegmentSize', 'segBoundaryMask', 'virtBoundaryMask', 'maxDiscardSegments', 'maxIntegritySegments',
    'maxDiscardSectors', 'maxHwDiscardSectors', 'maxSecureEraseSectors',
  ] as const;
  for (const key of least) top[key] = minNotZero(top[key], bottom[key]);
  // Here zero means "cannot", not "no limit".
  top.maxWriteZeroesSectors = Math.min(top.maxWriteZeroesSectors, bottom.maxWriteZeroesSectors);
  top.dmaAlignment = Math.max(top.dmaAlignment, bottom.dmaAlignment);
  top.discardGranularity = Math.max(top.discardGranularity, bottom.discardGranularity);
}

/** How far sector `start` of a device is from the next boundary of its physical blocks, in bytes (queue_limit_alignment_offset). */
export function alignmentOffsetAt(limits: QueueLimits, start: number): number {
  const granularity = Math.max(limits.physicalBlockSize, limits.ioMin);
  const past = (start * SECTOR_SIZE) % granularity;
  return (granularity + limits.alignmentOffset - past) % granularity;
}

function blocksInStep(top: QueueLimits, bottom: QueueLimits, offset: number): boolean {
  const a = Math.max(top.physicalBlockSize, top.ioMin) + top.alignmentOffset;
  const b = Math.max(bottom.physicalBlockSize, bottom.ioMin) + offset;
  return Math.max(a, b) % Math.min(a, b) === 0;
}

/** Give up hints that are no multiple of the blocks they ought to consist of. Returns whether none had to go. */
function dropUnaligned(top: QueueLimits): boolean {
  let clean = true;
  if (!isAligned(top.physicalBlockSize, top.logicalBlockSize)) {
    top.physicalBlockSize = top.logicalBlockSize;
    clean = false;
  }
  if (!isAligned(top.ioMin, top.physicalBlockSize)) {
    top.ioMin = top.physicalBlockSize;
    clean = false;
  }
  if (!isAligned(top.ioOpt, top.physicalBlockSize)) {
    top.ioOpt = 0;
    clean = false;
  }
  if (!isAligned(top.chunkSectors * SECTOR_SIZE, top.physicalBlockSize)) {
    top.chunkSectors = 0;
    clean = false;
  }
  return clean;
}

/** The smaller of two limits, where zero is none. */
function minNotZero(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 ? a : Math.min(a, b);
}

function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

function lcmNotZero(a: number, b: number): number {
  return a === 0 || b === 0 ? a + b : (a / gcd(a, b)) * b;
}
