/**
 * A set of numbers as ranges: for the few that matter among very many, such as the bytes of a medium that are lost.
 *
 * Invariant: ranges are sorted, disjoint and never touch; none is empty. Every call takes time in the number of ranges.
 */
import { type Range, intersectRanges } from './range.js';

export interface RangeSet {
  /** How many ranges; 0 if nothing is in it. */
  readonly count: number;
  add(start: number, end: number): void;
  remove(start: number, end: number): void;
  /** The parts of `[start, end)` that are in the set, lowest first. */
  within(start: number, end: number): readonly Range[];
  clear(): void;
}

export function createRangeSet(): RangeSet {
  let ranges: Range[] = [];
  // A plain field, so that a hot path can ask for nothing but "is there any?".
  const set = { count: 0 };
  const replace = (next: Range[]): void => {
    ranges = next;
    set.count = next.length;
  };

  return Object.assign(set, {
    add(start: number, end: number) {
      if (start >= end) return;
      const apart = ranges.filter((range) => range.end < start || range.start > end);
      const joined = ranges.filter((range) => range.end >= start && range.start <= end);
      const grown = { start: Math.min(start, ...joined.map((range) => range.start)), end: Math.max(end, ...joined.map((range) => range.end)) };
      replace([...apart, grown].sort((a, b) => a.start - b.start));
    },
    remove(start: number, end: number) {
      if (start >= end) return;
      const left = ranges.flatMap((range) => [
        { start: range.start, end: Math.min(range.end, start) },
        { start: Math.max(range.start, end), end: range.end },
      ]);
      // What `[start, end)` does not touch is in one of the two pieces whole, and the other is empty.
      replace(left.filter((range) => range.start < range.end));
    },
    within: (start: number, end: number) => ranges.flatMap((range) => intersectRanges(range, { start, end }) ?? []),
    clear: () => replace([]),
  });
}
