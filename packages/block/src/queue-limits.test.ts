import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  UINT_MAX, alignmentOffsetAt, defaultLimits, setLogicalBlockSize, setMaxHwSectors, setPhysicalBlockSize, stackLimits, stackingLimits,
} from './queue-limits.js';
import type { QueueLimits } from './queue-limits.js';

const some = (over: Partial<QueueLimits>): QueueLimits => ({ ...defaultLimits(), ...over });

describe('limits', () => {
  it('of a fresh queue are the smallest that every device can do', () => {
    expect(defaultLimits()).toMatchObject({
      logicalBlockSize: 512, physicalBlockSize: 512, ioMin: 512, ioOpt: 0, maxSectors: 255, maxHwSectors: 255, maxSegments: 128,
      maxSegmentSize: 65536, segBoundaryMask: 0xffffffff, virtBoundaryMask: 0, dmaAlignment: 511, maxDiscardSectors: 0,
      maxWriteZeroesSectors: 0, maxDiscardSegments: 1, discardGranularity: 0,
    });
  });

  it.each<[string, number, number, number, number, number, number]>([
    // logical, hard limit, cap, then maxHwSectors, maxSectors, ioMin
    ['pmem', 512, UINT_MAX, 2560, 4294967295, 2560, 4096],
    ['pmem with 4 KiB blocks', 4096, UINT_MAX, 2560, 4294967288, 2560, 4096],
    ['v4.1, no soft cap', 512, 1024, Infinity, 1024, 1024, 4096],
    ['less than a page', 512, 1, 2560, 8, 8, 4096],
    ['a soft limit is cut to whole blocks, too', 8192, 100, 2560, 96, 96, 8192],
  ])('as a driver sets them: %s', (_name, logical, hard, cap, maxHw, max, ioMin) => {
    const limits = defaultLimits();
    setPhysicalBlockSize(limits, 4096);
    setLogicalBlockSize(limits, logical);
    setMaxHwSectors(limits, hard, cap);
    expect([limits.maxHwSectors, limits.maxSectors, limits.ioMin]).toEqual([maxHw, max, ioMin]);
    expect(limits.physicalBlockSize).toBe(Math.max(4096, logical));
  });

  it.each([[0, 4096, 0, 0], [1, 4096, 0, 3584], [8, 4096, 0, 0], [1, 512, 0, 0], [0, 4096, 512, 512], [7, 4096, 3584, 0]])(
    'from sector %d with physical blocks of %d, shifted by %d, are %d bytes off', (start, physicalBlockSize, alignmentOffset, want) => {
      expect(alignmentOffsetAt(some({ physicalBlockSize, alignmentOffset }), start)).toBe(want);
    });
});

describe('a stacked device', () => {
  it('takes the narrower of each limit and the coarser of each block size', () => {
    const top = stackingLimits();
    expect(stackLimits(top, some({ maxSectors: 1000, maxHwSectors: 4000, maxSegments: 64, physicalBlockSize: 4096, ioMin: 4096, ioOpt: 65536 }), 0)).toBe(true);
    expect(stackLimits(top, some({ maxSectors: 2000, maxHwSectors: 2001, maxSegments: 100, logicalBlockSize: 1024, physicalBlockSize: 1024, ioMin: 1024, ioOpt: 49152 }), 0)).toBe(true);
    expect(top).toMatchObject({ maxSectors: 1000, maxHwSectors: 2000, maxSegments: 64, logicalBlockSize: 1024, physicalBlockSize: 4096, ioMin: 4096, ioOpt: 196608, misaligned: false, maxWriteZeroesSectors: 0 });
  });

  it.each<[string, Partial<QueueLimits>, number, boolean]>([
    ['on a device that starts on a physical block', { physicalBlockSize: 4096, ioMin: 4096 }, 8, true],
    ['alone on one that starts off it', { physicalBlockSize: 4096, ioMin: 4096 }, 1, true],
  ])('is aligned %s', (_name, bottom, start, want) => expect(stackLimits(stackingLimits(), some(bottom), start)).toBe(want));

  it('is marked when two devices cannot be brought into step', () => {
    const top = stackingLimits();
    stackLimits(top, some({ physicalBlockSize: 4096, ioMin: 4096 }), 0);
    expect(stackLimits(top, some({ physicalBlockSize: 4096, ioMin: 4096 }), 3)).toBe(false);
    expect(top.misaligned).toBe(true);
  });

  it.each<[string, Partial<QueueLimits>, Partial<QueueLimits>]>([
    ['chunks', { chunkSectors: 12, physicalBlockSize: 4096, ioMin: 4096 }, { chunkSectors: 0 }],
    ['an optimal size', { ioOpt: 6144, physicalBlockSize: 4096, ioMin: 4096 }, { ioOpt: 0 }],
  ])('gives up %s that are no whole physical blocks', (_name, bottom, want) => {
    const top = stackingLimits();
    expect(stackLimits(top, some(bottom), 0)).toBe(false);
    expect(top).toMatchObject(want);
  });

  it('is never wider than what is below it', () => {
    const sectors = fc.integer({ min: 8, max: 10_000 });
    const anyLimits = fc.record({ maxSectors: sectors, maxHwSectors: sectors, maxSegments: fc.integer({ min: 1, max: 500 }), maxSegmentSize: fc.integer({ min: 4096, max: 1 << 20 }) });
    fc.assert(fc.property(fc.array(anyLimits, { minLength: 1, maxLength: 4 }), (below) => {
      const top = stackingLimits();
      for (const limits of below) stackLimits(top, some(limits), 0);
      for (const key of ['maxSectors', 'maxHwSectors', 'maxSegments', 'maxSegmentSize'] as const) {
        expect(top[key]).toBe(Math.min(...below.map((limits) => limits[key])));
      }
    }));
  });
});
