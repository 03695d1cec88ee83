import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KEEP_RULES, chooseImages } from './keep-rule.js';

/** Writes of one byte each to a few units, in order; each unit's images and history as a domain tells them. */
const anyWrites = fc.array(fc.record({ unit: fc.nat(3), value: fc.integer({ min: 1, max: 3 }) }), { minLength: 1, maxLength: 12 });

function unitsAfter(writes: readonly { unit: number; value: number }[]): { images: Uint8Array[]; history: { serial: number; image: number }[] }[] {
  return [0, 1, 2, 3].map((unit) => {
    const states = [{ serial: -1, value: 0 }, ...writes.map(({ value, unit: at }, serial) => ({ serial, value, at })).filter(({ at }) => at === unit)];
    const values = states.map(({ value }) => value).filter((value, i, all) => !all.slice(i + 1).includes(value));
    return { images: values.map((value) => Uint8Array.of(value)), history: states.map(({ serial, value }) => ({ serial, image: values.indexOf(value) })) };
  });
}

describe('what a cut keeps', () => {
  test.each(KEEP_RULES)('%s: an image of each unit, and the same for the same seed', (rule) => {
    fc.assert(
      fc.property(anyWrites, fc.nat(), (writes, seed) => {
        const units = unitsAfter(writes);
        const choices = chooseImages(units, rule, seed);
        choices.forEach((choice, i) => expect(units[i]!.images[choice]).toBeDefined());
        expect(chooseImages(units, rule, seed)).toEqual(choices);
      }),
    );
  });

  test('none: what was there before; all: what a reader saw', () => {
    fc.assert(
      fc.property(anyWrites, (writes) => {
        const units = unitsAfter(writes);
        const content = (rule: 'none' | 'all'): number[] => chooseImages(units, rule, 0).map((choice, i) => units[i]!.images[choice]![0]!);
        expect(content('none')).toEqual([0, 0, 0, 0]);
        expect(content('all')).toEqual([0, 1, 2, 3].map((unit) => writes.findLast((write) => write.unit === unit)?.value ?? 0));
      }),
    );
  });

  test('prefix: the writes up to some moment, and with enough seeds each moment', () => {
    const writes = [{ unit: 0, value: 1 }, { unit: 1, value: 2 }, { unit: 0, value: 3 }, { unit: 2, value: 1 }, { unit: 0, value: 1 }];
    const units = unitsAfter(writes);
    const moments = Array.from({ length: writes.length + 1 }, (_, count) => [0, 1, 2, 3].map((unit) => writes.slice(0, count).findLast((write) => write.unit === unit)?.value ?? 0).join(''));
    const seen = new Set(Array.from({ length: 200 }, (_, seed) => chooseImages(units, 'prefix', seed).map((choice, i) => units[i]!.images[choice]![0]).join('')));
    expect([...seen].sort()).toEqual([...moments].sort());
  });

  test('random: some cuts lose all, some nothing, and most something', () => {
    const units = unitsAfter([{ unit: 0, value: 1 }, { unit: 1, value: 1 }, { unit: 2, value: 1 }, { unit: 3, value: 1 }]);
    const kept = Array.from({ length: 200 }, (_, seed) => chooseImages(units, 'random', seed).reduce((sum, choice) => sum + choice, 0));
    expect(new Set(kept)).toEqual(new Set([0, 1, 2, 3, 4]));
  });
});
