/** Against what a real Linux 6.1 answered on a device of 502 MiB (capture e-mmap-2m). */
import { MIB, createIda, createIomem, nodeId, physAddr } from '@holdfast/lib';
import type { KernelError } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { MAP, PROT, createMmStruct, faultIn, isSignal } from '@holdfast/mm';
import { bootUserPages } from '../test/user-pages.js';
import { createDaxBus, registerDaxDriver } from './dax-bus.js';
import { allocDaxRegion } from './dax-region.js';
import { createDaxMmapLog, devDaxFile } from './dax-mmap.js';
import { createDevDax } from './dev-dax.js';
import { deviceDaxDriver } from './device-dax.js';

const SIZE = 526385152;

function setUp({ align = 2 * MIB, start = 0x101000000, size = SIZE } = {}) {
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const bus = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk });
  registerDaxDriver(bus, deviceDaxDriver({ iomem: createIomem(), deviceMemory: { memremapPages: () => () => {} }, printk }));
  const provider = { name: 'dax0.0', parent: undefined, attributes: () => [] };
  const region = allocDaxRegion(bus, { provider, id: 0, start: physAddr(start), sizeBytes: size, align, targetNode: nodeId(0), numaNode: nodeId(0), isStatic: true })!;
  const device = createDevDax(region, { id: 0, sizeBytes: size });
  const clock = { now: 0 };
  const mmapLog = createDaxMmapLog(printk, clock);
  const mm = createMmStruct(bootUserPages());
  const map = (offset: number, length: number, shared = true): number => {
    const file = devDaxFile(device, { comm: 'probe', log: mmapLog });
    return mm.mmap({ length, offset, prot: PROT.READ | PROT.WRITE, flags: shared ? MAP.SHARED : MAP.PRIVATE, file });
  };
  /** The physical address behind a byte, or the signal. */
  const touch = (address: number, write = false): number | string => {
    const leaf = faultIn(mm, address, write);
    return isSignal(leaf) ? leaf.signal : leaf.pfn * 4096 + address - leaf.start;
  };
  /** What a process that maps and touches the first byte sees. */
  const probe = (offset: number, length: number, shared = true): string => {
    try {
      const address = map(offset, length, shared);
      return `${address % align} ${touch(address) === 'SIGBUS' ? 'SIGBUS' : 'ok'}`;
    } catch (error) {
      return (error as KernelError).code;
    }
  };
  return { bus, clock, device, log, map, mm, probe, touch };
}

describe('a device of 2 MiB pages', () => {
  it.each([
    [0, 2 * MIB, '0 ok'],
    [2 * MIB, 2 * MIB, '0 ok'],
    [0, 1024 * MIB, '0 ok'],
    [SIZE - 2 * MIB, 2 * MIB, '0 ok'],
    [SIZE - 2 * MIB, 4 * MIB, '0 ok'],
    [SIZE, 2 * MIB, '0 SIGBUS'],
  ])('maps %d, %d bytes', (offset, length, want) => expect(setUp().probe(offset, length)).toBe(want));

  it.each([[0, 4096], [0, 3 * MIB], [4096, 2 * MIB]])('refuses %d, %d bytes: a piece of a page', (offset, length) => {
    const { probe, log } = setUp();
    expect(probe(offset, length)).toBe('EINVAL');
    expect(log).toEqual([expect.stringMatching(/^device_dax dax0\.0: probe: dax_mmap: fail, unaligned vma \(0x7f\w+ - 0x7f\w+, 0x1fffff\)$/)]);
  });

  it('refuses private mappings', () => {
    const { probe, log } = setUp();
    expect(probe(0, 2 * MIB, false)).toBe('EINVAL');
    expect(log).toEqual(['device_dax dax0.0: probe: dax_mmap: fail, attempted private mapping']);
  });

  it('tells of ten of a kind in five seconds, and then how many more there were', () => {
    const { clock, probe, log } = setUp();
    for (let i = 0; i < 12; i++) probe(0, 4096);
    probe(0, 2 * MIB, false);
    expect(log).toHaveLength(11);
    clock.now = 6e9;
    probe(0, 4096);
    expect(log.slice(11)).toEqual(['check_vma: 2 callbacks suppressed', expect.stringContaining('unaligned vma')]);
  });

  it('answers a touch with the byte behind it', () => {
    const { map, touch } = setUp();
    const address = map(2 * MIB, 4 * MIB);
    expect([touch(address), touch(address + 2 * MIB + 5)]).toEqual([0x101200000, 0x101400005]);
  });

  it('takes nobody without its driver, and answers those who are there with SIGBUS', () => {
    const { bus, map, probe, touch } = setUp();
    const address = map(0, 4 * MIB);
    expect(touch(address, true)).toBe(0x101000000);
    bus.unbind('dax0.0', 'device_dax');
    expect([probe(0, 2 * MIB), touch(address), touch(address + 2 * MIB)]).toEqual(['ENXIO', 'SIGBUS', 'SIGBUS']);
  });

  it('is unmapped in whole pages of its own alone', () => {
    const { map, mm, touch } = setUp();
    const address = map(0, 4 * MIB);
    expect(() => mm.munmap(address, 4096)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    mm.munmap(address, 2 * MIB);
    expect([touch(address), touch(address + 2 * MIB)]).toEqual(['SIGSEGV', 0x101200000]);
  });
});

it.each([
  { align: 4096, want: 0 },
  { align: 2 * MIB, want: 1 },
  { align: 1024 * MIB, want: 2 },
])('a page of a device of $align bytes is one entry of level $want', ({ align, want }) => {
  const { map, mm, touch } = setUp({ align, start: 0x140000000, size: 1024 * MIB });
  const address = map(0, 1024 * MIB);
  expect(touch(address + 4096)).toBe(0x140001000);
  expect(mm.pageTable.find(address + 4096)?.level).toBe(want);
});

it('a device of 4 KiB pages maps any pages', () => {
  const { probe } = setUp({ align: 4096 });
  expect([probe(0, 4096), probe(4096, 8192), probe(SIZE - 4096, 4096), probe(SIZE, 4096)]).toEqual(['0 ok', '0 ok', '0 ok', '0 SIGBUS']);
});
