/**
 * The physical address space: media at addresses, and the one way from an address to its bytes.
 *
 * Invariant: a physical chunk has one buffer, whichever media share it; a slot, once given out, keeps that buffer until a power
 * cycle or until its medium is pulled.
 * Differs from hardware: decoding is per byte, so that any firmware map can be attached as it is; gaps inside a chunk that some
 * medium backs are stray bytes of that chunk.
 */
import { type Range, KernelError, PAGE_SIZE, roundDown, roundUp } from '@holdfast/lib';
import { type Chunk, FRAMES_PER_CHUNK } from './chunk.js';
import { copyBytes } from './copy-bytes.js';
import { CACHE_LINE_SIZE, CHUNK_SIZE, type MediumSlot, type PhysicalMemory } from './hardware.js';
import { MediumStore } from './medium.js';
import { SlotTable } from './slot-table.js';

/** A medium at its place: `[start, end)`. */
export interface Window {
  readonly start: number;
  readonly end: number;
  readonly medium: MediumStore;
  /** Address of the medium's grid offset 0: `start`, rounded down to a chunk. */
  readonly gridStart: number;
}

/** A physical chunk with bytes behind it. */
export interface Slot {
  readonly chunk: Chunk;
  readonly bytes: Uint8Array;
  /** The window that all of it belongs to, or undefined if several share it: then ask for each address. */
  readonly window: Window | undefined;
  /** Chunks with an image must be told of raw stores. */
  readonly hasImage: boolean;
}

export class AddressSpace implements PhysicalMemory {
  /** Sorted by address, disjoint. */
  readonly #windows: Window[] = [];
  readonly #slots = new SlotTable<Slot>();
  /** The bytes of each of these: the hot path asks for nothing else, and a slot is one thing more to fetch from the host's memory. */
  readonly #bytes = new SlotTable<Uint8Array>();
  readonly #physBits: number;
  readonly #cachedStore: (addr: number, source: Uint8Array) => void;

  /** How often a medium came or went: what was found out about addresses before may be wrong after. */
  layout = 0;
  /** Does any medium hold poison? A plain field: each load asks. */
  hasPoison = false;

  /** `cachedStore` is the CPU's way to memory: what {@link write} goes through. */
  constructor(physBits: number, cachedStore: (addr: number, source: Uint8Array) => void) {
    this.#physBits = physBits;
    this.#cachedStore = cachedStore;
  }

  get windows(): readonly Window[] {
    return this.#windows;
  }

  // Media.

  attach({ start, sizeBytes, medium }: MediumSlot): void {
    const store = asStore(medium);
    const size = sizeBytes ?? store.sizeBytes;
    this.#checkRange(start, size, store);
    const at = this.#windows.findIndex((window) => start < window.end);
    const next = at < 0 ? this.#windows.length : at;
    if (at >= 0 && this.#windows[at]!.start < start + size) {
      const { start: from, end } = this.#windows[at]!;
      throw new KernelError('EBUSY', `attach: ${hexRange(start, start + size)} overlaps the medium at ${hexRange(from, end)}`);
    }
    store.place(start % CHUNK_SIZE);
    store.attached = true;
    this.hasPoison ||= store.poison.count > 0;
    this.layout++;
    this.#windows.splice(next, 0, { start, end: start + size, medium: store, gridStart: start - (start % CHUNK_SIZE) });
    // A neighbour may have an edge chunk in use already: share its buffer.
    for (const nr of new Set([chunkNr(start), chunkNr(start + size - 1)])) {
      const inUse = this.#slots.get(nr);
      if (inUse !== undefined) this.#share(nr, this.#windowsIn(nr), inUse.chunk);
    }
  }

  detach(window: Window): void {
    const first = chunkNr(window.start);
    const last = chunkNr(window.end - 1);
    for (const nr of new Set([first, last])) {
      const slot = this.#slots.get(nr);
      if (slot !== undefined && slot.window === undefined) window.medium.adopt(nr - chunkNr(window.gridStart), slot.chunk.copy());
    }
    this.layout++;
    this.#windows.splice(this.#windows.indexOf(window), 1);
    this.#slots.delete(first, last);
    this.#bytes.delete(first, last);
    window.medium.unplug();
    this.#countPoison();
  }

  /** The power is gone: volatile media forget, and every buffer given out is stale. */
  powerLoss(seed: number): void {
    for (const { medium } of this.#windows) medium.powerLoss(seed);
    this.#slots.clear();
    this.#bytes.clear();
  }

  sync(): void {
    for (const { medium } of this.#windows) medium.sync();
  }

  windowAt(addr: number): Window | undefined {
    return this.#windows.find(({ start, end }) => start <= addr && addr < end);
  }

  // Poison.

  injectPoison(start: number, sizeBytes: number): void {
    const end = roundUp(start + sizeBytes, CACHE_LINE_SIZE);
    this.#eachPart(roundDown(start, CACHE_LINE_SIZE), end, ({ medium }, from, to) => {
      if (!medium.volatile) medium.poison.add(from, to);
    });
    this.#countPoison();
  }

