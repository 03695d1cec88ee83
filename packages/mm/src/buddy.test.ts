import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BuddyModel, listedBlocks, testBuddy, testVmemmap } from '../test/buddy-model.js';
import { type Buddy, countFreeBlocks } from './buddy.js';
import { allocBlock, putBlock } from './buddy-core.js';
import { freeRange, pageblockType } from './buddy-range.js';

const UNMOVABLE = 0;
const MOVABLE = 1;
const RECLAIMABLE = 2;

/** All lists that are not empty: `order/type: blocks`. */
function lists(buddy: Buddy): Record<string, number[]> {
  const result: Record<string, number[]> = {};
  for (let order = 0; order <= 10; order++) {
    for (let type = 0; type < 5; type++) {
      const blocks = listedBlocks(buddy, order, type);
      if (blocks.length > 0) result[`${order}/${type}`] = blocks;
    }
  }
  return result;
}

function modelLists(model: BuddyModel): Record<string, number[]> {
  const result: Record<string, number[]> = {};
  model.lists.forEach((types, order) => types.forEach((blocks, type) => void (blocks.length > 0 && (result[`${order}/${type}`] = blocks))));
  return result;
}

function freshBuddy(endPfn = 2048): Buddy {
  const buddy = testBuddy(0, endPfn);
  freeRange(buddy, 0, endPfn);
  return buddy;
}

describe('freeRange', () => {
  it.each([
    { name: 'cuts a ragged range into aligned blocks, ascending', range: [1, 0x9f], want: { '0/1': [1, 158], '1/1': [2, 156], '2/1': [4, 152], '3/1': [8, 144], '4/1': [16, 128], '5/1': [32], '6/1': [64] } },
    { name: 'lists whole blocks of the highest order by address', range: [1024, 5120], want: { '10/1': [1024, 2048, 3072, 4096] } },
    { name: 'keeps both edges and the middle', range: [1023, 2049], want: { '0/1': [1023, 2048], '10/1': [1024] } },
    { name: 'never crosses a boundary of 1024 pages', range: [512, 1536], want: { '9/1': [512, 1024] } },
  ])('$name', ({ range: [start, end], want }) => {
    const buddy = testBuddy(0, 8192);
    freeRange(buddy, start!, end!);
    expect(lists(buddy)).toEqual(want);
    expect(buddy.freePages).toBe(end! - start!);
  });

  it('merges with what was freed before', () => {
    const buddy = testBuddy(0, 2048);
    freeRange(buddy, 0, 100);
    freeRange(buddy, 100, 1024);
    expect(lists(buddy)).toEqual({ '10/1': [0] });
  });
});

describe('allocBlock', () => {
  it('splits the lowest block, keeps the lower half, and lists the upper halves', () => {
    const buddy = freshBuddy();
    expect(allocBlock(buddy, 0, MOVABLE, false)).toBe(0);
    expect(lists(buddy)).toEqual({
      '0/1': [1], '1/1': [2], '2/1': [4], '3/1': [8], '4/1': [16], '5/1': [32], '6/1': [64], '7/1': [128], '8/1': [256], '9/1': [512], '10/1': [1024],
    });
    expect([allocBlock(buddy, 0, MOVABLE, false), allocBlock(buddy, 0, MOVABLE, false), allocBlock(buddy, 3, MOVABLE, false)]).toEqual([1, 2, 8]);
  });

  it('takes the same frames again after they were given back, last first', () => {
    const buddy = freshBuddy();
    const [a, b, c] = [0, 0, 0].map(() => allocBlock(buddy, 0, MOVABLE, false));
    putBlock(buddy, a!, 0);
    putBlock(buddy, c!, 0);
    expect([allocBlock(buddy, 0, MOVABLE, false), allocBlock(buddy, 0, MOVABLE, false)]).toEqual([0, 2]); // 2 merged with 3 into order 1
    expect(b).toBe(1);
  });

  it('runs out with -1', () => {
    const buddy = freshBuddy();
    expect([allocBlock(buddy, 10, MOVABLE, false), allocBlock(buddy, 10, UNMOVABLE, false), allocBlock(buddy, 0, MOVABLE, false)]).toEqual([0, 1024, -1]);
    expect(buddy.freePages).toBe(0);
  });
});

describe('taking over from another mobility type', () => {
  it('retypes both pageblocks of a block of the highest order', () => {
    const buddy = freshBuddy();
    expect(allocBlock(buddy, 0, UNMOVABLE, false)).toBe(0);
    expect([0, 512, 1024].map((pfn) => pageblockType(buddy, pfn))).toEqual([UNMOVABLE, UNMOVABLE, MOVABLE]);
    expect(lists(buddy)['9/0']).toEqual([512]);
  });

  it('asks Reclaimable before Movable for an unmovable request', () => {
    const buddy = freshBuddy(3072);
    expect(allocBlock(buddy, 9, RECLAIMABLE, false)).toBe(0);
    expect(allocBlock(buddy, 9, UNMOVABLE, false)).toBe(1024); // order 10 of Movable is looked at before order 9 of Reclaimable
    expect(allocBlock(buddy, 10, MOVABLE, false)).toBe(2048);
    expect(allocBlock(buddy, 9, UNMOVABLE, false)).toBe(1536);
    expect(allocBlock(buddy, 0, UNMOVABLE, false)).toBe(512);
    expect(pageblockType(buddy, 512)).toBe(UNMOVABLE);
  });

  it('lets a movable request disturb other types least: the smallest block, and the pageblock keeps its type', () => {
    const buddy = freshBuddy(1024);
    for (let pfn = 0; pfn < 1024; pfn++) allocBlock(buddy, 0, UNMOVABLE, false);
    putBlock(buddy, 8, 2);
    putBlock(buddy, 100, 0);
    expect(allocBlock(buddy, 0, MOVABLE, false)).toBe(100);
    expect(pageblockType(buddy, 100)).toBe(UNMOVABLE);
  });

  it('takes a pageblock over when half of it is free or alike', () => {
    const buddy = freshBuddy(1024);
    for (let block = 0; block < 1024 / 16; block++) allocBlock(buddy, 4, MOVABLE, false);
    putBlock(buddy, 16, 4);
    expect(allocBlock(buddy, 0, UNMOVABLE, false)).toBe(16); // the other 496 pages are movable, and count as alike
    expect([pageblockType(buddy, 0), pageblockType(buddy, 512)]).toEqual([UNMOVABLE, MOVABLE]);
  });

  it('takes nothing smaller than a pageblock where fragmentation is not allowed', () => {
    const buddy = freshBuddy(1024);
    allocBlock(buddy, 8, MOVABLE, false);
    expect(allocBlock(buddy, 0, UNMOVABLE, true)).toBe(512);
    expect(allocBlock(buddy, 9, UNMOVABLE, true)).toBe(-1);
    for (let page = 0; page < 511; page++) allocBlock(buddy, 0, UNMOVABLE, true);
    expect(allocBlock(buddy, 0, UNMOVABLE, true)).toBe(-1);
    expect(allocBlock(buddy, 0, UNMOVABLE, false)).toBe(256);
  });
});

