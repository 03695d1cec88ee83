/**
 * A power cut, remembered: what was open, what was kept of it, and what the stores were left with; so that every other outcome can be
 * looked at later, and the same one can be made again.
 */
import { createHash } from 'node:crypto';
import type { FrozenImage, ImageBacking } from '@holdfast/machine';
import { type KeepRule, chooseImages } from './keep-rule.js';
import type { OpenUnit, PowerDomain } from './power-domain.js';
import { createPatchedImage } from './state-image.js';
import { type StateSpace, type StoreRange, createStateSpace } from './state-space.js';

export interface Cut {
  /** 1 for the first. */
  readonly nr: number;
  readonly keep: KeepRule;
  readonly seed: number;
  readonly units: readonly OpenUnit[];
  /** The image that each unit was left with. */
  readonly choices: readonly number[];
  /** Of the units, how many were left with something older than what a reader saw. */
  readonly lost: number;
  /** A hash of what was open and what was kept of it: two runs with the same one had the same cut. */
  readonly digest: string;
  /** Where exports lay. */
  readonly ranges: ReadonlyMap<string, readonly StoreRange[]>;
  /** The states of an export; undefined if there was none of that name. */
  states(name: string): StateSpace | undefined;
  /** The stores in another outcome, by name. */
  images(choices: readonly number[]): ReadonlyMap<string, ImageBacking>;
  /** Forget what the stores held. */
  release(): void;
}

/**
 * Take the power of all domains away. Each loses its power here; whoever uses them has been told before.
 * @param ranges where exports lie
 */
export function cutPower(domains: readonly PowerDomain[], { nr, keep, seed, ranges }: Pick<Cut, 'nr' | 'keep' | 'seed' | 'ranges'>): Cut {
  const open = domains.map((domain) => domain.undecided());
  // Writes of two domains are in no order: each has its own choice.
  const chosen = open.map((units, i) => chooseImages(units, keep, seed + i));
  domains.forEach((domain, i) => domain.applyOutcome(chosen[i]!));
  const units = open.flat();
  const choices = chosen.flat();
  const frozen = new Map(domains.flatMap(({ stores }) => stores.map((store): [string, FrozenImage] => [store.name, store.freeze()])));
  const spaces = new Map<string, StateSpace>();
  return {
    nr,
    keep,
    seed,
    units,
    choices,
    lost: units.filter(({ images }, i) => choices[i] !== images.length - 1).length,
    digest: digestOf(units, choices),
    ranges,
    states(name) {
      const range = ranges.get(name);
      if (!range) return undefined;
      let space = spaces.get(name);
      if (!space) spaces.set(name, (space = createStateSpace(units, range)));
      return space;
    },
    images(wanted) {
      const patches = units.flatMap(({ store, offset, images }, i) => (wanted[i] === choices[i] ? [] : [{ store, offset, bytes: images[wanted[i]!]! }]));
      return new Map([...frozen].map(([name, image]) => [name, createPatchedImage(image, patches.filter(({ store }) => store === name))]));
    },
    release() {
      for (const image of frozen.values()) image.release();
    },
  };
}

function digestOf(units: readonly OpenUnit[], choices: readonly number[]): string {
  const hash = createHash('sha256');
  units.forEach(({ store, offset, images }, i) => {
    hash.update(`${store} ${offset} ${images.length} ${choices[i]}\n`);
    for (const image of images) hash.update(image);
  });
  return hash.digest('hex');
}
