import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { type Cpu, type Machine, type Mapping, type MemoryType, type PersistenceDomain, createMachine, createNvdimm } from './index.js';

const SIZE = 4096;
/** Two variables, on different lines unless a vector says otherwise. */
const X = 0;
const Y = 256;

interface Bench {
  readonly machine: Machine;
  readonly cpu: Cpu;
  readonly m: Mapping;
  /** Store a byte. */
  st(at: number, value: number): void;
  /** Store an 8-byte word, non-temporally. */
  nt(at: number, value: number): void;
}

function bench(options: { type?: MemoryType; persistence?: PersistenceDomain; nrCpus?: number } = {}): Bench {
  const { type = 'WB', ...spec } = options;
  const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }], undecidedBytes: Infinity, ...spec });
  const m = machine.cpu.map(physAddr(0), SIZE, type);
  return {
    machine,
    cpu: machine.cpu,
    m,
    st: (at, value) => m.write(at, Uint8Array.of(value), 0, 1),
    nt: (at, value) => m.writeFlushCache(at, Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0), 0, 8),
  };
}

/** Every image that a power cut after `program` can leave, as the values at the given places, sorted. */
function legalStates(options: Parameters<typeof bench>[0], program: (b: Bench) => void, places: readonly number[]): string[] {
  const run = (): Bench => {
    const b = bench(options);
    program(b);
    return b;
  };
  const units = run().machine.undecided();
  const states = new Set<string>();
  const walk = (choices: number[]): void => {
    if (choices.length < units.length) {
      units[choices.length]!.images.forEach((_, i) => walk([...choices, i]));
      return;
    }
    const { machine } = run();
    machine.applyOutcome(choices);
    states.add(places.map((at) => peek(machine, at)).join(''));
  };
  walk([]);
  expect(run().machine.countOutcomes()).toBe(BigInt(units.reduce((n, { images }) => n * images.length, 1)));
  return [...states].sort();
}

function peek(machine: Machine, at: number): number {
  const byte = new Uint8Array(1);
  machine.memory.read(physAddr(at), byte);
  return byte[0]!;
}

describe('the states a power cut may leave, cached (WB) mapping under ADR', () => {
  const B = 8; // on X's line
  it.each<{ name: string; program: (b: Bench) => void; places?: number[]; want: string[] }>([
    { name: 'x=1; y=1', program: (b) => (b.st(X, 1), b.st(Y, 1)), want: ['00', '01', '10', '11'] },
    { name: 'x=1; clwb x; y=1', program: (b) => (b.st(X, 1), b.m.clwb(X, 1), b.st(Y, 1)), want: ['00', '01', '10', '11'] },
    { name: 'x=1; clwb x; sfence; y=1', program: (b) => (b.st(X, 1), b.m.clwb(X, 1), b.cpu.sfence(), b.st(Y, 1)), want: ['10', '11'] },
    { name: 'x=1; clflush x; y=1', program: (b) => (b.st(X, 1), b.m.clflush(X, 1), b.st(Y, 1)), want: ['10', '11'] },
    { name: 'x=1; clflushopt x; crash before the sfence', program: (b) => (b.st(X, 1), b.m.clflushopt(X, 1)), want: ['00', '10'] },
    { name: 'a=1; b=1 on one line', program: (b) => (b.st(X, 1), b.st(B, 1)), places: [X, B], want: ['00', '10', '11'] },
    { name: 'a=1; b=1; a=2 on one line', program: (b) => (b.st(X, 1), b.st(B, 1), b.st(X, 2)), places: [X, B], want: ['00', '10', '11', '21'] },
    { name: 'nt x=1; nt y=1', program: (b) => (b.nt(X, 1), b.nt(Y, 1)), want: ['00', '01', '10', '11'] },
    { name: 'nt x=1; nt b=1 on one line', program: (b) => (b.nt(X, 1), b.nt(B, 1)), places: [X, B], want: ['00', '01', '10', '11'] },
    { name: 'nt x=1; sfence; nt y=1', program: (b) => (b.nt(X, 1), b.cpu.sfence(), b.nt(Y, 1)), want: ['10', '11'] },
    {
      name: 'one store of 16 bytes on one line',
      program: (b) => b.m.write(X, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0), 0, 16),
      places: [X, B],
      want: ['00', '10', '11'],
    },
    { name: 'x=1; clwb x; locked exchange of y', program: (b) => (b.st(X, 1), b.m.clwb(X, 1), b.m.xchg(Y, Uint8Array.of(1))), want: ['10', '11'] },
    { name: 'an aligned store of 8 bytes is not torn', program: (b) => b.m.write(X, new Uint8Array(8).fill(1), 0, 8), places: [0, 3, 7], want: ['000', '111'] },
    { name: 'a store of what was there leaves no choice', program: (b) => b.st(X, 0), want: ['00'] },
    { name: 'x=1; clwb x; x=2; sfence', program: (b) => (b.st(X, 1), b.m.clwb(X, 1), b.st(X, 2), b.cpu.sfence()), want: ['10', '20'] },
    { name: 'nt x=1; b=1 on one line drains x', program: (b) => (b.nt(X, 1), b.st(B, 1)), places: [X, B], want: ['10', '11'] },
    { name: 'b=1; nt x=1 on one line writes b back', program: (b) => (b.st(B, 1), b.nt(X, 1)), places: [X, B], want: ['01', '11'] },
    { name: 'b=1; nt x=1; sfence on one line', program: (b) => (b.st(B, 1), b.nt(X, 1), b.cpu.sfence()), places: [X, B], want: ['11'] },
    { name: 'nt x=1; x=2; clflush x', program: (b) => (b.nt(X, 1), b.st(X, 2), b.m.clflush(X, 1)), want: ['20'] },
    {
      name: 'a flush of half of a store: the rest stays open',
      program: (b) => (b.m.write(0, new Uint8Array(192).fill(1), 0, 192), b.m.clwb(64, 64), b.cpu.sfence()),
      places: [0, 56, 64, 120, 128, 184],
      want: ['001100', '001110', '001111', '101100', '101110', '101111', '111100', '111110', '111111'],
    },
  ])('$name', ({ program, places = [X, Y], want }) => {
    expect(legalStates({}, program, places)).toEqual(want);
  });

  it('x=1 and clwb x by one CPU; the fence of another does not complete them', () => {
    const program = ({ machine, m, st }: Bench): void => {
      st(X, 1);
      m.clwb(X, 1);
      const other = machine.cpus[1]!;
      const m1 = other.map(physAddr(0), SIZE, 'WB');
      other.sfence();
      m1.write(Y, Uint8Array.of(1), 0, 1);
    };
    expect(legalStates({ nrCpus: 2 }, program, [X, Y])).toEqual(['00', '01', '10', '11']);
  });

  it('a word stored non-temporally by two CPUs is durable once the later one has fenced', () => {
    const program = ({ machine, nt }: Bench): void => {
      nt(X, 1);
      const other = machine.cpus[1]!;
      other.map(physAddr(0), SIZE, 'WB').writeFlushCache(X, Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0), 0, 8);
      other.sfence();
    };
    expect(legalStates({ nrCpus: 2 }, program, [X])).toEqual(['2']);
  });
});

