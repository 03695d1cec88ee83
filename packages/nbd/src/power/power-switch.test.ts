import fc from 'fast-check';
import { physAddr } from '@holdfast/lib';
import { createMachine, createNvdimm } from '@holdfast/machine';
import { createDrive } from '@holdfast/sd';
import { describe, expect, test } from 'vitest';
import type { Cut } from './cut.js';
import { KEEP_RULES } from './keep-rule.js';
import { type PowerDomain, driveDomain, machineDomain } from './power-domain.js';
import { type PowerSwitch, createPowerSwitch } from './power-switch.js';

const MIB = 2 ** 20;
const START = physAddr(2 ** 32);
const SECTORS = 6;

/** A machine with an NVDIMM that is mapped write-combining, and a drive with a cache; both are written in sectors. */
function desk(onForget: (nr: number) => void = () => {}): { power: PowerSwitch; write(store: 'pmem' | 'sda', sector: number, fill: number): void; flush(): void; content(): string; log: string[] } {
  const medium = createNvdimm({ sizeBytes: 2 * MIB });
  const machine = createMachine({ media: [{ start: START, medium }], undecidedBytes: Infinity });
  const drive = createDrive({ sizeBytes: MIB });
  const domains: PowerDomain[] = [machineDomain(machine, [{ start: START, medium }]), driveDomain(drive, 'sda')];
  const log: string[] = [];
  let on = true;
  let pmem = machine.cpu.map(START, 2 * MIB, 'WB');
  const power = createPowerSwitch({
    machine: {
      get poweredOn() {
        return on;
      },
      domains,
      ranges: () => new Map([['pmem0', [{ store: `nvdimm@0x${START.toString(16)}`, start: 0, end: 2 * MIB }]], ['sda', [{ store: 'sda', start: 0, end: MIB }]]]),
      pullPlug(nr, cut) {
        log.push(`plug ${nr}`);
        cut();
        on = false;
      },
      powerOn() {
        pmem = machine.cpu.map(START, 2 * MIB, 'WB');
        on = true;
      },
      forget: onForget,
    },
    clients: { lose: (how) => log.push(`lose ${how}`), regain: () => log.push('regain') },
    maxCuts: 2,
    now: () => 0,
  });
  return {
    power,
    log,
    write(store, sector, fill) {
      const bytes = new Uint8Array(512).fill(fill);
      if (store === 'pmem') pmem.writeFlushCache(sector * 512, bytes, 0, 8); // one word of it
      else drive.write(sector * 512, bytes, 0, 512, false);
    },
    flush() {
      machine.cpu.sfence();
      drive.flush();
    },
    content() {
      const bytes = new Uint8Array(SECTORS * 512);
      const seen: number[] = [];
      machine.memory.read(START, bytes);
      for (let i = 0; i < SECTORS; i++) seen.push(bytes[i * 512]!);
      drive.read(0, bytes, 0, bytes.length);
      for (let i = 0; i < SECTORS; i++) seen.push(bytes[i * 512]!);
      return seen.join('');
    },
  };
}

type Step = 'flush' | { store: 'pmem' | 'sda'; sector: number; fill: number };
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ store: fc.constantFrom('pmem' as const, 'sda' as const), sector: fc.nat(SECTORS - 1), fill: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.constant('flush' as const) },
);
const anySteps = fc.array(anyStep, { minLength: 1, maxLength: 12 });
const anyRule = fc.constantFrom(...KEEP_RULES);

function carryOut(desk1: ReturnType<typeof desk>, steps: readonly Step[]): void {
  for (const step of steps) {
    if (step === 'flush') desk1.flush();
    else desk1.write(step.store, step.sector, step.fill);
  }
}

/** Every content that a cut may leave, by hand: each sector what it was at the flush, or any write since. */
function admissible(steps: readonly Step[]): number[][] {
  const values = Array.from({ length: 2 * SECTORS }, () => [0]);
  for (const step of steps) {
    if (step === 'flush') values.forEach((all, i) => (values[i] = [all.at(-1)!]));
    else values[step.sector + (step.store === 'sda' ? SECTORS : 0)]!.push(step.fill);
  }
  return values.map((all) => [...new Set(all)]);
}

