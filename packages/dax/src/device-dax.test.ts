import { GIB, KernelError, MIB, createIda, createIomem, formatIomem, nodeId, physAddr, releaseResource, requestRegion } from '@holdfast/lib';
import type { DevPagemap } from '@holdfast/memory-hotplug';
import { describe, expect, it } from 'vitest';
import { createDaxBus, registerDaxDriver } from './dax-bus.js';
import { allocDaxRegion } from './dax-region.js';
import { createDevDax } from './dev-dax.js';
import { deviceDaxDriver } from './device-dax.js';

function setUp({ align = 2 * MIB, isStatic = false, failAt = Infinity } = {}) {
  const iomem = createIomem();
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const mapped: DevPagemap[] = [];
  const memremapPages = (pgmap: DevPagemap): (() => void) => {
    if (mapped.length === failAt) throw new KernelError('ENOMEM', 'the test has no pages');
    mapped.push(pgmap);
    return () => void mapped.splice(mapped.indexOf(pgmap), 1);
  };
  const bus = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk });
  registerDaxDriver(bus, deviceDaxDriver({ iomem, deviceMemory: { memremapPages }, printk }));
  const provider = { name: 'test', parent: undefined, attributes: () => [] };
  const region = allocDaxRegion(bus, { provider, id: 0, start: physAddr(4 * GIB), sizeBytes: 2 * GIB, align, targetNode: nodeId(0), numaNode: nodeId(1), isStatic })!;
  const tree = (): string[] => formatIomem(iomem).split('\n').filter((line) => line !== '');
  return { bus, region, iomem, log, mapped, tree };
}

const write = (device: { attributes(): readonly { name: string; store?(text: string): void }[] }, name: string, text: string): void =>
  device.attributes().find((each) => each.name === name)!.store!(text);

describe('device_dax', () => {
  it.each([[4096, 0], [2 * MIB, 9], [GIB, 18]])('asks for compound pages of an alignment of %d', (align, order) => {
    const { region, mapped } = setUp({ align });
    createDevDax(region, { sizeBytes: GIB });
    expect(mapped).toEqual([{ type: 'generic', start: 4 * GIB, sizeBytes: GIB, owner: 'dax0.0', vmemmapShift: order }]);
  });

  it('claims its own range of a namespace, whose maker says what has struct pages', () => {
    const { region, mapped, tree } = setUp({ isStatic: true });
    const pgmap: DevPagemap = { type: 'fs-dax', start: physAddr(4 * GIB - 2 * MIB), sizeBytes: 2 * GIB + 2 * MIB, owner: 'namespace0.0', altmap: { reserve: 2, free: 510 } };
    createDevDax(region, { id: 0, sizeBytes: 2 * GIB, pgmap });
    expect(mapped).toEqual([{ ...pgmap, type: 'generic', vmemmapShift: 9 }]);
    expect(tree()).toEqual(['100000000-17fffffff : dax0.0']);
  });

  it('takes each range of a device, or none', () => {
    const { bus, region, iomem, log, mapped, tree } = setUp();
    const device = createDevDax(region, { sizeBytes: 0 });
    for (const range of ['100000000-1001fffff', '120000000-1201fffff']) write(device, 'mapping', range);
    const taken = requestRegion(iomem, 0x120100000, 4096, 'taken');
    expect(() => bus.bind('dax0.0', 'device_dax')).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(log[0]).toBe('device_dax dax0.0: mapping1: 0x120000000-0x1201fffff could not reserve range');
    expect([tree(), mapped]).toEqual([['120100000-120100fff : taken'], []]);
    releaseResource(taken);
    bus.bind('dax0.0', 'device_dax');
    expect([tree(), mapped.map(({ start }) => start)]).toEqual([['100000000-1001fffff : dax0.0', '120000000-1201fffff : dax0.0'], [0x100000000, 0x120000000]]);
    bus.unbind('dax0.0', 'device_dax');
    expect([tree(), mapped]).toEqual([[], []]);
  });

  it('gives back the first range if the second gets no struct pages', () => {
    const { bus, region, mapped, tree } = setUp({ failAt: 1 });
    const device = createDevDax(region, { sizeBytes: 0 });
    for (const range of ['100000000-1001fffff', '120000000-1201fffff']) write(device, 'mapping', range);
    expect(() => bus.bind('dax0.0', 'device_dax')).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
    expect([tree(), mapped]).toEqual([[], []]);
  });
});
