/**
 * Which lines the last-level cache holds, and which of them are dirty: for what loads cost and when media wear. The bytes are in memory
 * always, and what a power cut takes back is the undo log's (caches.ts); nothing here decides it.
 *
 * A sectored cache: a sector is a 4 KiB page with a bit for each of its 64 lines, so that an access asks once for each page, not for
 * each line. Direct-mapped; 32 MiB. A sector that was loaded whole, which is what block I/O does, is known by its tag alone, and 16 of them
 * that were, or that are empty, by that of their group.
 * Invariant: dirty lines are valid ones; the words of a sector count only while its tag is positive; the tags of a group that is known
 * as one are 0.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { CACHE_LINE_SIZE } from './hardware.js';

const SECTORS = 8192;
const LINES = PAGE_SIZE / CACHE_LINE_SIZE;
/** Sectors of a group: 64 KiB. */
const GROUP_BITS = 4;
const GROUP = 2 ** GROUP_BITS;
/** States of a group, beside a tag: look at each sector; nothing is in any. */
const MIXED = 0;
const EMPTY = -1;

/** Lines `[addr, addr + length)` leave the cache for memory. */
type WriteBack = (addr: number, length: number) => void;

export class CachedLines {
  /**
   * By sector: 0 if it is empty, or which of the pages that may lie in it does, counted from 1: `1 + floor(page / SECTORS)`, negated if
   * all of its lines are valid and clean. A short integer, because these are what a random access fetches from the host's memory.
   */
  readonly #tags = new Int32Array(SECTORS);
  /** By group: {@link MIXED}, {@link EMPTY}, or the tag of pages that are all valid and clean. */
  readonly #groups = new Int32Array(SECTORS / GROUP).fill(EMPTY);
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
      const nrWhole = at === page * PAGE_SIZE ? Math.floor((end - at) / PAGE_SIZE) : 0;
      if (nrWhole > 0) {
        missing += this.#loadPages(page, nrWhole);
        at += nrWhole * PAGE_SIZE;
        continue;
      }
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      const sector = this.#sector(page);
      const first = lineOf(at);
      const last = lineOf(next - 1);
      missing += this.#fill(sector, lowMask(first, last)) + this.#fill(sector + 1, highMask(first, last));
      at = next;
    }
    return missing * CACHE_LINE_SIZE;
  }

  #loadPages(start: number, nrPages: number): number {
    const end = start + nrPages;
    let missing = 0;
    for (let page = start; page < end; ) {
      const isGroup = (page & (GROUP - 1)) === 0 && end - page >= GROUP;
      missing += isGroup ? this.#loadGroup(page) : this.#loadPage(page);
      page += isGroup ? GROUP : 1;
    }
    return missing;
  }

  #loadGroup(page: number): number {
    const index = page & (SECTORS - 1);
    const tag = tagOf(page);
    const before = this.#groups[index >> GROUP_BITS]!;
    if (before === tag) return 0;
    let missing = GROUP * LINES;
    if (before === MIXED) {
      missing = 0;
      for (let i = 0; i < GROUP; i++) missing += this.#loadPage(page + i);
      for (let i = 0; i < GROUP; i++) if (this.#tags[index + i] !== -tag) return missing;
      this.#tags.fill(0, index, index + GROUP);
    }
    this.#groups[index >> GROUP_BITS] = tag;
    return missing;
  }

  #loadPage(page: number): number {
    const index = page & (SECTORS - 1);
    const tag = tagOf(page);
    const group = this.#groups[index >> GROUP_BITS]!;
    if (group === tag) return 0;
    if (group !== MIXED) this.#ungroup(index >> GROUP_BITS);
    const before = this.#tags[index]!;
    if (before > 0) return this.#loadMixed(page);
    this.#tags[index] = -tag;
    return before === -tag ? 0 : LINES;
  }

  /** All of a page whose sector's words count. */
  #loadMixed(page: number): number {
    const sector = this.#sector(page);
    const missing = this.#fill(sector, -1) + this.#fill(sector + 1, -1);
    if ((this.#lines[sector + 2]! | this.#lines[sector + 3]!) === 0) this.#tags[sector / 4] = -tagOf(page);
    return missing;
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
    if (length === PAGE_SIZE && (addr & (PAGE_SIZE - 1)) === 0) this.#dropPage(addr / PAGE_SIZE);
    else this.#dropRange(addr, length);
  }

  #dropRange(addr: number, length: number): void {
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE);
      const nrWhole = at === page * PAGE_SIZE ? Math.floor((end - at) / PAGE_SIZE) : 0;
      if (nrWhole > 0) {
        this.#dropPages(page, nrWhole);
        at += nrWhole * PAGE_SIZE;
        continue;
      }
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      if (this.#holds(page)) {
        const first = lineOf(at);
        const last = lineOf(next - 1);
        this.#keep(this.#sector(page), ~lowMask(first, last), ~highMask(first, last));
      }
      at = next;
    }
  }

  #dropPages(start: number, nrPages: number): void {
    const end = start + nrPages;
    for (let page = start; page < end; ) {
      const isGroup = (page & (GROUP - 1)) === 0 && end - page >= GROUP;
      if (isGroup) this.#dropGroup(page);
      else this.#dropPage(page);
      page += isGroup ? GROUP : 1;
    }
  }

  #dropGroup(page: number): void {
    const index = page & (SECTORS - 1);
    const before = this.#groups[index >> GROUP_BITS]!;
    if (before === EMPTY) return;
    if (before === MIXED) {
      for (let i = 0; i < GROUP; i++) this.#dropPage(page + i);
      for (let i = 0; i < GROUP; i++) if (this.#tags[index + i] !== 0) return;
    } else if (before !== tagOf(page)) {
      return;
    }
    this.#groups[index >> GROUP_BITS] = EMPTY;
  }

  #dropPage(page: number): void {
    const index = page & (SECTORS - 1);
    if (this.#groups[index >> GROUP_BITS] === EMPTY || !this.#holds(page)) return;
    if (this.#groups[index >> GROUP_BITS] !== MIXED) this.#ungroup(index >> GROUP_BITS);
    this.#tags[index] = 0;
  }

  /** Is the page in the cache, or a part of it? */
  #holds(page: number): boolean {
    const index = page & (SECTORS - 1);
    const tag = tagOf(page);
    const there = this.#tags[index]!;
    return there === tag || there === -tag || this.#groups[index >> GROUP_BITS] === tag;
  }

  /** Know each sector of a group by itself again. */
  #ungroup(group: number): void {
    const tag = this.#groups[group]!;
    if (tag > 0) this.#tags.fill(-tag, group * GROUP, (group + 1) * GROUP);
    this.#groups[group] = MIXED;
  }

  /** clwb: dirty lines go to memory and stay, clean. */
  writeBack(addr: number, length: number): void {
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const page = Math.floor(at / PAGE_SIZE);
      const next = Math.min((page + 1) * PAGE_SIZE, end);
      const index = page & (SECTORS - 1);
      // Dirty lines are where the tag is positive.
      if (this.#tags[index] === tagOf(page)) {
        const first = lineOf(at);
        const last = lineOf(next - 1);
        this.#clean(4 * index, page, lowMask(first, last), highMask(first, last));
      }
      at = next;
    }
  }

  /** All pages that touch `[start, end)`, however many: as before a power-off, or before a medium is pulled. They leave the cache. */
  writeBackRange(start: number, end: number): void {
    this.#groups.forEach((_, group) => this.#ungroup(group));
    this.#tags.forEach((tag, index) => {
      const page = (Math.abs(tag) - 1) * SECTORS + index;
      if (tag === 0 || page * PAGE_SIZE >= end || (page + 1) * PAGE_SIZE <= start) return;
      this.#evict(index, page);
    });
  }

  clear(): void {
    this.#tags.fill(0);
    this.#groups.fill(EMPTY);
  }

  /** Where the words of `page`'s sector begin, which count from now on; whatever page had it has left. */
  #sector(page: number): number {
    const index = page & (SECTORS - 1);
    if (this.#groups[index >> GROUP_BITS] !== MIXED) this.#ungroup(index >> GROUP_BITS);
    const tag = tagOf(page);
    const before = this.#tags[index]!;
    if (before !== tag) {
      if (before > 0) this.#evict(index, (before - 1) * SECTORS + index);
      const valid = before === -tag ? -1 : 0;
      this.#lines[4 * index] = valid;
      this.#lines[4 * index + 1] = valid;
      this.#lines[4 * index + 2] = 0;
      this.#lines[4 * index + 3] = 0;
      this.#tags[index] = tag;
    }
    return 4 * index;
  }

  #evict(index: number, page: number): void {
    if (this.#tags[index]! > 0) this.#clean(4 * index, page, -1, -1);
    this.#tags[index] = 0;
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

function tagOf(page: number): number {
  return Math.floor(page / SECTORS) + 1;
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
