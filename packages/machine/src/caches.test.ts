import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { type Step, runBoth, steps } from '../test/programs.js';
import { type Machine, type Mapping, type MemoryType, type PersistenceDomain, createMachine, createNvdimm } from './index.js';

function contents(machine: Machine, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  machine.memory.read(physAddr(0), bytes);
  return bytes;
}

const ALL = ['write', 'write', 'stream', 'stream', 'clwb', 'clwb', 'clflush', 'sfence', 'remap', 'xchg'] as const;
const SMALL = 512;
const FRAMES = 3 * 4096;

describe('any program of stores, flushes and fences, of all memory types', () => {
  it.each<PersistenceDomain>(['memory_controller', 'cpu_cache'])('leaves open exactly what the model leaves open (%s)', (persistence) => {
    fc.assert(
      fc.property(fc.constantFrom(SMALL, FRAMES).chain((size) => fc.tuple(fc.constant(size), steps(size, 200, ALL))), ([size, program]) => {
        const { machine, model } = runBoth(program, size, persistence, Infinity);
        const open = machine.undecided().map(({ addr, images }) => ({ addr, images: images.map(String).sort() }));
        expect(open).toEqual(model.undecided());
      }),
      { numRuns: 200 },
    );
  });

  it('leaves a legal image after a power cut, however few open stores are remembered', () => {
    fc.assert(
      fc.property(steps(SMALL, 200, ALL), fc.constantFrom(64, 128, 512, Infinity), fc.nat(), (program, undecidedBytes, seed) => {
        const { machine, model } = runBoth(program, SMALL, 'memory_controller', undecidedBytes);
        machine.powercut(seed);
        expect(model.firstIllegal(contents(machine, SMALL))).toBeUndefined();
      }),
      { numRuns: 400 },
    );
  });

  it('leaves a legal image after long streams, of which only samples are open', () => {
    const size = 256 * 1024;
    const program = fc.array(
      fc.record({
        op: fc.constantFrom<Step['op']>('stream', 'stream', 'stream', 'write', 'clwb', 'sfence'),
        at: fc.nat(size / 4096 - 1).map((n) => n * 4096),
        length: fc.constantFrom(4096, 4096, 8192, 100_000, 128 * 1024),
        type: fc.constant<MemoryType>('WB'),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(program, fc.nat(), (list, seed) => {
        const { machine, model } = runBoth(list, size, 'memory_controller', 256 * 1024);
        machine.powercut(seed);
        expect(model.firstIllegal(contents(machine, size))).toBeUndefined();
      }),
      { numRuns: 10 },
    );
  });

  it('never brings back, after a fence, what a long stream wrote over', () => {
    const size = 512 * 1024;
    const at = (op: Step['op'], offset: number, length = 0): Step => ({ op, at: offset, length, type: 'WB' });
    for (let page = 0; page < 32; page += 5) {
      const before = [at('write', page * 4096, 4096), at('write', 300_000, 8), at('stream', 256 * 1024, 64 * 1024)];
      const { machine, model } = runBoth([...before, at('stream', 0, 128 * 1024), at('sfence', 0)], size, 'memory_controller', 256 * 1024);
      const open = machine.undecided().map(({ addr }) => addr);
      expect(open.filter((addr) => addr < 128 * 1024)).toEqual([]);
      machine.powercut(page);
      if (page === 0) expect(model.firstIllegal(contents(machine, size))).toBeUndefined();
    }
  });

  it('loses nothing by an orderly power-off', () => {
    fc.assert(
      fc.property(steps(SMALL, 200, ALL), (program) => {
        const { machine } = runBoth(program, SMALL, 'memory_controller', Infinity);
        const before = contents(machine, SMALL);
        machine.poweroff();
        expect(contents(machine, SMALL)).toEqual(before);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a power cut', () => {
  const SIZE = 4096;
  const cutAfter = (seed: number, program: (m: Mapping, machine: Machine) => void, type: MemoryType = 'WB'): Uint8Array => {
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }] });
    program(machine.cpu.map(physAddr(0), SIZE, type), machine);
    machine.powercut(seed);
    return contents(machine, SIZE);
  };
  const seeds = Array.from({ length: 40 }, (_, seed) => seed);
  const ones = new Uint8Array(SIZE).fill(1);

  it('of an open store keeps it under one seed, and loses it under another', () => {
    for (const store of ['write', 'writeFlushCache'] as const) {
      const bytes = seeds.map((seed) => cutAfter(seed, (m) => m[store](0, ones, 0, 8))[0]);
      expect(new Set(bytes)).toEqual(new Set([0, 1]));
    }
  });

  it('tears a block into a part that is new and a part that is old, or keeps it, or loses it', () => {
    const sums = seeds.map((seed) => cutAfter(seed, (m) => m.writeFlushCache(0, ones, 0, SIZE)).reduce((a, b) => a + b));
    expect(sums).toContain(0);
    expect(sums).toContain(SIZE);
    expect(sums.some((sum) => sum > 0 && sum < SIZE)).toBe(true);
  });

  it('is the same for the same seed', () => {
    const cut = (): Uint8Array => cutAfter(3, (m) => m.writeFlushCache(0, ones, 0, SIZE));
    expect(cut()).toEqual(cut());
  });

  it('never loses what was flushed and fenced, nor an uncached store that completed', () => {
    for (const seed of seeds.slice(0, 16)) {
      const ends = [
        cutAfter(seed, (m, { cpu }) => (m.write(0, ones, 0, SIZE), m.clwb(0, SIZE), cpu.sfence())),
        cutAfter(seed, (m, { cpu }) => (m.writeFlushCache(0, ones, 0, SIZE), cpu.sfence())),
        cutAfter(seed, (m) => (m.write(0, ones, 0, SIZE), m.clflush(0, SIZE))),
        cutAfter(seed, (m) => m.write(0, ones, 0, SIZE), 'UC'),
        cutAfter(seed, (m) => m.write(0, ones, 0, SIZE), 'WT'),
      ];
      expect(ends.every((bytes) => bytes.every((byte) => byte === 1))).toBe(true);
    }
  });

  it('reports how many units were open, and how many fell back', () => {
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }] });
    machine.cpu.map(physAddr(0), SIZE, 'WB').writeFlushCache(0, ones, 0, SIZE);
    expect(machine.undecided()).toHaveLength(SIZE / 8);
    expect(machine.countOutcomes()).toBe(2n ** 512n);
    const report = machine.powercut(5);
    expect(report.undecided).toBe(SIZE / 8);
    expect(contents(machine, SIZE).filter((byte) => byte === 0)).toHaveLength(report.lost * 8);
    expect(machine.undecided()).toEqual([]);
  });

  it('refuses an outcome that is none', () => {
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }] });
    machine.cpu.map(physAddr(0), SIZE, 'WB').write(0, ones, 0, 8);
    expect(() => machine.applyOutcome([])).toThrow('0 choices for 1 undecided units');
    expect(() => machine.applyOutcome([2])).toThrow('expected 0 to 1');
    expect(machine.applyOutcome([0])).toEqual({ undecided: 1, lost: 1 });
  });
});

