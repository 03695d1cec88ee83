/** Where a `memmap=` range may lie: inside rows of usable RAM, on a grain that everything built on it can use. */
import { GIB, SECTION_SIZE, roundDown, roundUp } from '@holdfast/lib';
import type { BootLook } from './boot-look.js';

export interface LegalRange {
  readonly start: number;
  readonly end: number;
  /** Bytes: both ends are multiples of it. */
  readonly grain: number;
}

/** Of each row of RAM above 4 GiB, what lies on 1 GiB, or if that is nothing, on 128 MiB. */
export function legalRanges({ map }: BootLook): LegalRange[] {
  return map
    .filter(({ type, end }) => type === 'usable' && end > 4 * GIB)
    .flatMap(({ start, end }) => {
      const fitting = [GIB, SECTION_SIZE].map((grain) => ({ start: roundUp(Math.max(start, 4 * GIB), grain), end: roundDown(end, grain), grain }));
      const found = fitting.find((each) => each.start < each.end);
      return found ? [found] : [];
    });
}

/** Places for so many bytes, best first: on 1 GiB before 128 MiB, with RAM left above before at the end. */
export function candidates(look: BootLook, sizeBytes: number, most: number): number[] {
  const places = look.map
    .filter(({ type, end }) => type === 'usable' && end > 4 * GIB)
    .flatMap(({ start, end }) => [GIB, SECTION_SIZE].flatMap((grain) => {
      const first = roundUp(Math.max(start, 4 * GIB), grain);
      const last = roundDown(end - sizeBytes, grain);
      if (first > last) return [];
      // The one before the last leaves RAM above, for the node that Linux looks up there.
      return [...new Set([last + sizeBytes < end ? last : Math.max(first, last - grain), first, last])];
    }));
  return [...new Set(places)].slice(0, most);
}
