/**
 * The CPU caches and write-combining buffers, by what a power cut would take back.
 *
 * Mirrors the Px86 model (Raad et al., "Persistency Semantics of the Intel-x86 Architecture", POPL 2020), with non-temporal stores
 * and the uncached types of the SDM (vol. 3, 12.3) beside it:
 * - a cached store is open until its line has been flushed *and* fenced by the same CPU, or clflushed; open stores to a line persist in
 *   order (any prefix), lines independently;
 * - a non-temporal or WC store is open until its CPU fences; each 8-byte word on its own;
 * - a UC or WT store is in the domain when the call returns; UC accesses also drain the CPU's write-combining buffers;
 * - a store to a hosted file is in the host's page cache, which works like a cache that the guest cannot flush: it is open until the
 *   host syncs, whatever its kind, and whatever protects the guest's own caches;
 * - under eADR cached stores are in the domain at once; without any protection nothing ever is, but what is old enough.
 *
 * Invariant: open stores on one line are all of one kind. A cached store drains what combining stores the line had, a combining one
 * writes the dirty line back, as hardware does; crash-states.ts applies that when it reads the log.
 */
import { type Range, rangesOverlap, roundDown, roundUp } from '@holdfast/lib';
import { CachedLines } from './cached-lines.js';
import type { MachineClock } from './clock.js';
import { copyBytes } from './copy-bytes.js';
import { CACHE_LINE_SIZE, CHUNK_SIZE, PowerFailure, type PersistenceDomain, type PowercutTrigger, WORD_SIZE } from './hardware.js';
import type { Ledger } from './ledger.js';
import type { AddressSpace, Slot, Window } from './physical-memory.js';
import { CACHED, COMBINING, UndoLog } from './undo-log.js';

/** Stores that are in the domain when the call returns: UC and WT. */
export const THROUGH = 2;
export type AccessKind = typeof CACHED | typeof COMBINING | typeof THROUGH;

/** Lines `[start, end)` are in the domain, as far as stores with a serial below `serial` go. */
interface Settled extends Range {
  readonly serial: number;
}

/**
 * Old bytes are kept of all non-temporal stores since the last fence, up to so much; after that, of one sample in every `stride` bytes,
 * while the others have left their buffers, which on hardware hold only ten or so lines. Why: the host must fetch old bytes from its
 * memory, where a bare store does not; keeping all halves the speed of 4 KiB writes, and a frame of each 2 MiB cost a stream 3 percent.
 */
const KEEP_ALL_BYTES = 64 * 1024;
const MIN_SAMPLE_STRIDE = 512 * 1024;
const SAMPLE = 1024;

/** Open cached stores are counted by frame. */
const FRAME = 4096;

const FILTER_BUCKETS = 1024;

export class Caches {
  readonly log: UndoLog;
  /** What the last-level cache holds: for costs and wear only. Whoever asks it has settled the ledger. */
  readonly lines: CachedLines;
  readonly #memory: AddressSpace;
  readonly #clock: MachineClock;
  readonly #ledger: Ledger;
  readonly #domain: PersistenceDomain;
  readonly #exact: boolean;
  /** May a store be left out of the log altogether? Not where it says what another CPU's fence covers. */
  readonly #mayForget: boolean;
  readonly #nrCpus: number;
  /** Pending clwb and clflushopt of each CPU. */
  readonly #flushes: Settled[][];
  /** How many frames of open cached stores fall in each bucket: most flushes and fences find none, without a search. */
  readonly #buckets = new Uint32Array(FILTER_BUCKETS);

  /** Bytes of combining stores since the last fence, and when the next frame is to be kept. */
  #streamed = 0;
  #nextSample = 0;
  #sampleSeed = 1;
  /** Something went past the caches or was flushed since the last fence, to RAM too. */
  #posted = false;

  /** A power cut is to come, or has come and waits for its outcome. */
  armed = false;
  #failed = false;
  #storesLeft = Infinity;
  #fencesLeft = Infinity;

