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
