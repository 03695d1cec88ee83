/**
 * A mapping: the CPU's loads and stores to a physical range, each of the mapping's memory type.
 * Mirrors what ioremap/memremap give, and memcpy, memcpy_flushcache (arch/x86/lib/usercopy_64.c), clwb, clflushopt, clflush.
 *
 * Invariant: every access is inside the mapping, which is live. `#limit` is its size while it lives and -1 after, so that one check
 * does for both.
 */
import { type PhysAddr, BugError, roundDown } from '@holdfast/lib';
import { type AccessKind, type Caches, THROUGH } from './caches.js';
import type { MachineClock } from './clock.js';
import { copyBytes } from './copy-bytes.js';
import { type StoreCost, SFENCE_COST, mediumFigures, storeCost, uncachedLoadPerByte } from './costs.js';
import { CACHE_LINE_SIZE, CHUNK_SIZE, MachineCheckPanic, type Mapping, type MemoryType, WORD_SIZE } from './hardware.js';
import type { Debtor, Ledger } from './ledger.js';
import { MediaController } from './media-controller.js';
import type { MediumStore } from './medium.js';
import type { AddressSpace } from './physical-memory.js';
import { CACHED, COMBINING } from './undo-log.js';

/** What a mapping needs of its machine. */
export interface MappingHost {
  readonly memory: AddressSpace;
  readonly caches: Caches;
  readonly ledger: Ledger;
  readonly clock: MachineClock;
  /** Tell who listens that a load met poison, and went on. */
  readonly machineCheck: (addr: PhysAddr) => void;
}

const STORE_KIND: Record<MemoryType, AccessKind> = { UC: THROUGH, 'UC-': THROUGH, WT: THROUGH, WC: COMBINING, WB: CACHED };

export class CpuMapping implements Mapping, Debtor {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly type: MemoryType;
  readonly #cpu: number;
  readonly #memory: AddressSpace;
  readonly #caches: Caches;
  readonly #ledger: Ledger;
  readonly #clock: MachineClock;
  /** All of the mapping is timed as its first byte is: few span two media. */
  readonly #controller: MediaController;
  /** Where the mapping begins in that medium. */
  readonly #mediumOffset: number;
  readonly #cost: StoreCost;
  readonly #uncachedLoad: number;
  readonly #storeKind: AccessKind;
  readonly #uncached: boolean;
  readonly #machineCheck: (addr: PhysAddr) => void;
  #limit: number;
  /** The first chunk, and where in it the mapping begins. */
  readonly #firstChunk: number;
  readonly #phase: number;
  /** The medium, if all of the mapping is in it and streams may take the short way (see {@link Caches.beforeStream}): as of `#layout`. */
  #medium: MediumStore | undefined;
  #layout: number;

  constructor(host: MappingHost, cpu: number, start: PhysAddr, sizeBytes: number, type: MemoryType) {
    this.start = start;
    this.sizeBytes = sizeBytes;
    this.type = type;
    this.#cpu = cpu;
    this.#memory = host.memory;
    this.#caches = host.caches;
    this.#ledger = host.ledger;
    this.#clock = host.clock;
    const window = host.memory.windowAt(start);
    this.#controller = window?.medium.controller ?? new MediaController(mediumFigures('dram'));
    this.#controller.ledger = host.ledger;
    this.#mediumOffset = start - (window?.start ?? 0);
    this.#cost = storeCost(this.#controller.figures, type);
    this.#uncachedLoad = uncachedLoadPerByte(this.#controller.figures);
    this.#storeKind = STORE_KIND[type];
    this.#uncached = type === 'UC' || type === 'UC-';
    this.#machineCheck = host.machineCheck;
    this.#limit = sizeBytes;
    this.#firstChunk = Math.floor(start / CHUNK_SIZE);
    this.#phase = start - this.#firstChunk * CHUNK_SIZE;
    const isPlain =
      window !== undefined &&
      start + sizeBytes <= window.end &&
      window.medium.kind !== 'hosted' &&
      !window.medium.volatile &&
      window.medium.backing === undefined;
    this.#medium = isPlain ? window.medium : undefined;
    this.#layout = host.memory.layout;
  }

  /** The range is no longer mapped. */
  die(): void {
    this.#limit = -1;
  }

