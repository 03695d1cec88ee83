/** A hosted file: what the guest stores there is safe when the host has synced it, and not before. */
import { describe, expect, it } from 'vitest';
import { createHostedFile, createMachine, createNvdimm } from './index.js';

const START = 2 ** 32;
const byte = (value: number): Uint8Array => Uint8Array.of(value);

function hosted(persistence: 'memory_controller' | 'cpu_cache' | 'none' = 'memory_controller') {
  const medium = createHostedFile({ sizeBytes: 2 ** 21 });
  const machine = createMachine({ media: [{ start: START, medium }, { start: 2 * START, medium: createNvdimm({ sizeBytes: 2 ** 21 }) }], persistence });
  return { medium, machine, map: (start: number) => machine.cpu.map(start as never, 4096, 'WB') };
}

describe.each(['memory_controller', 'cpu_cache', 'none'] as const)('a hosted file with persistence %s', (persistence) => {
  it('keeps stores open over every flush and fence of the guest', () => {
    const { machine, map } = hosted(persistence);
    const mapping = map(START);
    mapping.writeFlushCache(0, byte(1), 0, 1);
    mapping.write(64, byte(2), 0, 1);
    mapping.clwb(0, 128);
    mapping.clflush(0, 128);
    machine.cpu.sfence();
    expect(machine.undecided().map(({ addr }) => addr - START)).toEqual([0, 64]);
  });

  it('has what the host has synced, and only that, for certain', () => {
    const { machine, medium, map } = hosted(persistence);
    const mapping = map(START);
    mapping.writeFlushCache(0, byte(1), 0, 1);
    machine.syncMedium(medium);
    expect(machine.undecided()).toEqual([]);
    mapping.writeFlushCache(0, byte(9), 0, 1);
    machine.applyOutcome([0]);
    const after = new Uint8Array(1);
    map(START).read(0, after, 0, 1);
    expect(after[0]).toBe(1);
  });
});

it('leaves flushes of an NVDIMM beside it as they are', () => {
  const { machine, map } = hosted();
  map(START).writeFlushCache(0, byte(1), 0, 1);
  const nvdimm = map(2 * START);
  nvdimm.writeFlushCache(0, byte(1), 0, 1);
  nvdimm.write(64, byte(1), 0, 1);
  nvdimm.clwb(64, 1);
  machine.cpu.sfence();
  expect(machine.undecided().map(({ addr }) => addr)).toEqual([START]);
});