  /** `limit` bounds the log's bytes: a power of two, or Infinity to forget nothing and sample nothing. */
  constructor(memory: AddressSpace, clock: MachineClock, ledger: Ledger, domain: PersistenceDomain, nrCpus: number, limit: number) {
    this.#memory = memory;
    this.#clock = clock;
    this.#ledger = ledger;
    this.lines = new CachedLines((addr, length) => this.#receive(addr, length));
    this.#domain = domain;
    this.#nrCpus = nrCpus;
    this.#exact = limit === Infinity;
    this.#mayForget = !this.#exact && nrCpus === 1;
    this.log = new UndoLog(limit);
    this.#flushes = Array.from({ length: nrCpus }, () => []);
  }

  // Stores.

  store(kind: AccessKind, cpu: number, addr: number, source: Uint8Array, sourceOffset: number, length: number): void {
    if (this.armed) this.#storeByWords(kind, cpu, addr, source, sourceOffset, length);
    else this.#storeRange(kind, cpu, addr, source, sourceOffset, length);
  }

  #storeRange(kind: AccessKind, cpu: number, addr: number, source: Uint8Array, sourceOffset: number, length: number): void {
    const memory = this.#memory;
    for (let done = 0; done < length; ) {
      const at = addr + done;
      const nr = Math.floor(at / CHUNK_SIZE);
      const within = at - nr * CHUNK_SIZE;
      let n = Math.min(length - done, CHUNK_SIZE - within);
      const slot = memory.make(nr);
      const window = slot?.window ?? memory.windowAt(at);
      if (slot === undefined || window === undefined) {
        done += slot === undefined ? n : 1; // nothing there: the store is lost on the bus
        continue;
      }
      if (window.end - at < n) n = window.end - at;
      if (window.medium.kind === 'hosted') this.#rememberOpen(CACHED, cpu, at, slot, within, n);
      else if (!window.medium.volatile) this.#remember(kind, cpu, at, slot, within, n);
      copyBytes(slot.bytes, within, source, sourceOffset + done, n);
      this.#account(kind, window, at, n);
      if (slot.hasImage) this.#touchImage(kind, window, at, n);
      done += n;
    }
  }

  /**
   * The short way for non-temporal stores that the caller makes after this: to `[within, within + length)` of the bytes of a chunk, all of
   * it a persistent medium that is not hosted and has no image. Words, whole ones; nothing is {@link armed}. The accounts are the caller's.
   */
  beforeStream(cpu: number, addr: number, bytes: Uint8Array, within: number, length: number): void {
    this.#rememberCombining(cpu, addr, bytes, within, length);
    this.#posted = true;
  }

