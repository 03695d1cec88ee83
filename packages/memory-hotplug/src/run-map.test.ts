import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createRunMap } from './run-map.js';

it('holds what a plain map would, in as few runs as that takes', () => {
  const step = fc.record({ start: fc.nat(12), length: fc.nat(5), value: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const map = createRunMap<string>((a, b) => a === b);
    const model = new Map<number, string>();
    for (const { start, length, value } of steps) {
      map.set(start, start + length, value);
      for (let key = start; key < start + length; key++) {
        if (value === undefined) model.delete(key);
        else model.set(key, value);
      }
      const keys = Array.from({ length: 18 }, (_, key) => key);
      expect(keys.map((key) => map.get(key))).toEqual(keys.map((key) => model.get(key)));
      const changes = keys.filter((key) => model.get(key) !== undefined && model.get(key) !== model.get(key - 1));
      expect(map.runs.map((run) => run.start)).toEqual(changes);
    }
  }));
});
