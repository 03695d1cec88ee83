/**
 * Memory that the firmware set aside for a special purpose (EFI_MEMORY_SP, `Soft Reserved`), offered as device-dax.
 * Mirrors drivers/dax/hmem/device.c: hmem_init, hmem_register_device, and drivers/dax/hmem/hmem.c: dax_hmem_probe.
 *
 * Invariant: each such range is one platform device `hmem.N`, N being a memory region id, with one region and, unless it is misaligned,
 * one device daxN.0.
 * Differs from Linux: no HMAT; ranges come from the memory map only.
 */
import { KernelError, MIB, boolParam, moduleParams, physAddr } from '@holdfast/lib';
import type { Ida, KernelParam, ModuleParams, Printk, Resource } from '@holdfast/lib';
import type { Bus, PlatformBus, PlatformDevice } from '@holdfast/driver-core';
import { resourcesOf } from '@holdfast/nvdimm';
import type { NodeLookup } from '@holdfast/nvdimm';
import { allocDaxRegion, createDevDax, daxRegionAttributes } from './dax-device.js';
import type { DaxChrdev, DaxRegion, DevDax } from './dax-device.js';

export interface HmemDeps {
  platform: PlatformBus;
  /** /sys/bus/dax. */
  dax: Bus<DevDax>;
  iomem: Resource;
  nodes: NodeLookup;
  /** Memory region ids, shared with the nvdimm bus. */
  memregions: Ida;
  chrdev: DaxChrdev;
  params: HmemParams;
}

/** A PMD: what each region's start and size must be multiples of. */
const REGION_ALIGN = 2 * MIB;

const PARAMS = { region_idle: boolParam(false, 0o444) };
export type HmemParams = ModuleParams<typeof PARAMS>;

/** The parameters of the module dax_hmem: `region_idle` keeps regions free of devices with memory. */
export function hmemParams(cmdline: readonly KernelParam[], printk: Printk): HmemParams {
  return moduleParams('dax_hmem', PARAMS, cmdline, printk);
}

/** Make a platform device of each soft-reserved range. The returned function takes them away. */
export function registerHmemDevices({ platform, dax, iomem, memregions }: Pick<HmemDeps, 'platform' | 'dax' | 'iomem' | 'memregions'>): () => void {
  const devices = resourcesOf(iomem, 'soft-reserved').map(({ start, end }) => {
    const regionDevices = (): readonly DevDax[] => dax.devices.filter((child) => child.parent === device);
    const device: PlatformDevice = platform.registerDevice({
      kind: 'hmem',
      id: memregions.alloc(),
      resources: [{ start, end }],
      attributes: () => regionDevices().slice(0, 1).flatMap(({ region }) => daxRegionAttributes(region, regionDevices())),
    });
    return device;
  });
  return () => {
    for (const device of devices.reverse()) {
      platform.removeDevice(device);
      memregions.free(device.id as number);
    }
  };
}

/** Register the driver that makes regions and their devices; returns its undo. */
export function registerHmemDriver(deps: HmemDeps): () => void {
  return deps.platform.registerDriver({
    name: 'hmem',
    match: (device) => device.kind === 'hmem',
    probe: (device) => probe(device, deps),
  });
}

function probe(device: PlatformDevice, { dax, nodes, chrdev, params }: HmemDeps): () => void {
  const region = allocDaxRegion(regionOf(device, nodes));
  if (!region) throw new KernelError('ENOMEM', `${device.name}: expected a start and a size that are multiples of 2 MiB`);
  const child = createDevDax(region, 0, params.values.region_idle ? 0 : region.sizeBytes, device, chrdev);
  dax.addDevice(child);
  return () => {
    dax.removeDevice(child);
    chrdev.minors.free(child.minor);
  };
}

function regionOf(device: PlatformDevice, nodes: NodeLookup): DaxRegion {
  const { start, end } = device.resources[0]!;
  const targetNode = nodes.physToTargetNode(physAddr(start));
  return { id: device.id as number, start: physAddr(start), sizeBytes: end - start + 1, align: REGION_ALIGN, targetNode, numaNode: nodes.mapToOnlineNode(targetNode) };
}