describe('the states a power cut may leave, by memory type and domain', () => {
  const both = (b: Bench): void => (b.st(X, 1), b.st(Y, 1));
  it.each<{ type: MemoryType; persistence: PersistenceDomain; want: string[] }>([
    { type: 'UC', persistence: 'memory_controller', want: ['11'] },
    { type: 'UC-', persistence: 'memory_controller', want: ['11'] },
    { type: 'WT', persistence: 'memory_controller', want: ['11'] },
    { type: 'WC', persistence: 'memory_controller', want: ['00', '01', '10', '11'] },
    { type: 'WB', persistence: 'cpu_cache', want: ['11'] },
    { type: 'WC', persistence: 'cpu_cache', want: ['00', '01', '10', '11'] },
    { type: 'UC', persistence: 'none', want: ['00', '01', '10', '11'] },
  ])('x=1; y=1 through $type under $persistence', ({ type, persistence, want }) => {
    expect(legalStates({ type, persistence }, both, [X, Y])).toEqual(want);
  });

  it('WC stores are durable after a fence, and a load drains the line that it reads', () => {
    expect(legalStates({ type: 'WC' }, (b) => (both(b), b.cpu.sfence()), [X, Y])).toEqual(['11']);
    expect(legalStates({ type: 'WC' }, (b) => (both(b), b.m.read(Y, new Uint8Array(1), 0, 1)), [X, Y])).toEqual(['01', '11']);
  });

  it('a cached store over an open non-temporal one is durable under eADR', () => {
    expect(legalStates({ persistence: 'cpu_cache' }, (b) => (b.nt(X, 1), b.st(X, 2)), [X])).toEqual(['2']);
  });

  it('without power-fail protection a fence completes nothing', () => {
    expect(legalStates({ persistence: 'none' }, (b) => (b.nt(X, 1), b.cpu.sfence()), [X])).toEqual(['0', '1']);
  });

  it('a UC store drains the write-combining buffers', () => {
    const program = ({ machine, m, cpu }: Bench): void => {
      cpu.unmap(m);
      cpu.map(physAddr(0), 64, 'WC').write(0, Uint8Array.of(1), 0, 1);
      cpu.map(physAddr(64), 64, 'UC').write(0, Uint8Array.of(1), 0, 1);
      expect(machine.undecided()).toEqual([]);
    };
    expect(legalStates({}, program, [0, 64])).toEqual(['11']);
  });
});

describe('memcpy_flushcache', () => {
  it.each([
    [3, 1], [1, 7], [7, 2], [5, 64], [0, 4096], [61, 131], [8, 4], [8, 5], [4, 4], [0, 3],
  ])('from offset %i, %i bytes: nothing open after the fence', (offset, length) => {
    const { machine, m, cpu } = bench();
    m.writeFlushCache(offset, new Uint8Array(length).fill(7), 0, length);
    expect(machine.undecided().length).toBeGreaterThan(0);
    cpu.sfence();
    expect(machine.undecided()).toEqual([]);
  });
});
