/**
 * Compound device pages share their tail struct pages: of each compound page only two pages of struct pages are real.
 * Mirrors mm/sparse-vmemmap.c: vmemmap_populate_compound_pages, vmemmap_can_optimize.
 *
 * Differs from Linux: the two pages of a compound page are one block of order 1; page-table pages are not counted.
 */
import { PAGE_SIZE, PAGES_PER_SECTION, PAGES_PER_SUBSECTION, STRUCT_PAGE_SIZE, isAligned } from '@holdfast/lib';
import type { Range } from '@holdfast/lib';
import type { BlockRun, MemmapPiece } from './sparse.js';

/** Does sharing save anything: more than two pages of struct pages for each compound page of 2^shift frames? */
export function canDedupVmemmap(shift: number): boolean {
  return (2 ** shift * STRUCT_PAGE_SIZE) / PAGE_SIZE > 2;
}

/**
 * Struct pages for a part of a range that starts at `rangeStart`, whose compound pages count from there.
 * `takePairs` gives blocks of two pages. A section that does not begin with a compound page goes on with the tails of the one before.
 */
export function compoundPieces(
  part: Range,
  rangeStart: number,
  compoundFrames: number,
  takePairs: (count: number) => readonly BlockRun[],
): MemmapPiece[] {
  const sectionsBeginCompounds = compoundFrames <= PAGES_PER_SUBSECTION || isAligned(part.start - rangeStart, compoundFrames);
  const length = part.end - part.start;
  // Linux looks at each section alone: a compound page that begins inside one, but not with it, gets no page of its own.
  const step = sectionsBeginCompounds && (compoundFrames <= PAGES_PER_SUBSECTION || isAligned(part.start, PAGES_PER_SECTION)) ? compoundFrames : length;
  let at = part.start;
  return takePairs(Math.ceil(length / step)).map(({ start: phys, count }) => {
    const piece = { start: at, end: Math.min(at + count * step, part.end), phys, compoundFrames: step };
    at = piece.end;
    return piece;
  });
}
