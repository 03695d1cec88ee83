/**
 * Carving a dynamic region, against what a real Linux 6.1 did (capture e-hmem-1g-high) and against a slow model.
 */
import { GIB, KernelError, MIB, createIda, nodeId, physAddr } from '@holdfast/lib';
import type { Attribute, ErrnoName } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDaxBus, registerDaxDriver } from './dax-bus.js';
import { allocDaxRegion } from './dax-region.js';
import type { DaxRegion } from './dax-region.js';
import { createDevDax } from './dev-dax.js';
import type { DevDax } from './dev-dax.js';

const START = 4 * GIB;

function setUp({ sizeBytes = GIB, isStatic = false, hasDriver = true } = {}) {
  const log: string[] = [];
  const bus = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk: (text) => void log.push(text) });
  const bound: string[] = [];
  if (hasDriver) registerDaxDriver(bus, { name: 'device_dax', matchAlways: true, probe: ({ name }) => (bound.push(name), () => void bound.splice(bound.indexOf(name), 1)) });
  const provider = { name: 'hmem.0', parent: undefined, attributes: () => [] };
  const region = allocDaxRegion(bus, { provider, id: 0, start: physAddr(START), sizeBytes, align: 2 * MIB, targetNode: nodeId(0), numaNode: nodeId(0), isStatic })!;
  return { bus, region, log, bound };
}

