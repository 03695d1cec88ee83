/**
 * Walking a bio's memory, by a copy of its position. Mirrors include/linux/bvec.h and the bio_for_each_ macros of include/linux/bio.h.
 *
 * Invariant: the walk changes the iterator only; bio and table stay as they are, so that a bio may be walked again or by two at once.
 *
 * Two views of the same bytes: segments never cross a 4 KiB frame; bvecs are whole entries, physically consecutive over many frames.
 */
import { PAGE_SIZE, SECTOR_SIZE, bugOn, pfn, sector } from '@holdfast/lib';
import type { Pfn, Sector } from '@holdfast/lib';
import { VEC } from './blk-types.js';
import type { Bio } from './blk-types.js';

/** A position in a bio, and the piece before it, which the last step yielded. */
export interface BvecIter {
  /** The piece: `len` bytes from byte `offset` of frame `pfn` on, for sector `sector` of the device. */
  pfn: Pfn;
  offset: number;
  len: number;
  sector: Sector;

  /** The position behind the piece. */
  bytesLeft: number;
  idx: number;
  bvecDone: number;
  nextSector: Sector;
}

/** An iterator to be used again and again: start it with {@link startIter}. */
export function createBvecIter(): BvecIter {
  return { pfn: pfn(0), offset: 0, len: 0, sector: sector(0), bytesLeft: 0, idx: 0, bvecDone: 0, nextSector: sector(0) };
}

export function startIter(iter: BvecIter, bio: Bio): void {
  iter.bytesLeft = bio.sizeBytes;
  iter.idx = bio.idx;
  iter.bvecDone = bio.bvecDone;
  iter.nextSector = bio.sector;
}

/** Step to the next piece inside one frame; false when there is none (bio_for_each_segment). */
export function nextSegment(iter: BvecIter, bio: Bio): boolean {
  return nextPiece(iter, bio, PAGE_SIZE);
}

/** Step to the next whole entry, or what is left of it; false when there is none (bio_for_each_bvec). */
export function nextBvec(iter: BvecIter, bio: Bio): boolean {
  return nextPiece(iter, bio, Infinity);
}

/** @param grain no piece crosses a multiple of this, counted from the start of its first frame */
function nextPiece(iter: BvecIter, bio: Bio, grain: number): boolean {
  const { bytesLeft, idx } = iter;
  if (bytesLeft === 0 || idx >= bio.vcnt) return false;
  const done = iter.bvecDone;
  const vec = idx * VEC.WORDS;
  const vecLen = bio.vecs[vec + VEC.LEN]!;
  const from = bio.vecs[vec + VEC.OFFSET]! + done;
  const offset = from & (PAGE_SIZE - 1); // not %: on doubles that is a call, of 10 ns
  let len = vecLen - done;
  if (bytesLeft < len) len = bytesLeft;
  if (grain - offset < len) len = grain - offset;

  iter.pfn = (bio.vecs[vec + VEC.PFN]! + (from - offset) / PAGE_SIZE) as Pfn;
  iter.offset = offset;
  iter.len = len;
  iter.sector = iter.nextSector;

  iter.bytesLeft = bytesLeft - len;
  iter.nextSector = (iter.nextSector + len / SECTOR_SIZE) as Sector;
  if (done + len < vecLen) {
    iter.bvecDone = done + len;
  } else {
    iter.bvecDone = 0;
    iter.idx = idx + 1;
  }
  return true;
}

/** Move a bio itself forward by whole sectors: its front part is done, or belongs to a split (bio_advance). */
export function advanceBio(bio: Bio, sizeBytes: number): void {
  bugOn(sizeBytes > bio.sizeBytes, `advanceBio: ${sizeBytes} of ${bio.sizeBytes} bytes`);
  bio.sector = (bio.sector + Math.floor(sizeBytes / SECTOR_SIZE)) as Sector;
  bio.sizeBytes -= sizeBytes;
  if (bio.vcnt === 0) return;
  let done = bio.bvecDone + sizeBytes;
  for (let len = vecLen(bio); done > 0 && done >= len; len = vecLen(bio)) {
    done -= len;
    bio.idx++;
  }
  bio.bvecDone = done;
}

/** Length of the entry at the bio's position. */
function vecLen({ vecs, idx }: Bio): number {
  return vecs[idx * VEC.WORDS + VEC.LEN]!;
}