describe('an armed power cut', () => {
  const SIZE = 4096;
  const boot = (type: MemoryType): { machine: Machine; m: Mapping } => {
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }], undecidedBytes: Infinity });
    return { machine, m: machine.cpu.map(physAddr(0), SIZE, type) };
  };

  it('stops a copy after each of its stores; uncached, the image is exactly that prefix', () => {
    const source = Uint8Array.from({ length: 61 }, (_, i) => i + 1);
    const pieces = [0, 5, 13, 21, 29, 37, 45, 53, 61]; // from offset 3 to the next word, then word by word
    pieces.forEach((stored, afterStores) => {
      const { machine, m } = boot('UC');
      machine.armPowercut({ afterStores });
      expect(() => m.write(3, source, 0, source.length)).toThrow('power failure');
      machine.powercut(1);
      expect(contents(machine, 64).subarray(3)).toEqual(source.map((byte, i) => (i < stored ? byte : 0)));
    });
  });

  it('comes between a store and its fence, or right after the fence', () => {
    const program = ({ machine, m }: ReturnType<typeof boot>): void => {
      m.writeFlushCache(0, new Uint8Array(8).fill(1), 0, 8);
      machine.cpu.sfence();
      m.writeFlushCache(8, new Uint8Array(8).fill(1), 0, 8);
    };
    const before = boot('WB');
    before.machine.armPowercut({ afterStores: 1 });
    expect(() => program(before)).toThrow('power failure');
    expect(before.machine.countOutcomes()).toBe(2n);
    const after = boot('WB');
    after.machine.armPowercut({ afterFences: 1 });
    expect(() => program(after)).toThrow('power failure');
    expect(after.machine.countOutcomes()).toBe(1n);
    expect(contents(after.machine, 16)).toEqual(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0));
  });

  it('lets nothing more through until the outcome is chosen, and is gone after that', () => {
    const { machine, m } = boot('WB');
    machine.armPowercut({ afterStores: 0 });
    const one = Uint8Array.of(1);
    for (let i = 0; i < 2; i++) expect(() => m.write(0, one, 0, 1)).toThrow('power failure');
    expect(() => machine.cpu.sfence()).toThrow('power failure');
    expect(() => m.clflush(0, 1)).toThrow('power failure');
    expect(() => machine.memory.write(physAddr(0), one)).toThrow('power failure');
    machine.powercut(0);
    const again = machine.cpu.map(physAddr(0), SIZE, 'UC');
    again.write(0, one, 0, 1);
    expect(contents(machine, 1)).toEqual(one);
  });
});