  read(offset: number, target: Uint8Array, targetOffset: number, length: number): void {
    this.#check(offset, length, target, targetOffset);
    if (this.#memory.hasPoison) this.#refusePoison(offset, length);
    this.#load(offset, target, targetOffset, length);
  }

  readRecoverable(offset: number, target: Uint8Array, targetOffset: number, length: number): number {
    this.#check(offset, length, target, targetOffset);
    const poison = this.#memory.hasPoison ? this.#memory.poisonWithin(this.start + offset, length)[0] : undefined;
    const good = poison === undefined ? length : poison.start - this.start - offset;
    this.#load(offset, target, targetOffset, good);
    if (poison !== undefined) this.#machineCheck(roundDown(poison.start, CACHE_LINE_SIZE) as PhysAddr);
    return length - good;
  }

  #refusePoison(offset: number, length: number): void {
    const [first] = this.#memory.poisonWithin(this.start + offset, length);
    if (first !== undefined) throw new MachineCheckPanic(first.start);
  }

  #load(offset: number, target: Uint8Array, targetOffset: number, length: number): void {
    const nr = Math.floor((this.#phase + offset) / CHUNK_SIZE);
    const within = this.#phase + offset - nr * CHUNK_SIZE;
    const bytes = within + length <= CHUNK_SIZE ? this.#memory.bytes(this.#firstChunk + nr) : undefined;
    if (this.#uncached || this.type === 'WC') this.#loadUncached(offset, length);
    else this.#ledger.record(this, offset, -1 - length);
    if (bytes !== undefined) copyBytes(target, targetOffset, bytes, within, length);
    else this.#memory.load(this.start + offset, target, targetOffset, length);
  }

  write(offset: number, source: Uint8Array, sourceOffset: number, length: number): void {
    this.#check(offset, length, source, sourceOffset);
    const done = this.#clock.now + this.#cost.writeFixed + this.#cost.writePerByte * length;
    if (this.#uncached) this.#caches.drainCombining(this.#cpu);
    this.#caches.store(this.#storeKind, this.#cpu, this.start + offset, source, sourceOffset, length);
    if (this.#clock.now < done) this.#clock.now = done; // the medium takes stores while the CPU makes more
  }

  writeFlushCache(offset: number, source: Uint8Array, sourceOffset: number, length: number): void {
    if (this.#uncached) return this.write(offset, source, sourceOffset, length); // UC ignores the non-temporal hint
    this.#check(offset, length, source, sourceOffset);
    const nr = Math.floor((this.#phase + offset) / CHUNK_SIZE);
    const within = this.#phase + offset - nr * CHUNK_SIZE;
    const bytes = this.#isPlainStream(within, length) ? this.#memory.bytes(this.#firstChunk + nr) : undefined;
    if (bytes === undefined) return this.#streamBytes(offset, source, sourceOffset, length);
    this.#caches.beforeStream(this.#cpu, this.start + offset, bytes, within, length);
    this.#ledger.record(this, offset, length);
    copyBytes(bytes, within, source, sourceOffset, length);
  }

  /** Most streams: whole words, to one chunk. */
  #isPlainStream(within: number, length: number): boolean {
    if (this.#medium === undefined || this.#memory.layout !== this.#layout || this.#caches.armed) return false;
    return ((within | length) & (WORD_SIZE - 1)) === 0 && within + length <= CHUNK_SIZE;
  }

  #streamBytes(offset: number, source: Uint8Array, sourceOffset: number, length: number): void {
    const done = this.#clock.now + this.#streamCost(length);
    const addr = this.start + offset;
    // The ends that movnti cannot store are plain stores, with their lines written back. `&` sees the low 32 bits, which hold what is
    // asked for; % on an address is a call, of 10 to 20 ns.
    const head = Math.min(-addr & (WORD_SIZE - 1), length);
    const tail = (length - head) & 3;
    if (head > 0) this.#storeEdge(addr, source, sourceOffset, head);
    this.#caches.store(COMBINING, this.#cpu, addr + head, source, sourceOffset + head, length - head - tail);
    if (tail > 0) this.#storeEdge(addr + length - tail, source, sourceOffset + length - tail, tail);
    if (this.#clock.now < done) this.#clock.now = done;
  }

  #streamCost(length: number): number {
    return this.#cost.streamFixed + this.#cost.streamPerByte * length;
  }

  // Debtor.

  prefetch(entries: Float64Array, used: number): void {
    this.#controller.prefetch(this.#mediumOffset, entries, used);
  }

  charge(offset: number, length: number): void {
    if (length < 0) this.#chargeLoad(offset, -1 - length);
    else this.#chargeStream(offset, length);
  }

  #chargeLoad(offset: number, length: number): void {
    const missing = this.#caches.lines.load(this.start + offset, length);
    this.#clock.charged += this.#controller.loadCost(this.#mediumOffset + offset, length, missing);
  }

  #chargeStream(offset: number, length: number): void {
    const done = this.#clock.charged + this.#streamCost(length);
    this.#caches.lines.drop(this.start + offset, length);
    this.#medium!.countWritten(length);
    this.#controller.receive(this.#clock, this.#mediumOffset + offset, length);
    if (this.#clock.charged < done) this.#clock.charged = done;
  }

  writeZeroes(offset: number, length: number): void {
    this.#check(offset, length);
    // Made when first needed: most ranges that are zeroed were never written.
    let zeros: Uint8Array | undefined;
    for (let done = 0; done < length; ) {
      const addr = this.start + offset + done;
      const nr = Math.floor(addr / CHUNK_SIZE);
      const n = Math.min(length - done, (nr + 1) * CHUNK_SIZE - addr);
      if (this.#memory.peek(nr) !== undefined) this.writeFlushCache(offset + done, (zeros ??= new Uint8Array(CHUNK_SIZE)), 0, n);
      done += n;
    }
  }

  xchg(offset: number, word: Uint8Array): void {
    const { length } = word;
    this.#check(offset, length, word, 0);
    if (![1, 2, 4, 8].includes(length) || (this.start + offset) % length !== 0) {
      throw new BugError(`xchg: ${length} bytes at offset ${offset} are not an aligned word`);
    }
    if (this.#caches.fence(this.#cpu)) this.#clock.now += SFENCE_COST;
    const before = new Uint8Array(length);
    this.#memory.load(this.start + offset, before, 0, length);
    this.write(offset, word, 0, length);
    word.set(before);
  }

  clwb(offset: number, length: number): void {
    this.#check(offset, length);
    const done = this.#clock.now + this.#flushCost(offset, length);
    this.#caches.flush(this.#cpu, this.start + offset, length);
    if (this.#clock.now < done) this.#clock.now = done;
  }

  /** The model holds no clean lines, so that dropping them or keeping them is one. */
  clflushopt(offset: number, length: number): void {
    this.clwb(offset, length);
  }

  clflush(offset: number, length: number): void {
    this.#check(offset, length);
    const done = this.#clock.now + this.#flushCost(offset, length);
    this.#caches.flushNow(this.start + offset, length);
    if (this.#clock.now < done) this.#clock.now = done;
  }

  #loadUncached(offset: number, length: number): void {
    this.#clock.now += this.#uncachedLoad * length;
    this.#caches.beforeUncachedLoad(this.#uncached, this.#cpu, this.start + offset, length);
  }

  #storeEdge(addr: number, source: Uint8Array, sourceOffset: number, length: number): void {
    this.#caches.store(this.#storeKind, this.#cpu, addr, source, sourceOffset, length);
    this.#caches.flush(this.#cpu, addr, length);
  }

  #flushCost(offset: number, length: number): number {
    const lines = Math.ceil((((this.start + offset) % CACHE_LINE_SIZE) + length) / CACHE_LINE_SIZE);
    return this.#cost.flushPerLine * lines;
  }

  /** Not in range, for NaN too, or not enough bytes in the buffer. */
  #check(offset: number, length: number, buffer?: Uint8Array, bufferOffset = 0): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#limit)) this.#refuse(offset, length);
    if (buffer !== undefined && !(bufferOffset >= 0 && bufferOffset + length <= buffer.length)) refuseBuffer(buffer, bufferOffset, length);
  }

  #refuse(offset: number, length: number): never {
    if (this.#limit < 0) throw new BugError(`mapping: access at offset ${offset} of a mapping that is gone`);
    throw new BugError(`mapping: access at offset ${offset}, ${length} bytes, of a mapping of ${this.sizeBytes} bytes`);
  }
}

function refuseBuffer(buffer: Uint8Array, offset: number, length: number): never {
  throw new BugError(`mapping: ${length} bytes from offset ${offset} of a buffer of ${buffer.length}`);
}
