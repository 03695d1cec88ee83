/**
 * Names of the states of an export after a cut: `pmem0@cut-3/state-42`, and those that a seed chooses.
 *
 * Numbers have as many digits as they need, up to thousands; so what a seed chooses has a short name of its own: `sample-SEED-NR`.
 */
import type { Cut } from './cut.js';
import { type KeepRule, chooseImages } from './keep-rule.js';
import type { StateSpace } from './state-space.js';

/** A number longer than that is no good as a part of a name: NBD's strings end at 4096 bytes. */
const MAX_INDEX_DIGITS = 1000;
/** How many samples are drawn at most for each that is wanted: the same state may come up again. */
const TRIES = 20;

export interface StateName {
  readonly exportName: string;
  readonly cut: number;
  /** `state-42`, `sample-7-0`, `none`, `all` or `kept`. */
  readonly state: string;
}

export function parseStateName(name: string): StateName | undefined {
  const match = /^(.+)@cut-([1-9]\d{0,8})\/([a-z0-9-]+)$/.exec(name);
  return match ? { exportName: match[1]!, cut: Number(match[2]), state: match[3]! } : undefined;
}

export function formatStateName({ exportName, cut, state }: StateName): string {
  return `${exportName}@cut-${cut}/${state}`;
}

/** The number of the state with that name; undefined if there is none. */
export function findState(cut: Cut, space: StateSpace, state: string): bigint | undefined {
  const numbered = /^state-(0|[1-9]\d*)$/.exec(state);
  if (numbered) {
    if (numbered[1]!.length > MAX_INDEX_DIGITS) return undefined;
    const index = BigInt(numbered[1]!);
    return index < space.count ? index : undefined;
  }
  const sample = /^sample-(\d{1,15})-(\d{1,9})$/.exec(state);
  if (sample) return sampleState(cut, space, Number(sample[1]), Number(sample[2]));
  if (state === 'none') return 0n;
  if (state === 'all') return chosen(cut, space, 'all', 0);
  return state === 'kept' ? space.indexOf(cut.choices) : undefined;
}

/** The shortest name of a state that has none yet. */
export function nameOfIndex(index: bigint): string | undefined {
  const digits = index.toString();
  return digits.length > MAX_INDEX_DIGITS ? undefined : `state-${digits}`;
}

/**
 * Sample `nr` of a seed: nothing kept, all kept, then in turn the writes up to some moment, and each unit by itself. Uniform numbers would
 * all look alike: half of everything, torn.
 */
function sampleState(cut: Cut, space: StateSpace, seed: number, nr: number): bigint {
  const rules: readonly KeepRule[] = nr < 2 ? ['none', 'all'] : ['prefix', 'random'];
  return chosen(cut, space, rules[nr % 2]!, (Math.imul(seed, 0x9e3779b1) + nr) >>> 0);
}

function chosen(cut: Cut, space: StateSpace, rule: KeepRule, seed: number): bigint {
  const images = chooseImages(space.units.map((unit) => cut.units[unit]!), rule, seed);
  const choices = [...cut.choices];
  space.units.forEach((unit, i) => (choices[unit] = images[i]!));
  return space.indexOf(choices);
}

/** Names of up to `most` different states: all there are, if that is not too many. */
export function sampleNames(cut: Cut, space: StateSpace, { most, seed }: { readonly most: number; readonly seed: number }): string[] {
  if (space.count <= BigInt(most)) return Array.from({ length: Number(space.count) }, (_, i) => `state-${i}`);
  const seen = new Set<bigint>();
  const names: string[] = [];
  for (let nr = 0; names.length < most && nr < TRIES * most; nr++) {
    const index = sampleState(cut, space, seed, nr);
    if (seen.has(index)) continue;
    seen.add(index);
    names.push(`sample-${seed}-${nr}`);
  }
  return names;
}
