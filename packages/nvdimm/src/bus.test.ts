import { GIB, MIB, NUMA_NO_NODE, createIda, createIomem, createResource, insertResource, nodeId, physAddr } from '@holdfast/lib';
import type { ResourceDesc } from '@holdfast/lib';
import { createPlatformBus, createRootDevice, devicePath } from '@holdfast/driver-core';
import { describe, expect, it } from 'vitest';
import { createNvdimms } from './bus.js';
import { registerE820Driver, registerE820Pmem } from './e820.js';
import type { NdBus, NdDriver, NdRegion } from './nd-device.js';

const nodes = { physToTargetNode: () => nodeId(0), mapToOnlineNode: () => nodeId(0) };

function setUp() {
  const iomem = createIomem();
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const memregions = createIda();
  const nvdimms = createNvdimms({ iomem, printk, memregions });
  const events: string[] = [];
  const driver: NdDriver = {
    name: 'nd_pmem',
    match: ({ type }) => type === 'namespace',
    probe: (ns) => {
      events.push(`+${ns.name}`);
      return () => events.push(`-${ns.name}`);
    },
  };
  const insert = (name: string, start: number, end: number, desc: ResourceDesc = 'none'): void => insertResource(iomem, createResource({ name, start, end, desc }));
  const region = (bus: NdBus, sizeBytes: number): NdRegion =>
    nvdimms.registerRegion(bus, { start: physAddr(4 * GIB), sizeBytes, numaNode: nodeId(0), targetNode: NUMA_NO_NODE });
  return { iomem, log, printk, memregions, nvdimms, events, driver, insert, region };
}

describe('the e820 provider', () => {
  it('makes one region and one namespace of each legacy range, nested ones included', () => {
    const { iomem, printk, nvdimms, events, driver, insert } = setUp();
    insert('Persistent Memory (legacy)', 4 * GIB, 5 * GIB - 1, 'persistent-memory-legacy');
    insert('PCI Bus 0000:00', 8 * GIB, 9 * GIB - 1);
    insert('Persistent Memory (legacy)', 8 * GIB + MIB, 8 * GIB + 3 * MIB - 1, 'persistent-memory-legacy');
    insert('Persistent Memory', 16 * GIB, 17 * GIB - 1, 'persistent-memory');
    const platform = createPlatformBus(iomem, printk);
    nvdimms.registerDriver(driver);
    const unregister = registerE820Driver(platform, nvdimms, nodes, iomem, printk);
    registerE820Pmem(platform, iomem);
    expect(events).toEqual(['+namespace0.0', '+namespace1.0']);
    const regions = nvdimms.bus.devices.filter((device) => device.type === 'region');
    expect(regions.map(({ start, sizeBytes }) => [start, sizeBytes])).toEqual([[4 * GIB, GIB], [8 * GIB + MIB, 2 * MIB]]);
    expect(devicePath(nvdimms.bus.findDevice('namespace0.0')!)).toBe('/sys/devices/platform/e820_pmem/ndbus0/region0/namespace0.0');
    unregister();
    expect([nvdimms.bus.devices, events.slice(2)]).toEqual([[], ['-namespace1.0', '-namespace0.0']]);
  });

  it('makes no device where there is no such range', () => {
    const { iomem, printk } = setUp();
    expect(registerE820Pmem(createPlatformBus(iomem, printk), iomem)).toBeUndefined();
  });
});

describe('the nd bus', () => {
  it('offers namespaces to drivers of namespaces only, whoever comes first', () => {
    const { nvdimms, driver, events, region } = setUp();
    region(nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') }), GIB);
    const unregister = nvdimms.registerDriver(driver);
    expect(events).toEqual(['+namespace0.0']);
    expect(nvdimms.bus.devices.map((device) => [device.name, nvdimms.bus.driverOf(device)?.name])).toEqual([
      ['ndbus0', 'nd_bus'], ['region0', 'nd_region'], ['namespace0.0', 'nd_pmem'], ['btt0.0', undefined], ['pfn0.0', undefined], ['dax0.0', undefined],
    ]);
    unregister();
    expect(events).toEqual(['+namespace0.0', '-namespace0.0']);
  });

  it('numbers regions with the ids that others have left, and gives them back', () => {
    const { nvdimms, memregions, region } = setUp();
    memregions.alloc();
    const bus = nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') });
    expect([region(bus, GIB).name, region(bus, GIB).name]).toEqual(['region1', 'region2']);
    nvdimms.unregisterBus(bus);
    expect([nvdimms.bus.devices, memregions.alloc()]).toEqual([[], 1]);
    expect(nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') }).name).toBe('ndbus0');
  });

  it('empties a region that is disabled and fills it again when it is enabled', () => {
    const { nvdimms, driver, events, region } = setUp();
    nvdimms.registerDriver(driver);
    region(nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') }), GIB);
    nvdimms.bus.unbind('region0', 'nd_region');
    expect(nvdimms.bus.devices.map(({ name }) => name)).toEqual(['ndbus0', 'region0']);
    nvdimms.bus.bind('region0', 'nd_region');
    expect(events).toEqual(['+namespace0.0', '-namespace0.0', '+namespace0.0']);
  });
});

describe('a region', () => {
  const file = (region: NdRegion, name: string) => region.attributes().find((attribute) => attribute.name === name);
  const alone = (sizeBytes: number): NdRegion => {
    const { nvdimms, region } = setUp();
    return region(nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') }), sizeBytes);
  };

  it.each([[GIB, '0x1000000\n'], [100 * MIB, '0x1000000\n'], [16 * MIB, '0x1000000\n'], [3 * MIB, '0x1000\n']])('of %d bytes has the align %j', (size, align) => {
    expect(file(alone(size), 'align')!.show!()).toBe(align);
  });

  it('over six DIMMs counts in 96 MiB', () => {
    const { nvdimms } = setUp();
    const bus = nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') });
    const dimm = { notArmed: false, hasFlushHints: true, commands: [] };
    const mappings = Array.from({ length: 6 }, (_, position) => ({ dimm: nvdimms.registerDimm(bus, dimm), start: 0, sizeBytes: GIB, position }));
    const range = { start: physAddr(4 * GIB), sizeBytes: 6 * GIB, numaNode: nodeId(0), targetNode: nodeId(0) };
    const region = nvdimms.registerRegion(bus, { ...range, mappings });
    expect([file(region, 'align')!.show!(), file(region, 'deep_flush')!.show!()]).toEqual(['0x6000000\n', '1\n']);
    file(region, 'align')!.store!(`${12 * MIB}`);
    expect(region.align).toBe(12 * MIB);
    expect(() => file(region, 'align')!.store!(`${16 * MIB}`)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it.each(['0', '2048', '0x3000', `${2 * GIB}`, 'big', ''])('refuses the align %j', (text) => {
    const region = alone(GIB);
    expect(() => file(region, 'align')!.store!(text)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(region.align).toBe(16 * MIB);
  });

  it('of memory without DIMMs hides what nobody knows of it', () => {
    const region = alone(GIB);
    expect(['deep_flush', 'persistence_domain', 'available_size', 'set_cookie', 'target_node'].map((name) => file(region, name))).toEqual(Array(5).fill(undefined));
  });

  it('that is made read-only makes its namespaces so', () => {
    const region = alone(GIB);
    file(region, 'read_only')!.store!('1\n');
    expect(region.namespaces.map((ns) => ns.readOnly)).toEqual([true]);
  });
});
