/**
 * The nd bus against a real Linux 6.1: every attribute of every device that it showed after boot, on e820 ranges and NFITs.
 * Left out of the data: `dev` of nmemN (a dynamic major). The seeds' ids, a race in Linux, are written as 0.
 */
import { createMachine } from '@holdfast/machine';
import { readFileSync } from 'node:fs';
import { parseNfit } from '@holdfast/acpi';
import { createPlatformBus } from '@holdfast/driver-core';
import { createIda, createIomem, createResource, insertResource, nodeId } from '@holdfast/lib';
import type { Attribute, NodeId } from '@holdfast/lib';
import { createConfigArea, createNvdimms, nvdimmNamespaceCommonProbe, registerE820Driver, registerE820Pmem, registerNfit } from '@holdfast/nvdimm';
import type { ConfigArea, NdDevice, NfitNodeLookup, Nvdimms } from '@holdfast/nvdimm';
import { describe, expect, it } from 'vitest';

interface Golden {
  name: string;
  /** First and last byte of each e820 type 12 range. */
  legacy: [number, number][];
  nfit?: string;
  labelAreas?: Record<string, number>;
  targetNode: number;
  numaNode: number;
  /** Sorted. */
  log: string[];
  /** `device/attribute=value` or `device/driver->name`, sorted by device. */
  sysfs: string[];
}

const GOLDEN = JSON.parse(readFileSync(new URL('nd-sysfs.json', import.meta.url), 'utf8')) as Golden[];

function boot(golden: Golden): { nvdimms: Nvdimms; log: string[] } {
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const iomem = createIomem();
  for (const [start, end] of golden.legacy) {
    insertResource(iomem, createResource({ name: 'Persistent Memory (legacy)', start, end, desc: 'persistent-memory-legacy' }));
  }
  const target = nodeId(golden.targetNode);
  const nodes: NfitNodeLookup = {
    physToTargetNode: () => target,
    mapToOnlineNode: (nid: NodeId) => (nid === target ? nodeId(golden.numaNode) : nid),
    pxmToNode: (pxm) => nodeId(pxm),
    memoryAddPhysaddrToNid: () => nodeId(0),
  };
  const nvdimms = createNvdimms({ iomem, printk, memregions: createIda() });
  nvdimms.registerDriver({
    name: 'nd_pmem',
    match: ({ type }) => type !== 'dax',
    probe: (ns) => {
      nvdimmNamespaceCommonProbe(ns, { bus: nvdimms.bus, iomem, printk });
      return () => {};
    },
  });
  const platform = createPlatformBus(iomem, printk);
  registerE820Driver(platform, nvdimms, nodes, iomem, printk);
  registerE820Pmem(platform, iomem);
  if (golden.nfit !== undefined) {
    const nfit = parseNfit(Buffer.from(golden.nfit, 'base64'));
    registerNfit({ machine: createMachine(), nvdimms, nfit, labelArea: (handle) => areaOf(golden.labelAreas?.[handle]), nodes, iomem, printk });
  }
  return { nvdimms, log };
}

function areaOf(size: number | undefined): ConfigArea | undefined {
  return size ? createConfigArea(size) : undefined;
}

/** What can be read: seeds have no size and no place. */
function valueOf({ show }: Attribute): string | undefined {
  try {
    return show!().replace(/\n$/, '');
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENXIO' });
    return undefined;
  }
}

function dump(nvdimms: Nvdimms, device: NdDevice): string[] {
  const driver = nvdimms.bus.driverOf(device)?.name ?? '';
  const shown = device.attributes().filter(({ name }) => name !== 'badblocks' && name !== 'dev');
  const lines = shown.flatMap((attribute) => (valueOf(attribute) === undefined ? [] : [`${device.name}/${attribute.name}=${valueOf(attribute)}`]));
  return [`${device.name}/driver->${driver}`, ...lines];
}

describe('the nd bus shows what Linux 6.1 shows on', () => {
  it.each(GOLDEN)('$name', (golden) => {
    const { nvdimms, log } = boot(golden);
    expect(nvdimms.bus.devices.flatMap((device) => dump(nvdimms, device)).sort()).toEqual([...golden.sysfs].sort());
    expect([...log].sort()).toEqual(golden.log);
  });
});
