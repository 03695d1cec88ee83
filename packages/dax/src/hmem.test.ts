/**
 * Soft-reserved memory, against what a real Linux 6.1 showed for the same ranges (captures e-hmem-1g-high, e-hmem-1g, e-hmem-odd).
 */
import { createPlatformBus, createRootDevice, devicePath } from '@holdfast/driver-core';
import type { PlatformBus } from '@holdfast/driver-core';
import { KernelError, NUMA_NO_NODE, createIda, createIomem, createResource, formatIomem, insertResource, nodeId, parseCmdline, physAddr, requestRegion } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createDaxBus, registerDaxDriver } from './dax-bus.js';
import { allocDaxRegion } from './dax-region.js';
import { createDevDax } from './dev-dax.js';
import { deviceDaxDriver } from './device-dax.js';
import { hmemParams, registerHmemDevices, registerHmemDriver } from './hmem.js';

const GIB = 2 ** 30;

interface SetUp {
  ranges: [start: number, end: number][];
  cmdline?: string;
  targetNode?: number;
  /** Let struct pages be refused. */
  noPages?: boolean;
}

function setUp({ ranges, cmdline = '', targetNode = 0, noPages = false }: SetUp) {
  const iomem = createIomem();
  for (const [start, end] of ranges) insertResource(iomem, createResource({ name: 'Soft Reserved', start, end, desc: 'soft-reserved' }));
  const log: string[] = [];
  const mapped: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const platform: PlatformBus = createPlatformBus(iomem, printk);
  const dax = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk });
  const deviceMemory = {
    memremapPages: ({ type, start, sizeBytes, owner }: { type: string; start: number; sizeBytes: number; owner: string }, nid: number) => {
      if (noPages) throw new KernelError('ENOMEM', 'the test has no pages');
      mapped.push(`${owner} ${type} ${start.toString(16)} ${sizeBytes / GIB} node ${nid}`);
      return () => void mapped.pop();
    },
  };
  registerDaxDriver(dax, deviceDaxDriver({ iomem, deviceMemory, printk }));
  const nodes = { physToTargetNode: () => nodeId(targetNode), mapToOnlineNode: (nid: typeof NUMA_NO_NODE) => (nid === NUMA_NO_NODE ? nid : nodeId(0)) };
  const params = hmemParams(parseCmdline(cmdline), printk);
  const memregions = createIda();
  const deps = { platform, dax, iomem, nodes, memregions, params };
  const unregisterDevices = registerHmemDevices(deps);
  const unregisterDriver = registerHmemDriver(deps);
  return { iomem, log, mapped, platform, dax, memregions, unregisterDevices, unregisterDriver };
}

const shown = (device: { attributes(): readonly { name: string; show?(): string }[] }): Record<string, string> =>
  Object.fromEntries(device.attributes().flatMap(({ name, show }) => (show ? [[name, show().trimEnd()]] : [])));

