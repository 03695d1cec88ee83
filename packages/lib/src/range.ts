/**
 * Half-open ranges of numbers, `[start, end)`, and the few questions that are asked of them.
 */
export interface Range<N extends number = number> {
  readonly start: N;
  /** Exclusive. */
  readonly end: N;
}

export function rangesOverlap(a: Range, b: Range): boolean {
  return a.start < b.end && b.start < a.end;
}

/** The part two ranges share, or undefined. */
export function intersectRanges<N extends number>(a: Range<N>, b: Range<N>): Range<N> | undefined {
  const start = a.start > b.start ? a.start : b.start;
  const end = a.end < b.end ? a.end : b.end;
  return start < end ? { start, end } : undefined;
}

/** The first of indices `[0, count)` for which `holds` is true, as it is for all that follow; `count` if there is none. By halving. */
export function firstIndexWhere(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The index of the first of sorted, disjoint ranges that ends behind `at`; their number if none does. */
export function firstEndingAfter(ranges: readonly Range[], at: number): number {
  return firstIndexWhere(ranges.length, (index) => ranges[index]!.end > at);
}