describe('putBlock', () => {
  it('refuses to free what is free, reserved, or inside a block', () => {
    const buddy = freshBuddy();
    buddy.vmemmap.initRange(2048, 4096, 0, 2, 'reserved');
    const pfn = allocBlock(buddy, 2, MOVABLE, false);
    expect(() => putBlock(buddy, pfn + 1, 0)).toThrow(/pfn:1 cannot be freed: its refcount is 0/);
    putBlock(buddy, pfn, 2);
    expect(() => putBlock(buddy, pfn, 2)).toThrow(/pfn:0 cannot be freed: its refcount is 0/);
  });

  it('keeps a page that has another reference', () => {
    const { vmemmap } = testVmemmap();
    const buddy = testBuddy(0, 2048, vmemmap);
    freeRange(buddy, 0, 2048);
    const pfn = allocBlock(buddy, 0, MOVABLE, false);
    vmemmap.memmap(0)[pfn * 16 + 13]! += 1;
    putBlock(buddy, pfn, 0);
    expect(buddy.freePages).toBe(2047);
    putBlock(buddy, pfn, 0);
    expect(buddy.freePages).toBe(2048);
  });
});

// --- against the model ---

const range = fc.tuple(fc.integer({ min: 0, max: 6000 }), fc.integer({ min: 1, max: 3000 }));
const step = fc.record({
  order: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 10 }) }),
  type: fc.integer({ min: 0, max: 2 }),
  free: fc.boolean(),
  pick: fc.nat(),
});

/** Memory ranges with holes between them, ascending. */
function layOut(gaps: readonly (readonly [number, number])[]): [number, number][] {
  let at = 0;
  return gaps.map(([gap, size]) => {
    const start = at + (gap % 700);
    at = start + size;
    return [start, at];
  });
}

describe('the buddy allocator', () => {
  it.each([
    { name: 'with struct pages that nobody has looked at', looked: false },
    { name: 'with struct pages in bytes', looked: true },
  ])('hands out what the model does, in the same order, and merges back to where it began, $name', ({ looked }) => {
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 3 }), fc.array(step, { maxLength: 120 }), (gaps, steps) => {
        const ranges = layOut(gaps);
        const end = ranges.at(-1)![1];
        const buddy = testBuddy(0, end);
        const model = new BuddyModel(end);
        for (const [from, to] of ranges) freeRange(buddy, from, to);
        for (const [from, to] of ranges) model.freeRange(from, to);
        if (looked) buddy.vmemmap.memmap(0);
        const initialFree = buddy.freePages;
        const taken: [number, number][] = [];
        const owner = new Int16Array(end).fill(-1);
        const release = (index: number): void => {
          const [pfn, order] = taken.splice(index, 1)[0]!;
          owner.fill(-1, pfn, pfn + 2 ** order);
          putBlock(buddy, pfn, order);
          model.free(pfn, order, false);
        };
        steps.forEach(({ order, type, free, pick }, id) => {
          if (free && taken.length > 0) return release(pick % taken.length);
          const pfn = allocBlock(buddy, order, type, false);
          expect(pfn).toBe(model.alloc(order, type));
          if (pfn < 0) return;
          expect(pfn % 2 ** order).toBe(0);
          expect(ranges.some(([from, to]) => pfn >= from && pfn + 2 ** order <= to)).toBe(true);
          expect(owner.subarray(pfn, pfn + 2 ** order).every((other) => other === -1)).toBe(true);
          owner.fill(id, pfn, pfn + 2 ** order);
          taken.push([pfn, order]);
        });
        expect(lists(buddy)).toEqual(modelLists(model));
        const inUse = taken.reduce((sum, [, order]) => sum + 2 ** order, 0);
        expect(buddy.freePages).toBe(initialFree - inUse);
        while (taken.length > 0) release(taken.length - 1);
        const blocksBySize = new Float64Array(11);
        countFreeBlocks(buddy).forEach((count, list) => (blocksBySize[Math.floor(list / 8)]! += count));
        const fresh = new BuddyModel(end);
        for (const [from, to] of ranges) fresh.freeRange(from, to);
        expect([...blocksBySize]).toEqual(fresh.lists.map((types) => types.reduce((sum, list) => sum + list.length, 0)));
        expect(buddy.freePages).toBe(initialFree);
      }),
      { numRuns: 60 },
    );
  });
});