describe('a soft-reserved range', () => {
  it('becomes one device-dax device over all of it', () => {
    const { iomem, log, mapped, dax, platform } = setUp({ ranges: [[4 * GIB, 5 * GIB - 1]] });
    expect(formatIomem(iomem)).toBe('100000000-13fffffff : hmem.0\n  100000000-13fffffff : Soft Reserved\n    100000000-13fffffff : dax0.0\n');
    expect(mapped).toEqual(['dax0.0 generic 100000000 1 node 0']);
    const [device] = dax.devices;
    expect([dax.driverOf(device!)?.name, devicePath(device!)]).toEqual(['device_dax', '/sys/devices/platform/hmem.0/dax0.0']);
    expect(shown(device!)).toEqual({
      target_node: '0', numa_node: '0', resource: '0x100000000', dev: '252:0', align: '2097152', size: '1073741824', modalias: 'dax:t0',
      'mapping0/page_offset': '0x0', 'mapping0/end': '0x13fffffff', 'mapping0/start': '0x100000000',
    });
    expect(shown(dax.regions.get(platform.findDevice('hmem.0')!)!)).toEqual({
      'dax_region/align': '2097152', 'dax_region/available_size': '0', 'dax_region/create': '',
      'dax_region/id': '0', 'dax_region/seed': '', 'dax_region/size': '1073741824',
    });
    expect(log).toEqual([]);
  });

  it.each([
    ['at its end', 0x80000000, 0xbffdffff, '80000000-bffdffff'],
    ['at its start and end', 0x40100000, 0x52dfffff, '40100000-52dfffff'],
  ])('is left unused if it is misaligned %s', (_where, start, end, text) => {
    const { iomem, log, dax, platform } = setUp({ ranges: [[start, end]] });
    expect(log).toEqual(['hmem: probe of hmem.0 failed with error -12']);
    expect(formatIomem(iomem)).toBe(`${text} : hmem.0\n  ${text} : Soft Reserved\n`);
    expect([dax.devices, dax.regions.size, platform.findDevice('hmem.0')?.name]).toEqual([[], 0, 'hmem.0']);
  });

  it('has a device without memory with region_idle', () => {
    const { dax, mapped, platform, log } = setUp({ ranges: [[4 * GIB, 5 * GIB - 1]], cmdline: 'dax_hmem.region_idle=1' });
    expect([mapped, dax.driverOf(dax.devices[0]!), log]).toEqual([[], undefined, []]);
    expect(shown(dax.devices[0]!)).toMatchObject({ size: '0', resource: '0x100000000' });
    expect(shown(dax.regions.get(platform.findDevice('hmem.0')!)!)).toMatchObject({ 'dax_region/available_size': '1073741824' });
  });

  it('that no node is known for shows no target node', () => {
    const { dax, mapped } = setUp({ ranges: [[4 * GIB, 5 * GIB - 1]], targetNode: -1 });
    expect(Object.keys(shown(dax.devices[0]!))).not.toContain('target_node');
    expect(mapped).toEqual(['dax0.0 generic 100000000 1 node -1']);
  });

  it('is one of several, numbered as memory regions are', () => {
    const { dax, memregions } = setUp({ ranges: [[4 * GIB, 5 * GIB - 1], [5 * GIB, 6 * GIB - 1]] });
    expect(dax.devices.map(({ name, minor }) => [name, minor])).toEqual([['dax0.0', 0], ['dax1.0', 1]]);
    expect(memregions.alloc()).toBe(2);
  });

  it('without room for struct pages keeps its device, unbound and unreserved', () => {
    const { iomem, log, dax } = setUp({ ranges: [[4 * GIB, 5 * GIB - 1]], noPages: true });
    expect(log).toEqual(['device_dax: probe of dax0.0 failed with error -12']);
    expect([dax.driverOf(dax.devices[0]!), formatIomem(iomem).includes('dax0.0')]).toEqual([undefined, false]);
  });

  it('comes and goes with its driver, and gives back all it took', () => {
    const { iomem, mapped, dax, memregions, unregisterDriver, unregisterDevices } = setUp({ ranges: [[4 * GIB, 5 * GIB - 1]] });
    unregisterDriver();
    expect([mapped, dax.devices, formatIomem(iomem).includes('dax0.0'), dax.regions.size, dax.chrdev.minors.alloc()]).toEqual([[], [], false, 0, 0]);
    unregisterDevices();
    expect(memregions.alloc()).toBe(0);
  });
});

it('a range that something else holds is refused', () => {
  const iomem: Resource = createIomem();
  requestRegion(iomem, 4 * GIB, GIB, 'taken');
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const dax = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk });
  registerDaxDriver(dax, deviceDaxDriver({ iomem, deviceMemory: { memremapPages: () => () => {} }, printk }));
  const provider = createRootDevice('test');
  const node = nodeId(0);
  const region = allocDaxRegion(dax, { provider, id: 0, start: physAddr(4 * GIB), sizeBytes: GIB, align: 4096, targetNode: node, numaNode: node, isStatic: false })!;
  createDevDax(region, { sizeBytes: GIB });
  expect(log).toEqual(['device_dax dax0.0: mapping0: 0x100000000-0x13fffffff could not reserve range', 'device_dax: probe of dax0.0 failed with error -16']);
});
