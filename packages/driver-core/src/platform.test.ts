import { createIomem, createResource, formatIomem, insertResource, requestRegion } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { devicePath } from './device.js';
import { createPlatformBus } from './platform.js';

const GIB = 2 ** 30;

describe('the platform bus', () => {
  it('names devices without a number, with one, or with the lowest free one', () => {
    const bus = createPlatformBus(createIomem(), () => {});
    const names = [
      bus.registerDevice({ kind: 'e820_pmem' }),
      bus.registerDevice({ kind: 'hmem', id: 3 }),
      bus.registerDevice({ kind: 'pmem', id: 'auto' }),
      bus.registerDevice({ kind: 'pmem', id: 'auto' }),
    ].map((device) => device.name);
    expect(names).toEqual(['e820_pmem', 'hmem.3', 'pmem.0.auto', 'pmem.1.auto']);
    bus.removeDevice(bus.findDevice('pmem.0.auto')!);
    expect(bus.registerDevice({ kind: 'other', id: 'auto' }).name).toBe('other.0.auto');
    expect(devicePath(bus.findDevice('hmem.3')!)).toBe('/sys/devices/platform/hmem.3');
  });

  it('shows the memory of a device around what already claimed it, and leaves room for its driver inside', () => {
    const iomem = createIomem();
    insertResource(iomem, createResource({ name: 'Persistent Memory (legacy)', start: 4 * GIB, end: 5 * GIB - 1 }));
    const bus = createPlatformBus(iomem, () => {});
    bus.registerDriver({
      name: 'pmem',
      match: (device) => device.kind === 'pmem',
      probe: ({ resources: [memory] }) => {
        requestRegion(iomem, memory!.start, memory!.end - memory!.start + 1, 'pmem');
        return () => {};
      },
    });
    bus.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start: 4 * GIB, end: 5 * GIB - 1 }] });
    expect(formatIomem(iomem)).toBe(
      '100000000-13fffffff : pmem.0.auto\n  100000000-13fffffff : Persistent Memory (legacy)\n    100000000-13fffffff : pmem\n',
    );
  });

  it('refuses memory that partly overlaps, and gives back what it took', () => {
    const iomem = createIomem();
    insertResource(iomem, createResource({ name: 'taken', start: 4 * GIB, end: 5 * GIB - 1 }));
    const log: string[] = [];
    const bus = createPlatformBus(iomem, (text) => log.push(text));
    const resources = [{ start: GIB, end: 2 * GIB - 1 }, { start: 4 * GIB + 4096, end: 6 * GIB - 1 }];
    const before = formatIomem(iomem);
    expect(() => bus.registerDevice({ kind: 'x', id: 'auto', resources })).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(log).toEqual(['platform x.0.auto: failed to claim resource 1: [mem 0x100001000-0x17fffffff]']);
    expect(formatIomem(iomem)).toBe(before);
    expect(bus.registerDevice({ kind: 'x', id: 'auto' }).name).toBe('x.0.auto');
  });

  it('gives memory back when the device is removed', () => {
    const iomem = createIomem();
    const bus = createPlatformBus(iomem, () => {});
    bus.removeDevice(bus.registerDevice({ kind: 'x', resources: [{ start: GIB, end: 2 * GIB - 1 }] }));
    expect(formatIomem(iomem)).toBe('');
    expect(bus.devices).toEqual([]);
  });
});
