/**
 * What loses its power in one moment, seen by what a cut may take back of it: a machine with its NVDIMMs, or a drive with a cache.
 *
 * Units are disjoint and their fates independent, so the outcomes of a cut are all combinations of their images.
 */
import { KernelError } from '@holdfast/lib';
import type { FrozenImage, Machine, MediumSlot, PowercutReport, UndecidedUnit } from '@holdfast/machine';

/** What keeps bytes while there is no power: an NVDIMM or a drive. */
export interface PowerStore {
  readonly name: string;
  readonly sizeBytes: number;
  /** What it holds now, to be read later; only while there is no power. */
  freeze(): FrozenImage;
}

/** A piece of a store whose fate is open: the images are pairwise different, the last one is what a reader sees. */
export interface OpenUnit {
  /** The store's name. */
  readonly store: string;
  /** Bytes from the start of the store. */
  readonly offset: number;
  readonly images: readonly Uint8Array[];
  /** In program order, with the image that each write left; the first entry is what was there before, serial -1. */
  readonly history: UndecidedUnit['history'];
}

export interface PowerDomain {
  readonly stores: readonly PowerStore[];
  /** In a fixed order: by store, then by offset. */
  undecided(): readonly OpenUnit[];
  /** The power fails, and each unit is left with the image of that number. @throws KernelError EINVAL */
  applyOutcome(choices: readonly number[]): void;
}

/** @param slots the non-volatile media of the machine; each is named by its kind and address, as `nvdimm@0x100000000` */
export function machineDomain(machine: Pick<Machine, 'undecided' | 'applyOutcome'>, slots: readonly MediumSlot[]): PowerDomain {
  const placed = slots.map(({ start, medium }) => ({ start, end: start + medium.sizeBytes, name: mediumName({ start, medium }), medium }));
  const unitAt = ({ addr, images, history }: UndecidedUnit): OpenUnit => {
    const at = placed.find(({ start, end }) => start <= addr && addr < end);
    if (!at) throw new KernelError('ENODEV', `power: nothing that is known keeps the bytes at 0x${addr.toString(16)}`);
    return { store: at.name, offset: addr - at.start, images, history };
  };
  return {
    stores: placed.map(({ name, medium }) => ({ name, sizeBytes: medium.sizeBytes, freeze: () => medium.freeze() })),
    undecided: () => machine.undecided().map(unitAt),
    applyOutcome: (choices): void => void (machine.applyOutcome(choices) satisfies PowercutReport),
  };
}

export function mediumName({ start, medium }: Pick<MediumSlot, 'start' | 'medium'>): string {
  return `${medium.kind}@0x${start.toString(16)}`;
}

/** What a domain asks of a drive. */
export interface CutDrive {
  readonly sizeBytes: number;
  undecided(): readonly Omit<OpenUnit, 'store'>[];
  applyOutcome(choices: readonly number[]): number;
  freeze(): FrozenImage;
}

export function driveDomain(drive: CutDrive, name: string): PowerDomain {
  return {
    stores: [{ name, sizeBytes: drive.sizeBytes, freeze: () => drive.freeze() }],
    undecided: () => drive.undecided().map((atom) => ({ store: name, ...atom })),
    applyOutcome: (choices) => void drive.applyOutcome(choices),
  };
}
