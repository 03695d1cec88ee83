/**
 * Which drivers this kernel has, and when each starts: the part of the initcall list to edit when one is added.
 *
 * Before 4.2 legacy ranges are platform devices of the stand-alone pmem driver; from then on the nvdimm bus has them.
 */
import { type Attribute, type Ida, type KernelParam, type KernelRelease, type NodeId, type Printk, type Resource, moduleParams, releaseAtLeast } from '@holdfast/lib';
import { parseNfit } from '@holdfast/acpi';
import type { Block } from '@holdfast/block';
import type { Bus, Device, PlatformBus } from '@holdfast/driver-core';
import { reserveE820ResourcesLate } from '@holdfast/e820';
import type { Machine } from '@holdfast/machine';
import type { DeviceMemory } from '@holdfast/memory-hotplug';
import { type NfitNodeLookup, type Nvdimms, registerE820Driver, registerE820Pmem, registerNfit, resourcesOf } from '@holdfast/nvdimm';
import { type PmemNeeds, createNdPmemDriver, createPlatformPmem, pmemMappingParam } from '@holdfast/pmem';
import { nearestOnlineNode } from '@holdfast/mm';
import type { Firmware, KernelConfig } from './boot-options.js';
import type { Initcall } from './initcalls.js';
import type { Arch } from './setup-arch.js';

export interface DriverNeeds {
  readonly arch: Arch;
  readonly block: Block;
  readonly config: KernelConfig;
  readonly deviceMemory: DeviceMemory;
  readonly firmware: Firmware;
  readonly iomem: Resource;
  readonly machine: Machine;
  /** Memory region ids, which nvdimm and dax share. */
  readonly memregions: Ida;
  readonly nvdimms: Nvdimms;
  readonly params: readonly KernelParam[];
  readonly platform: PlatformBus;
  readonly printk: Printk;
  readonly release: KernelRelease;
}

export interface Drivers {
  readonly initcalls: readonly Initcall[];
  readonly buses: readonly Bus<Device>[];
  /** Parameters by module. */
  readonly modules: Readonly<Record<string, readonly Attribute[]>>;
}

export function driverInitcalls(needs: DriverNeeds): Drivers {
  const { arch, deviceMemory, iomem, nvdimms, params, platform, printk, release } = needs;
  const pmemModule = moduleParams('pmem', { mapping: pmemMappingParam }, params, printk);
  const pmem: PmemNeeds = {
    block: needs.block,
    cpu: needs.machine.cpu,
    memory: needs.machine.memory,
    iomem,
    printk,
    release,
    params: pmemModule.values,
    ...(needs.config.pmem ? { config: needs.config.pmem } : {}),
    memremapPages: ({ start, sizeBytes, nid, type }) => ({ release: deviceMemory.memremapPages({ type, start, sizeBytes, owner: 'pmem' }, nid) }),
  };
  const nodes = nodeLookup(arch);
  const hasLibnvdimm = releaseAtLeast(release, 4, 2);

  const initcalls: Initcall[] = [
    { level: 'fs', name: 'pcibios_assign_resources', run: () => reserveE820ResourcesLate(arch.e820.table, arch.e820Resources, iomem, arch.e820.log) },
  ];
  if (hasLibnvdimm) {
    initcalls.push(
      { level: 'device', name: 'nd_pmem_init', run: () => nvdimms.registerDriver(createNdPmemDriver(pmem)) },
      { level: 'device', name: 'register_e820_pmem', run: () => void registerE820Pmem(platform, iomem) },
      { level: 'device', name: 'e820_pmem_init', run: () => registerE820Driver(platform, nvdimms, nodes, iomem, printk) },
      { level: 'device', name: 'nfit_init', run: () => nfitInit(needs, nodes) },
    );
  } else {
    initcalls.push(
      { level: 'device', name: 'register_pmem_devices', run: () => registerPmemDevices(platform, iomem) },
      { level: 'device', name: 'pmem_init', run: () => startPlatformPmem(platform, pmem) },
    );
  }
  return { initcalls, buses: [platform, nvdimms.bus], modules: { pmem: pmemModule.attributes } };
}

function nfitInit({ firmware, nvdimms, iomem, printk }: DriverNeeds, nodes: NfitNodeLookup): (() => void) | void {
  if (!firmware.nfit) return;
  const labelAreaSize = (handle: number): number => firmware.dimms?.find((dimm) => dimm.handle === handle)?.labelSizeBytes ?? 0;
  return registerNfit({ nvdimms, nfit: parseNfit(firmware.nfit), labelAreaSize, nodes, iomem, printk });
}

/** One platform device for each legacy range, in the map's order (arch/x86/kernel/pmem.c of 4.1). */
function registerPmemDevices(platform: PlatformBus, iomem: Resource): void {
  for (const { start, end } of resourcesOf(iomem, 'persistent-memory-legacy')) {
    platform.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start, end }] });
  }
}

function startPlatformPmem(platform: PlatformBus, needs: PmemNeeds): () => void {
  const { driver, exit } = createPlatformPmem(needs);
  const unregister = platform.registerDriver(driver);
  return () => {
    unregister();
    exit();
  };
}

function nodeLookup({ numa }: Arch): NfitNodeLookup {
  return {
    physToTargetNode: (addr) => numa.physToTargetNode(addr),
    mapToOnlineNode: (nid: NodeId) => nearestOnlineNode(nid, numa.online, numa.distance),
    pxmToNode: (pxm) => numa.pxmToNode(pxm),
    memoryAddPhysaddrToNid: (addr) => numa.memoryAddPhysaddrToNid(addr),
  };
}
