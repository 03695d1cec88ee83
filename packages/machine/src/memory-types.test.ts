/** What each memory type loses: every program of one store to each of two lines, under every type and every persistence domain. */
import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { type Cpu, type Machine, type Mapping, type MemoryType, type PersistenceDomain, createMachine, createNvdimm } from './index.js';

const SIZE = 4096;
const [X, Y] = [0, 256];
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

type Program = (m: Mapping, cpu: Cpu) => void;

/** Stores to X and to Y, and the ways to make them durable. */
const PROGRAMS = {
  'store': (m) => [X, Y].forEach((at) => m.write(at, ONE, 0, 8)),
  'store; sfence': (m, cpu) => ([X, Y].forEach((at) => m.write(at, ONE, 0, 8)), cpu.sfence()),
  'nt store': (m) => [X, Y].forEach((at) => m.writeFlushCache(at, ONE, 0, 8)),
  'nt store; sfence': (m, cpu) => ([X, Y].forEach((at) => m.writeFlushCache(at, ONE, 0, 8)), cpu.sfence()),
  'store; clwb': (m) => [X, Y].forEach((at) => (m.write(at, ONE, 0, 8), m.clwb(at, 8))),
  'store; clwb; sfence': (m, cpu) => ([X, Y].forEach((at) => (m.write(at, ONE, 0, 8), m.clwb(at, 8))), cpu.sfence()),
  'store; clflush': (m) => [X, Y].forEach((at) => (m.write(at, ONE, 0, 8), m.clflush(at, 8))),
} satisfies Record<string, Program>;
type Name = keyof typeof PROGRAMS;
const NAMES = Object.keys(PROGRAMS) as Name[];

/** Every value of (X, Y) that a power cut may leave. */
function outcomes(type: MemoryType, persistence: PersistenceDomain, program: Program): string {
  const run = (): Machine => {
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }], undecidedBytes: Infinity, persistence });
    program(machine.cpu.map(physAddr(0), SIZE, type), machine.cpu);
    return machine;
  };
  let choices: number[][] = [[]];
  for (const { images } of run().undecided()) choices = choices.flatMap((before) => images.map((_, i) => [...before, i]));
  const states = choices.map((choice) => {
    const { memory, applyOutcome } = run();
    applyOutcome(choice);
    const [x, y] = [new Uint8Array(1), new Uint8Array(1)];
    memory.read(physAddr(X), x);
    memory.read(physAddr(Y), y);
    return `${x[0]}${y[0]}`;
  });
  return states.sort().join(' ');
}

const ALL = '00 01 10 11';
const KEPT = '11';

/** By type, for each of {@link NAMES} in order: may it lose stores? Columns: store, +sfence, nt, +sfence, clwb, +sfence, clflush. */
const LOSES: Record<Exclude<PersistenceDomain, 'none'>, Record<MemoryType, string>> = {
  memory_controller: {
    'UC': '.......',
    'UC-': '.......',
    'WC': 'x.x.x..', // clflush drains the line's combining stores
    'WT': '..x....', // a non-temporal store goes around the cache, and so past what makes WT safe
    'WB': 'xxx.x..',
  },
  cpu_cache: {
    'UC': '.......',
    'UC-': '.......',
    'WC': 'x.x.x..',
    'WT': '..x....',
    'WB': '..x....',
  },
};

describe.each(Object.entries(LOSES) as [PersistenceDomain, Record<MemoryType, string>][])('under %s', (persistence, table) => {
  it.each(Object.entries(table) as [MemoryType, string][])('%s loses what its row says, and nothing else', (type, row) => {
    const lost = NAMES.map((name) => [name, outcomes(type, persistence, PROGRAMS[name])]);
    expect(lost).toEqual(NAMES.map((name, i) => [name, row[i] === 'x' ? ALL : KEPT]));
  });
});

describe('without power-fail protection', () => {
  it.each<MemoryType>(['UC', 'UC-', 'WC', 'WT', 'WB'])('%s may lose whatever it did', (type) => {
    for (const name of NAMES) expect([name, outcomes(type, 'none', PROGRAMS[name])]).toEqual([name, ALL]);
  });
});
