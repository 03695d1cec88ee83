/**
 * The bytes of a bus that are known to be lost, and how lists of bad sectors are filled from them.
 * Mirrors drivers/nvdimm/badrange.c: badrange_add, badrange_forget, nvdimm_badblocks_populate.
 *
 * Invariant: as in Linux, ranges may overlap; one that begins where a known one does replaces it.
 */
import { type Range, SECTOR_SIZE } from '@holdfast/lib';
import type { Badblocks } from '@holdfast/block';

/** Physical addresses. */
export interface Badrange {
  readonly ranges: readonly Range[];
  add(start: number, sizeBytes: number): void;
  forget(start: number, sizeBytes: number): void;
  /** Mark in `badblocks` what is lost of `[start, end)`, sector 0 being at `start`. Sectors that hold one lost byte are bad; none is unmarked. */
  populate(badblocks: Badblocks, start: number, end: number): void;
}

export function createBadrange(): Badrange {
  let ranges: Range[] = [];
  return {
    get ranges() {
      return ranges;
    },
    add(start, sizeBytes) {
      const range = { start, end: start + sizeBytes };
      const known = ranges.findIndex((each) => each.start === start);
      if (known >= 0) ranges[known] = range;
      else ranges.push(range);
    },
    forget(start, sizeBytes) {
      const end = start + sizeBytes;
      ranges = ranges.flatMap((range) => [
        { start: range.start, end: Math.min(range.end, start) },
        { start: Math.max(range.start, end), end: range.end },
      ]).filter((piece) => piece.start < piece.end);
    },
    populate(badblocks, start, end) {
      for (const range of ranges) {
        const [from, to] = [Math.max(range.start, start), Math.min(range.end, end)];
        if (from >= to) continue;
        const first = Math.floor((from - start) / SECTOR_SIZE);
        badblocks.set(first, Math.ceil((to - start) / SECTOR_SIZE) - first);
      }
    },
  };
}
