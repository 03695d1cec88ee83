/**
 * Which image each open unit is left with when the power fails: the rules that a user can name.
 */
import { type Random, seededRandom } from '@holdfast/lib';
import type { OpenUnit } from './power-domain.js';

/**
 * `none`: nothing that was not flushed. `all`: everything. `random`: each unit by itself; one cut in eight keeps all, one in eight nothing,
 * and the others have odds of their own. `prefix`: the writes up to one of them, in the order in which they came.
 */
export const KEEP_RULES = ['none', 'all', 'random', 'prefix'] as const;
export type KeepRule = (typeof KEEP_RULES)[number];

const ODDS = 256;

/** The index of the image that each unit is left with: the same for the same units, rule and seed. */
export function chooseImages(units: readonly Pick<OpenUnit, 'images' | 'history'>[], rule: KeepRule, seed: number): number[] {
  switch (rule) {
    case 'none':
      return units.map(beforeAll);
    case 'all':
      return units.map(({ images }) => images.length - 1);
    case 'random':
      return chooseRandomly(units, seededRandom(seed));
    case 'prefix':
      return choosePrefix(units, seededRandom(seed));
  }
}

/** The image that was there before the first open write. */
export function beforeAll({ history }: Pick<OpenUnit, 'history'>): number {
  return history[0]!.image;
}

function chooseRandomly(units: readonly Pick<OpenUnit, 'images' | 'history'>[], random: Random): number[] {
  const kind = random.below(8);
  const odds = kind === 1 ? ODDS : random.below(ODDS);
  if (kind === 0) return units.map(beforeAll);
  return units.map(({ images }) => (random.below(ODDS) < odds ? images.length - 1 : random.below(images.length)));
}

/** One moment between two writes; what came before it was kept, nothing of what came after it. */
function choosePrefix(units: readonly Pick<OpenUnit, 'images' | 'history'>[], random: Random): number[] {
  const serials = [...new Set(units.flatMap(({ history }) => history.map(({ serial }) => serial)))].sort((a, b) => a - b);
  const last = serials[random.below(Math.max(1, serials.length))] ?? -1;
  return units.map(({ history }) => history.findLast(({ serial }) => serial <= last)!.image);
}
