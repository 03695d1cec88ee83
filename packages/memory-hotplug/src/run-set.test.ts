import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRunSet, runHolding } from './run-set.js';

const LIMIT = 24;
const step = fc.record({ add: fc.boolean(), a: fc.nat(LIMIT), b: fc.nat(LIMIT) });

describe('a run set', () => {
  it('holds what a set of single numbers would, as the fewest sorted runs', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const runs = createRunSet();
      const model = new Set<number>();
      for (const { add, a, b } of steps) {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        if (add) runs.add(start, end);
        else runs.remove(start, end);
        for (let value = start; value < end; value++) {
          if (add) model.add(value);
          else model.delete(value);
        }
      }
      const members = Array.from({ length: LIMIT + 1 }, (_, value) => value).filter((value) => runs.has(value));
      expect(new Set(members)).toEqual(model);
      expect(runs.runs.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i))).toEqual(members);
      for (const [i, run] of runs.runs.entries()) {
        expect(run.start).toBeLessThan(run.end);
        if (i > 0) expect(run.start).toBeGreaterThan(runs.runs[i - 1]!.end);
      }
      for (const { a, b } of steps) expect(runs.intersects(a, b)).toBe(members.some((value) => value >= a && value < b));
    }));
  });

  it('finds the run that holds a number, and none in a gap', () => {
    const runs = [{ start: 1, end: 3 }, { start: 5, end: 6 }];
    expect([0, 1, 2, 3, 4, 5, 6].map((value) => runHolding(runs, value)?.start)).toEqual([undefined, 1, 1, undefined, undefined, 5, undefined]);
  });
});
