import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { deviation, formatTable, microbenchmarks } from '../bench/published.js';
import * as machinePackage from './index.js';
import { type Medium, type MemoryType, createMachine, createNvdimm, createNvdimmN } from './index.js';

describe('the published microbenchmarks, in virtual time', () => {
  const rows = microbenchmarks(machinePackage);

  it('are met within 10 %', () => {
    process.stdout.write(`${formatTable(rows)}\n`);
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter((row) => !(Math.abs(deviation(row)) <= 0.1))).toEqual([]);
  });

  /** Each of the figures that FAST 2020 [F20] and arXiv 1903.05714 [I19] give, as they are printed there. */
  it.each([
    ['DRAM idle load, sequential', 81],
    ['DRAM idle load, random', 101],
    ['DRAM store + clwb + sfence', 57],
    ['DRAM nt store + sfence', 86],
    ['Optane idle load, sequential', 169],
    ['Optane idle load, random', 305],
    ['Optane store + clwb + sfence', 62],
    ['Optane nt store + sfence', 90],
    ['Optane read, random, 256 B', 6.6],
    ['Optane nt write, sequential, 64 B', 2.3],
    ['Optane nt write, sequential, 4096 B', 2.3],
    ['Optane nt write, random, 256 B', 2.3],
    ['Optane write, sequential by random, 64 B', 4],
    ['Optane read by nt write, 4 KiB', 2.9],
    ['DRAM read by nt write, 4 KiB', 1.3],
    ['Optane x6 read, 4 KiB', 39.4],
    ['Optane x6 nt write, 4 KiB', 13.9],
    ['DRAM read, 4 KiB, six channels', 100],
    ['DRAM nt write, 4 KiB, six channels', 80],
    ['Optane nt write, sequential, 64 B', 0.98],
    ['Optane nt write, random, 64 B', 0.25],
  ])('have %s: %d', (name, published) => {
    const found = rows.filter((row) => row.name === name && row.published === published);
    expect(found).toHaveLength(1);
    expect(Math.abs(found[0]!.measured / published - 1)).toBeLessThanOrEqual(0.1);
  });

  it('come out the same each time', () => {
    expect(microbenchmarks(machinePackage)).toEqual(rows);
  });
});

describe('what a memory type costs on Optane [model]', () => {
  const cost = (type: MemoryType, access: 'read' | 'write' | 'writeFlushCache', times = 1, medium: Medium = createNvdimm({ sizeBytes: 2 ** 20 })): number => {
    const { cpu, clock } = createMachine({ media: [{ start: 0, medium }] });
    const m = cpu.map(physAddr(0), 2 ** 20, type);
    const page = new Uint8Array(4096);
    let last = 0;
    for (let i = 0; i < times; i++) {
      const before = clock.now;
      m[access](0, page, 0, 4096);
      last = clock.now - before;
    }
    return last;
  };

  it('reads 4 KiB uncached in 512 waits for memory', () => {
    for (const type of ['UC', 'UC-', 'WC'] as const) expect(cost(type, 'read')).toBe(512 * 305);
    expect(cost('UC', 'read') / cost('WB', 'read')).toBeGreaterThan(100);
    expect(cost('UC', 'read', 2)).toBe(512 * 305); // never from a cache
  });

  it('reads through WT as through WB, the second time from the cache', () => {
    expect(cost('WT', 'read')).toBe(cost('WB', 'read'));
    expect(cost('WT', 'read', 2)).toBeLessThan(100);
  });

  it('stores through WT at the speed of the media, through UC at an eighth of it, through WB into the cache', () => {
    const media = 4096 / 2.3;
    expect(cost('WT', 'write', 3)).toBeLessThan(cost('UC', 'write', 3) / 4);
    // As non-temporal stores, which is what a store through WT is to the memory.
    expect(cost('WT', 'write', 3) / cost('WB', 'writeFlushCache', 3)).toBeCloseTo(1, 1);
    expect(cost('UC', 'write')).toBeCloseTo(8 * media);
    expect(cost('WB', 'write')).toBeCloseTo(64);
  });

  it('is as for DRAM on an NVDIMM-N', () => {
    expect(cost('UC', 'read', 1, createNvdimmN({ sizeBytes: 2 ** 20 }))).toBe(512 * 101);
  });
});
