/**
 * How often the parts of a medium were written: by 4 KiB page, kept as counters where stores fell and as runs where whole ranges were
 * initialised, so that the page array of a 400 TB device counts and costs nothing.
 */
import { PAGE_SIZE, roundDown, roundUp } from '@holdfast/lib';
import type { WearClass } from './hardware.js';

/** Pages `[start, end)` were written whole so many times over. */
interface Run {
  readonly start: number;
  readonly end: number;
  times: number;
}

/** Pages that share their arrays: those of 512 MiB. */
const LEAF_PAGES = 2 ** 17;
/** Pages that are counted as one when all of them were written whole: 64 KiB. */
const GROUP = 16;
/** Longer ranges are runs. */
const MAX_COUNTED = 512;
/** What a counter of one byte holds before it carries. */
const BYTE = 256;

/**
 * The counters of LEAF_PAGES pages. Most writes are of whole pages, and a byte counts those: of small counters more lie in the host's
 * caches. They are counted at once: beside the copy of a page that costs nothing that can be measured, where a queue of pages to be
 * counted later cost 20 to 60 ns each.
 */
class Leaf {
  /** By page: how often it was written whole. */
  readonly pages = new Uint8Array(LEAF_PAGES);
  /** By aligned group of pages: how often all of it was. */
  readonly groups = new Uint32Array(LEAF_PAGES / GROUP);
  /** By page: lines written otherwise, and what the bytes carried. */
  lines: Uint32Array | undefined;

  /** Made when first needed: a device that only gets whole pages needs none. */
  otherLines(): Uint32Array {
    return (this.lines ??= new Uint32Array(LEAF_PAGES));
  }
}

export class PageWear {
  readonly #leaves = new Map<number, Leaf>();
  /** The leaf of the last access, and its number: most have the same as the one before. */
  #leafNr = -1;
  #leaf: Leaf | undefined;
  /** Of no use, but loads whose values nobody keeps are not made. */
  fetched = 0;
  #runs: Run[] = [];
  readonly #linesPerPage: number;

  constructor(linesPerPage: number) {
    this.#linesPerPage = linesPerPage;
  }

  /**
   * Fetch the counters of the pages at byte `base + entries[2 * i]`, `2 * i < used`, from the host's memory, as far as they lie in the leaf of
   * the last access. A loop this short has twenty of them on their way at once; where they are counted, one by one, each is waited for.
   */
  prefetch(base: number, entries: Float64Array, used: number): void {
    if (this.#leaf === undefined) return;
    const { pages } = this.#leaf;
    const first = this.#leafNr * LEAF_PAGES * PAGE_SIZE - base;
    let sum = 0;
    for (let at = 0; at < used; at += 2) {
      const i = ((entries[at]! - first) / PAGE_SIZE) | 0;
      if (i >= 0 && i < LEAF_PAGES) sum = (sum + pages[i]!) | 0;
    }
    this.fetched = sum;
  }

  /** `lines` lines of `page` were written: at most all of it. */
  add(page: number, lines: number): void {
    if (lines === this.#linesPerPage) return this.addPage(page);
    const nr = Math.floor(page / LEAF_PAGES);
    this.#leafAt(nr).otherLines()[page - nr * LEAF_PAGES]! += lines;
  }

  /** `page` was written whole. */
  addPage(page: number): void {
    const nr = Math.floor(page / LEAF_PAGES);
    const leaf = this.#leafAt(nr);
    const i = page - nr * LEAF_PAGES;
    const times = (leaf.pages[i]! + 1) % BYTE;
    leaf.pages[i] = times;
    if (times === 0) leaf.otherLines()[i]! += BYTE * this.#linesPerPage;
  }

  /** Pages `[start, end)` were. */
  addPages(start: number, end: number): void {
    for (let page = start; page < end; ) {
      if (page % GROUP === 0 && end - page >= GROUP) {
        const nr = Math.floor(page / LEAF_PAGES);
        this.#leafAt(nr).groups[(page - nr * LEAF_PAGES) / GROUP]! += 1;
        page += GROUP;
      } else {
        this.addPage(page++);
      }
    }
  }

  /** The same for any number of pages. */
  addRange(start: number, end: number): void {
    if (end - start <= MAX_COUNTED) return this.addPages(start, end);
    const same = this.#runs.find((run) => run.start === start && run.end === end);
    if (same) same.times++;
    else this.#runs.push({ start, end, times: 1 });
  }

  /** Lines written to `page` so far. */
  pageWrites(page: number): number {
    const nr = Math.floor(page / LEAF_PAGES);
    const leaf = this.#leaves.get(nr);
    return this.#runLines(page) + (leaf === undefined ? 0 : this.#counted(leaf, page - nr * LEAF_PAGES));
  }

  /** How many pages were written how often, ascending. Never-written pages are not in it. */
  histogram(): WearClass[] {
    const classes = new Map<number, number>();
    const count = (lines: number, pages: number): void => void classes.set(lines, (classes.get(lines) ?? 0) + pages);
    for (const { start, end, lines } of this.#segments()) count(lines, end - start);
    for (const [nr, leaf] of this.#leaves) {
      for (let i = 0; i < LEAF_PAGES; i++) {
        const counted = this.#counted(leaf, i);
        if (counted === 0) continue;
        const fromRuns = this.#runLines(nr * LEAF_PAGES + i);
        if (fromRuns > 0) count(fromRuns, -1); // it is in a segment, and in another class
        count(fromRuns + counted, 1);
      }
    }
    return [...classes].filter(([, pages]) => pages > 0).map(([lines, pages]) => ({ lines, pages })).sort((a, b) => a.lines - b.lines);
  }

  reset(): void {
    this.#leaves.clear();
    this.#leafNr = -1;
    this.#runs = [];
  }

  /** The runs, cut where one begins or ends, with what all together wrote there. */
  #segments(): { start: number; end: number; lines: number }[] {
    const cuts = [...new Set(this.#runs.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
    return cuts.slice(1).map((end, i) => ({ start: cuts[i]!, end, lines: this.#runLines(cuts[i]!) })).filter(({ lines }) => lines > 0);
  }

  #runLines(page: number): number {
    let times = 0;
    for (const run of this.#runs) if (run.start <= page && page < run.end) times += run.times;
    return times * this.#linesPerPage;
  }

  #counted({ pages, groups, lines }: Leaf, i: number): number {
    return (pages[i]! + groups[Math.floor(i / GROUP)]!) * this.#linesPerPage + (lines?.[i] ?? 0);
  }

  #leafAt(nr: number): Leaf {
    return nr === this.#leafNr ? this.#leaf! : this.#switchTo(nr);
  }

  #switchTo(nr: number): Leaf {
    let leaf = this.#leaves.get(nr);
    if (leaf === undefined) this.#leaves.set(nr, (leaf = new Leaf()));
    this.#leaf = leaf;
    this.#leafNr = nr;
    return leaf;
  }
}

/** The whole pages of `[offset, offset + length)`, as page numbers `[first, end)`; empty if there is none. */
export function wholePages(offset: number, length: number): { first: number; end: number } {
  const first = roundUp(offset, PAGE_SIZE) / PAGE_SIZE;
  return { first, end: Math.max(first, roundDown(offset + length, PAGE_SIZE) / PAGE_SIZE) };
}
