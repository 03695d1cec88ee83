/** Against what a real Linux 6.1 answered on a device of 502 MiB (capture e-mmap-2m). */
import { MIB, createIda, createIomem, nodeId, physAddr } from '@holdfast/lib';
import type { KernelError } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createDaxBus, registerDaxDriver } from './dax-bus.js';
import { mmapDevDax } from './dax-mmap.js';
import { allocDaxRegion } from './dax-region.js';
import { createDevDax } from './dev-dax.js';
import { deviceDaxDriver } from './device-dax.js';

const SIZE = 526385152;

function setUp({ align = 2 * MIB, start = 0x101000000 } = {}) {
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const bus = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk });
  registerDaxDriver(bus, deviceDaxDriver({ iomem: createIomem(), deviceMemory: { memremapPages: () => () => {} }, printk }));
  const provider = { name: 'dax0.0', parent: undefined, attributes: () => [] };
  const region = allocDaxRegion(bus, { provider, id: 0, start: physAddr(start), sizeBytes: SIZE, align, targetNode: nodeId(0), numaNode: nodeId(0), isStatic: true })!;
  const device = createDevDax(region, { id: 0, sizeBytes: SIZE });
  /** What a process that maps and touches the first byte sees. */
  const probe = (offset: number, length: number, shared = true): string => {
    try {
      const { address, fault } = mmapDevDax(device, { offset, length, shared, comm: 'probe' }, printk);
      return `${address % align} ${fault(0) === undefined ? 'SIGBUS' : 'ok'}`;
    } catch (error) {
      return (error as KernelError).code;
    }
  };
  return { bus, device, log, probe, printk };
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

  it('answers a touch with the byte behind it', () => {
    const { device, printk } = setUp();
    const { fault } = mmapDevDax(device, { offset: 2 * MIB, length: 4 * MIB, shared: true, comm: 'probe' }, printk);
    expect([fault(0), fault(2 * MIB + 5)]).toEqual([0x101200000, 0x101400005]);
  });

  it('takes nobody without its driver', () => {
    const { bus, probe } = setUp();
    bus.unbind('dax0.0', 'device_dax');
    expect(probe(0, 2 * MIB)).toBe('ENXIO');
  });
});

it('a device of 4 KiB pages maps any pages', () => {
  const { probe } = setUp({ align: 4096 });
  expect([probe(0, 4096), probe(4096, 8192), probe(SIZE - 4096, 4096), probe(SIZE, 4096)]).toEqual(['0 ok', '0 ok', '0 ok', '0 SIGBUS']);
});
