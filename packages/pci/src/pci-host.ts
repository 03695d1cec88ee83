/**
 * The host bridge of a machine and its slots, as hardware: configuration cycles, the memory that cards decode, their interrupts, and
 * what happens when a card is plugged or pulled.
 *
 * Invariant: a card's medium is in the machine's address space exactly while one of its BARs decodes it there and nothing else does.
 */
import { KernelError, physAddr } from '@holdfast/lib';
import { type Machine, mediumFigures, storeCost, uncachedLoadPerByte } from '@holdfast/machine';
import type { PciFunction, PciFunctionBar } from './pci-card.js';
import { ALL_ONES } from './pci-regs.js';

/** Device and function: 5 bits and 3 bits. */
export type Devfn = number;
export const SLOTS_PER_BUS = 32;
export const FUNCTIONS_PER_SLOT = 8;

export function devfnOf(slot: number, fn = 0): Devfn {
  return slot * FUNCTIONS_PER_SLOT + fn;
}

/** Configuration cycles on bus 0. Where nobody answers, reads give ones. `size` is 1, 2 or 4. */
export interface ConfigAccess {
  read(devfn: Devfn, offset: number, size: number): number;
  write(devfn: Devfn, offset: number, size: number, value: number): void;
}

/** What a kernel reaches of the hardware. */
export interface PciBridge extends ConfigAccess {
  /** A 32-bit load of a register at a physical address, uncached; ones if no card decodes it. Costs a round trip. */
  readRegister(addr: number): number;
  writeRegister(addr: number, value: number): void;
  /** Who is called when this function raises its interrupt; undefined for nobody. */
  connectIrq(devfn: Devfn, handler: (() => void) | undefined): void;
}

export interface PciHost extends PciBridge {
  /** Slots that hold a card, ascending. */
  readonly slots: readonly number[];
  /** Put a card into a slot, the first free one from 4 on if none is named. Returns the slot. @throws KernelError EBUSY, EINVAL */
  plug(card: PciFunction, slot?: number): number;
  /** Pull a card out: it decodes nothing from now on. @throws KernelError ENODEV */
  unplug(slot: number): PciFunction;
  /** The reset line, as at power-on: no card decodes anything, and no interrupt goes anywhere. */
  reset(): void;
  /** Called by a card. */
  raiseIrq(card: PciFunction): void;
}

/** The first slots of a PC belong to its chipset. */
const FIRST_FREE_SLOT = 4;
const REGISTER_BYTES = 4;

export function createPciHost(machine: Pick<Machine, 'attach' | 'detach' | 'mediumAt' | 'clock'>): PciHost {
  const cards = new Map<number, PciFunction>();
  const irqs = new Map<Devfn, () => void>();
  /** Registers by where they are decoded. */
  const registers = new Map<PciFunctionBar, number>();
  const attached = new Map<PciFunctionBar, number>();
  const figures = mediumFigures('pci');
  const loadNs = uncachedLoadPerByte(figures) * REGISTER_BYTES;
  const storeNs = storeCost(figures, 'UC').writePerByte * REGISTER_BYTES;

  function decode(bar: PciFunctionBar, start: number | undefined): void {
    const { medium } = bar.spec;
    registers.delete(bar);
    const old = attached.get(bar);
    if (medium && old !== undefined && machine.mediumAt(physAddr(old)) === medium) machine.detach(medium);
    attached.delete(bar);
    if (start === undefined) return;
    if (!medium) registers.set(bar, start);
    else if (attach(medium, start)) attached.set(bar, start);
  }

  /** Where memory is already, that memory answers. */
  function attach(medium: NonNullable<PciFunctionBar['spec']['medium']>, start: number): boolean {
    try {
      machine.attach({ start, medium });
      return true;
    } catch (error) {
      if (error instanceof KernelError) return false;
      throw error;
    }
  }

  function registerAt(addr: number): { bar: PciFunctionBar; offset: number } | undefined {
    for (const [bar, start] of registers) if (addr >= start && addr < start + bar.sizeBytes) return { bar, offset: addr - start };
    return undefined;
  }

  const cardAt = (devfn: Devfn): PciFunction | undefined => (devfn % FUNCTIONS_PER_SLOT === 0 ? cards.get(devfn / FUNCTIONS_PER_SLOT) : undefined);

  return {
    get slots() {
      return [...cards.keys()].sort((a, b) => a - b);
    },
    plug(card, slot = firstFree(cards)) {
      if (!Number.isInteger(slot) || slot < 0 || slot >= SLOTS_PER_BUS) throw new KernelError('EINVAL', `PCI slot ${slot}: expected 0 to ${SLOTS_PER_BUS - 1}`);
      if (cards.has(slot)) throw new KernelError('EBUSY', `PCI slot ${slot} holds a card`);
      card.reset();
      card.connect(decode);
      cards.set(slot, card);
      return slot;
    },
    unplug(slot) {
      const card = cards.get(slot);
      if (!card) throw new KernelError('ENODEV', `PCI slot ${slot} is empty`);
      cards.delete(slot);
      irqs.delete(devfnOf(slot));
      card.reset();
      card.connect(undefined);
      return card;
    },
    reset() {
      irqs.clear();
      for (const card of cards.values()) card.reset();
    },
    raiseIrq(card) {
      const slot = [...cards].find(([, each]) => each === card)?.[0];
      if (slot !== undefined) irqs.get(devfnOf(slot))?.();
    },
    read: (devfn, offset, size) => cardAt(devfn)?.readConfig(offset, size) ?? 2 ** (8 * size) - 1,
    write: (devfn, offset, size, value) => cardAt(devfn)?.writeConfig(offset, size, value),
    readRegister(addr) {
      machine.clock.advance(loadNs);
      const found = registerAt(addr);
      return found ? found.bar.spec.registers!.read(found.offset) : ALL_ONES;
    },
    writeRegister(addr, value) {
      machine.clock.advance(storeNs);
      const found = registerAt(addr);
      found?.bar.spec.registers!.write(found.offset, value);
    },
    connectIrq(devfn, handler) {
      if (handler) irqs.set(devfn, handler);
      else irqs.delete(devfn);
    },
  };
}

function firstFree(cards: ReadonlyMap<number, unknown>): number {
  for (let slot = FIRST_FREE_SLOT; slot < SLOTS_PER_BUS; slot++) if (!cards.has(slot)) return slot;
  throw new KernelError('EBUSY', 'every PCI slot holds a card');
}
