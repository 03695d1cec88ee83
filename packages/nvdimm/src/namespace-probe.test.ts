import { GIB, KIB, MIB, createIda, createIomem, createResource, insertResource, nodeId, physAddr } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import { createRootDevice } from '@holdfast/driver-core';
import { describe, expect, it } from 'vitest';
import { createNvdimms } from './bus.js';
import { createClaim } from './claim.js';
import type { NdCore, NdNamespace } from './nd-device.js';
import { nvdimmNamespaceCommonProbe, nvdimmNamespaceDiskName, pmemShouldMapPages } from './namespace-probe.js';

function iomemWithRam(): Resource {
  const iomem = createIomem();
  insertResource(iomem, createResource({ name: 'System RAM', start: 0, end: GIB - 1, systemRam: true }));
  return iomem;
}

interface Found {
  ns: NdNamespace;
  core: NdCore;
  log: string[];
}

function namespaceAt(start: number, sizeBytes: number, pageMapAllowed = true): Found {
  const log: string[] = [];
  const [iomem, printk] = [iomemWithRam(), (text: string): void => void log.push(text)];
  const nvdimms = createNvdimms({ iomem, printk, memregions: createIda() });
  const bus = nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') });
  nvdimms.registerRegion(bus, { start: physAddr(start), sizeBytes, numaNode: nodeId(0), targetNode: nodeId(0), pageMapAllowed });
  return { ns: nvdimms.bus.findDevice('namespace0.0') as NdNamespace, core: { bus: nvdimms.bus, iomem, printk, later: (action) => action() }, log };
}

function probe({ ns, core }: Found): string {
  try {
    nvdimmNamespaceCommonProbe(ns, core);
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('a raw attach', () => {
  it.each<[what: string, start: number, sizeBytes: number, pageMapAllowed: boolean, result: string]>([
    ['of a range aligned to 2 MiB', 4 * GIB, 2 * MIB, true, 'ok'],
    ['of one whose start is not', 4 * GIB + 64 * KIB, 512 * MIB - 64 * KIB, true, 'EOPNOTSUPP'],
    ['of one whose end is not', 4 * GIB, 3 * MIB, true, 'EOPNOTSUPP'],
    ['of a misaligned one that takes no struct pages', 4 * GIB, 3 * MIB, false, 'ok'],
    ['of a misaligned one that mixes with RAM, and so takes none', GIB - MIB, 2 * MIB, true, 'ok'],
    ['of one page', 4 * GIB, 4096, false, 'ok'],
    ['of less than a page', 4 * GIB, 4095, false, 'ENODEV'],
  ])('%s', (_what, start, sizeBytes, pageMapAllowed, result) => {
    expect(probe(namespaceAt(start, sizeBytes, pageMapAllowed))).toBe(result);
  });

  it('that is refused for its alignment says so as Linux does', () => {
    const found = namespaceAt(0x40010000, 512 * MIB);
    const { bus } = found.core;
    bus.registerDriver({ name: 'nd_pmem', match: (device) => device === found.ns, probe: () => (nvdimmNamespaceCommonProbe(found.ns, found.core), () => {}) });
    expect(found.log.slice(0, 1)).toEqual(['nd_pmem namespace0.0: [mem 0x40010000-0x6000ffff flags 0x200] misaligned, unable to map']);
  });

  it('with force_raw asks for no alignment', () => {
    const found = namespaceAt(0x40010000, 512 * MIB);
    found.ns.attributes().find(({ name }) => name === 'force_raw')!.store!('1\n');
    expect([probe(found), pmemShouldMapPages(found.ns, iomemWithRam())]).toEqual(['ok', false]);
  });

  it('of a claimed namespace is none of the driver', () => {
    const found = namespaceAt(4 * GIB, GIB);
    createClaim(found.core, found.ns.region, 'pfn', found.ns);
    expect([probe(found), found.log]).toEqual(['ENXIO', []]);
  });
});

it('mode is how the kernel uses a namespace', () => {
  const mode = (ns: NdNamespace): string => ns.attributes().find(({ name }) => name === 'mode')!.show!();
  const { ns, core } = namespaceAt(4 * GIB, GIB);
  expect([mode(ns), mode(namespaceAt(4 * GIB, GIB, false).ns)]).toEqual(['memory\n', 'raw\n']);
  for (const [kind, word] of [['btt', 'safe'], ['pfn', 'memory'], ['dax', 'dax']] as const) {
    createClaim(core, ns.region, kind, ns);
    expect(mode(ns)).toBe(`${word}\n`);
  }
});

describe('disks are named after their region', () => {
  it.each([
    [0, 0, undefined, 'pmem0'],
    [0, 1, undefined, 'pmem0.1'],
    [3, 0, 'btt', 'pmem3s'],
    [3, 2, 'btt', 'pmem3.2s'],
    [1, 0, 'pfn', 'pmem1'],
  ] as const)('region %d, namespace %d, claimed by %s: %s', (regionId, id, claim, name) => {
    expect(nvdimmNamespaceDiskName({ regionId, id }, claim)).toBe(name);
  });
});
