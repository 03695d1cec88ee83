/**
 * What the rest of the kernel may ask of the hardware: memory, the CPU's way to it, time, and the power button.
 *
 * Invariant: bytes live in one place only, the media behind the physical address space. Caches are modelled by what a power cut
 * would take back, so that a reader always sees the newest store.
 */
import type { PhysAddr } from '@holdfast/lib';

/** Bytes of one chunk of physical memory: made when first written, and zeros until then. */
export const CHUNK_SIZE = 2 * 1024 * 1024;
export const CACHE_LINE_SIZE = 64;

/** x86 memory types (SDM vol. 3, 12.3), `UC-` being UC that a WC MTRR may turn into WC. */
export type MemoryType = 'UC' | 'UC-' | 'WC' | 'WT' | 'WB';

/** How far power-fail protection reaches: nothing, the memory controller's queue (ADR), or the CPU caches too (eADR). */
export type PersistenceDomain = 'none' | 'memory_controller' | 'cpu_cache';

/** Virtual time. */
export interface Clock {
  /** Nanoseconds since power-on. */
  readonly now: number;
  advance(ns: number): void;
}

/** The physical address space: media at addresses. All numbers are bytes. */
export interface PhysicalMemory {
  /** The chunk `[nr * CHUNK_SIZE, …)` for writing, made if need be. @throws KernelError EFAULT where nothing is attached. */
  chunk(nr: number): Uint8Array;
  /** The same for reading: undefined if it was never written and reads as zeros, or if nothing is attached. */
  peekChunk(nr: number): Uint8Array | undefined;
  /** A view of one 4 KiB frame for writing; the same object at each call, so that a hot path allocates nothing. */
  frame(pfn: number): Uint8Array;
  /** Is every byte of `[start, start + sizeBytes)` backed by some medium? */
  isBacked(start: PhysAddr, sizeBytes: number): boolean;
  /** Copy bytes out, across chunks; unwritten memory reads as zeros. @throws KernelError EFAULT where nothing is attached. */
  read(addr: PhysAddr, target: Uint8Array): void;
  /** Copy bytes in with ordinary cached (WB) stores: what the kernel does to its own RAM. @throws KernelError EFAULT */
  write(addr: PhysAddr, source: Uint8Array): void;
}

/**
 * A virtual mapping of a physical range with one memory type: what ioremap and memremap return.
 * Offsets are bytes from the start of the mapping. Out-of-range access is a bug of the caller and throws BugError.
 */
export interface Mapping {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly type: MemoryType;
  /** Loads. */
  read(offset: number, target: Uint8Array, targetOffset: number, length: number): void;
  /** Plain stores (memcpy): their durability follows the mapping's type. */
  write(offset: number, source: Uint8Array, sourceOffset: number, length: number): void;
  /** Stores that bypass the caches, edges flushed line by line (memcpy_flushcache): durable after the next {@link Cpu.sfence}. */
  writeFlushCache(offset: number, source: Uint8Array, sourceOffset: number, length: number): void;
  /** Write lines back, keep them (clwb); complete after the next sfence. */
  clwb(offset: number, length: number): void;
  /** Write lines back and drop them; complete after the next sfence. */
  clflushopt(offset: number, length: number): void;
  /** Write lines back and drop them, in order, at once. */
  clflush(offset: number, length: number): void;
}

export interface Cpu {
  /** Highest physical address bits: 46 with 4-level paging, 52 with 5-level (la57). */
  readonly physBits: number;
  /** The CPUID hypervisor bit: the kernel chooses other defaults in a guest. */
  readonly hypervisor: boolean;
  /**
   * Map a physical range with a memory type.
   * @throws KernelError EINVAL if nothing is there, EBUSY if a live mapping of part of it has a conflicting type (memtype).
   */
  map(start: PhysAddr, sizeBytes: number, type: MemoryType): Mapping;
  unmap(mapping: Mapping): void;
  /** Order and complete all earlier flushes and non-temporal stores: what they wrote is in the persistence domain. */
  sfence(): void;
}

/** What a power cut did: for people, tests and the log. */
export interface PowercutReport {
  /** Cache lines (or 8-byte units, for WC) whose fate was open. */
  readonly undecided: number;
  /** Of these, how many fell back to what they held before. */
  readonly lost: number;
}

export interface Machine {
  readonly memory: PhysicalMemory;
  readonly cpu: Cpu;
  readonly clock: Clock;
  /** Orderly: caches and queues are drained; volatile media forget. The machine may then be booted again. */
  poweroff(): void;
  /** Sudden: what the persistence domain held stays; of the rest, an outcome that x86 allows, chosen by the seed. Volatile media hold noise then. */
  powercut(seed: number): PowercutReport;
}
