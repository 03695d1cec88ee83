/**
 * What the rest of the kernel may ask of the hardware: memory, the CPU's way to it, time, and the power button.
 *
 * Invariant: bytes live in one place only, the media behind the physical address space. Caches are modelled by what a power cut
 * would take back, so that a reader always sees the newest store.
 */
import type { FrozenImage } from './image-backing.js';
import { KernelPanic, type PhysAddr, type Range } from '@holdfast/lib';

/** Bytes of one chunk of physical memory: made when first written, and zeros until then. */
export const CHUNK_SIZE = 2 * 1024 * 1024;
export const CACHE_LINE_SIZE = 64;
/** The widest store that a power cut never tears, if aligned. */
export const WORD_SIZE = 8;

/** x86 memory types (SDM vol. 3, 12.3), `UC-` being UC that a WC MTRR may turn into WC. */
export type MemoryType = 'UC' | 'UC-' | 'WC' | 'WT' | 'WB';

/** How far power-fail protection reaches: nothing, the memory controller's queue (ADR), or the CPU caches too (eADR). */
export type PersistenceDomain = 'none' | 'memory_controller' | 'cpu_cache';

/** Virtual time. */
export interface Clock {
  /** Nanoseconds since power-on; may have a fraction. */
  readonly now: number;
  /** Wait: time goes on, and timers that are due by then run at their times. With 0, those that are overdue. */
  advance(ns: number): void;
  /** Have `run` called `ns` from now, if power lasts that long. The returned function takes it back. */
  after(ns: number, run: () => void): () => void;
}

/**
 * RAM; Optane-like NVDIMMs; battery-backed DRAM, as fast as RAM (NVDIMM-N); memory on a PCI card. `hosted` is a file of the host in whose
 * page cache the guest's stores land: only the host makes them durable.
 */
export type MediumKind = 'dram' | 'nvdimm' | 'nvdimm-n' | 'pci' | 'hosted';

/** A thing that holds bytes: it can be plugged into one machine at a time, and a non-volatile one keeps them in between. */
export interface Medium {
  readonly kind: MediumKind;
  readonly sizeBytes: number;
  /** Does it forget when the power goes? */
  readonly volatile: boolean;
  /** Bytes that the CPU has stored to it so far. */
  readonly bytesWritten: number;
  /** What came of these on the media. */
  readonly wear: MediaWear;
  /**
   * What a non-volatile medium holds now, to be read later, however it changes meanwhile. Only while the machine has no power: nothing is
   * copied until the medium is used again.
   */
  freeze(): FrozenImage;
}

/**
 * What a medium received and wrote. Effective write ratio (EWR): `bytesReceived / (linesWritten * lineBytes)`. A cached store is received
 * when its line is written back: by a flush, or when the last-level cache needs the room.
 */
export interface MediaWear {
  readonly bytesReceived: number;
  /** Bytes that the media write at once: 256 for Optane, 64 for the others. */
  readonly lineBytes: number;
  readonly linesWritten: number;
  /** Virtual time for which the media read and wrote: with CPUs enough to ask, no less passes. */
  readonly busyNs: number;
  /** Lines written in the 4 KiB page `page` of the medium: a page written once whole has `4096 / lineBytes`. */
  pageWrites(page: number): number;
  /** How many pages had how many lines written, ascending; those never written are not in it. */
  histogram(): readonly WearClass[];
  /** Count from zero. */
  reset(): void;
}

export interface WearClass {
  readonly lines: number;
  readonly pages: number;
}

/**
 * Bytes that a medium has lost: it knows, by its error correction, and gives poison instead of them. Physical addresses; whole cache lines.
 *
 * Poison stays where it is, in the medium, over power cycles and from slot to slot, until {@link clear}: stores do not cure it. (In real
 * machines a store of a whole line may or may not; an operating system has to ask the firmware.)
 */
export interface MediaPoison {
  /** Lose each line that `[start, start + sizeBytes)` touches, where a non-volatile medium is. */
  inject(start: number, sizeBytes: number): void;
  /** Make the lines that lie in `[start, start + sizeBytes)` whole good again. They hold what was stored last. */
  clear(start: number, sizeBytes: number): void;
  /** The lost parts of `[start, start + sizeBytes)`, lowest first: what a load there would stumble on. */
  within(start: number, sizeBytes: number): readonly Range[];
}