const attribute = (device: Pick<DevDax, 'attributes'>, name: string): Attribute => {
  const found = device.attributes().find((each) => each.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};
const read = (device: Pick<DevDax, 'attributes'>, name: string): string => attribute(device, name).show!().trimEnd();
const write = (device: Pick<DevDax, 'attributes'>, name: string, text: string): void => attribute(device, name).store!(`${text}\n`);
const refusal = (act: () => void): ErrnoName | undefined => {
  try {
    act();
    return undefined;
  } catch (error) {
    return (error as KernelError).code;
  }
};
const ranges = ({ ranges: all }: DevDax): string[] => all.map(({ start, sizeBytes, pageOffset }) => `+${(start - START) / MIB}M ${sizeBytes / MIB}M @${pageOffset}`);

/** What daxctl create-device does, without the driver. */
function carve(region: DaxRegion, mib: number): DevDax {
  write(region, 'dax_region/create', '1');
  const device = region.devices.at(-1)!;
  write(device, 'size', String(mib * MIB));
  return device;
}

describe('a dynamic region', () => {
  it('makes empty devices with the lowest free number, and lists the last and the oldest without driver', () => {
    const { region, bus } = setUp();
    const whole = createDevDax(region, { sizeBytes: GIB });
    expect(refusal(() => write(region, 'dax_region/create', '1'))).toBe('ENOSPC');
    bus.unbind('dax0.0', 'device_dax');
    write(whole, 'size', '0');
    write(region, 'dax_region/create', '1');
    write(region, 'dax_region/create', '1');
    expect([read(region, 'dax_region/create'), read(region, 'dax_region/seed')]).toEqual(['dax0.2', 'dax0.1']);
    const first = region.devices[1]!;
    write(first, 'size', '0x10000000');
    bus.bind('dax0.1', 'device_dax');
    expect([read(region, 'dax_region/seed'), read(region, 'dax_region/available_size'), read(first, 'resource')]).toEqual(['', String(768 * MIB), '0x100000000']);
    bus.unbind('dax0.1', 'device_dax');
    write(first, 'size', '0');
    write(region, 'dax_region/delete', 'dax0.1');
    write(region, 'dax_region/create', '1');
    expect([region.devices.at(-1)!.name, read(region.devices.at(-1)!, 'dev')]).toEqual(['dax0.1', '252:1']);
  });

  it('does not let a driver have a device without memory', () => {
    const { region, bound, log } = setUp();
    createDevDax(region, { sizeBytes: 0 });
    expect([bound, log]).toEqual([[], []]);
  });

  it.each<[string, (region: DaxRegion, whole: DevDax) => void, ErrnoName | undefined]>([
    ['create 2', (region) => write(region, 'dax_region/create', '2'), 'EINVAL'],
    ['create x', (region) => write(region, 'dax_region/create', 'x'), 'EINVAL'],
    ['delete what is not there', (region) => write(region, 'dax_region/delete', 'dax0.7'), 'ENXIO'],
    ['delete device 0', (region, whole) => { write(whole, 'size', '0'); write(region, 'dax_region/delete', 'dax0.0'); }, 'EBUSY'],
    ['delete a device with memory', (region, whole) => { write(whole, 'size', '0'); carve(region, 2); write(region, 'dax_region/delete', 'dax0.1'); }, 'EBUSY'],
    ['a size of 33 MiB', (_region, whole) => write(whole, 'size', String(33 * MIB)), 'EINVAL'],
    ['a size that is no number', (_region, whole) => write(whole, 'size', '1k'), 'EINVAL'],
    ['a size beyond 64 bits', (_region, whole) => write(whole, 'size', '0x10000000000000000'), 'ERANGE'],
    ['more than there is', (_region, whole) => write(whole, 'size', String(2 * GIB)), 'ENOSPC'],
    ['the size it has', (_region, whole) => write(whole, 'size', String(GIB)), undefined],
    ['an alignment of 1 GiB for 1 GiB', (_region, whole) => write(whole, 'align', '0x40000000'), undefined],
    ['an alignment of 1 GiB for 512 MiB', (_region, whole) => { write(whole, 'size', String(512 * MIB)); write(whole, 'align', '0x40000000'); }, 'EINVAL'],
    ['an alignment of 8 KiB', (_region, whole) => write(whole, 'align', '8192'), 'EINVAL'],
    ['an alignment that is no number', (_region, whole) => write(whole, 'align', 'big'), 'ENXIO'],
    ['a mapping without an end', (_region, whole) => write(whole, 'mapping', '100000000'), 'EINVAL'],
    ['a mapping of 1 MiB', (_region, whole) => write(whole, 'mapping', '100000000-1000fffff'), 'ENXIO'],
    ['a mapping that is taken', (_region, whole) => write(whole, 'mapping', '100000000-1001fffff'), 'ENOMEM'],
    ['a mapping outside the region', (_region, whole) => write(whole, 'mapping', '200000000-2001fffff'), 'ENOMEM'],
    ['a mapping of nothing behind another', (_region, whole) => write(whole, 'mapping', '100000000-ffffffff'), 'EBUSY'],
  ])('answers %s', (_what, act, want) => {
    const { region } = setUp({ hasDriver: false });
    const whole = createDevDax(region, { sizeBytes: GIB });
    expect(refusal(() => act(region, whole))).toBe(want);
  });

  it('leaves a bound device as it is', () => {
    const { region } = setUp();
    const whole = createDevDax(region, { sizeBytes: GIB });
    expect(['size', 'align'].map((name) => refusal(() => write(whole, name, '0x200000')))).toEqual(['EBUSY', 'EBUSY']);
  });

  it('fills gaps from its start, and a device grows where it ends if it can', () => {
    const { region } = setUp({ hasDriver: false });
    const devices = [carve(region, 256), carve(region, 128), carve(region, 640)];
    expect(devices.map(ranges)).toEqual([['+0M 256M @0'], ['+256M 128M @0'], ['+384M 640M @0']]);
    write(devices[0]!, 'size', String(128 * MIB));
    write(devices[2]!, 'size', String(768 * MIB));
    expect(ranges(devices[2]!)).toEqual(['+384M 640M @0', '+128M 128M @163840']);
    expect([read(devices[2]!, 'mapping1/start'), read(devices[2]!, 'mapping1/end'), read(devices[2]!, 'mapping1/page_offset')]).toEqual(['0x108000000', '0x10fffffff', '0x28000']);
    write(devices[2]!, 'size', String(704 * MIB));
    write(devices[0]!, 'size', String(192 * MIB));
    expect(devices.map(ranges)).toEqual([['+0M 128M @0', '+192M 64M @32768'], ['+256M 128M @0'], ['+384M 640M @0', '+128M 64M @163840']]);
  });

  it('gives a range that is asked for by address', () => {
    const { region } = setUp({ hasDriver: false });
    const device = createDevDax(region, { sizeBytes: 0 });
    for (const range of ['0x120000000-0x121ffffff', '100000000-101ffffff']) write(device, 'mapping', range);
    expect([ranges(device), device.sizeBytes]).toEqual([['+512M 32M @0', '+0M 32M @8192'], 64 * MIB]);
  });

  it('gives everything back when it goes', () => {
    const { region, bus, bound } = setUp();
    createDevDax(region, { sizeBytes: 512 * MIB });
    carve(region, 2);
    bus.bind('dax0.1', 'device_dax');
    region.unregister();
    expect([bus.devices, bound, bus.regions.size, region.resource.children, bus.chrdev.minors.alloc()]).toEqual([[], [], 0, [], 0]);
  });

  it('never gives the same memory twice, nor loses any, whatever sizes are asked for', () => {
    const step = fc.record({ device: fc.nat(3), units: fc.nat(20) });
    fc.assert(fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const { region } = setUp({ sizeBytes: 16 * 2 * MIB, hasDriver: false });
      const devices = [0, 0, 0, 0].map(() => createDevDax(region, { sizeBytes: 0 }));
      const sizes = [0, 0, 0, 0];
      for (const { device, units } of steps) {
        const others = sizes.reduce((sum, each, index) => (index === device ? sum : sum + each), 0);
        const fits = units + others <= 16;
        expect(refusal(() => write(devices[device]!, 'size', String(units * 2 * MIB)))).toBe(fits ? undefined : 'ENOSPC');
        if (fits) sizes[device] = units;
        expect(devices.map(({ sizeBytes }) => sizeBytes / (2 * MIB))).toEqual(sizes);
        const taken = devices.flatMap(({ ranges: all }) => all.flatMap(({ start, sizeBytes }) => Array.from({ length: sizeBytes / (2 * MIB) }, (_, at) => (start - START) / (2 * MIB) + at)));
        expect(new Set(taken).size).toBe(taken.length);
        expect(taken.every((unit) => unit >= 0 && unit < 16)).toBe(true);
        expect(region.availableBytes).toBe((16 - taken.length) * 2 * MIB);
        for (const { ranges: all } of devices) {
          let offset = 0;
          for (const { pageOffset, sizeBytes } of all) {
            expect(pageOffset).toBe(offset);
            offset += sizeBytes / 4096;
          }
        }
      }
    }), { numRuns: 60 });
  });
});

