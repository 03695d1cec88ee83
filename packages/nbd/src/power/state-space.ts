/**
 * The admissible contents of a part of the stores after a cut, numbered: each distinct content has one number, and there are no others.
 *
 * A number is read digit by digit, one for each open unit, lowest address first and least significant; a digit's base is how many different
 * images its unit has. Digit 0 is what was there before the first open write, so that state 0 has lost all that was not flushed.
 */
import { KernelError } from '@holdfast/lib';
import { beforeAll } from './keep-rule.js';
import type { OpenUnit } from './power-domain.js';

/** `[start, end)` bytes of a store. */
export interface StoreRange {
  readonly store: string;
  readonly start: number;
  readonly end: number;
}

/** What one digit chooses from. */
interface Digit {
  /** Which of the cut's units. */
  readonly unit: number;
  /** For each value of the digit, an image of the unit that has that content. */
  readonly images: readonly number[];
  /** For each image of the unit, the digit's value. */
  readonly values: readonly number[];
}

export interface StateSpace {
  /** How many different contents there are. */
  readonly count: bigint;
  /** The cut's units that tell its states apart, by their place among all of them. */
  readonly units: readonly number[];
  /** For each of the cut's units its image in state `index`; units elsewhere are left as `rest` says. @throws KernelError EINVAL */
  choices(index: bigint, rest: readonly number[]): number[];
  /** The number of the state that has these images. */
  indexOf(choices: readonly number[]): bigint;
}

/** The states of what lies in `ranges`. */
export function createStateSpace(units: readonly OpenUnit[], ranges: readonly StoreRange[]): StateSpace {
  const digits = units.flatMap((unit, i) => digitOf(unit, i, ranges));
  const count = digits.reduce((product, { images }) => product * BigInt(images.length), 1n);
  return {
    count,
    units: digits.map(({ unit }) => unit),
    choices(index, rest) {
      if (index < 0n || index >= count) throw new KernelError('EINVAL', `state ${index}: there are ${count}, from 0 on`);
      const choices = [...rest];
      let left = index;
      for (const { unit, images } of digits) {
        const base = BigInt(images.length);
        choices[unit] = images[Number(left % base)]!;
        left /= base;
      }
      return choices;
    },
    indexOf: (choices) => digits.reduceRight((index, { unit, images, values }) => index * BigInt(images.length) + BigInt(values[choices[unit]!]!), 0n),
  };
}

/** No digit for a unit that lies elsewhere, or whose images are all the same where the ranges see them. */
function digitOf(unit: OpenUnit, index: number, ranges: readonly StoreRange[]): Digit[] {
  const length = unit.images[0]!.length;
  const seen = ranges
    .filter(({ store, start, end }) => store === unit.store && start < unit.offset + length && unit.offset < end)
    .map(({ start, end }) => ({ from: Math.max(start - unit.offset, 0), to: Math.min(end - unit.offset, length) }));
  if (seen.length === 0) return [];
  const first = beforeAll(unit);
  const images = [first];
  const values: number[] = [];
  const sameSeen = (a: number, b: number): boolean => seen.every(({ from, to }) => sameBytes(unit.images[a]!, unit.images[b]!, from, to));
  unit.images.forEach((_, image) => {
    const known = images.findIndex((other) => sameSeen(other, image));
    values[image] = known >= 0 ? known : images.push(image) - 1;
  });
  return images.length > 1 ? [{ unit: index, images, values }] : [];
}

function sameBytes(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false;
  return true;
}
