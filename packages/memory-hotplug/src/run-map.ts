/**
 * Values for whole numbers, kept as sorted, disjoint, half-open runs of equal values: as large as its changes are many.
 */
import type { Range } from '@holdfast/lib';
import { firstEndingAfter, runHolding } from './run-set.js';

export interface ValueRun<V> extends Range {
  readonly value: V;
}

export interface RunMap<V> {
  /** Sorted and disjoint. */
  readonly runs: readonly ValueRun<V>[];
  get(key: number): V | undefined;
  /** Give `[start, end)` a value; undefined takes theirs away. */
  set(start: number, end: number, value: V | undefined): void;
}

export function createRunMap<V>(same: (a: V, b: V) => boolean): RunMap<V> {
  const runs: ValueRun<V>[] = [];

  return {
    runs,
    get: (key) => runHolding(runs, key)?.value,
    set(start, end, value) {
      if (start >= end) return;
      // From the first run that touches `[start, end)` to the last: those at its ends may go on in the new one.
      const first = firstEndingAfter(runs, start - 1);
      let last = first;
      while (last < runs.length && runs[last]!.start <= end) last++;
      const merged: ValueRun<V>[] = [];
      const push = (run: ValueRun<V>): void => {
        if (run.start >= run.end) return;
        const before = merged.at(-1);
        if (before?.end === run.start && same(before.value, run.value)) merged[merged.length - 1] = { ...before, end: run.end };
        else merged.push(run);
      };
      const touched = runs.slice(first, last);
      for (const run of touched) push({ ...run, end: Math.min(run.end, start) });
      if (value !== undefined) push({ start, end, value });
      for (const run of touched) push({ ...run, start: Math.max(run.start, end) });
      runs.splice(first, last - first, ...merged);
    },
  };
}
