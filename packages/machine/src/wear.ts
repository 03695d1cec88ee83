/**
 * How often the parts of a medium were written: by 4 KiB page, kept as counters where stores fell and as runs where whole ranges were
 * initialised, so that the page array of a 400 TB device counts and costs nothing.
 */
import { PAGE_SIZE, roundDown, roundUp } from '@holdfast/lib';
import type { WearClass } from './hardware.js';
import { SlotTable } from './slot-table.js';

/** Pages `[start, end)` were written whole so many times over. */
interface Run {
  readonly start: number;
  readonly end: number;
  times: number;
}

/**
 * Counts wait until there are so many, and pages of 64 MiB share an array. To count a page the host fetches a counter that is in none of
 * its caches; of many pages in a row the fetches overlap. Counting each page at once, in arrays of 2 MiB, made random 4 KiB stores a fifth
 * slower.
 */
const WAITING = 256;
const LEAF_PAGES = 16384;
/** Longer ranges are runs. */
const MAX_COUNTED = 512;

export class PageWear {
  readonly #waitingPages = new Float64Array(WAITING);
  readonly #waitingLines = new Uint8Array(WAITING);
  #nrWaiting = 0;
  readonly #counts = new SlotTable<Uint32Array>();
  /** Leaves with counters: for walks. */
  readonly #leaves: number[] = [];
  #runs: Run[] = [];
  readonly #linesPerPage: number;

  constructor(linesPerPage: number) {
    this.#linesPerPage = linesPerPage;
  }

  /** `lines` lines of `page` were written: at most all of it. */
  add(page: number, lines: number): void {
    if (this.#nrWaiting === WAITING) this.#count();
    this.#waitingPages[this.#nrWaiting] = page;
    this.#waitingLines[this.#nrWaiting++] = lines;
  }

  /** Pages `[start, end)` were written whole, once. */
  addRange(start: number, end: number): void {
    if (end - start <= MAX_COUNTED) {
      for (let page = start; page < end; page++) this.add(page, this.#linesPerPage);
      return;
    }
    const same = this.#runs.find((run) => run.start === start && run.end === end);
    if (same) same.times++;
    else this.#runs.push({ start, end, times: 1 });
  }

  /** Lines written to `page` so far. */
  pageWrites(page: number): number {
    this.#count();
    const counted = this.#counts.get(Math.floor(page / LEAF_PAGES))?.[page % LEAF_PAGES] ?? 0;
    return counted + this.#runLines(page);
  }

  /** How many pages were written how often, ascending. Never-written pages are not in it. */
  histogram(): WearClass[] {
    this.#count();
    const classes = new Map<number, number>();
    const count = (lines: number, pages: number): void => void classes.set(lines, (classes.get(lines) ?? 0) + pages);
    for (const { start, end, lines } of this.#segments()) count(lines, end - start);
    for (const nr of this.#leaves) {
      this.#counts.get(nr)!.forEach((counted, i) => {
        if (counted === 0) return;
        const fromRuns = this.#runLines(nr * LEAF_PAGES + i);
        if (fromRuns > 0) count(fromRuns, -1); // it is in a segment, and in another class
        count(fromRuns + counted, 1);
      });
    }
    return [...classes].filter(([, pages]) => pages > 0).map(([lines, pages]) => ({ lines, pages })).sort((a, b) => a.lines - b.lines);
  }

  reset(): void {
    this.#nrWaiting = 0;
    this.#counts.clear();
    this.#leaves.length = 0;
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

  #count(): void {
    for (let i = 0; i < this.#nrWaiting; i++) {
      const page = this.#waitingPages[i]!;
      const nr = Math.floor(page / LEAF_PAGES);
      const counts = this.#counts.get(nr) ?? this.#make(nr);
      counts[page & (LEAF_PAGES - 1)]! += this.#waitingLines[i]!;
    }
    this.#nrWaiting = 0;
  }

  #make(nr: number): Uint32Array {
    const counts = new Uint32Array(LEAF_PAGES);
    this.#counts.set(nr, counts);
    this.#leaves.push(nr);
    return counts;
  }
}

/** The whole pages of `[offset, offset + length)`, as page numbers `[first, end)`; empty if there is none. */
export function wholePages(offset: number, length: number): { first: number; end: number } {
  const first = roundUp(offset, PAGE_SIZE) / PAGE_SIZE;
  return { first, end: Math.max(first, roundDown(offset + length, PAGE_SIZE) / PAGE_SIZE) };
}
