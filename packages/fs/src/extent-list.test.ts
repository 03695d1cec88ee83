import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Extent, createExtentList } from './extent-list.js';

/** Each block of a small file by itself: where it is, and whether it was written. */
type Model = Map<number, { at: number; isUnwritten: boolean }>;

const anyExtent: fc.Arbitrary<Extent> = fc.record({ block: fc.nat(40), length: fc.integer({ min: 1, max: 12 }), start: fc.nat(100), isUnwritten: fc.boolean() });
const anyStep = fc.oneof(anyExtent.map((set) => ({ set, cut: undefined })), fc.nat(50).map((cut) => ({ set: undefined, cut })));

it('knows of every block what was said last, in extents that are as few as can be', () => {
  fc.assert(fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
    const list = createExtentList();
    const model: Model = new Map();
    for (const { set, cut } of steps) {
      if (set) {
        list.set(set);
        for (let i = 0; i < set.length; i++) model.set(set.block + i, { at: set.start + i, isUnwritten: set.isUnwritten });
      } else {
        list.cut(cut);
        for (const block of [...model.keys()]) if (block >= cut) model.delete(block);
      }
    }
    for (let block = 0; block < 60; block++) {
      const extent = list.at(block);
      expect(extent && { at: extent.start + block - extent.block, isUnwritten: extent.isUnwritten }).toEqual(model.get(block));
      if (!extent) {
        const hole = list.holeAt(block, 5);
        expect([...Array(hole).keys()].every((i) => !model.has(block + i))).toBe(true);
        expect(hole === 5 || model.has(block + hole)).toBe(true);
      }
    }
    const { extents } = list;
    for (const [index, extent] of extents.entries()) {
      const next = extents[index + 1];
      if (next) expect(extent.block + extent.length < next.block || extent.start + extent.length !== next.start || extent.isUnwritten !== next.isUnwritten).toBe(true);
    }
  }));
});
