/**
 * Bios: making, filling, reusing, ending and chaining them. Mirrors block/bio.c.
 *
 * Invariant: a bio ends exactly once. A chained parent ends after its own end and all of its children's, with the first error among them.
 */
import { PAGE_SIZE, bugOn, sector } from '@holdfast/lib';
import type { Pfn, Sector } from '@holdfast/lib';
import { BLK_STS } from './blk-status.js';
import type { BlkStatus } from './blk-status.js';
import { BIO, VEC } from './blk-types.js';
import type { Bio, BlockDevice } from './blk-types.js';
import { pfnHasPage } from './pfn-t.js';

/** Table entries of the largest bio. */
export const BIO_MAX_VECS = 256;
const MAX_BIO_BYTES = 2 ** 32 - 1;

/** A new bio with room for `maxVecs` table entries, for `opf` on `bdev`. */
export function allocBio(bdev: BlockDevice | undefined, maxVecs: number, opf: number): Bio {
  bugOn(maxVecs < 0 || maxVecs > BIO_MAX_VECS, `a bio of ${maxVecs} bvecs: at most ${BIO_MAX_VECS}`);
  return {
    next: undefined,
    bdev,
    opf,
    flags: 0,
    status: BLK_STS.OK,
    remaining: 1,
    sector: sector(0),
    sizeBytes: 0,
    idx: 0,
    bvecDone: 0,
    vcnt: 0,
    maxVecs,
    vecs: new Float64Array(maxVecs * VEC.WORDS),
    endIo: undefined,
    private: undefined,
  };
}

/** Make a bio that has ended ready for its next use, with an empty table: an I/O loop allocates one bio in all (bio_reset). */
export function resetBio(bio: Bio, bdev: BlockDevice | undefined, opf: number): void {
  bio.next = undefined;
  bio.bdev = bdev;
  bio.opf = opf;
  bio.flags = 0;
  bio.status = BLK_STS.OK;
  bio.remaining = 1;
  bio.sector = sector(0);
  bio.sizeBytes = 0;
  bio.idx = 0;
  bio.bvecDone = 0;
  bio.vcnt = 0;
  bio.endIo = undefined;
  bio.private = undefined;
}

/** Put a bio back to the start of its table, to run it again as it was (bio_reuse): `at` is its sector, all of its entries count. */
export function reuseBio(bio: Bio, bdev: BlockDevice | undefined, opf: number, at: Sector): void {
  const { vcnt, endIo, private: owner, flags } = bio;
  resetBio(bio, bdev, opf);
  bio.flags = flags & BIO.PAGELESS; // it says something of the table, which stays
  bio.vcnt = vcnt;
  bio.endIo = endIo;
  bio.private = owner;
  bio.sector = at;
  for (let i = 0; i < vcnt; i++) bio.sizeBytes += bio.vecs[i * VEC.WORDS + VEC.LEN]!;
}

/**
 * Append `length` bytes from byte `offset` of frame `first` on; they may reach into the frames that follow.
 * Grows the last entry if the bytes follow on from it. Returns `length`, or 0 if the bio is full.
 */
export function bioAddPage(bio: Bio, first: Pfn, length: number, offset: number): number {
  return bioAddPfn(bio, first, 0, length, offset);
}

/**
 * The same for frames that need not have struct pages: `flags` are those of their pfn_t. A bio that gets one without is marked PAGELESS.
 * Entries join only with the same flags.
 */
export function bioAddPfn(bio: Bio, first: Pfn, flags: number, length: number, offset: number): number {
  if (bio.sizeBytes + length > MAX_BIO_BYTES) return 0;
  const { vecs, vcnt } = bio;
  const last = (vcnt - 1) * VEC.WORDS;
  const follows = vcnt > 0 && vecs[last + VEC.PFN]! * PAGE_SIZE + vecs[last + VEC.OFFSET]! + vecs[last + VEC.LEN]! === first * PAGE_SIZE + offset;
  if (follows && vecs[last + VEC.FLAGS] === flags) {
    vecs[last + VEC.LEN]! += length;
  } else {
    if (vcnt === bio.maxVecs) return 0;
    const at = vcnt * VEC.WORDS;
    vecs[at + VEC.PFN] = first;
    vecs[at + VEC.LEN] = length;
    vecs[at + VEC.OFFSET] = offset;
    vecs[at + VEC.FLAGS] = flags;
    if (!pfnHasPage(flags)) bio.flags |= BIO.PAGELESS;
    bio.vcnt = vcnt + 1;
  }
  bio.sizeBytes += length;
  return length;
}

/** The sectors that are left to do. */
export function bioSectors(bio: Bio): number {
  return Math.floor(bio.sizeBytes / 512);
}

/**
 * End a bio: call its `endIo` once nothing is missing any more.
 * A chain of parents is walked in a loop, so its length costs no stack.
 */
export function bioEndIo(bio: Bio): void {
  for (let ended: Bio | undefined = bio; ended !== undefined;) {
    if ((ended.flags & BIO.CHAIN) !== 0) {
      if (--ended.remaining > 0) return;
      ended.flags &= ~BIO.CHAIN;
    }
    if (ended.endIo !== chainedBioEnds) {
      ended.endIo?.(ended);
      return;
    }
    const parent = ended.private as Bio;
    if (parent.status === BLK_STS.OK) parent.status = ended.status;
    ended = parent;
  }
}

/** End a bio with a status. OK leaves an error in place that a chained child brought. */
export function bioEndWith(bio: Bio, status: BlkStatus): void {
  if (status !== BLK_STS.OK) bio.status = status;
  bioEndIo(bio);
}

/** Let `parent` end no earlier than `child`, and take its error. The child's own `endIo` and `private` are taken for that (bio_chain). */
export function bioChain(child: Bio, parent: Bio): void {
  bugOn(child.endIo !== undefined || child.private !== undefined, 'bioChain: the child has an end of its own');
  child.private = parent;
  child.endIo = chainedBioEnds;
  parent.flags |= BIO.CHAIN;
  parent.remaining++;
}

/** Marks a chained child; bioEndIo knows it and goes on with the parent instead of calling it. */
function chainedBioEnds(): void {}
