/**
 * A region over DIMMs with label areas, and its attributes, for tests: no driver of namespaces unless a test registers one.
 */
import { createRootDevice } from '@holdfast/driver-core';
import { GIB, createIda, createIomem, nodeId, physAddr } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import { type ConfigArea, type NdDevice, type NdRegion, type Nvdimms, createConfigArea, createNvdimms, initLabelArea, interleaveSetCookies } from '@holdfast/nvdimm';

export interface LabelledRegion {
  readonly nvdimms: Nvdimms;
  readonly region: NdRegion;
  readonly areas: readonly ConfigArea[];
  readonly iomem: Resource;
  readonly log: string[];
  /** An attribute's text without its newline. @throws KernelError */
  show(device: string, attribute: string): string;
  store(device: string, attribute: string, text: string | number): void;
  names(): string[];
  /** Disable and enable the region. */
  again(): void;
}

export interface LabelledRegionOptions {
  ways?: number;
  /** Bytes of the region on each DIMM. */
  perDimm?: number;
  /** 0 leaves the areas without index block. */
  labelSize?: 0 | 128 | 256;
  areaSize?: number;
  /** Areas that hold something already. */
  areas?: readonly ConfigArea[];
}

export function labelledRegion({ ways = 1, perDimm = GIB, labelSize = 128, areaSize = 128 * 1024, areas }: LabelledRegionOptions = {}): LabelledRegion {
  const log: string[] = [];
  const iomem = createIomem();
  const nvdimms = createNvdimms({ iomem, printk: (text) => void log.push(text), memregions: createIda() });
  const bus = nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test') });
  const own = areas ?? Array.from({ length: ways }, () => createConfigArea(areaSize));
  if (!areas && labelSize) for (const area of own) initLabelArea(area, labelSize, 'kernel');
  const dimms = own.map((configArea) => nvdimms.registerDimm(bus, { configArea, notArmed: false, hasFlushHints: false, commands: [] }));
  const dimmsOfSet = dimms.map((_, index) => ({ regionOffset: index * perDimm, serial: 0x1000 + index, vendor: 0x8086, manufacturingDate: 0, manufacturingLocation: 0 }));
  const region = nvdimms.registerRegion(bus, {
    start: physAddr(4 * GIB),
    sizeBytes: dimms.length * perDimm,
    numaNode: nodeId(0),
    targetNode: nodeId(0),
    mappings: dimms.map((dimm, position) => ({ dimm, start: 0, sizeBytes: perDimm, position })),
    interleaveSet: interleaveSetCookies(dimmsOfSet),
  });
  const attributeOf = (device: string, attribute: string) => {
    const found: NdDevice | undefined = nvdimms.bus.findDevice(device);
    const file = found?.attributes().find(({ name }) => name === attribute);
    if (!file) throw new Error(`no ${device}/${attribute}`);
    return file;
  };
  return {
    nvdimms, region, areas: own, iomem, log,
    show: (device, attribute) => attributeOf(device, attribute).show!().replace(/\n$/, ''),
    store: (device, attribute, text) => attributeOf(device, attribute).store!(`${text}\n`),
    names: () => nvdimms.bus.devices.map(({ name }) => name).filter((name) => !/^(ndbus|nmem|region)/.test(name)).sort(),
    again() {
      nvdimms.bus.unbind(region.name, 'nd_region');
      nvdimms.bus.bind(region.name, 'nd_region');
    },
  };
}
