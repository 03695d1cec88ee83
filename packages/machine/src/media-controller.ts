/**
 * The controller of a medium: what it reads and writes inside, how long that takes, and how it wears.
 *
 * Optane reads and writes lines of 256 bytes behind a buffer of 16 KiB that combines stores (XPBuffer, FAST 2020, section 2): a smaller
 * store costs a whole line, unless the line is in the buffer still. So 64-byte stores in sequence cost the media what they bring (EWR,
 * bytes received by bytes written, of 1), and at random four times as much (EWR 0.25).
 *
 * Stores are posted. The medium works them off at its own speed, and a CPU waits only when more than the queue is waiting.
 * Invariant: a line that enters the buffer is counted as written then; it leaves the buffer once, at a power cut by ADR.
 * Invariant: whoever calls receive, receiveBulk or loadCost has settled the ledger, so that all is accounted for in program order.
 * Differs from hardware: the buffer is direct-mapped, where Optane's replaces at random or by age; a partial line's read is not charged,
 * as the published bandwidths show none. Loads do not queue behind stores.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import type { MachineClock } from './clock.js';
import { type MediumFigures, CACHE_HIT, CACHED_PER_BYTE } from './costs.js';
import { CACHE_LINE_SIZE, type MediaWear, type WearClass } from './hardware.js';
import type { Ledger } from './ledger.js';
import { PageWear, wholePages } from './wear.js';

const BUFFER_LINES = 64;

export class MediaController implements MediaWear {
  readonly figures: MediumFigures;
  readonly lineBytes: number;
  /** Where accesses to the medium may still wait to be accounted for. */
  ledger: Ledger | undefined;

  #bytesReceived = 0;
  #linesWritten = 0;
  #busyNs = 0;
  /** By slot of the buffer: the number of the line in it, or -1. */
  readonly #lines = new Float64Array(BUFFER_LINES).fill(-1);
  /** By group of slots that the lines of one page fall in: the page, if all of them are its own, or -1: then ask by slot. */
  readonly #whole: Float64Array;
  readonly #linesPerPage: number;
  readonly #pages: PageWear;
  readonly #readNs: number;
  readonly #lineNs: number;
  readonly #queueNs: number;
  readonly #openBytes: number;
  readonly #loadHit: number;
  readonly #loadMiss: number;
  readonly #readBandwidth: number;
  /** What is open for reading: `loadHit` applies there. */
  #open = -1;
  /** When all that was posted so far will have been written. */
  #doneAt = 0;

  constructor(figures: MediumFigures) {
    const { lineBytes, readBandwidth, writeBandwidth, interleave, queueBytes, openBytes, loadHit, loadMiss } = figures;
    this.figures = figures;
    this.lineBytes = lineBytes;
    this.#linesPerPage = PAGE_SIZE / lineBytes;
    this.#whole = new Float64Array(BUFFER_LINES / this.#linesPerPage).fill(-1);
    this.#pages = new PageWear(this.#linesPerPage);
    this.#readNs = lineBytes / readBandwidth / interleave;
    this.#lineNs = lineBytes / writeBandwidth / interleave;
    this.#queueNs = queueBytes / writeBandwidth;
    this.#openBytes = openBytes;
    this.#loadHit = loadHit;
    this.#loadMiss = loadMiss;
    this.#readBandwidth = readBandwidth;
  }

  /** A store of `[offset, offset + length)` of the medium arrives; the clock goes on if it has to wait. */
  receive(clock: MachineClock, offset: number, length: number): void {
    if (length === 0) return;
    this.#bytesReceived += length;
    const isPage = length === PAGE_SIZE && (offset & (PAGE_SIZE - 1)) === 0; // most are
    const entered = isPage ? this.#admitPage(offset / PAGE_SIZE) : this.#admit(offset, length);
    this.#linesWritten += entered;
    this.#post(clock, entered);
  }

  /** Stores at `base + entries[2 * i]` will arrive: see {@link PageWear.prefetch}. */
  prefetch(base: number, entries: Float64Array, used: number): void {
    this.#pages.prefetch(base, entries, used);
  }

  /** The same for a range of any size that is written once, in order; it does not stay in the buffer. */
  receiveBulk(clock: MachineClock, offset: number, length: number): void {
    const { first, end } = wholePages(offset, length);
    if (first === end) return this.receive(clock, offset, length);
    const [from, to] = [first * PAGE_SIZE, end * PAGE_SIZE];
    this.receive(clock, offset, from - offset);
    this.#bytesReceived += to - from;
    this.#pages.addRange(first, end);
    this.#forget();
    const lines = (end - first) * this.#linesPerPage;
    this.#linesWritten += lines;
    this.#post(clock, lines);
    this.receive(clock, to, offset + length - to);
  }

  /** What a load of `length` bytes costs, `missing` of them not in a cache. */
  loadCost(offset: number, length: number, missing: number): number {
    if (missing === 0) return CACHE_HIT + length * CACHED_PER_BYTE;
    const latency = Math.floor(offset / this.#openBytes) === this.#open ? this.#loadHit : this.#loadMiss;
    this.#open = Math.floor((offset + length - 1) / this.#openBytes);
    this.#busyNs += this.#readNs * (missing <= this.lineBytes ? 1 : missing / this.lineBytes);
    // The latency brings the first line; the rest follows as fast as one module gives it.
    return missing <= CACHE_LINE_SIZE ? latency : latency + (missing - CACHE_LINE_SIZE) / this.#readBandwidth;
  }

  /** A power cycle, or another machine: the buffer is written out, the clock starts again. */
  settle(): void {
    this.#forget();
    this.#open = -1;
    this.#doneAt = 0;
  }

  // MediaWear: for those who ask, all is settled.

  get bytesReceived(): number {
    this.ledger?.settle();
    return this.#bytesReceived;
  }

  get linesWritten(): number {
    this.ledger?.settle();
    return this.#linesWritten;
  }

  get busyNs(): number {
    this.ledger?.settle();
    return this.#busyNs;
  }

  pageWrites(page: number): number {
    this.ledger?.settle();
    return this.#pages.pageWrites(page);
  }

  histogram(): readonly WearClass[] {
    this.ledger?.settle();
    return this.#pages.histogram();
  }

  reset(): void {
    this.ledger?.settle();
    this.#bytesReceived = 0;
    this.#linesWritten = 0;
    this.#busyNs = 0;
    this.#pages.reset();
  }

  /** The lines of `[offset, offset + length)` enter the buffer; returns how many were not there. Page by page: most stores lie in one. */
  #admit(offset: number, length: number): number {
    let page = Math.floor(offset / PAGE_SIZE);
    const end = offset + length;
    let entered = 0;
    for (let at = offset; at < end; at = page * PAGE_SIZE) {
      const nrWhole = at === page * PAGE_SIZE ? Math.floor((end - at) / PAGE_SIZE) : 0;
      if (nrWhole === 0) entered += this.#admitPart(page, at, Math.min((page + 1) * PAGE_SIZE, end));
      else if (nrWhole <= this.#whole.length) entered += this.#admitPage(page);
      else entered += this.#admitPages(page, nrWhole);
      page += nrWhole > this.#whole.length ? nrWhole : 1;
    }
    return entered;
  }

  #admitPage(page: number): number {
    const group = page & (this.#whole.length - 1);
    const before = this.#whole[group]!;
    if (before === page) return 0;
    const perPage = this.#linesPerPage;
    // A page that displaces another one, both whole, is the common case, and needs no look at lines.
    const fresh = before >= 0 ? perPage : this.#admitLines(group, page * perPage, (page + 1) * perPage);
    this.#whole[group] = page;
    if (fresh > 0) this.#pages.add(page, fresh);
    return fresh;
  }

  /** Bytes `[at, end)`, a part of a page. */
  #admitPart(page: number, at: number, end: number): number {
    const group = page & (this.#whole.length - 1);
    if (this.#whole[group] === page) return 0;
    const fresh = this.#admitLines(group, Math.floor(at / this.lineBytes), Math.floor((end - 1) / this.lineBytes) + 1);
    if (fresh > 0) this.#pages.add(page, fresh);
    return fresh;
  }

  /** More pages than the buffer holds: what enters behind the first bufferful finds nothing of its own there. */
  #admitPages(start: number, nrPages: number): number {
    const whole = this.#whole;
    const nrGroups = whole.length;
    const end = start + nrPages;
    let page = start;
    let entered = 0;
    // Mostly the first bufferful displaces whole pages of others, and all is alike. If not, it goes page by page.
    if (!this.#displaces(start)) for (; page < start + nrGroups; page++) entered += this.#admitPage(page);
    this.#pages.addPages(page, end);
    for (let i = end - nrGroups; i < end; i++) whole[i & (nrGroups - 1)] = i;
    return entered + (end - page) * this.#linesPerPage;
  }

  /** Does the buffer hold whole pages, and none of the bufferful from `start` on? */
  #displaces(start: number): boolean {
    const whole = this.#whole;
    for (let page = start; page < start + whole.length; page++) {
      const before = whole[page & (whole.length - 1)]!;
      if (before < 0 || before === page) return false;
    }
    return true;
  }

  #admitLines(group: number, start: number, end: number): number {
    const whole = this.#whole[group]!;
    if (whole >= 0) {
      const first = whole * this.#linesPerPage;
      for (let i = 0; i < this.#linesPerPage; i++) this.#lines[(first + i) & (BUFFER_LINES - 1)] = first + i;
      this.#whole[group] = -1;
    }
    let fresh = 0;
    for (let line = start; line < end; line++) {
      const slot = line & (BUFFER_LINES - 1);
      if (this.#lines[slot] === line) continue;
      this.#lines[slot] = line;
      fresh++;
    }
    return fresh;
  }

  #forget(): void {
    this.#lines.fill(-1);
    this.#whole.fill(-1);
  }

  #post(clock: MachineClock, lines: number): void {
    const work = lines * this.#lineNs;
    this.#busyNs += work;
    this.#doneAt = (this.#doneAt > clock.charged ? this.#doneAt : clock.charged) + work;
    if (this.#doneAt - this.#queueNs > clock.charged) clock.charged = this.#doneAt - this.#queueNs;
  }
}
