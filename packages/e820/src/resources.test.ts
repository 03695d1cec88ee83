import {
  type Resource, DEFAULT_RELEASE, createIomem, createResource, formatIomem, insertResource, parseRelease, requestRegion, walkResources,
} from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { firmwareMemmapOf, reserveE820ResourcesEarly, reserveE820ResourcesLate } from './resources.js';
import type { E820Entry } from './entry.js';
import { createE820Table } from './table.js';
import { E820_TYPE_SOFT_RESERVED as SR } from './types.js';

const e = (start: number, end: number, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end) - BigInt(start), type });

function iomemOf(entries: readonly E820Entry[], between: (iomem: Resource) => void = () => undefined, release = DEFAULT_RELEASE) {
  const lines: string[] = [];
  const table = createE820Table(entries);
  const iomem = createIomem();
  const resources = reserveE820ResourcesEarly(table, iomem, release);
  const early = formatIomem(iomem).trimEnd().split('\n');
  between(iomem);
  reserveE820ResourcesLate(table, resources, iomem, { printk: (line) => void lines.push(line), release });
  return { early, late: formatIomem(iomem).trimEnd().split('\n'), lines, iomem };
}

const GUEST = [
  e(0, 0x1000, 2), e(0x1000, 0x9fc00, 1), e(0x9fc00, 0xa0000, 2), e(0x100000, 0x40000000, 1), e(0x40000000, 0x60000000, 12),
  e(0x60000000, 0x7ffe0000, 1), e(0x7ffe0000, 0x80000000, 2),
];

describe('the resource tree', () => {
  it('has RAM and the first MiB early, what drivers may claim late, and RAM buffers in what is free', () => {
    const { early, late, lines } = iomemOf(GUEST);
    expect(early).toEqual([
      '00000000-00000fff : Reserved', '00001000-0009fbff : System RAM', '0009fc00-0009ffff : Reserved',
      '00100000-3fffffff : System RAM', '60000000-7ffdffff : System RAM',
    ]);
    expect(late).toEqual([...early.slice(0, 4), '40000000-5fffffff : Persistent Memory (legacy)', early[4], '7ffe0000-7fffffff : Reserved']);
    expect(lines).toEqual(['e820: reserve RAM buffer [mem 0x0009fc00-0x0009ffff]', 'e820: reserve RAM buffer [mem 0x7ffe0000-0x7fffffff]']);
  });

  it('lets a driver claim persistent memory, and no RAM', () => {
    const { iomem } = iomemOf(GUEST);
    expect(requestRegion(iomem, 0x40000000, 0x20000000, 'namespace0.0').parent!.name).toBe('Persistent Memory (legacy)');
    expect(() => requestRegion(iomem, 0x60000000, 0x1000, 'x')).toThrow(/System RAM/);
  });

  it('tells what a range is, whatever its name', () => {
    const { iomem } = iomemOf([
      e(0, 0x1000, 1), e(0x100000, 0x200000, 3), e(0x200000, 0x300000, 7), e(0x300000, 0x400000, 12), e(0x400000, 0x500000, SR),
      e(0x500000, 0x600000, 20),
    ]);
    expect([...walkResources(iomem)].map(({ resource: { name, desc, busy, systemRam } }) => [name, desc, busy, systemRam])).toEqual([
      ['System RAM', 'none', true, true],
      ['RAM buffer', 'none', true, false],
      ['ACPI Tables', 'acpi-tables', true, false],
      ['Persistent Memory', 'persistent-memory', false, false],
      ['Persistent Memory (legacy)', 'persistent-memory-legacy', false, false],
      ['Soft Reserved', 'soft-reserved', false, false],
      ['Unknown E820 type', 'none', true, false],
    ]);
  });

  it('nests a late range in a PCI window, or around it, growing it if they overlap', () => {
    const window = (start: number, end: number) => (iomem: Resource): void => insertResource(iomem, createResource({ name: 'PCI Bus 0000:00', start, end: end - 1 }));
    const map = [e(0, 0x1000, 1), e(0x80000000, 0x90000000, 12)];
    expect(iomemOf(map, window(0x70000000, 0xa0000000)).late.slice(2)).toEqual([
      '70000000-9fffffff : PCI Bus 0000:00', '  80000000-8fffffff : Persistent Memory (legacy)',
    ]);
    expect(iomemOf(map, window(0x84000000, 0x88000000)).late.slice(2)).toEqual([
      '80000000-8fffffff : Persistent Memory (legacy)', '  84000000-87ffffff : PCI Bus 0000:00',
    ]);
    expect(iomemOf(map, window(0x88000000, 0x98000000)).late.slice(2)).toEqual([
      '80000000-97ffffff : Persistent Memory (legacy)', '  88000000-97ffffff : PCI Bus 0000:00',
    ]);
  });

  it.each([
    [0x9fc00, '[mem 0x0009fc00-0x0009ffff]'],
    [0x123000, '[mem 0x00123000-0x001fffff]'],
    [0x30000800, '[mem 0x30000800-0x33ffffff]'],
    [0x1_1e60_0000, '[mem 0x11e600000-0x11fffffff]'],
  ])('pads RAM that ends at %i', (end, range) => expect(iomemOf([e(0, end, 1)]).lines).toEqual([`e820: reserve RAM buffer ${range}`]));

  it.each([0x10000, 0x200000, 0x40000000])('pads no RAM that ends at %i', (end) => expect(iomemOf([e(0, end, 1)]).lines).toEqual([]));

  it('leaves out what lies beyond it, and setup_data has no buffer', () => {
    const { late, lines } = iomemOf([e(0x100000, 0x180000, 128), { addr: 2n ** 60n, size: 0x1000n, type: 1 }]);
    expect(late).toEqual(['00100000-0017ffff : System RAM']);
    expect(lines).toEqual(['e820: reserve RAM buffer [mem 0x1000000000001000-0x1000000003ffffff]']);
  });

  it('was named otherwise, and had more of it busy, before', () => {
    const map = [e(0, 0x1000, 1), e(0x100000, 0x200000, 2), e(0x200000, 0x300000, 7), e(0x300000, 0x400000, 12), e(0x400000, 0x500000, SR)];
    const names = (release: string): string[] => iomemOf(map, undefined, parseRelease(release)).late.slice(2).map((line) => line.slice(20));
    expect(names('4.0')).toEqual(['reserved', 'reserved', 'reserved', 'reserved']);
    expect(names('4.1')).toEqual(['reserved', 'reserved', 'Persistent RAM', 'reserved']);
    expect(names('4.4')).toEqual(['reserved', 'Persistent Memory', 'Persistent Memory (legacy)', 'reserved']);
    expect(names('5.4')).toEqual(['Reserved', 'Persistent Memory', 'Persistent Memory (legacy)', 'Unknown E820 type']);
    const { iomem } = iomemOf(map, undefined, parseRelease('4.1'));
    expect(() => requestRegion(iomem, 0x200000, 0x1000, 'x')).toThrow(/EBUSY|could not reserve/);
    expect(requestRegion(iomem, 0x300000, 0x1000, 'pmem').name).toBe('pmem');
  });
});

describe('/sys/firmware/memmap', () => {
  it('shows inclusive ends and the names of /proc/iomem', () => {
    expect(firmwareMemmapOf([e(0, 0x9fc00, 1), e(0xfd_0000_0000, 0x100_0000_0000, 2)], DEFAULT_RELEASE)).toEqual([
      { start: '0x0', end: '0x9fbff', type: 'System RAM' },
      { start: '0xfd00000000', end: '0xffffffffff', type: 'Reserved' },
    ]);
  });
});
