/**
 * The machine: memory, CPUs, a clock and a power button, put together.
 *
 * Invariant: a power cycle leaves nothing behind but the media: no mapping lives on, no store is open, the clock is at zero.
 */
import { type PhysAddr, type Random, KernelError, physAddr, seededRandom } from '@holdfast/lib';
import { Caches, THROUGH } from './caches.js';
import { createClock } from './clock.js';
import { storeCost } from './costs.js';
import { collectUndecided } from './crash-states.js';
import { type CpuHost, createCpu } from './cpu.js';
import type { Machine, Medium, MediumSlot, PersistenceDomain, PowercutReport, UndecidedUnit } from './hardware.js';
import { Ledger } from './ledger.js';
import { AddressSpace, type Window } from './physical-memory.js';
import { CACHED } from './undo-log.js';

export interface MachineSpec {
  readonly media?: readonly MediumSlot[];
  /** Physical address bits. Default 46. */
  readonly physBits?: number;
  /** Is this a guest? Default false. */
  readonly hypervisor?: boolean;
  /** Default memory_controller (ADR). */
  readonly persistence?: PersistenceDomain;
  /** Do the writes of devices go to the CPU's caches (Intel's Data Direct I/O)? Default true, as firmware leaves it. */
  readonly ddio?: boolean;
  /** Default 1. */
  readonly nrCpus?: number;
  /**
   * How many bytes of open stores a power cut can take back: a power of two, default 256 KiB. Older ones reach the medium by
   * themselves, as evicted lines do, and of long non-temporal streams only samples stay open. Infinity keeps every state that x86
   * allows: for crash exploration.
   */
  readonly undecidedBytes?: number;
}

const DEFAULT_UNDECIDED_BYTES = 256 * 1024;
const MIN_UNDECIDED_BYTES = 64;
const MAX_UNDECIDED_BYTES = 2 ** 30;
/** The most processors that a machine has here; firmware may name more. */
export const MAX_CPUS = 256;

/** @throws KernelError EINVAL on a bad number, and what {@link Machine.attach} throws. */
export function createMachine(spec: MachineSpec = {}): Machine {
  const { media = [], physBits = 46, hypervisor = false, persistence = 'memory_controller', nrCpus = 1, ddio = true } = spec;
  const undecidedBytes = spec.undecidedBytes ?? DEFAULT_UNDECIDED_BYTES;
  checkSpec(physBits, nrCpus, undecidedBytes);

  const ledger = new Ledger();
  const clock = createClock(() => ledger.settle());
  const memory = new AddressSpace(physBits, (addr, source) => caches.store(CACHED, 0, addr, source, 0, source.length));
  const caches: Caches = new Caches(memory, clock, ledger, persistence, nrCpus, undecidedBytes);
  const machineCheckHandlers = new Set<(addr: PhysAddr) => void>();
  const machineCheck = (addr: PhysAddr): void => {
    for (const handler of machineCheckHandlers) handler(addr);
  };
  const host: CpuHost = { machineCheck, memory, caches, ledger, clock, physBits, hypervisor, mappings: new Map(), memtypes: new Set() };
  const cpus = Array.from({ length: nrCpus }, (_, nr) => createCpu(host, nr));
  for (const slot of media) memory.attach(slot);
  let powerCycles = 0;

  const windowOf = (medium: Medium): Window => {
    const window = memory.windows.find((candidate) => candidate.medium === medium);
    if (window === undefined) throw new KernelError('ENODEV', `this ${medium.kind} is not plugged in`);
    return window;
  };
  const undecided = (): UndecidedUnit[] => collectUndecided(caches.log, (addr, target) => memory.load(addr, target, 0, target.length));

  const powerLoss = (noiseSeed: number): void => {
    for (const { mapping } of host.mappings.values()) mapping.die();
    host.mappings.clear();
    host.memtypes.clear();
    caches.reset();
    memory.powerLoss(noiseSeed);
    machineCheckHandlers.clear();
    clock.reset();
  };

  /** Leave each unit with the image that `choose` says, then drop the power. */
  const fail = (units: readonly UndecidedUnit[], noiseSeed: number, choose: (unit: UndecidedUnit, i: number) => number): PowercutReport => {
    const choices = units.map(choose);
    units.forEach(({ addr, images }, i) => {
      if (choices[i] !== images.length - 1) memory.overwrite(addr, images[choices[i]!]!);
    });
    powerLoss(noiseSeed);
    return { undecided: units.length, lost: units.filter(({ images }, i) => choices[i] !== images.length - 1).length };
  };

  return {
    memory,
    dma: {
      read(addr, target) {
        if (memory.hasPoison && memory.poisonWithin(addr, target.length).length > 0) throw new KernelError('EIO', `DMA: poison at ${addr.toString(16)}`);
        memory.read(addr, target);
      },
      write(addr, source) {
        if (!memory.isBacked(addr, source.length)) throw new KernelError('EFAULT', `DMA: nothing at ${addr.toString(16)}`);
        caches.store(ddio ? CACHED : THROUGH, 0, addr, source, 0, source.length);
      },
    },
    cpu: cpus[0]!,
    cpus,
    clock,
    persistence,
    attach: (slot) => memory.attach(slot),
    detach(medium) {
      const window = windowOf(medium);
      caches.settleRange(window.start, window.end);
      memory.detach(window);
    },
    syncMedium(medium) {
      const window = windowOf(medium);
      caches.settleRange(window.start, window.end);
      memory.sync();
    },
    poison: {
      inject: (start, sizeBytes) => memory.injectPoison(start, sizeBytes),
      clear: (start, sizeBytes) => memory.clearPoison(start, sizeBytes),
      within: (start, sizeBytes) => memory.poisonWithin(start, sizeBytes),
    },
    onMachineCheck(handler) {
      machineCheckHandlers.add(handler);
      return () => void machineCheckHandlers.delete(handler);
    },
    mediumAt: (addr): Medium | undefined => memory.windowAt(addr)?.medium,
    chargeStores(start, sizeBytes, type) {
      memory.checkBacked(start, sizeBytes);
      ledger.settle();
      caches.lines.writeBackRange(start, start + sizeBytes);
      for (const window of memory.windows) {
        const from = Math.max(start, window.start);
        const length = Math.min(start + sizeBytes, window.end) - from;
        if (length <= 0) continue;
        const { controller } = window.medium;
        const { writeFixed, writePerByte } = storeCost(controller.figures, type);
        const done = clock.now + writeFixed + writePerByte * length;
        controller.receiveBulk(clock, from - window.start, length);
        clock.now = Math.max(clock.now, done); // the CPU stores while the medium takes what came before
      }
    },
    poweroff() {
      ledger.settle();
      caches.lines.writeBackRange(0, Infinity);
      powerLoss(++powerCycles);
    },
    powercut(seed) {
      powerCycles++;
      const random = seededRandom(seed);
      return fail(undecided(), seed, chooser(random));
    },
    armPowercut: (trigger) => caches.arm(trigger),
    undecided,
    countOutcomes: () => undecided().reduce((product, { images }) => product * BigInt(images.length), 1n),
    applyOutcome(choices) {
      const units = undecided();
      checkChoices(units, choices);
      return fail(units, ++powerCycles, (_, i) => choices[i]!);
    },
  };
}

