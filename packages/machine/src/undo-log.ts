/**
 * The undo log: which stores a power cut could still take back, oldest first, each with the bytes that it overwrote.
 *
 * This is the flat heart of the cache model. Memory itself always holds the newest bytes, so that loads are plain copies; what an x86
 * machine would still have in its caches and write-combining buffers is known by what must be put back. A store appends its range and
 * the old bytes to preallocated rings, and allocates nothing.
 *
 * Invariant: entries are in program order. Dropping the oldest is therefore always legal: those stores have reached the medium, as
 * evicted lines do. The log is bounded that way, unless its limit is Infinity: then it grows and forgets nothing.
 */
import { type Range, roundUp } from '@holdfast/lib';
import { copyBytes } from './copy-bytes.js';
import { WORD_SIZE } from './hardware.js';

/** A store through the caches: within a line, stores persist in order. */
export const CACHED = 0;
/** A non-temporal or WC store: each 8-byte word persists on its own. */
export const COMBINING = 1;
export type StoreKind = typeof CACHED | typeof COMBINING;

/** Position of entries that keep no old bytes: their stores are in the medium already, but still order others (see caches.ts). */
const NO_BYTES = -1;

const FIRST_ENTRIES = 1024;
const MAX_ENTRIES = 8192;
const FIRST_BYTES = 64 * 1024;

export class UndoLog {
  /** Entries in the log, and how many of them are {@link CACHED}. */
  count = 0;
  cachedCount = 0;

  readonly #limit: number;
  // One entry is one index of all of these: `(first + i) % capacity`, the capacity being a power of two.
  #addr = new Float64Array(0);
  #length = new Int32Array(0);
  /** Where the entry's old bytes begin in the ring. */
  #pos = new Int32Array(0);
  #serial = new Float64Array(0);
  #kind = new Uint8Array(0);
  #cpu = new Uint8Array(0);
  #first = 0;
  #bytes = new Uint8Array(0);
  /** Where the next old bytes may go. */
  #head = 0;
  #nextSerial = 0;

  /** `limit` is the most old bytes to keep, a power of two or Infinity. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Grows with every entry: a flush covers the stores with a smaller serial. */
  get nextSerial(): number {
    return this.#nextSerial;
  }

  addr(i: number): number {
    return this.#addr[this.#index(i)]!;
  }
  length(i: number): number {
    return this.#length[this.#index(i)]!;
  }
  serial(i: number): number {
    return this.#serial[this.#index(i)]!;
  }
  kind(i: number): StoreKind {
    return this.#kind[this.#index(i)] as StoreKind;
  }
  cpu(i: number): number {
    return this.#cpu[this.#index(i)]!;
  }

  /** A view of the bytes that entry `i` overwrote, valid until the next change of the log; undefined if it kept none. */
  oldBytes(i: number): Uint8Array | undefined {
    const pos = this.#pos[this.#index(i)]!;
    if (pos === NO_BYTES) return undefined;
    return this.#bytes.subarray(pos, pos + this.length(i));
  }

