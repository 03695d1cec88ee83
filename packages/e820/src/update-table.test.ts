import { type KernelRelease, DEFAULT_RELEASE, parseRelease } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { E820Entry } from './entry.js';
import { createE820Table } from './table.js';
import { E820_TYPE_PRAM as PRAM, E820_TYPE_SOFT_RESERVED as SR } from './types.js';
import { updateTable } from './update-table.js';

const e = (start: number | bigint, end: number | bigint, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end) - BigInt(start), type });

function update(entries: readonly E820Entry[], release: KernelRelease = DEFAULT_RELEASE): E820Entry[] | undefined {
  const table = createE820Table(entries);
  const updated = updateTable(table, release);
  if (!updated) expect(table.entries).toEqual(entries);
  return updated ? table.entries : undefined;
}

describe('updateTable', () => {
  it.each([
    { name: 'merges touching RAM and sorts', map: [e(0x1000, 0x2000, 1), e(0, 0x1000, 1)], want: [e(0, 0x2000, 1)] },
    { name: 'lets the higher type cut the lower', map: [e(0, 4, 1), e(1, 2, 2)], want: [e(0, 1, 1), e(1, 2, 2), e(2, 4, 1)] },
    { name: 'drops what a higher type covers', map: [e(0, 4, 2), e(1, 2, 1)], want: [e(0, 4, 2)] },
    { name: 'never merges touching PRAM', map: [e(0, 2, 12), e(2, 4, 12)], want: [e(0, 2, 12), e(2, 4, 12)] },
    { name: 'cuts overlapping PRAM at each seam', map: [e(0, 3, 12), e(2, 4, 12)], want: [e(0, 2, 12), e(2, 3, 12), e(3, 4, 12)] },
    { name: 'cuts PRAM where PRAM lies in it', map: [e(0, 4, 12), e(1, 2, 12)], want: [e(0, 1, 12), e(1, 2, 12), e(2, 4, 12)] },
    { name: 'cuts PRAM where it swallows RAM', map: [e(0, 4, 12), e(1, 2, 1)], want: [e(0, 1, 12), e(1, 2, 12), e(2, 4, 12)] },
    { name: 'merges PMEM', map: [e(0, 4, 7), e(4, 5, 7)], want: [e(0, 5, 7)] },
    { name: 'lets PRAM cut PMEM', map: [e(0, 4, 7), e(1, 2, 12)], want: [e(0, 1, 7), e(1, 2, 12), e(2, 4, 7)] },
    { name: 'cuts PRAM where it swallows PMEM', map: [e(0, 4, 12), e(1, 2, 7)], want: [e(0, 1, 12), e(1, 2, 12), e(2, 4, 12)] },
    { name: 'never merges soft-reserved', map: [e(0, 4, SR), e(4, 5, SR), e(2, 3, 12)], want: [e(0, 2, SR), e(2, 3, SR), e(3, 4, SR), e(4, 5, SR)] },
    { name: 'drops empty entries', map: [e(0, 0, 1), e(1, 2, 1)], want: [e(1, 2, 1)] },
    { name: 'takes the highest of three at one place', map: [e(0, 1, 1), e(0, 1, 2), e(0, 1, 3)], want: [e(0, 1, 3)] },
    { name: 'leaves holes', map: [e(0, 2, 1), e(1, 3, 1), e(5, 6, 1)], want: [e(0, 3, 1), e(5, 6, 1)] },
    { name: 'takes type 0 for nothing', map: [e(0, 1, 0), e(1, 2, 1)], want: [e(1, 2, 1)] },
    {
      name: 'keeps PRAM beside reserved',
      map: [e(0, 16, 1), e(0, 3, 12), e(3, 4, 2), e(4, 6, 12)],
      want: [e(0, 3, 12), e(3, 4, 2), e(4, 6, 12), e(6, 16, 1)],
    },
    { name: 'may leave nothing', map: [e(0, 0, 0), e(0, 0, 0)], want: [] },
    { name: 'refuses a single entry', map: [e(0, 0x1000, 1)], want: undefined },
    { name: 'refuses an entry that wraps', map: [e(2n ** 64n - 0x1000n, 2n ** 64n + 0x1000n, 1), e(0, 0x1000, 1)], want: undefined },
    { name: 'refuses an entry that ends at 2^64', map: [e(2n ** 64n - 0x1000n, 2n ** 64n, 1), e(0, 0x1000, 1)], want: undefined },
  ])('$name', ({ map, want }) => expect(update(map)).toEqual(want));

  it('settles the example of the kernel documentation', () => {
    const drawing = [
      '____22__________________', '______________________4_', '____1111________________', '_44_____________________', '11111111________________',
      '____________________33__', '___________44___________', '__________33333_________', '______________22________', '___________________2222_',
      '_________111111111______', '_____________________11_', '_________________4______',
    ];
    const map = drawing.map((row) => {
      const start = row.search(/\d/);
      return e(start, start + row.replaceAll('_', '').length, Number(row[start]));
    });
    const settled = update(map)!.map(({ addr, size, type }) => `${addr}+${size}:${type}`);
    expect(settled).toEqual([
      '0+1:1', '1+2:4', '3+1:1', '4+2:2', '6+2:1', '9+1:1', '10+1:3', '11+2:4', '13+2:3', '15+1:2', '16+1:1', '17+1:4', '19+1:2', '20+2:3', '22+1:4',
    ]);
  });

  it('before 4.1 merges type 12, and before 5.5 soft-reserved, which were just numbers then', () => {
    const pram = [e(0, 2, PRAM), e(2, 4, PRAM)];
    const soft = [e(0, 2, SR), e(2, 4, SR)];
    expect(update(pram, parseRelease('4.0'))).toEqual([e(0, 4, PRAM)]);
    expect(update(pram, parseRelease('4.1'))).toEqual(pram);
    expect(update(soft, parseRelease('5.4'))).toEqual([e(0, 4, SR)]);
  });

  it('never grows past the capacity', () => {
    const table = createE820Table([e(0, 100, PRAM), e(1, 2, 1), e(3, 4, 1)], 3);
    expect(updateTable(table, DEFAULT_RELEASE)).toBe(true);
    expect(table.entries).toEqual([e(0, 1, PRAM), e(1, 2, PRAM), e(2, 3, PRAM)]);
  });

  const WIDTH = 32;
  const anyMap = fc.array(
    fc
      .tuple(fc.nat(WIDTH), fc.nat(WIDTH), fc.constantFrom(0, 1, 2, 3, 7, 12, 128, SR, 20))
      .map(([a, b, type]) => e(Math.min(a, b), Math.max(a, b), type)),
    { minLength: 2, maxLength: 12 },
  );
  const typeAt = (map: readonly E820Entry[], at: number): number =>
    map.reduce((highest, { addr, size, type }) => (addr <= at && at < addr + size && type > highest ? type : highest), 0);

  it('gives each byte the highest type that covers it', () => {
    fc.assert(fc.property(anyMap, (map) => {
      const settled = update(map)!;
      for (let at = 0; at < WIDTH; at++) expect(typeAt(settled, at)).toBe(typeAt(map, at));
    }));
  });

  it('is sorted, disjoint and stable, cut where it must be and nowhere else', () => {
    fc.assert(fc.property(anyMap, (map) => {
      const settled = update(map)!;
      const seams = new Set(map.filter(({ size }) => size > 0n).flatMap(({ addr, size }) => [addr, addr + size]));
      for (const [index, { addr, size, type }] of settled.entries()) {
        expect(size).toBeGreaterThan(0n);
        const next = settled[index + 1];
        if (next) expect(next.addr).toBeGreaterThanOrEqual(addr + size);
        const noMerge = type === PRAM || type === SR;
        if (next?.addr === addr + size && next.type === type) expect(noMerge).toBe(true);
        if (noMerge) expect([...seams].filter((seam) => seam > addr && seam < addr + size)).toEqual([]);
      }
      expect(update(settled) ?? settled).toEqual(settled);
    }));
  });

  it('takes thousands of overlapping entries of as many types in its stride', () => {
    const map = Array.from({ length: 3000 }, (_, index) => e(index, 6000 - index, index + 1));
    expect(update(map)).toHaveLength(3200);
  });
});
