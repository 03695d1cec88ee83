import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OpenUnit } from './power-domain.js';
import { createStateSpace } from './state-space.js';

const UNIT = 4;

/** Units side by side in two stores, each with up to four different contents, in some order of writes. */
const anyUnits = fc.array(fc.record({ store: fc.constantFrom('a', 'b'), contents: fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { minLength: 2, maxLength: 4 }), first: fc.nat() }), { maxLength: 5 }).map((specs) =>
  specs.map(({ store, contents, first }, i): OpenUnit => {
    // Contents 0 to 2 differ in the first half of a unit only, the others in the second.
    const images = contents.map((value) => Uint8Array.from([value < 3 ? value : 0, 0, 0, value < 3 ? 0 : value]));
    return { store, offset: i * UNIT, images, history: [{ serial: -1, image: first % images.length }, ...images.map((_, image) => ({ serial: image, image }))] };
  }),
);

function contentOf(units: readonly OpenUnit[], choices: readonly number[], { store, start, end }: { store: string; start: number; end: number }): string {
  const bytes = new Uint8Array(64);
  units.forEach((unit, i) => {
    if (unit.store === store) bytes.set(unit.images[choices[i]!]!, unit.offset);
  });
  return bytes.subarray(start, end).join();
}

function allChoices(units: readonly OpenUnit[]): number[][] {
  return units.reduce<number[][]>((all, { images }) => all.flatMap((choices) => images.map((_, image) => [...choices, image])), [[]]);
}

describe('the states of a range', () => {
  test('are the different contents that it can have, each with one number', () => {
    fc.assert(
      fc.property(anyUnits, fc.constantFrom('a', 'b'), fc.nat(20), fc.nat(20), (units, store, a, b) => {
        const range = { store, start: Math.min(a, b), end: Math.max(a, b) };
        const space = createStateSpace(units, [range]);
        const wanted = new Set(allChoices(units).map((choices) => contentOf(units, choices, range)));
        const rest = units.map(({ images }) => images.length - 1);
        const found = Array.from({ length: Number(space.count) }, (_, i) => space.choices(BigInt(i), rest));
        expect(found.map((choices) => contentOf(units, choices, range)).sort()).toEqual([...wanted].sort());
        found.forEach((choices, i) => expect(space.indexOf(choices)).toBe(BigInt(i)));
        for (const choices of allChoices(units)) {
          expect(contentOf(units, space.choices(space.indexOf(choices), rest), range)).toBe(contentOf(units, choices, range));
        }
      }),
    );
  });

  test('begin with the one that has lost all', () => {
    fc.assert(
      fc.property(anyUnits, (units) => {
        const space = createStateSpace(units, [{ store: 'a', start: 0, end: 64 }, { store: 'b', start: 0, end: 64 }]);
        expect(space.choices(0n, units.map(() => 0))).toEqual(units.map(({ history }) => history[0]!.image));
      }),
    );
  });

  test('are counted exactly where no double could', () => {
    const images = [Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(2)];
    const units = Array.from({ length: 200 }, (_, i): OpenUnit => ({ store: 'a', offset: i, images, history: [{ serial: -1, image: 0 }] }));
    const space = createStateSpace(units, [{ store: 'a', start: 0, end: 200 }]);
    expect(space.count).toBe(3n ** 200n);
    expect(space.choices(3n ** 200n - 1n, []).slice(-2)).toEqual([2, 2]);
    expect(() => space.choices(3n ** 200n, [])).toThrow('from 0 on');
  });
});