  /** Remember that `[addr, addr + length)`, now `bytes[within, …)`, is about to be stored to. */
  push(kind: StoreKind, cpu: number, addr: number, bytes: Uint8Array, within: number, length: number): void {
    if (length > this.#limit) {
      // Its head would push everything out, itself included, before its tail is in. Words are not torn.
      const head = roundUp(addr + length - this.#limit, WORD_SIZE) - addr;
      this.clear();
      return this.push(kind, cpu, addr + head, bytes, within + head, length - head);
    }
    const at = this.#reserve(length);
    copyBytes(this.#bytes, at, bytes, within, length);
    this.#append(kind, cpu, addr, length, at);
    this.#head = at + length;
  }

  /** Remember a store that is in the medium already. */
  pushSettled(kind: StoreKind, cpu: number, addr: number, length: number): void {
    if (this.count >= this.#addr.length) this.#makeEntryRoom();
    this.#append(kind, cpu, addr, length, NO_BYTES);
  }

  clear(): void {
    this.count = 0;
    this.cachedCount = 0;
    this.#first = 0;
    this.#head = 0; // so that the part of the ring in use stays in the host's cache
  }

  /** Drop the youngest entries that are combining stores of `cpu`. */
  dropCombiningTail(cpu: number): void {
    while (this.count > 0 && this.kind(this.count - 1) === COMBINING && this.cpu(this.count - 1) === cpu) this.count--;
    this.#rewind();
  }

  /**
   * Keep, of each entry from index `from` on, only the parts that `keep` says, as offsets `[from, to)` in the entry. Order and
   * serials stay. Few entries are expected after `from`.
   */
  filter(from: number, keep: (i: number) => readonly Range[]): void {
    const kept: (() => void)[] = [];
    for (let i = from; i < this.count; i++) {
      const at = this.#index(i);
      const [addr, pos, serial, kind, cpu] = [this.#addr[at]!, this.#pos[at]!, this.#serial[at]!, this.kind(i), this.#cpu[at]!];
      for (const { start, end } of keep(i)) {
        kept.push(() => this.#append(kind, cpu, addr + start, end - start, pos === NO_BYTES ? NO_BYTES : pos + start, serial));
      }
    }
    while (this.count > from) if (this.kind(--this.count) === CACHED) this.cachedCount--;
    for (const append of kept) {
      if (this.count >= this.#addr.length) this.#makeEntryRoom();
      append();
    }
    this.#rewind();
  }

  #index(i: number): number {
    return (this.#first + i) & (this.#addr.length - 1);
  }

  #append(kind: StoreKind, cpu: number, addr: number, length: number, pos: number, serial = this.#nextSerial++): void {
    const at = this.#index(this.count);
    this.#addr[at] = addr;
    this.#length[at] = length;
    this.#pos[at] = pos;
    this.#serial[at] = serial;
    this.#kind[at] = kind;
    this.#cpu[at] = cpu;
    this.count++;
    if (kind === CACHED) this.cachedCount++;
  }

  /** Room for one entry and `length` contiguous bytes of the ring: where they begin. */
  #reserve(length: number): number {
    if (this.count >= this.#addr.length) this.#makeEntryRoom();
    for (;;) {
      const at = this.#findRoom(length);
      if (at >= 0) return at;
      if (this.#bytes.length < this.#limit) this.#growBytes(length);
      else this.#dropOldest();
    }
  }

  /** Where `length` bytes fit, or -1. Never fills the ring to the last byte, so that `head === tail` is an empty one. */
  #findRoom(length: number): number {
    // Entries without bytes only matter to older ones.
    while (this.count > 0 && this.#pos[this.#first] === NO_BYTES) this.#dropOldest();
    const size = this.#bytes.length;
    const head = this.#head;
    if (this.count === 0) return length <= size ? 0 : -1;
    const tail = this.#pos[this.#first]!;
    if (head <= tail) return tail - head > length ? head : -1;
    if (size - head >= length) return head;
    return tail > length ? 0 : -1;
  }

  /** Take the ring's head back to the end of the youngest bytes in use. */
  #rewind(): void {
    for (let i = this.count - 1; i >= 0; i--) {
      const at = this.#index(i);
      if (this.#pos[at] === NO_BYTES) continue;
      this.#head = this.#pos[at]! + this.#length[at]!;
      return;
    }
    this.clear();
  }

  #makeEntryRoom(): void {
    const capacity = this.#addr.length;
    if (this.#limit === Infinity || capacity < MAX_ENTRIES) this.#resizeEntries(Math.max(FIRST_ENTRIES, 2 * capacity));
    else this.#dropOldest();
  }

  #dropOldest(): void {
    if (this.#kind[this.#first] === CACHED) this.cachedCount--;
    this.#first = this.#index(1);
    this.count--;
  }

  #resizeEntries(capacity: number): void {
    const order = Array.from({ length: this.count }, (_, i) => this.#index(i));
    this.#addr = reordered(this.#addr, new Float64Array(capacity), order);
    this.#length = reordered(this.#length, new Int32Array(capacity), order);
    this.#pos = reordered(this.#pos, new Int32Array(capacity), order);
    this.#serial = reordered(this.#serial, new Float64Array(capacity), order);
    this.#kind = reordered(this.#kind, new Uint8Array(capacity), order);
    this.#cpu = reordered(this.#cpu, new Uint8Array(capacity), order);
    this.#first = 0;
  }

  #growBytes(length: number): void {
    let size = Math.max(FIRST_BYTES, 2 * this.#bytes.length);
    while (size < length) size *= 2;
    const grown = new Uint8Array(Math.min(size, this.#limit));
    let next = 0;
    for (let i = 0; i < this.count; i++) {
      const old = this.oldBytes(i);
      if (old === undefined) continue;
      grown.set(old, next);
      this.#pos[this.#index(i)] = next;
      next += old.length;
    }
    this.#bytes = grown;
    this.#head = next;
  }
}

function reordered<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T, order: readonly number[]): T {
  order.forEach((at, i) => (to[i] = from[at]!));
  return to;
}