describe('a static region', () => {
  it('shows one device, and nothing to carve it with', () => {
    const { region } = setUp({ isStatic: true });
    const device = createDevDax(region, { id: 3, sizeBytes: GIB });
    expect(region.attributes().map(({ name }) => name)).toEqual(['dax_region/size', 'dax_region/align', 'dax_region/id']);
    expect(device.name).toBe('dax0.3');
    expect(device.attributes().filter(({ store }) => store)).toEqual([]);
    expect(device.attributes().map(({ name }) => name)).not.toContain('mapping');
  });

  it('wants a number from its maker, which a dynamic one refuses', () => {
    expect(refusal(() => createDevDax(setUp({ isStatic: true }).region, { sizeBytes: GIB }))).toBe('EINVAL');
    expect(refusal(() => createDevDax(setUp().region, { id: 0, sizeBytes: GIB }))).toBe('EINVAL');
  });
});

describe('a driver of the dax bus', () => {
  it('takes a device when it is given its name, and is offered it again at each new name', () => {
    const { bus, region, log } = setUp({ hasDriver: false });
    const taken: string[] = [];
    registerDaxDriver(bus, { name: 'kmem', probe: ({ name }) => {
      taken.push(name);
      if (name === 'dax0.0') throw new KernelError('EINVAL', 'refused by the test');
      return () => {};
    } });
    createDevDax(region, { sizeBytes: 512 * MIB });
    carve(region, 512);
    const driver = { attributes: () => bus.drivers[0]!.attributes!() };
    write(driver, 'new_id', 'dax0.0');
    write(driver, 'new_id', 'dax0.1');
    expect(taken).toEqual(['dax0.0', 'dax0.0', 'dax0.1']);
    expect(log).toEqual(['kmem: probe of dax0.0 failed with error -22', 'kmem: probe of dax0.0 failed with error -22']);
    write(driver, 'remove_id', 'dax0.0');
    expect(refusal(() => bus.bind('dax0.0', 'kmem'))).toBe('ENODEV');
  });

  it.each(['', 'dax0', 'dax0.1x', 'dax00.1', 'mem0.1', 'dax-1.0'])('refuses %j as a name', (text) => {
    const { bus } = setUp();
    expect(refusal(() => write({ attributes: () => bus.drivers[0]!.attributes!() }, 'new_id', text))).toBe('EINVAL');
  });
});