/** The physical address space: media at addresses. All numbers are bytes. */
export interface PhysicalMemory {
  /**
   * The chunk `[nr * CHUNK_SIZE, …)` for writing, made if need be.
   * Stores through it reach the medium at once, unseen by the cache model: for RAM, and for data that need not survive.
   * @throws KernelError EFAULT where nothing is attached.
   */
  chunk(nr: number): Uint8Array;
  /** The same for reading: undefined if it was never written and reads as zeros, or if nothing is attached. */
  peekChunk(nr: number): Uint8Array | undefined;
  /** The numbers of the chunks in `[start, start + sizeBytes)` that may hold anything but zeros, ascending: all others need no look. */
  presentChunks(start: PhysAddr, sizeBytes: number): number[];
  /** May chunk `nr` hold anything but zeros? Asks nobody and loads nothing. */
  mayHold(nr: number): boolean;
  /** A view of one 4 KiB frame for writing, as {@link chunk}; kept, so that a hot path allocates nothing. */
  frame(pfn: number): Uint8Array;
  /** The same for `length` bytes from the start of a frame on; undefined if they are not all in one chunk. */
  frames(pfn: number, length: number): Uint8Array | undefined;
  /** Is every byte of `[start, start + sizeBytes)` backed by some medium? */
  isBacked(start: PhysAddr, sizeBytes: number): boolean;
  /** Copy bytes out, across chunks; unwritten memory reads as zeros. @throws KernelError EFAULT where nothing is attached. */
  read(addr: PhysAddr, target: Uint8Array): void;
  /** Copy bytes in with ordinary cached (WB) stores: what the kernel does to its own RAM. @throws KernelError EFAULT */
  write(addr: PhysAddr, source: Uint8Array): void;
  /**
   * Make `[start, start + sizeBytes)` zeros by stores as those of {@link chunk}; costs only what was ever written there.
   * RAM holds noise after a power cycle, so whoever relies on zeros clears first.
   * @throws KernelError EFAULT where nothing is attached.
   */
  clear(start: PhysAddr, sizeBytes: number): void;
}

/**
 * A virtual mapping of a physical range with one memory type: what ioremap and memremap return.
 * Offsets are bytes from the start of the mapping. Out-of-range access, or use after {@link Cpu.unmap} or a power cycle, is a bug
 * of the caller and throws BugError. Where the medium has been pulled, loads give ones and stores are dropped.
 */
export interface Mapping {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly type: MemoryType;
  /** Loads. @throws MachineCheckPanic where the medium is poisoned: nobody expected that, and a kernel does not survive it */
  read(offset: number, target: Uint8Array, targetOffset: number, length: number): void;
  /**
   * Loads by code that survives a machine check (copy_mc_to_kernel): stops at the first poisoned line, tells who listens for machine
   * checks, and returns how many bytes were not copied: 0 if all is well.
   */
  readRecoverable(offset: number, target: Uint8Array, targetOffset: number, length: number): number;
  /** Plain stores (memcpy): their durability follows the mapping's type. */
  write(offset: number, source: Uint8Array, sourceOffset: number, length: number): void;
  /** Stores that bypass the caches, edges flushed line by line (memcpy_flushcache): durable after the next {@link Cpu.sfence}. */
  writeFlushCache(offset: number, source: Uint8Array, sourceOffset: number, length: number): void;
  /** The same with zeros, for ranges of any size: memory that was never written costs nothing, and stays unmade. */
  writeZeroes(offset: number, length: number): void;
  /** A locked exchange of one aligned word of 1, 2, 4 or 8 bytes: `word` goes in, and what was there comes out. Fences first. */
  xchg(offset: number, word: Uint8Array): void;
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
   * Map a physical range with a memory type. As in Linux, a live mapping's type may be given instead of the one asked for
   * (see memtype.ts), so look at `mapping.type`.
   * @throws KernelError EINVAL if nothing is there, EBUSY if a live mapping of part of it has a conflicting type (memtype).
   */
  map(start: PhysAddr, sizeBytes: number, type: MemoryType): Mapping;
  /**
   * Map a range as page table entries of a process do, write-back unless they say otherwise: the list of memory types is not asked, nor
   * told, so that the same bytes may be mapped with another type, too (vm_insert_mixed before 4.9; where it asks, it finds write-back).
   * @throws KernelError EINVAL if nothing is there
   */
  mapUser(start: PhysAddr, sizeBytes: number, type?: MemoryType): Mapping;
  unmap(mapping: Mapping): void;
  /** Order and complete all earlier flushes and non-temporal stores of this CPU: what they wrote is in the persistence domain. */
  sfence(): void;
}

/** What a power cut did: for people, tests and the log. */
export interface PowercutReport {
  /** Cache lines (or 8-byte words, for WC and non-temporal stores) whose fate was open. */
  readonly undecided: number;
  /** Of these, how many fell back to what they held before. */
  readonly lost: number;
}

/**
 * A cache line (64 bytes, cached stores) or a word (8 bytes, WC and non-temporal stores) whose fate is open, and the different
 * contents that it may be left with: `images[0]` with no open store persisted, the last one with all of them, as a reader sees it now.
 */
