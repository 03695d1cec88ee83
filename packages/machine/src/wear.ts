/**
 * How often the parts of a medium were written: by 4 KiB page, kept as counters where stores fell and as runs where whole ranges were
 * initialised, so that the page array of a 400 TB device counts and costs nothing.
 */
import { PAGE_SIZE, roundDown, roundUp } from '@holdfast/lib';
import { FRAMES_PER_CHUNK } from './chunk.js';
import type { WearClass } from './hardware.js';
import { SlotTable } from './slot-table.js';

/** Pages `[start, end)` were written whole so many times over. */
interface Run {
  readonly start: number;
  readonly end: number;
  times: number;
}

export class PageWear {
  readonly #counts = new SlotTable<Uint32Array>();
  /** Chunks with counters: for walks. */
  readonly #chunks: number[] = [];
  #runs: Run[] = [];
  readonly #linesPerPage: number;

  constructor(linesPerPage: number) {
    this.#linesPerPage = linesPerPage;
  }

  /** `lines` lines of `page` were written. */
  add(page: number, lines: number): void {
    const nr = Math.floor(page / FRAMES_PER_CHUNK);
    const counts = this.#counts.get(nr) ?? this.#make(nr);
    counts[page & (FRAMES_PER_CHUNK - 1)]! += lines;
  }

  /** Pages `[start, end)` were written whole, once. */
  addRange(start: number, end: number): void {
    if (end - start <= FRAMES_PER_CHUNK) {
      for (let page = start; page < end; page++) this.add(page, this.#linesPerPage);
      return;
    }
    const same = this.#runs.find((run) => run.start === start && run.end === end);
    if (same) same.times++;
    else this.#runs.push({ start, end, times: 1 });
  }

  /** Lines written to `page` so far. */
  pageWrites(page: number): number {
    const counted = this.#counts.get(Math.floor(page / FRAMES_PER_CHUNK))?.[page % FRAMES_PER_CHUNK] ?? 0;
    return counted + this.#runLines(page);
  }

  /** How many pages were written how often, ascending. Never-written pages are not in it. */
  histogram(): WearClass[] {
    const classes = new Map<number, number>();
    const count = (lines: number, pages: number): void => void classes.set(lines, (classes.get(lines) ?? 0) + pages);
    for (const { start, end, lines } of this.#segments()) count(lines, end - start);
    for (const nr of this.#chunks) {
      this.#counts.get(nr)!.forEach((counted, i) => {
        if (counted === 0) return;
        const fromRuns = this.#runLines(nr * FRAMES_PER_CHUNK + i);
        if (fromRuns > 0) count(fromRuns, -1); // it is in a segment, and in another class
        count(fromRuns + counted, 1);
      });
    }
    return [...classes].filter(([, pages]) => pages > 0).map(([lines, pages]) => ({ lines, pages })).sort((a, b) => a.lines - b.lines);
  }

  reset(): void {
    this.#counts.clear();
    this.#chunks.length = 0;
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

  #make(nr: number): Uint32Array {
    const counts = new Uint32Array(FRAMES_PER_CHUNK);
    this.#counts.set(nr, counts);
    this.#chunks.push(nr);
    return counts;
  }
}

/** The whole pages of `[offset, offset + length)`, as page numbers `[first, end)`; empty if there is none. */
export function wholePages(offset: number, length: number): { first: number; end: number } {
  const first = roundUp(offset, PAGE_SIZE) / PAGE_SIZE;
  return { first, end: Math.max(first, roundDown(offset + length, PAGE_SIZE) / PAGE_SIZE) };
}
