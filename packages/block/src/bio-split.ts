/**
 * Cutting a bio to what a device takes in one piece. Mirrors block/blk-merge.c: bio_split_to_limits, bio_split_rw, get_max_io_size.
 *
 * Invariant: the pieces, in order, cover the sectors and the bytes of the bio exactly, and each but the last ends on a logical block.
 */
import { PAGE_SIZE, SECTOR_SIZE, bugOn, roundDown } from '@holdfast/lib';
import type { Sector } from '@holdfast/lib';
import { bioChain, bioEndWith, bioSectors } from './bio.js';
import { BLK_STS } from './blk-status.js';
import { BIO, REQ, REQ_OP, opOf } from './blk-types.js';
import type { Bio } from './blk-types.js';
import { advanceBio, createBvecIter, nextBvec, startIter } from './bvec.js';
import type { BvecIter } from './bvec.js';
import type { QueueLimits } from './queue-limits.js';
import { UINT_MAX } from './queue-limits.js';
import { submitBioNoacct } from './submit.js';

/**
 * What a driver with limits calls first: returns the front piece for it to carry out, and submits the rest again.
 * Undefined if the bio has been ended here: it may not wait (NOWAIT), and would have to be split.
 */
export function bioSplitToLimits(bio: Bio, limits: QueueLimits): Bio | undefined {
  const sectors = splitPoint(bio, limits);
  if (sectors === 0) return bio;
  if ((bio.opf & REQ.NOWAIT) !== 0) {
    bioEndWith(bio, BLK_STS.AGAIN);
    return undefined;
  }
  const front = splitBio(bio, sectors);
  front.opf |= REQ.NOMERGE;
  bioChain(front, bio);
  submitBioNoacct(bio);
  return front;
}

/** Take the first `sectors` of a bio into a new one that shares its table; the bio keeps the rest (bio_split). */
export function splitBio(bio: Bio, sectors: number): Bio {
  bugOn(sectors <= 0 || sectors >= bioSectors(bio), `splitBio: ${sectors} of ${bioSectors(bio)} sectors`);
  const front: Bio = { ...bio, next: undefined, flags: (bio.flags & ~BIO.CHAIN) | BIO.CLONED, remaining: 1, endIo: undefined, private: undefined };
  front.sizeBytes = sectors * SECTOR_SIZE;
  advanceBio(bio, front.sizeBytes);
  return front;
}

/** How many sectors of the bio fit; 0 if all do. */
export function splitPoint(bio: Bio, limits: QueueLimits): number {
  switch (opOf(bio.opf)) {
    case REQ_OP.DISCARD:
    case REQ_OP.SECURE_ERASE:
      return discardSplitPoint(bio, limits);
    case REQ_OP.WRITE_ZEROES:
      return limits.maxWriteZeroesSectors > 0 && bioSectors(bio) > limits.maxWriteZeroesSectors ? limits.maxWriteZeroesSectors : 0;
    default:
      return dataSplitPoint(bio, limits);
  }
}

/**
 * The most sectors one request may move from `at` on: up to the soft limit and the end of the chunk, and such that
 * the next one starts on a physical block, if that leaves anything (get_max_io_size).
 */
export function maxIoSectors(at: Sector, limits: QueueLimits): number {
  const pbs = limits.physicalBlockSize / SECTOR_SIZE;
  const lbs = limits.logicalBlockSize / SECTOR_SIZE;
  const chunk = limits.chunkSectors;
  const max = chunk > 0 ? Math.min(limits.maxSectors, chunk - (at % chunk)) : limits.maxSectors;
  const start = at % pbs;
  const end = roundDown(start + max, pbs);
  return end > start ? end - start : roundDown(max, lbs);
}

/** Segments and bytes that fit so far. */
interface Filled {
  segments: number;
  bytes: number;
}

function dataSplitPoint(bio: Bio, limits: QueueLimits): number {
  const maxBytes = maxIoSectors(bio.sector, limits) * SECTOR_SIZE;
  const filled: Filled = { segments: 0, bytes: 0 };
  const iter = createBvecIter();
  let previousEnd: number | undefined;
  startIter(iter, bio);
  while (nextBvec(iter, bio)) {
    const gap = previousEnd !== undefined && hasGap(limits.virtBoundaryMask, previousEnd, iter.offset);
    if (gap || !addBvec(filled, iter, limits, maxBytes)) {
      const bytes = roundDown(filled.bytes, limits.logicalBlockSize);
      bugOn(bytes === 0, `a bio at sector ${bio.sector} of which no logical block fits the limits`);
      return bytes / SECTOR_SIZE;
    }
    previousEnd = iter.offset + iter.len;
  }
  return 0;
}

/** Would a segment that starts at `offset` leave a hole behind one that ends at `end`, for a device with a virtual boundary? */
function hasGap(virtBoundaryMask: number, end: number, offset: number): boolean {
  if (virtBoundaryMask === 0) return false;
  return offset % (virtBoundaryMask + 1) !== 0 || end % (virtBoundaryMask + 1) !== 0;
}

/** Add as much of an entry as fits, as one or more segments; false if some of it does not (bvec_split_segs). */
function addBvec(filled: Filled, bvec: BvecIter, limits: QueueLimits, maxBytes: number): boolean {
  const room = maxBytes - filled.bytes;
  let left = Math.min(bvec.len, room);
  let at = bvec.pfn * PAGE_SIZE + bvec.offset;
  while (left > 0 && filled.segments < limits.maxSegments) {
    const size = Math.min(left, maxSegmentAt(at, limits));
    filled.segments++;
    filled.bytes += size;
    at += size;
    left -= size;
    if (limits.virtBoundaryMask !== 0 && at % (limits.virtBoundaryMask + 1) !== 0) break;
  }
  return left === 0 && bvec.len <= room;
}

/** The longest segment from a physical address on. */
export function maxSegmentAt(addr: number, limits: QueueLimits): number {
  const boundary = limits.segBoundaryMask + 1;
  return Math.min(boundary - (addr % boundary), limits.maxSegmentSize);
}

function discardSplitPoint(bio: Bio, limits: QueueLimits): number {
  const granularity = Math.max(Math.floor(limits.discardGranularity / SECTOR_SIZE), 1);
  const allowed = roundDown(UINT_MAX, limits.logicalBlockSize) / SECTOR_SIZE;
  const max = roundDown(Math.min(limits.maxDiscardSectors, allowed), granularity);
  if (max === 0 || bioSectors(bio) <= max) return 0;
  // Let the next piece start on a unit that the device discards.
  const alignment = Math.floor(limits.discardAlignment / SECTOR_SIZE) % granularity;
  const over = (bio.sector + max - alignment) % granularity;
  return max > over ? max - over : max;
}