  clearPoison(start: number, sizeBytes: number): void {
    const end = roundDown(start + sizeBytes, CACHE_LINE_SIZE);
    this.#eachPart(roundUp(start, CACHE_LINE_SIZE), end, ({ medium }, from, to) => medium.poison.remove(from, to));
    this.#countPoison();
  }

  poisonWithin(start: number, sizeBytes: number): Range[] {
    const found: Range[] = [];
    this.#eachPart(start, start + sizeBytes, ({ medium, start: base }, from, to) => {
      for (const range of medium.poison.within(from, to)) found.push({ start: base + range.start, end: base + range.end });
    });
    return found;
  }

  /** The parts of `[start, end)` that media lie behind, as offsets in the medium. */
  #eachPart(start: number, end: number, visit: (window: Window, from: number, to: number) => void): void {
    for (const window of this.#windows) {
      const [from, to] = [Math.max(start, window.start), Math.min(end, window.end)];
      if (from < to) visit(window, from - window.start, to - window.start);
    }
  }

  #countPoison(): void {
    this.hasPoison = this.#windows.some(({ medium }) => medium.poison.count > 0);
  }

  // Slots.

  /** The bytes of physical chunk `nr`, if it is in use: then a slot has them. */
  bytes(nr: number): Uint8Array | undefined {
    return this.#bytes.get(nr);
  }

  /** The slot of physical chunk `nr` if it holds anything but zeros. */
  peek(nr: number): Slot | undefined {
    return this.#slots.get(nr) ?? this.#resolve(nr, false);
  }

  /** The slot of physical chunk `nr`, made if need be; undefined where nothing is attached. */
  make(nr: number): Slot | undefined {
    return this.#slots.get(nr) ?? this.#resolve(nr, true);
  }

  // PhysicalMemory.

  chunk(nr: number): Uint8Array {
    return this.#raw(nr).bytes;
  }

  peekChunk(nr: number): Uint8Array | undefined {
    return this.peek(nr)?.bytes;
  }

  presentChunks(start: number, sizeBytes: number): number[] {
    const present = new Set<number>();
    for (const { start: from, end, medium, gridStart } of this.#windows) {
      const [first, last] = [chunkNr(Math.max(start, from)), chunkNr(Math.min(start + sizeBytes, end) - 1)];
      for (const k of medium.present(first - chunkNr(gridStart), last - chunkNr(gridStart))) present.add(k + chunkNr(gridStart));
    }
    return [...present].sort((a, b) => a - b);
  }

  mayHold(nr: number): boolean {
    return this.#slots.get(nr) !== undefined || this.#windowsIn(nr).some(({ medium, gridStart }) => medium.mayHold(nr - chunkNr(gridStart)));
  }

  frame(pfn: number): Uint8Array {
    const nr = Math.floor(pfn / FRAMES_PER_CHUNK);
    return this.#raw(nr).chunk.frames(pfn - nr * FRAMES_PER_CHUNK, PAGE_SIZE);
  }

  frames(pfn: number, length: number): Uint8Array | undefined {
    const nr = Math.floor(pfn / FRAMES_PER_CHUNK);
    const index = pfn - nr * FRAMES_PER_CHUNK;
    return index * PAGE_SIZE + length > CHUNK_SIZE ? undefined : this.#raw(nr).chunk.frames(index, length);
  }

  isBacked(start: number, sizeBytes: number): boolean {
    let reached = start;
    for (const window of this.#windows) {
      if (window.start > reached) break;
      if (window.end > reached) reached = window.end;
    }
    return sizeBytes > 0 && reached >= start + sizeBytes;
  }

  read(addr: number, target: Uint8Array): void {
    this.checkBacked(addr, target.length);
    this.load(addr, target, 0, target.length);
  }

  write(addr: number, source: Uint8Array): void {
    this.checkBacked(addr, source.length);
    this.#cachedStore(addr, source);
  }

  clear(start: number, sizeBytes: number): void {
    this.checkBacked(start, sizeBytes);
    const end = start + sizeBytes;
    for (const window of this.#windows) {
      const from = Math.max(start, window.start);
      const to = Math.min(end, window.end);
      if (from < to) window.medium.clear(from - window.gridStart, to - window.gridStart);
    }
  }

  /** Loads: zeros where nothing was written, ones where nothing is attached, as an empty bus reads. */
  load(addr: number, target: Uint8Array, targetOffset: number, length: number): void {
    for (let done = 0; done < length; ) {
      const nr = chunkNr(addr + done);
      const within = addr + done - nr * CHUNK_SIZE;
      const n = Math.min(length - done, CHUNK_SIZE - within);
      const at = targetOffset + done;
      const slot = this.peek(nr);
      if (slot !== undefined) copyBytes(target, at, slot.bytes, within, n);
      else target.fill(this.isBacked(addr + done, n) ? 0 : 0xff, at, at + n);
      done += n;
    }
  }

  /** Put back what a power cut took: stores of no CPU, which the image follows. */
  overwrite(addr: number, source: Uint8Array): void {
    for (let i = 0; i < source.length; i++) {
      const nr = chunkNr(addr + i);
      const slot = this.make(nr);
      const window = this.windowAt(addr + i);
      if (slot === undefined || window === undefined) continue;
      slot.bytes[addr + i - nr * CHUNK_SIZE] = source[i]!;
      if (slot.hasImage) window.medium.touch(addr + i - window.gridStart, addr + i + 1 - window.gridStart);
    }
  }

  // The hot path is in short functions, what happens seldom in others: V8 puts only short ones into their callers, and each call that is left
  // costs a 4 KiB I/O some nanoseconds.

  #raw(nr: number): Slot {
    const slot = this.make(nr);
    if (slot === undefined) refuseEmpty(nr);
    if (slot.hasImage) this.#touchRaw(nr);
    return slot;
  }

  #touchRaw(nr: number): void {
    for (const window of this.#windowsIn(nr)) window.medium.touchRaw(nr - chunkNr(window.gridStart));
  }

  #resolve(nr: number, create: boolean): Slot | undefined {
    const windows = this.#windowsIn(nr);
    const sole = windows[0];
    if (sole === undefined) return undefined;
    if (windows.length > 1) return this.#resolveShared(nr, windows, create);
    const k = nr - chunkNr(sole.gridStart);
    const chunk = create ? sole.medium.make(k) : sole.medium.peek(k);
    return chunk === undefined ? undefined : this.#remember(nr, chunk, windows);
  }

  #resolveShared(nr: number, windows: Window[], create: boolean): Slot | undefined {
    const own = windows.map((window) => window.medium.peek(nr - chunkNr(window.gridStart)));
    const base = own.find((chunk) => chunk !== undefined) ?? (create ? windows[0]!.medium.make(nr - chunkNr(windows[0]!.gridStart)) : undefined);
    return base === undefined ? undefined : this.#share(nr, windows, base);
  }

  /** Make `base` the buffer of physical chunk `nr` for all media in it. Each brings what it holds. */
  #share(nr: number, windows: Window[], base: Chunk): Slot {
    for (const window of windows) {
      const k = nr - chunkNr(window.gridStart);
      const own = window.medium.peek(k);
      if (own === base) continue;
      const from = Math.max(window.start - nr * CHUNK_SIZE, 0);
      const to = Math.min(window.end - nr * CHUNK_SIZE, CHUNK_SIZE);
      if (own === undefined) base.bytes.fill(0, from, to);
      else base.bytes.set(own.bytes.subarray(from, to), from);
      window.medium.adopt(k, base);
    }
    return this.#remember(nr, base, windows);
  }

  #remember(nr: number, chunk: Chunk, windows: Window[]): Slot {
    const window = windows.length === 1 ? windows[0] : undefined;
    const slot = { chunk, bytes: chunk.bytes, window, hasImage: windows.some(({ medium }) => medium.backing !== undefined) };
    this.#slots.set(nr, slot);
    this.#bytes.set(nr, chunk.bytes);
    return slot;
  }

  #windowsIn(nr: number): Window[] {
    const start = nr * CHUNK_SIZE;
    return this.#windows.filter((window) => window.start < start + CHUNK_SIZE && start < window.end);
  }

  #checkRange(start: number, size: number, store: MediumStore): void {
    const top = 2 ** this.#physBits;
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(size) || start < 0 || size <= 0 || start + size > top) {
      throw new KernelError('EINVAL', `attach: [${start}, ${start + size}) is not a range below 2^${this.#physBits}`);
    }
    if (size > store.sizeBytes) throw new KernelError('EINVAL', `attach: ${size} bytes of a medium of ${store.sizeBytes}`);
    if (store.attached) throw new KernelError('EBUSY', `attach: the ${store.kind} is plugged in already`);
  }

  checkBacked(addr: number, length: number): void {
    if (length > 0 && !this.isBacked(addr, length)) {
      throw new KernelError('EFAULT', `memory: ${hexRange(addr, addr + length)} is not all backed by a medium`);
    }
  }
}

function chunkNr(addr: number): number {
  return Math.floor(addr / CHUNK_SIZE);
}

function refuseEmpty(nr: number): never {
  throw new KernelError('EFAULT', `memory: nothing at ${hexRange(nr * CHUNK_SIZE, (nr + 1) * CHUNK_SIZE)}`);
}

export function hexRange(start: number, end: number): string {
  return `[0x${start.toString(16)}, 0x${end.toString(16)})`;
}

function asStore(medium: unknown): MediumStore {
  if (medium instanceof MediumStore) return medium;
  throw new KernelError('EINVAL', 'attach: not a medium of this package: use createDram, createNvdimm or createPciMemory');
}
