import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRangeSet } from './range-set.js';

describe('a range set', () => {
  it('answers like a set of numbers, in sorted ranges that do not touch', () => {
    const step = fc.tuple(fc.boolean(), fc.nat(60), fc.nat(12));
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), fc.nat(70), fc.nat(20), (steps, at, length) => {
      const set = createRangeSet();
      const model = new Set<number>();
      for (const [add, start, size] of steps) {
        if (add) set.add(start, start + size);
        else set.remove(start, start + size);
        for (let i = start; i < start + size; i++) if (add) model.add(i);
          else model.delete(i);
      }
      const all = set.within(0, 1000);
      expect(set.count).toBe(all.length);
      expect(all.every(({ start, end }, i) => start < end && (i === 0 || all[i - 1]!.end < start))).toBe(true);
      const found = set.within(at, at + length).flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
      expect(found).toEqual([...model].filter((n) => n >= at && n < at + length).sort((a, b) => a - b));
    }));
  });
});