function contentOf(cut: Cut, choices: readonly number[]): string {
  const images = cut.images(choices);
  return [...images.values()].map((image) => {
    const bytes = new Uint8Array(SECTORS * 512);
    image.read(0, bytes, 0, bytes.length);
    return Array.from({ length: SECTORS }, (_, i) => bytes[i * 512]).join('');
  }).join('');
}

describe('the power switch', () => {
  test('leaves one of the admissible contents, and knows every other one by its number', () => {
    fc.assert(
      fc.property(anySteps, anyRule, fc.nat(), (steps, keep, seed) => {
        const it = desk();
        carryOut(it, steps);
        const { cut } = it.power.cut({ keep, seed });
        const wanted = admissible(steps);
        it.power.restore();
        [...it.content()].forEach((value, i) => expect(wanted[i]).toContain(Number(value)));
        expect(contentOf(cut, cut.choices)).toBe(it.content());
        for (const [name, from] of [['pmem0', 0], ['sda', SECTORS]] as const) {
          const space = cut.states(name)!;
          const mine = wanted.slice(from, from + SECTORS);
          expect(space.count).toBe(mine.reduce((product, all) => product * BigInt(all.length), 1n));
          if (space.count > 200n) continue;
          const contents = Array.from({ length: Number(space.count) }, (_, i) => contentOf(cut, space.choices(BigInt(i), cut.choices)).slice(from, from + SECTORS));
          expect(new Set(contents).size).toBe(contents.length);
          for (const content of contents) [...content].forEach((value, i) => expect(mine[i]).toContain(Number(value)));
        }
      }),
      { numRuns: 30 },
    );
  });

  test('the same writes, rule and seed give the same cut', () => {
    fc.assert(
      fc.property(anySteps, anyRule, fc.nat(), (steps, keep, seed) => {
        const [a, b] = [desk(), desk()];
        const [first, second] = [a, b].map((it) => {
          carryOut(it, steps);
          return it.power.cut({ keep, seed }).cut;
        });
        expect(second!.digest).toBe(first!.digest);
        expect(contentOf(second!, second!.choices)).toBe(contentOf(first!, first!.choices));
      }),
      { numRuns: 20 },
    );
  });

  test('what a cut left stays to be looked at while the machine goes on, until newer cuts push it out', () => {
    const forgotten: number[] = [];
    const it = desk((nr) => forgotten.push(nr));
    it.write('sda', 0, 1);
    const { cut } = it.power.cut({ keep: 'none' });
    it.power.restore();
    it.write('sda', 0, 7);
    it.flush();
    expect(cut.states('sda')!.count).toBe(2n);
    expect([0n, 1n].map((i) => contentOf(cut, cut.states('sda')!.choices(i, cut.choices))[SECTORS])).toEqual(['0', '1']);
    for (let i = 0; i < 2; i++) {
      it.power.cut({});
      it.power.restore();
    }
    expect([forgotten, it.power.cuts.map(({ nr }) => nr)]).toEqual([[1], [2, 3]]);
  });

  test('tells the clients first, and says no to a second cut and a second return', () => {
    const it = desk();
    expect(() => it.power.restore()).toThrow('has power already');
    it.power.cut({ onCut: 'drop' });
    expect(() => it.power.cut({})).toThrow('has no power');
    it.power.restore();
    expect(it.log).toEqual(['lose drop', 'plug 1', 'regain']);
  });

  test('without a seed each cut has the next one', () => {
    const it = desk();
    const seeds = [undefined, 40, undefined].map((seed) => {
      const { cut } = it.power.cut(seed === undefined ? {} : { seed });
      it.power.restore();
      return cut.seed;
    });
    expect(seeds).toEqual([0, 40, 1]);
  });
});