/**
 * One cut in eight loses all it can, one in eight nothing, so that the extremes are seen; the others lose each unit's newest image
 * with a probability of their own.
 */
function chooser(random: Random): (unit: UndecidedUnit) => number {
  const odds = 256;
  const kind = random.below(8);
  const keep = kind === 0 ? 0 : kind === 1 ? odds : random.below(odds);
  return ({ images }) => {
    if (random.below(odds) < keep) return images.length - 1;
    return kind === 0 ? 0 : random.below(images.length - 1);
  };
}

function checkSpec(physBits: number, nrCpus: number, undecidedBytes: number): void {
  if (!Number.isInteger(physBits) || physBits < 32 || physBits > 52) {
    throw new KernelError('EINVAL', `machine: ${physBits} physical address bits, expected 32 to 52`);
  }
  if (!Number.isInteger(nrCpus) || nrCpus < 1 || nrCpus > MAX_CPUS) {
    throw new KernelError('EINVAL', `machine: ${nrCpus} CPUs, expected 1 to ${MAX_CPUS}`);
  }
  const powerOf2 = Number.isInteger(Math.log2(undecidedBytes));
  if (undecidedBytes !== Infinity && !(powerOf2 && undecidedBytes >= MIN_UNDECIDED_BYTES && undecidedBytes <= MAX_UNDECIDED_BYTES)) {
    throw new KernelError('EINVAL', `machine: undecidedBytes ${undecidedBytes}, expected Infinity or a power of two, 64 to 2^30`);
  }
}

function checkChoices(units: readonly UndecidedUnit[], choices: readonly number[]): void {
  if (choices.length !== units.length) {
    throw new KernelError('EINVAL', `applyOutcome: ${choices.length} choices for ${units.length} undecided units`);
  }
  units.forEach(({ addr, images }, i) => {
    if (images[choices[i]!] === undefined) {
      throw new KernelError('EINVAL', `applyOutcome: choice ${choices[i]} for ${hexUnit(addr)}, expected 0 to ${images.length - 1}`);
    }
  });
}

function hexUnit(addr: number): string {
  return `the unit at 0x${physAddr(addr).toString(16)}`;
}
