import fc from 'fast-check';
import { pfn, sector } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { addRamDisk, createHarness } from '../test/ramdisk.js';
import { allocBio, bioAddPage, bioEndWith } from './bio.js';
import { bioSplitToLimits, maxIoSectors, splitPoint } from './bio-split.js';
import { BLK_STS } from './blk-status.js';
import { REQ, REQ_OP } from './blk-types.js';
import type { Bio } from './blk-types.js';
import { createBvecIter, nextSegment, startIter } from './bvec.js';
import { createQueue } from './gendisk.js';
import { defaultLimits } from './queue-limits.js';
import type { QueueLimits } from './queue-limits.js';
import { submitBio } from './submit.js';

const limitsWith = (some: Partial<QueueLimits>): QueueLimits => ({ ...defaultLimits(), ...some });

function bioAt(at: number, sizes: readonly number[], opf: number = REQ_OP.READ): Bio {
  const bio = allocBio(undefined, sizes.length, opf);
  bio.sector = sector(at);
  // Frames apart, so that nothing joins; each entry starts at a frame.
  for (const [i, size] of sizes.entries()) bioAddPage(bio, pfn(0x1000 * (i + 1)), size, 0);
  return bio;
}

describe('the most one request may move', () => {
  it.each<[string, number, Partial<QueueLimits>, number]>([
    ['up to the soft limit', 0, { maxSectors: 256 }, 256],
    ['so that the next one starts on a physical block', 1, { maxSectors: 256, physicalBlockSize: 4096 }, 255],
    ['from a physical block on, whole', 256, { maxSectors: 256, physicalBlockSize: 4096 }, 256],
    ['whole logical blocks, if not one physical block fits', 1, { maxSectors: 5, physicalBlockSize: 4096 }, 5],
    ['whole logical blocks of 1024', 2, { maxSectors: 5, physicalBlockSize: 8192, logicalBlockSize: 1024 }, 4],
    ['up to the end of the chunk', 100, { maxSectors: 256, chunkSectors: 128 }, 28],
    ['a whole chunk at its start', 128, { maxSectors: 256, chunkSectors: 128 }, 128],
  ])('%s', (_name, at, limits, want) => expect(maxIoSectors(sector(at), limitsWith(limits))).toBe(want));
});

describe('where a bio is cut', () => {
  it.each<[string, Bio, Partial<QueueLimits>, number]>([
    ['not at all if it fits', bioAt(0, [65536]), { maxSectors: 128 }, 0],
    ['1 MiB at sector 1, 256 sectors, physical blocks of 8', bioAt(1, [1 << 20]), { maxSectors: 256, maxSegmentSize: 1 << 20, physicalBlockSize: 4096 }, 255],
    ['behind the last segment that is allowed', bioAt(0, [4096, 4096, 4096]), { maxSegments: 2, maxSectors: 2560 }, 16],
    ['an entry longer than a segment counts as several', bioAt(0, [65536, 65536]), { maxSegmentSize: 32768, maxSegments: 3, maxSectors: 2560 }, 192],
    ['an entry over a segment boundary counts as two', bioAt(0, [8192, 4096]), { segBoundaryMask: 4095, maxSegments: 2, maxSectors: 2560 }, 16],
    ['at a gap that a virtual boundary forbids', bioAt(0, [512, 4096]), { virtBoundaryMask: 4095, maxSectors: 2560 }, 1],
    ['not between pages that are whole', bioAt(0, [4096, 4096]), { virtBoundaryMask: 4095, maxSectors: 2560 }, 0],
    ['down to a logical block', bioAt(0, [4096 + 512, 4096]), { maxSegments: 1, logicalBlockSize: 4096, physicalBlockSize: 4096, maxSectors: 2560 }, 8],
  ])('%s', (_name, bio, limits, want) => expect(splitPoint(bio, limitsWith(limits))).toBe(want));

  const discard = (at: number, sectors: number, op: number = REQ_OP.DISCARD): Bio => {
    const bio = allocBio(undefined, 0, op);
    bio.sector = sector(at);
    bio.sizeBytes = sectors * 512;
    return bio;
  };
  it.each<[string, Bio, Partial<QueueLimits>, number]>([
    ['a discard that fits', discard(0, 100), { maxDiscardSectors: 100 }, 0],
    ['a discard so that the next starts on a unit', discard(3, 100), { maxDiscardSectors: 64, discardGranularity: 4096 }, 61],
    ['a discard with shifted units', discard(3, 100), { maxDiscardSectors: 64, discardGranularity: 4096, discardAlignment: 1024 }, 63],
    ['zeroing at its limit', discard(3, 100, REQ_OP.WRITE_ZEROES), { maxWriteZeroesSectors: 10 }, 10],
    ['zeroing that fits', discard(3, 10, REQ_OP.WRITE_ZEROES), { maxWriteZeroesSectors: 10 }, 0],
  ])('%s', (_name, bio, limits, want) => expect(splitPoint(bio, limitsWith(limits))).toBe(want));
});

