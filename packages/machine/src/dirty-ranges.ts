/**
 * Which bytes of a medium its image does not hold yet: half-open ranges, in the order in which they came.
 *
 * Invariant: ranges are whole cache lines. A line is then written in one piece, with all stores to it so far, which the
 * persistency model always allows; half a line could hold a younger store without an older one.
 */
import { roundDown, roundUp } from '@holdfast/lib';
import { CACHE_LINE_SIZE } from './hardware.js';

export class DirtyRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  get length(): number {
    return this.#starts.length;
  }

  add(start: number, end: number): void {
    const from = roundDown(start, CACHE_LINE_SIZE);
    const to = roundUp(end, CACHE_LINE_SIZE);
    const last = this.#starts.length - 1;
    // Sequential stores are the common case: they grow the last range.
    if (last >= 0 && from <= this.#ends[last]! && to >= this.#starts[last]!) {
      if (from < this.#starts[last]!) this.#starts[last] = from;
      if (to > this.#ends[last]!) this.#ends[last] = to;
      return;
    }
    this.#starts.push(from);
    this.#ends.push(to);
  }

  clear(): void {
    this.#starts.length = 0;
    this.#ends.length = 0;
  }

  /** The same bytes as sorted, disjoint, non-touching ranges. */
  merged(): { start: number; end: number }[] {
    const sorted = this.#starts.map((start, i) => ({ start, end: this.#ends[i]! })).sort((a, b) => a.start - b.start);
    const merged: { start: number; end: number }[] = [];
    for (const range of sorted) {
      const last = merged.at(-1);
      if (last !== undefined && range.start <= last.end) last.end = Math.max(last.end, range.end);
      else merged.push(range);
    }
    return merged;
  }
}
