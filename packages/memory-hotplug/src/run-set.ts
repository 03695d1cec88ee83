/**
 * A set of whole numbers kept as sorted, disjoint, half-open runs: as large as its gaps are many, not as its members.
 * Holds what Linux keeps as bits of each section, so that 400 TB of sections are one run.
 */
import type { Range } from '@holdfast/lib';

export interface RunSet {
  /** Sorted, disjoint, never touching. */
  readonly runs: readonly Range[];
  has(value: number): boolean;
  /** Is any member inside `[start, end)`? */
  intersects(start: number, end: number): boolean;
  /** Add `[start, end)`, merging. */
  add(start: number, end: number): void;
  /** Remove `[start, end)`, splitting. */
  remove(start: number, end: number): void;
}

export function createRunSet(): RunSet {
  const runs: Range[] = [];

  return {
    runs,
    has: (value) => covers(runs[firstEndingAfter(runs, value)], value),
    intersects(start, end) {
      const run = runs[firstEndingAfter(runs, start)];
      return run !== undefined && start < end && run.start < end;
    },
    add(start, end) {
      if (start >= end) return;
      // From the first run that touches it to the last.
      const first = firstEndingAfter(runs, start - 1);
      let last = first;
      while (last < runs.length && runs[last]!.start <= end) last++;
      const merged = first === last ? { start, end } : { start: Math.min(start, runs[first]!.start), end: Math.max(end, runs[last - 1]!.end) };
      runs.splice(first, last - first, merged);
    },
    remove(start, end) {
      if (start >= end) return;
      const first = firstEndingAfter(runs, start);
      let last = first;
      while (last < runs.length && runs[last]!.start < end) last++;
      const rest = runs.slice(first, last).flatMap((run) => [
        ...(run.start < start ? [{ start: run.start, end: start }] : []),
        ...(run.end > end ? [{ start: end, end: run.end }] : []),
      ]);
      runs.splice(first, last - first, ...rest);
    },
  };
}

/** The index of the first of sorted, disjoint ranges that ends after `value`: the one that holds it, if any does. */
export function firstEndingAfter(runs: readonly Range[], value: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (runs[middle]!.end <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The one of sorted, disjoint ranges that holds `value`. */
export function runHolding<R extends Range>(runs: readonly R[], value: number): R | undefined {
  const run = runs[firstEndingAfter(runs, value)];
  return covers(run, value) ? run : undefined;
}

function covers(run: Range | undefined, value: number): boolean {
  return run !== undefined && run.start <= value && value < run.end;
}