describe('a driver that splits', () => {
  const anyLimits = fc.record({
    maxSectors: fc.integer({ min: 8, max: 64 }),
    maxSegments: fc.integer({ min: 1, max: 4 }),
    maxSegmentSize: fc.constantFrom(4096, 8192, 65536),
    segBoundaryMask: fc.constantFrom(4095, 8191, 0xffff_ffff),
    virtBoundaryMask: fc.constantFrom(0, 4095),
    chunkSectors: fc.constantFrom(0, 8, 24),
    physicalBlockSize: fc.constantFrom(512, 4096),
  });
  /** Bytes of each entry: whole frames but for the last, so that no piece is smaller than a block. */
  const anySizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 6 });

  it('gets pieces that are the bio exactly, each within the limits, and the owner sees one end', () => {
    fc.assert(fc.property(anyLimits, anySizes, fc.nat(40), fc.nat(7), (some, pages, at, tail) => {
      const harness = createHarness();
      const limits = limitsWith(some);
      const segments: { sector: number; addr: number; len: number }[] = [];
      const pieces: number[] = [];
      const iter = createBvecIter();
      const { disk } = addRamDisk(harness, { name: 'split', queue: createQueue(limits), intercept(bio) {
        const piece = bioSplitToLimits(bio, limits)!;
        pieces.push(piece.sizeBytes / 512);
        expect(splitPoint(piece, limits)).toBe(0);
        startIter(iter, piece);
        while (nextSegment(iter, piece)) segments.push({ sector: iter.sector, addr: iter.pfn * 4096 + iter.offset, len: iter.len });
        bioEndWith(piece, BLK_STS.OK);
        return true;
      } });
      const sizes = pages.map((count) => count * 4096);
      sizes[sizes.length - 1]! -= tail * 512;
      const bio = bioAt(at, sizes);
      let ends = 0;
      bio.bdev = disk.part0;
      bio.endIo = () => ends++;
      submitBio(bio);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      expect(ends).toBe(1);
      expect(bio.status).toBe(BLK_STS.OK);
      expect(pieces.reduce((sum, count) => sum + count, 0) * 512).toBe(total);
      expect(Math.max(...pieces)).toBeLessThanOrEqual(limits.maxSectors);
      // Segments may be cut further by a split, but they are the same bytes at the same sectors.
      let next = at;
      const bytes = segments.flatMap(({ sector: first, addr, len }) => {
        expect(first).toBe(next);
        next += len / 512;
        return Array.from({ length: len / 512 }, (_, i) => addr + i * 512);
      });
      expect(bytes).toEqual(sizes.flatMap((size, i) => Array.from({ length: size / 512 }, (_, s) => 0x1000 * (i + 1) * 4096 + s * 512)));
    }));
  });

  it('cannot split a bio that may not wait', () => {
    const bio = bioAt(0, [65536, 65536], REQ_OP.READ | REQ.NOWAIT);
    expect(bioSplitToLimits(bio, limitsWith({ maxSectors: 128 }))).toBeUndefined();
    expect(bio.status).toBe(BLK_STS.AGAIN);
  });

  it('passes an error of one piece on to the owner', () => {
    const harness = createHarness();
    const limits = limitsWith({ maxSectors: 8 });
    const { disk } = addRamDisk(harness, { queue: createQueue(limits), intercept(bio) {
      const piece = bioSplitToLimits(bio, limits)!;
      bioEndWith(piece, piece.sector === 8 ? BLK_STS.MEDIUM : BLK_STS.OK);
      return true;
    } });
    const bio = bioAt(0, [16384]);
    bio.bdev = disk.part0;
    submitBio(bio);
    expect(bio.status).toBe(BLK_STS.MEDIUM);
  });
});
