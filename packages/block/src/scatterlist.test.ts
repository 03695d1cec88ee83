import fc from 'fast-check';
import { pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { errnoOf } from '../test/ramdisk.js';
import { allocBio, bioAddPage } from './bio.js';
import { splitPoint } from './bio-split.js';
import { REQ_OP } from './blk-types.js';
import type { Bio } from './blk-types.js';
import { defaultLimits } from './queue-limits.js';
import { mapBiosToSg, sgAllocTable, sgPhys, sgTableFromPages } from './scatterlist.js';
import type { SgTable } from './scatterlist.js';

const entries = (table: SgTable): number[][] => Array.from({ length: table.nents }, (_, i) => [table.pfn[i]!, table.offset[i]!, table.length[i]!]);
const bytesOf = (table: SgTable): number[] => entries(table).flatMap(([, , length], i) => Array.from({ length: length! / 512 }, (_, s) => sgPhys(table, i) + s * 512));

describe('a scatterlist', () => {
  it.each([[1, [1]], [128, [128]], [129, [128, 2]], [254, [128, 127]], [255, [128, 128]], [256, [128, 128, 2]], [300, [128, 128, 46]]])(
    'of %d entries is allocated as %j', (nents, links) => expect(sgAllocTable(nents).links).toEqual(links));

  it('spends one entry of each full link on the pointer to the next', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 10_000 }), (nents) => {
      const { links } = sgAllocTable(nents);
      expect(links.reduce((sum, size) => sum + size, 0) - (links.length - 1)).toBe(nents);
      expect(links.every((size, i) => (i < links.length - 1 ? size === 128 : size >= 1 && size <= 128))).toBe(true);
    }));
  });

  it('has at least one entry', () => expect(errnoOf(() => sgAllocTable(0))).toBe('EINVAL'));
});

describe('a scatterlist over pages', () => {
  it.each<[string, number[], number, number, number | undefined, number[][]]>([
    ['joins pages that follow each other', [5, 6, 7, 20], 0, 16384, undefined, [[5, 0, 12288], [20, 0, 4096]]],
    ['starts at its offset and ends with its bytes', [5, 6, 20], 100, 9000, undefined, [[5, 100, 8092], [20, 0, 908]]],
    ['keeps entries to the longest segment, in whole pages', [5, 6, 7, 8, 9], 0, 20480, 10_000, [[5, 0, 8192], [7, 0, 8192], [9, 0, 4096]]],
  ])('%s', (_name, pages, offset, size, max, want) => expect(entries(sgTableFromPages(pages.map(pfn), offset, size, max))).toEqual(want));

  it.each<[number[], number, number, number | undefined]>([[[], 0, 1, undefined], [[5], 0, 4097, undefined], [[5], 1, 4096, undefined], [[5], 0, 0, undefined], [[5], 0, 1, 4095]])(
    'of pages %j, offset %d, %d bytes, segments of %s is EINVAL', (pages, offset, size, max) => {
      expect(errnoOf(() => sgTableFromPages(pages.map(pfn), offset, size, max))).toBe('EINVAL');
    });
});

describe('bios in a scatterlist', () => {
  const bioOf = (table: readonly (readonly [frame: number, sectors: number])[]): Bio => {
    const bio = allocBio(undefined, 16, REQ_OP.READ);
    for (const [frame, sectors] of table) bioAddPage(bio, pfn(frame), sectors * 512, 0);
    return bio;
  };

  it('share an entry where one goes on from the other', () => {
    const table = sgAllocTable(8);
    expect(mapBiosToSg([bioOf([[10, 8]]), bioOf([[11, 8], [30, 8]])], defaultLimits(), table)).toBe(2);
    expect(entries(table)).toEqual([[10, 0, 8192], [30, 0, 4096]]);
    expect([table.nents, table.origNents]).toEqual([2, 8]);
  });

  it.each<[string, Partial<ReturnType<typeof defaultLimits>>, number[][]]>([
    ['the longest segment', { maxSegmentSize: 8192 }, [[1, 0, 8192], [3, 0, 8192], [5, 0, 8192]]],
    ['a segment boundary', { segBoundaryMask: 16383 }, [[1, 0, 12288], [4, 0, 12288]]],
  ])('are cut at %s', (_name, some, want) => {
    const table = sgAllocTable(8);
    mapBiosToSg([bioOf([[1, 48]])], { ...defaultLimits(), ...some }, table);
    expect(entries(table)).toEqual(want);
  });

  it('that need more entries than there are is a bug', () => {
    expect(() => mapBiosToSg([bioOf([[1, 8], [9, 8]])], defaultLimits(), sgAllocTable(1))).toThrow('too short');
  });

  it('keep every byte, in order, in segments that the limits allow', () => {
    const entry = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 40 }));
    fc.assert(fc.property(fc.array(fc.array(entry, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }), fc.constantFrom(4096, 8192, 65536), fc.constantFrom(4095, 16383, 0xffff_ffff), (shapes, maxSegmentSize, segBoundaryMask) => {
      const limits = { ...defaultLimits(), maxSectors: 65536, maxSegments: 1000, maxSegmentSize, segBoundaryMask };
      const bios = shapes.map(bioOf);
      for (const bio of bios) expect(splitPoint(bio, limits)).toBe(0);
      const table = sgAllocTable(2000);
      mapBiosToSg(bios, limits, table);
      expect(bytesOf(table)).toEqual(shapes.flatMap((shape) => shape.flatMap(([frame, sectors]) => Array.from({ length: sectors }, (_, s) => frame * 4096 + s * 512))));
      for (let i = 0; i < table.nents; i++) {
        expect(table.length[i]).toBeLessThanOrEqual(maxSegmentSize);
        const boundary = segBoundaryMask + 1;
        expect(Math.floor(sgPhys(table, i) / boundary)).toBe(Math.floor((sgPhys(table, i) + table.length[i]! - 1) / boundary));
      }
    }));
  });
});
