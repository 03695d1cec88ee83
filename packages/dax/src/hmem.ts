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
import type { PlatformBus, PlatformDevice } from '@holdfast/driver-core';
import { resourcesOf } from '@holdfast/nvdimm';
import type { NodeLookup } from '@holdfast/nvdimm';
import type { DaxBus } from './dax-bus.js';
import { allocDaxRegion } from './dax-region.js';
import type { DaxRegionSpec } from './dax-region.js';
import { createDevDax } from './dev-dax.js';

export interface HmemDeps {
  platform: PlatformBus;
  dax: DaxBus;
  iomem: Resource;
  nodes: NodeLookup;
  /** Memory region ids, shared with the nvdimm bus. */
  memregions: Ida;
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
export function registerHmemDevices({ platform, iomem, memregions }: Pick<HmemDeps, 'platform' | 'iomem' | 'memregions'>): () => void {
  const devices = resourcesOf(iomem, 'soft-reserved').map(({ start, end }) =>
    platform.registerDevice({ kind: 'hmem', id: memregions.alloc(), resources: [{ start, end }] }),
  );
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

function probe(device: PlatformDevice, { dax, nodes, params }: HmemDeps): () => void {
  const region = allocDaxRegion(dax, regionOf(device, nodes));
  if (!region) throw new KernelError('ENOMEM', `${device.name}: expected a start and a size that are multiples of 2 MiB`);
  createDevDax(region, { sizeBytes: params.values.region_idle ? 0 : region.sizeBytes });
  return () => region.unregister();
}

function regionOf(provider: PlatformDevice, nodes: NodeLookup): DaxRegionSpec {
  const { start, end } = provider.resources[0]!;
  const targetNode = nodes.physToTargetNode(physAddr(start));
  const numaNode = nodes.mapToOnlineNode(targetNode);
  return {
    provider,
    id: provider.id as number,
    start: physAddr(start),
    sizeBytes: end - start + 1,
    align: REGION_ALIGN,
    targetNode,
    numaNode,
    isStatic: false,
  };
}