  /** An armed power cut counts stores as the memory sees them, so they are made one by one. */
  #storeByWords(kind: AccessKind, cpu: number, addr: number, source: Uint8Array, sourceOffset: number, length: number): void {
    for (let done = 0; done < length; ) {
      this.#checkPower();
      if (this.#storesLeft <= 0) this.#fail();
      const n = Math.min(length - done, WORD_SIZE - ((addr + done) % WORD_SIZE));
      this.#storeRange(kind, cpu, addr + done, source, sourceOffset + done, n);
      done += n;
      if (--this.#storesLeft <= 0) this.#fail();
    }
  }

  /** What a store costs its medium. RAM does not wear, and is not tracked line by line: the kernel stores to it all the time. */
  #account(kind: AccessKind, { start, medium }: Window, addr: number, length: number): void {
    this.#ledger.settle();
    medium.countWritten(length);
    if (kind === CACHED) {
      if (!medium.volatile) this.lines.store(addr, length);
      return;
    }
    if (kind === COMBINING) {
      this.#posted = true;
      this.lines.drop(addr, length);
    }
    medium.controller.receive(this.#clock, addr - start, length);
  }

  /** Lines are written back. Where a window begins or ends among them, the first of the two media gets them. */
  #receive(addr: number, length: number): void {
    const window = this.#memory.windowAt(addr);
    window?.medium.controller.receive(this.#clock, addr - window.start, length);
  }

  #remember(kind: AccessKind, cpu: number, addr: number, slot: Slot, within: number, length: number): void {
    if (kind === COMBINING) this.#rememberCombining(cpu, addr, slot.bytes, within, length);
    else if (this.#domain === 'none') this.#rememberOpen(kind, cpu, addr, slot, within, length);
    else if (kind === CACHED && this.#domain !== 'cpu_cache') this.#rememberOpen(kind, cpu, addr, slot, within, length);
    else if (this.log.count > 0) this.#settle([this.#lines(addr, length)]);
  }

  #rememberOpen(kind: AccessKind, cpu: number, addr: number, slot: Slot, within: number, length: number): void {
    if (kind === CACHED) {
      if (this.log.cachedCount === 0) this.#buckets.fill(0);
      for (let frame = Math.floor(addr / FRAME); frame * FRAME < addr + length; frame++) this.#buckets[frame % FILTER_BUCKETS]! += 1;
    }
    this.log.push(kind === CACHED ? CACHED : COMBINING, cpu, addr, slot.bytes, within, length);
  }

  #rememberCombining(cpu: number, addr: number, bytes: Uint8Array, within: number, length: number): void {
    const end = this.#streamed + length;
    // Most stores of a long stream fall between two samples.
    if (this.#mayForget && end > KEEP_ALL_BYTES && end <= this.#nextSample && this.log.cachedCount === 0) this.#streamed = end;
    else this.#keep(cpu, addr, bytes, within, length, end);
  }

  #keep(cpu: number, addr: number, bytes: Uint8Array, within: number, length: number, end: number): void {
    const { log } = this;
    if (this.#exact || end <= KEEP_ALL_BYTES) {
      this.#nextSample = end;
      log.push(COMBINING, cpu, addr, bytes, within, length);
    } else {
      // Open cached stores on these lines are written back first, and must not come back after the fence.
      if (log.cachedCount > 0 || this.#nrCpus > 1) log.pushSettled(COMBINING, cpu, addr, length);
      if (this.#nextSample < end) this.#sample(cpu, addr, bytes, within, length);
    }
    this.#streamed = end;
  }

  /** Keep some of a stream's old bytes: aligned pieces, at distances that vary. */
  #sample(cpu: number, addr: number, bytes: Uint8Array, within: number, length: number): void {
    const end = this.#streamed + length;
    const stride = Math.max(MIN_SAMPLE_STRIDE, 16 * length);
    while (this.#nextSample < end) {
      const offset = Math.max(this.#nextSample - this.#streamed, 0);
      const from = offset - ((within + offset) & (SAMPLE - 1));
      const start = Math.max(from, 0);
      this.log.push(COMBINING, cpu, addr + start, bytes, within + start, Math.min(from + SAMPLE, length) - start);
      this.#sampleSeed = (Math.imul(this.#sampleSeed, 1664525) + 1013904223) >>> 0;
      this.#nextSample += stride / 2 + (this.#sampleSeed / 2 ** 32) * stride;
    }
  }

  // Loads.

  /** A load of an uncached type: it finds the write-combining buffers drained, all of them (UC) or those it matches (WC). */
  beforeUncachedLoad(drainAll: boolean, cpu: number, addr: number, length: number): void {
    if (this.log.count === 0) return;
    if (drainAll) this.drainCombining(cpu);
    else if (this.#domain !== 'none' && !this.#isHosted(addr)) this.#settle([this.#lines(addr, length)]);
  }

  // Flushes and fences.

  /** clwb and clflushopt: done at the CPU's next fence. The caller has asked for the time, so that all before it is accounted for. */
  flush(cpu: number, addr: number, length: number): void {
    if (this.armed) this.#checkPower();
    this.#posted = true;
    this.lines.writeBack(addr, length);
    if (this.log.cachedCount === 0 || length === 0 || this.#isHosted(addr)) return;
    const lines = this.#lines(addr, length);
    if (this.#mayHoldCached(lines)) this.#flushes[cpu]!.push(lines);
  }

  /** clflush: done when it returns. The caller has asked for the time. */
  flushNow(addr: number, length: number): void {
    if (this.armed) this.#checkPower();
    this.lines.writeBack(addr, length);
    this.lines.drop(addr, length);
    if (this.#domain !== 'none' && this.log.count > 0 && length > 0 && !this.#isHosted(addr)) this.#settle([this.#lines(addr, length)]);
    this.#memory.sync();
  }

  /** sfence. Returns whether there was anything to wait for. */
  fence(cpu: number): boolean {
    if (this.armed) this.#checkPower();
    const busy = this.#posted || this.log.count > 0;
    this.#posted = false;
    this.#complete(cpu, this.#flushes[cpu]!);
    this.#flushes[cpu] = [];
    this.#memory.sync();
    if (this.armed && --this.#fencesLeft <= 0) this.#fail();
    return busy;
  }

  /** A UC access: the CPU's combining stores reach the domain before it. */
  drainCombining(cpu: number): void {
    if (this.#streamed === 0 && this.log.count === 0) return;
    this.#complete(cpu, []);
    this.#memory.sync();
  }

  /** The guest's own flushes do not reach a hosted medium. A mapping lies in one medium. */
  #isHosted(addr: number): boolean {
    return this.#memory.windowAt(addr)?.medium.kind === 'hosted';
  }

  /** Write `[start, end)` back, as before its medium is pulled, and as the host does. */
  settleRange(start: number, end: number): void {
    this.#ledger.settle();
    this.lines.writeBackRange(start, end);
    this.#settle([this.#lines(start, end - start)]);
  }

  /** A power cycle: nothing is open, nothing is armed. */
  reset(): void {
    this.#ledger.settle();
    this.log.clear();
    this.lines.clear();
    for (const pending of this.#flushes) pending.length = 0;
    this.#streamed = 0;
    this.#nextSample = 0;
    this.#sampleSeed = 1;
    this.#posted = false;
    this.arm({});
  }

  #complete(cpu: number, flushed: readonly Settled[]): void {
    const { log } = this;
    this.#streamed = 0;
    this.#nextSample = 0;
    if (this.#domain === 'none' || log.count === 0) return;
    if (log.cachedCount === 0 && this.#nrCpus === 1) return log.clear();
    const settled = [...flushed];
    for (let i = log.count - 1; i >= 0; i--) {
      if (log.kind(i) !== COMBINING || log.cpu(i) !== cpu) continue;
      const lines = { ...this.#lines(log.addr(i), log.length(i)), serial: log.serial(i) };
      if (this.#nrCpus > 1 || this.#mayHoldCached(lines)) settled.push(lines);
    }
    if (settled.length === 0) log.dropCombiningTail(cpu);
    if (settled.length > 0 || log.count > log.cachedCount) this.#settle(settled, cpu);
  }

  /** Drop what is in the domain now: the settled lines, and the combining stores of `fencedCpu`. */
  #settle(settled: readonly Settled[], fencedCpu = -1): void {
    const { log } = this;
    const isFenced = (i: number): boolean => log.kind(i) === COMBINING && log.cpu(i) === fencedCpu;
    let first = 0; // of the entries that change
    while (first < log.count && !isFenced(first) && !touchesAny(settled, log, first)) first++;
    log.filter(first, (i) => {
      if (isFenced(i)) return [];
      const start = log.addr(i);
      let pieces: Range[] = [{ start: 0, end: log.length(i) }];
      for (const lines of settled) {
        if (touches(lines, log, i)) pieces = pieces.flatMap((piece) => subtract(piece, { start: lines.start - start, end: lines.end - start }));
      }
      return pieces;
    });
  }

  #lines(addr: number, length: number): Settled {
    return { start: roundDown(addr, CACHE_LINE_SIZE), end: roundUp(addr + length, CACHE_LINE_SIZE), serial: this.log.nextSerial };
  }

  #mayHoldCached({ start, end }: Settled): boolean {
    for (let frame = Math.floor(start / FRAME); frame * FRAME < end; frame++) if (this.#buckets[frame % FILTER_BUCKETS] !== 0) return true;
    return false;
  }

  // Images.

  /** What is in the domain when the call returns must be in the image then; the rest, at the next fence. */
  #touchImage(kind: AccessKind, window: Window, addr: number, length: number): void {
    const from = addr - window.gridStart;
    const atOnce = kind === THROUGH || (kind === CACHED && this.#domain === 'cpu_cache');
    if (!atOnce) return window.medium.touch(from, from + length);
    this.#memory.sync(); // first what this store may have driven out
    window.medium.writeThrough(from, from + length);
  }

  // The power.

  arm({ afterStores = Infinity, afterFences = Infinity }: PowercutTrigger): void {
    this.#failed = false;
    this.#storesLeft = afterStores;
    this.#fencesLeft = afterFences;
    this.armed = afterStores < Infinity || afterFences < Infinity;
  }

  #checkPower(): void {
    if (this.#failed || this.#fencesLeft <= 0) this.#fail();
  }

  /** From here on nothing reaches the memory. */
  #fail(): never {
    this.#failed = true;
    throw new PowerFailure();
  }
}

function touchesAny(settled: readonly Settled[], log: UndoLog, i: number): boolean {
  for (let j = 0; j < settled.length; j++) if (touches(settled[j]!, log, i)) return true;
  return false;
}

function touches(lines: Settled, log: UndoLog, i: number): boolean {
  return log.serial(i) < lines.serial && lines.start < log.addr(i) + log.length(i) && log.addr(i) < lines.end;
}

function subtract(piece: Range, hole: Range): Range[] {
  if (!rangesOverlap(piece, hole)) return [piece];
  return [{ start: piece.start, end: hole.start }, { start: hole.end, end: piece.end }].filter(({ start, end }) => start < end);
}
