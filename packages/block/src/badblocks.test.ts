import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBadblocks } from './badblocks.js';

describe('bad blocks', () => {
  it('cuts long ranges into entries of 512 sectors and joins what touches', () => {
    const bad = createBadblocks();
    bad.set(0, 1000);
    expect(bad.entries()).toEqual([[0, 512], [512, 488]]);
    bad.set(1000, 24);
    expect(bad.entries()).toEqual([[0, 512], [512, 512]]);
  });

  it('takes 512 entries and refuses another, keeping what it has', () => {
    const bad = createBadblocks();
    for (let i = 0; i < 512; i++) expect(bad.set(i * 2, 1)).toBe(true);
    expect(bad.set(2000, 1)).toBe(false);
    expect(bad.set(1, 1)).toBe(true);
    expect(bad.count).toBe(511);
    expect([bad.set(3000, 1), bad.set(4000, 1)]).toEqual([true, false]);
    // To clear in the middle of an entry would need one more.
    expect(bad.clear(1, 1)).toBe(false);
    expect(bad.check(1, 1)).toEqual({ firstBad: 1, nrBad: 2 });
  });

  it('answers like a set of sectors', () => {
    const step = fc.tuple(fc.boolean(), fc.nat(2000), fc.integer({ min: 1, max: 700 }));
    fc.assert(fc.property(fc.array(step, { maxLength: 30 }), fc.nat(2000), fc.integer({ min: 1, max: 100 }), (steps, at, count) => {
      const bad = createBadblocks();
      const model = new Set<number>();
      for (const [set, start, length] of steps) {
        if (set) bad.set(start, length);
        else bad.clear(start, length);
        for (let s = start; s < start + length; s++) if (set) model.add(s);
          else model.delete(s);
      }
      expect(bad.entries().flatMap(([start, length]) => Array.from({ length }, (_, i) => start + i))).toEqual([...model].sort((a, b) => a - b));
      expect(bad.count).toBe(bad.entries().length);
      const first = Array.from({ length: count }, (_, i) => at + i).find((sector) => model.has(sector));
      const found = bad.check(at, count);
      expect(found?.firstBad).toBe(first);
      if (found) for (let i = 0; i < found.nrBad; i++) expect(model.has(found.firstBad + i)).toBe(true);
    }));
  });
});
