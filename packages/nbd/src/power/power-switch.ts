/**
 * The power switch: takes the power from a machine while clients use its disks, and gives it back.
 *
 * Invariant: clients are told before anything else is done. From that moment no request of theirs reaches a disk.
 */
import { KernelError } from '@holdfast/lib';
import { type Cut, cutPower } from './cut.js';
import type { KeepRule } from './keep-rule.js';
import type { PowerDomain } from './power-domain.js';
import type { StoreRange } from './state-space.js';

/** What becomes of clients: their requests fail, with ESHUTDOWN, until the power is back; or they lose the connection. */
export const ON_CUT = ['fail', 'drop'] as const;
export type OnCut = (typeof ON_CUT)[number];

/** The machine, for its switch. */
export interface SwitchedMachine {
  readonly poweredOn: boolean;
  readonly domains: readonly PowerDomain[];
  /** Where each export lies now. */
  ranges(): ReadonlyMap<string, readonly StoreRange[]>;
  /** Its kernel is gone. `cut` takes the power from its hardware. */
  pullPlug(nr: number, cut: () => void): void;
  /** @throws KernelError EIO if the kernel does not come up */
  powerOn(): void;
  /** Nobody will ask for outcomes of that cut any more. */
  forget(nr: number): void;
}

/** Those who use the machine's exports. */
export interface SwitchedClients {
  lose(how: OnCut): void;
  regain(): void;
}

export interface PowerSwitchNeeds {
  readonly machine: SwitchedMachine;
  readonly clients: SwitchedClients;
  /** How many cuts are remembered with all their outcomes. */
  readonly maxCuts?: number;
  readonly onCut?: OnCut;
  /** Of the first cut that names no seed; each later one has the next number. */
  readonly seed?: number;
  /** Told of each cut and each return of the power. */
  readonly record?: { cut(cut: Cut): void; restore(): void };
  /** Microseconds of the host, for the report. */
  readonly now: () => number;
}

export interface CutOptions {
  readonly keep?: KeepRule;
  readonly seed?: number;
  readonly onCut?: OnCut;
}

export interface PowerSwitch {
  readonly poweredOn: boolean;
  /** Oldest first. */
  readonly cuts: readonly Cut[];
  /** `effectMicros` passed until no request could reach a disk. @throws KernelError ENXIO without power */
  cut(options: CutOptions): { readonly cut: Cut; readonly effectMicros: number };
  /** @throws KernelError EBUSY with power, EIO if the kernel does not come up */
  restore(): void;
}

const DEFAULT_MAX_CUTS = 16;

export function createPowerSwitch(needs: PowerSwitchNeeds): PowerSwitch {
  const { machine, clients, maxCuts = DEFAULT_MAX_CUTS, record, now } = needs;
  const cuts: Cut[] = [];
  let nextNr = 1;
  let nextSeed = needs.seed ?? 0;

  const remember = (cut: Cut): void => {
    cuts.push(cut);
    if (cuts.length <= maxCuts) return;
    const forgotten = cuts.shift()!;
    forgotten.release();
    machine.forget(forgotten.nr);
  };

  return {
    get poweredOn() {
      return machine.poweredOn;
    },
    cuts,
    cut({ keep = 'random', seed, onCut = needs.onCut ?? 'fail' }) {
      if (!machine.poweredOn) throw new KernelError('ENXIO', 'the machine has no power: restore it first');
      const began = now();
      clients.lose(onCut);
      const effectMicros = now() - began;
      const ranges = machine.ranges();
      const nr = nextNr++;
      let cut: Cut | undefined;
      machine.pullPlug(nr, () => (cut = cutPower(machine.domains, { nr, keep, seed: seed ?? nextSeed++, ranges })));
      remember(cut!);
      record?.cut(cut!);
      return { cut: cut!, effectMicros };
    },
    restore() {
      if (machine.poweredOn) throw new KernelError('EBUSY', 'the machine has power already');
      machine.powerOn();
      record?.restore();
      clients.regain();
    },
  };
}
