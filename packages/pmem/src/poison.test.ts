import fc from 'fast-check';
import { MIB } from '@holdfast/lib';
import { diskAttributeGroups, openBlockDevice } from '@holdfast/block';
import { createNvdimm, createNvdimmRootMethods } from '@holdfast/machine';
import { notifyPoison } from '@holdfast/nvdimm';
import { describe, expect, it } from 'vitest';
import { PMEM_START, createKernel, diskOf, errnoOf, machineWith, type TestKernel } from '../test/kernel.js';
import { createNdPmemDriver } from './nd-pmem.js';

/** A disk on a bus whose firmware clears errors in units of `clearErrUnit` bytes; 0 for a bus without firmware. */
function load({ clearErrUnit = 256 } = {}): TestKernel {
  const machine = machineWith(createNvdimm({ sizeBytes: 16 * MIB }));
  const kernel = createKernel({ machine, ...(clearErrUnit > 0 ? { methods: createNvdimmRootMethods(machine, { clearErrUnit }) } : {}) });
  kernel.nvdimms.registerDriver(createNdPmemDriver(kernel.needs));
  kernel.addRegion(PMEM_START, 16 * MIB);
  return kernel;
}

/** Lose bytes of the device, and let the bus know. */
function lose({ machine, bus }: TestKernel, start: number, sizeBytes: number): void {
  machine.poison.inject(PMEM_START + start, sizeBytes);
  bus.badrange.add(PMEM_START + start, sizeBytes);
  notifyPoison(bus.regions[0]!);
}

function shown(kernel: TestKernel): string {
  const attributes = diskAttributeGroups(diskOf(kernel)).flatMap((group) => group.attributes);
  return attributes.find(({ name }) => name === 'badblocks')!.show!();
}

const regionBadblocks = ({ bus }: TestKernel): string => bus.regions[0]!.attributes().find(({ name }) => name === 'badblocks')!.show!();

describe('poison under a disk', () => {
  it('shows as bad sectors, partial ones in full, and goes with a write from all lists and from the medium', () => {
    const kernel = load();
    lose(kernel, 1000, 100);
    lose(kernel, 8192, 4096);
    expect([shown(kernel), regionBadblocks(kernel)]).toEqual(['1 2\n16 8\n', '1 2\n16 8\n']);
    const file = openBlockDevice(diskOf(kernel).part0, { direct: true });
    expect(errnoOf(() => file.pread(new Uint8Array(4096), 8192))).toBe('EIO');
    expect(file.pwrite(new Uint8Array(4096).fill(1), 8192)).toBe(4096);
    expect(file.pread(new Uint8Array(4096), 8192)).toBe(4096);
    expect([shown(kernel), regionBadblocks(kernel)]).toEqual(['1 2\n', '1 2\n']);
    expect(kernel.machine.poison.within(PMEM_START, 16 * MIB)).toHaveLength(1);
    expect(kernel.bus.badrange.ranges).toEqual([{ start: PMEM_START + 1000, end: PMEM_START + 1100 }]);
  });

  it('is EIO while nobody knows of it, too, for the load itself stumbles', () => {
    const kernel = load();
    kernel.machine.poison.inject(PMEM_START + 4096, 64);
    const file = openBlockDevice(diskOf(kernel).part0, { direct: true });
    expect(shown(kernel)).toBe('');
    expect(errnoOf(() => file.pread(new Uint8Array(512), 4096))).toBe('EIO');
    expect(file.pread(new Uint8Array(512), 4608)).toBe(512);
  });

  it('stays where the write is not in whole units of clearing, and nothing is written', () => {
    const kernel = load({ clearErrUnit: 4096 });
    lose(kernel, 4096, 64);
    const file = openBlockDevice(diskOf(kernel).part0, { direct: true });
    expect(errnoOf(() => file.pwrite(new Uint8Array(512).fill(1), 4096))).toBe('EIO');
    expect(shown(kernel)).toBe('8 1\n');
    expect(file.pwrite(new Uint8Array(4096).fill(1), 4096)).toBe(4096);
    expect(shown(kernel)).toBe('');
  });

  it('is taken for cured by a write on a bus without firmware, and is not', () => {
    const kernel = load({ clearErrUnit: 0 });
    lose(kernel, 4096, 64);
    const file = openBlockDevice(diskOf(kernel).part0, { direct: true });
    expect(file.pwrite(new Uint8Array(512).fill(1), 4096)).toBe(512);
    expect(shown(kernel)).toBe('');
    expect(errnoOf(() => file.pread(new Uint8Array(512), 4096))).toBe('EIO');
  });

  it('goes exactly from the sectors that are written', () => {
    const sectors = 64;
    const place = fc.tuple(fc.nat(sectors - 1), fc.integer({ min: 1, max: 12 }));
    fc.assert(fc.property(fc.array(place, { maxLength: 8 }), fc.array(place, { maxLength: 8 }), (losses, writes) => {
      const kernel = load({ clearErrUnit: 512 });
      const model = new Set<number>();
      for (const [first, count] of losses) {
        lose(kernel, first * 512, count * 512);
        for (let i = 0; i < count; i++) model.add(first + i);
      }
      const file = openBlockDevice(diskOf(kernel).part0, { direct: true });
      for (const [first, count] of writes) {
        file.pwrite(new Uint8Array(count * 512), first * 512);
        for (let i = 0; i < count; i++) model.delete(first + i);
      }
      const bad = shown(kernel).split('\n').filter(Boolean).flatMap((line) => {
        const [first, count] = line.split(' ').map(Number);
        return Array.from({ length: count! }, (_, i) => first! + i);
      });
      expect(bad).toEqual([...model].sort((a, b) => a - b));
      for (let sector = 0; sector < sectors; sector++) expect(errnoOf(() => file.pread(new Uint8Array(512), sector * 512))).toBe(model.has(sector) ? 'EIO' : 'ok');
    }), { numRuns: 30 });
  });

  it('is there after a power cut', () => {
    const kernel = load();
    lose(kernel, 4096, 512);
    kernel.machine.powercut(3);
    expect(kernel.machine.poison.within(PMEM_START, 16 * MIB)).toEqual([{ start: PMEM_START + 4096, end: PMEM_START + 4608 }]);
  });
});
