/**
 * Which lines the last-level cache holds, and which of them are dirty: for what loads cost and when media wear. The bytes are in memory
 * always, and what a power cut takes back is the undo log's (caches.ts); nothing here decides it.
 *
 * A sectored cache: a sector is a 4 KiB page with a bit for each of its 64 lines, so that an access asks once for each page, not for
 * each line. Direct-mapped; 32 MiB.
 * Invariant: dirty lines are valid ones.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { CACHE_LINE_SIZE } from './hardware.js';

const SECTORS = 8192;
const LINES = PAGE_SIZE / CACHE_LINE_SIZE;

/** Lines `[addr, addr + length)` leave the cache for memory. */
type WriteBack = (addr: number, length: number) => void;

export class CachedLines {
  /** By sector: page number + 1, or 0. */
  readonly #tags = new Float64Array(SECTORS);
  /** By sector, four words: valid lines 0 to 31, 32 to 63, and dirty ones. */
  readonly #lines = new Int32Array(4 * SECTORS);
  readonly #writeBack: WriteBack;

  constructor(writeBack: WriteBack) {
    this.#writeBack = writeBack;
  }

  /** A load: its lines are in the cache after it. Returns how many bytes of lines were not. */
  load(addr: number, length: number): number {
    let missing = 0;
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE);
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      const sector = this.#sector(page);
      if (next - at === PAGE_SIZE && this.#lines[sector] === 0 && this.#lines[sector + 1] === 0) {
        this.#lines[sector] = -1;
        this.#lines[sector + 1] = -1;
        missing += LINES;
        at = next;
        continue;
      }
      const first = lineOf(at);
      const last = lineOf(next - 1);
      missing += this.#fill(sector, lowMask(first, last)) + this.#fill(sector + 1, highMask(first, last));
      at = next;
    }
    return missing * CACHE_LINE_SIZE;
  }

  /** A cached store: its lines are dirty. */
  store(addr: number, length: number): void {
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE);
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      const first = lineOf(at);
      const last = lineOf(next - 1);
      const sector = this.#sector(page);
      const low = lowMask(first, last);
      const high = highMask(first, last);
      this.#lines[sector]! |= low;
      this.#lines[sector + 1]! |= high;
      this.#lines[sector + 2]! |= low;
      this.#lines[sector + 3]! |= high;
      at = next;
    }
  }

  /** A store past the caches: what they held of its lines goes with it. */
  drop(addr: number, length: number): void {
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE);
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      const index = page & (SECTORS - 1);
      if (this.#tags[index] === page + 1) {
        const first = lineOf(at);
        const last = lineOf(next - 1);
        this.#keep(4 * index, ~lowMask(first, last), ~highMask(first, last));
      }
      at = next;
    }
  }

  /** clwb: dirty lines go to memory and stay, clean. */
  writeBack(addr: number, length: number): void {
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE);
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      const index = page & (SECTORS - 1);
      if (this.#tags[index] === page + 1) {
        const first = lineOf(at);
        const last = lineOf(next - 1);
        this.#clean(4 * index, page, lowMask(first, last), highMask(first, last));
      }
      at = next;
    }
  }

  /** All pages that touch `[start, end)`, however many: as before a power-off, or before a medium is pulled. They leave the cache. */
  writeBackRange(start: number, end: number): void {
    this.#tags.forEach((tag, index) => {
      const page = tag - 1;
      if (tag === 0 || page * PAGE_SIZE >= end || (page + 1) * PAGE_SIZE <= start) return;
      this.#evict(4 * index, page);
    });
  }

  clear(): void {
    this.#tags.fill(0);
    this.#lines.fill(0);
  }

  /** Where the words of `page`'s sector begin; whatever page had it has left. */
  #sector(page: number): number {
    const index = page & (SECTORS - 1);
    const before = this.#tags[index]!;
    if (before !== page + 1) {
      if (before !== 0) this.#evict(4 * index, before - 1);
      this.#tags[index] = page + 1;
    }
    return 4 * index;
  }

  #evict(sector: number, page: number): void {
    if ((this.#lines[sector + 2]! | this.#lines[sector + 3]!) !== 0) this.#clean(sector, page, -1, -1);
    this.#keep(sector, 0, 0);
  }

  #keep(sector: number, low: number, high: number): void {
    this.#lines[sector]! &= low;
    this.#lines[sector + 1]! &= high;
    this.#lines[sector + 2]! &= low;
    this.#lines[sector + 3]! &= high;
  }

  /** Make `mask` of a word of valid lines valid; returns how many were not. */
  #fill(word: number, mask: number): number {
    const had = this.#lines[word]!;
    this.#lines[word] = had | mask;
    return bitCount(mask & ~had);
  }

  #clean(sector: number, page: number, low: number, high: number): void {
    const dirtyLow = this.#lines[sector + 2]! & low;
    const dirtyHigh = this.#lines[sector + 3]! & high;
    if ((dirtyLow | dirtyHigh) === 0) return;
    this.#lines[sector + 2]! ^= dirtyLow;
    this.#lines[sector + 3]! ^= dirtyHigh;
    const isDirty = (line: number): boolean => ((line < 32 ? dirtyLow : dirtyHigh) & (1 << (line & 31))) !== 0;
    for (let line = 0; line < LINES; ) {
      const first = line;
      while (line < LINES && isDirty(line)) line++;
      if (line > first) this.#writeBack(page * PAGE_SIZE + first * CACHE_LINE_SIZE, (line - first) * CACHE_LINE_SIZE);
      else line++;
    }
  }
}

/** The line of its page that an address is in. */
function lineOf(addr: number): number {
  return (addr & (PAGE_SIZE - 1)) >> 6;
}

/** Bits `first` to `last`, as far as they are among 0 to 31. */
function lowMask(first: number, last: number): number {
  if (first > 31) return 0;
  return (-1 << first) & (last >= 31 ? -1 : ~(-2 << last));
}

/** The same for 32 to 63. */
function highMask(first: number, last: number): number {
  if (last < 32) return 0;
  return (first <= 32 ? -1 : -1 << first) & (last === 63 ? -1 : ~(-2 << last));
}

function bitCount(mask: number): number {
  if (mask === 0) return 0;
  if (mask === -1) return 32;
  let bits = mask - ((mask >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