export interface UndecidedUnit {
  readonly addr: PhysAddr;
  readonly images: readonly Uint8Array[];
  /** The open stores in program order, with the image that each of them left; the first entry is what was there before, serial -1. */
  readonly history: readonly { readonly serial: number; readonly image: number }[];
}

/** When the power shall fail. Stores are counted as the memory sees them: aligned pieces of at most 8 bytes, of all CPUs. */
export interface PowercutTrigger {
  /** Right after so many more stores; 0 is before the next one. */
  readonly afterStores?: number;
  /** Right after so many more fences have completed (sfence, and locked instructions). */
  readonly afterFences?: number;
}

/**
 * Memory as a device reaches it, by physical address and coherently: it reads the newest stores, and no CPU sees old bytes after it wrote.
 * With DDIO its writes stay in the CPU's last-level cache, and so outlive a power cut no better than a cached store that nobody flushed;
 * without, they are in the persistence domain when they arrive.
 */
export interface DmaPort {
  /** @throws KernelError EFAULT where nothing is attached, EIO for poison, which a device is told of as an error of the bus */
  read(addr: number, target: Uint8Array): void;
  /** @throws KernelError EFAULT */
  write(addr: number, source: Uint8Array): void;
}

export interface Machine {
  readonly memory: PhysicalMemory;
  /** The way to memory of devices that are bus masters. */
  readonly dma: DmaPort;
  /** The boot CPU: `cpus[0]`. */
  readonly cpu: Cpu;
  readonly cpus: readonly Cpu[];
  readonly clock: Clock;
  readonly persistence: PersistenceDomain;
  /** Plug a medium in at `[start, start + sizeBytes)`. @throws KernelError EINVAL on a bad range, EBUSY if it overlaps or is in use. */
  attach(slot: MediumSlot): void;
  /** Pull a medium out, caches written back first. Its mappings stay, with nothing behind them. @throws KernelError ENODEV */
  detach(medium: Medium): void;
  /**
   * The host writes back what was stored to a medium so far, whatever the guest has flushed: the only way to make a `hosted` one durable.
   * @throws KernelError ENODEV if it is not plugged in
   */
  syncMedium(medium: Medium): void;
  /** What the media have lost. */
  readonly poison: MediaPoison;
  /** Be told of each machine check that code survived, with the address of the poisoned line, until the returned function is called or the power goes. */
  onMachineCheck(handler: (addr: PhysAddr) => void): () => void;
  /** The medium at an address, or undefined. */
  mediumAt(addr: PhysAddr): Medium | undefined;
  /**
   * Pass the time of storing to all of `[start, start + sizeBytes)` once, in order, through a mapping of a type, and count the wear,
   * without moving a byte. For bulk initialisation of what reads right unwritten (struct pages at their defaults): the cost is the same
   * whether or not the host makes the bytes. Any size, at once. @throws KernelError EFAULT where nothing is attached.
   */
  chargeStores(start: PhysAddr, sizeBytes: number, type: MemoryType): void;

  /** Orderly: caches and queues are drained; volatile media forget. The machine may then be booted again. */
  poweroff(): void;
  /** Sudden: what the persistence domain held stays; of the rest, an outcome that x86 allows, chosen by the seed. Volatile media hold noise then. */
  powercut(seed: number): PowercutReport;
  /**
   * Let the power fail at a later moment, in the middle of whatever runs then, which ends with {@link PowerFailure}. Until
   * {@link powercut} or {@link applyOutcome} says what was lost, every further store and fence throws it again.
   */
  armPowercut(trigger: PowercutTrigger): void;
  /** Everything whose fate a power cut now would decide, by address: the cut's outcomes are all combinations of the units' images. */
  undecided(): readonly UndecidedUnit[];
  /** How many different images of the media a power cut now could leave: the product over {@link undecided}. */
  countOutcomes(): bigint;
  /** A power cut with a chosen outcome: `choices[i]` is the index of the image that unit i keeps. @throws KernelError EINVAL */
  applyOutcome(choices: readonly number[]): PowercutReport;
}

/** A medium at its place in the physical address space: `[start, start + sizeBytes)` shows its first bytes. */
export interface MediumSlot {
  readonly start: number;
  /** The whole medium if not given. */
  readonly sizeBytes?: number;
  readonly medium: Medium;
}

/** The power failed in the middle of what was running, as {@link Machine.armPowercut} asked. Not an error of anybody's. */
export class PowerFailure extends Error {
  constructor() {
    super('power failure');
    this.name = 'PowerFailure';
  }
}

/** A load met poison and nobody was ready for it: the end of the kernel that did it. */
export class MachineCheckPanic extends KernelPanic {
  constructor(addr: number) {
    super(`Fatal local machine check: memory error at 0x${addr.toString(16)}`);
    this.name = 'MachineCheckPanic';
  }
}
