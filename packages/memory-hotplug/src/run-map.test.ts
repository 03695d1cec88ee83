import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRunMap } from './run-map.js';

describe('a map of runs', () => {
  it('holds what a plain map holds, in as few runs as there are', () => {
    const step = fc.record({ start: fc.nat(20), length: fc.nat(8), value: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const runs = createRunMap<string>((a, b) => a === b);
        const model = new Map<number, string>();
        for (const { start, length, value } of steps) {
          runs.set(start, start + length, value);
          for (let key = start; key < start + length; key++) {
            if (value === undefined) model.delete(key);
            else model.set(key, value);
          }
        }
        for (let key = -1; key < 30; key++) expect(runs.get(key)).toBe(model.get(key));
        runs.runs.forEach((run, index) => {
          const before = runs.runs[index - 1];
          expect(run.start).toBeLessThan(run.end);
          if (before) expect(before.end < run.start || (before.end === run.start && before.value !== run.value)).toBe(true);
        });
      }),
    );
  });
});
