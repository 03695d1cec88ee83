/** Which blocks of a file system in the making are taken: as ranges, for there are few of them on a device of any size. */
export interface UsedBlocks {
  /** Take `[start, start + count)`, all of it free before. */
  mark(start: number, count: number): void;
  isFree(block: number): boolean;
  /** The first of `count` free blocks that lie together within `[start, last]`; undefined if there are none. */
  findFree(start: number, last: number, count: number): number | undefined;
  /** How many blocks of `[start, end)` are taken. */
  countWithin(start: number, end: number): number;
  /** The parts of `[start, end)` that are taken, ascending. */
  within(start: number, end: number): { readonly start: number; readonly end: number }[];
}

export function createUsedBlocks(): UsedBlocks {
  /** Sorted, disjoint, never touching: range `i` is `[starts[i], ends[i])`. */
  const starts: number[] = [];
  const ends: number[] = [];
  /** The first range that ends behind `block`. */
  const at = (block: number): number => {
    let low = 0;
    for (let high = ends.length; low < high;) {
      const middle = (low + high) >> 1;
      if (ends[middle]! > block) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  const within = (start: number, end: number): { start: number; end: number }[] => {
    const parts: { start: number; end: number }[] = [];
    for (let i = at(start); i < starts.length && starts[i]! < end; i++) parts.push({ start: Math.max(start, starts[i]!), end: Math.min(end, ends[i]!) });
    return parts;
  };
  return {
    mark(start, count) {
      const end = start + count;
      const i = at(start);
      const joinsBefore = i > 0 && ends[i - 1] === start;
      const joinsBehind = i < starts.length && starts[i] === end;
      if (joinsBefore && joinsBehind) {
        ends[i - 1] = ends[i]!;
        starts.splice(i, 1);
        ends.splice(i, 1);
      } else if (joinsBefore) ends[i - 1] = end;
      else if (joinsBehind) starts[i] = start;
      else {
        starts.splice(i, 0, start);
        ends.splice(i, 0, end);
      }
    },
    isFree(block) {
      const i = at(block);
      return i === starts.length || starts[i]! > block;
    },
    findFree(start, last, count) {
      let free = start;
      for (let i = at(start); i <= starts.length; i++) {
        const end = i < starts.length ? starts[i]! : Infinity;
        if (Math.min(end, last + 1) - free >= count) return free;
        if (end > last) return undefined;
        free = ends[i]!;
      }
      return undefined;
    },
    countWithin: (start, end) => within(start, end).reduce((sum, part) => sum + part.end - part.start, 0),
    within,
  };
}
