/**
 * Which drivers this kernel has, and when each starts: the list to edit when one is added.
 *
 * Before 4.2 legacy ranges are platform devices of the stand-alone pmem driver; from then on the nvdimm bus has them.
 */
import {
  type Attribute, type Ida, type KernelParam, type KernelRelease, type Printk, type Resource,
  boolParam, createIda, moduleParams, releaseAtLeast,
} from '@holdfast/lib';
import { parseNfit } from '@holdfast/acpi';
import type { Block } from '@holdfast/block';
import {
  type DaxBus, type DaxHosts, createDaxBus, daxPmemDriver, deviceDaxDriver, hmemParams, registerDaxDriver, registerHmemDevices, registerHmemDriver,
} from '@holdfast/dax';
import type { Bus, Device, PlatformBus } from '@holdfast/driver-core';
import { reserveE820ResourcesLate } from '@holdfast/e820';
import { kmemDriver } from '@holdfast/kmem';
import type { Machine } from '@holdfast/machine';
import type { AcpiMemory, DeviceMemory, MemoryHotplug } from '@holdfast/memory-hotplug';
import { type DevicePagesMap, nearestOnlineNode } from '@holdfast/mm';
import {
  type ConfigArea, type NfitNodeLookup, type Nvdimms, createConfigArea, registerE820Driver, registerE820Pmem, registerNfit, registerVirtioPmemDriver,
  resourcesOf,
} from '@holdfast/nvdimm';
import type { Pci } from '@holdfast/pci';
import { type AttachedDesign, type PageHost, type PmemNeeds, createNdPmemDriver, createPlatformPmem, pmemMappingParam, pmemPagesParams } from '@holdfast/pmem';
import { type DmaChannel, createDmaEngineDriver } from '@holdfast/dmaengine';
import { createPmemPciDriver } from '@holdfast/pmem-pci';
import { type Drive, attachDrives } from '@holdfast/sd';
import { type VirtioHardware, type VirtioMemPages, createVirtioBus, createVirtioMemDriver } from '@holdfast/virtio';
import type { Firmware, KernelConfig } from './boot-options.js';
import type { Initcall } from './initcalls.js';
import { pciInitcalls } from './pci-root.js';
import type { Arch } from './setup-arch.js';

export interface DriverNeeds {
  readonly acpiMemory: AcpiMemory;
  readonly arch: Arch;
  readonly block: Block;
  readonly config: KernelConfig;
  readonly daxHosts: DaxHosts;
  readonly deviceMemory: DeviceMemory;
  /** Filled and emptied by drivers of DMA engines. */
  readonly dmaChannels: DmaChannel[];
  readonly devicePages: DevicePagesMap;
  readonly firmware: Firmware;
  readonly iomem: Resource;
  readonly machine: Machine;
  readonly memoryHotplug: MemoryHotplug;
  /** Memory region ids, which nvdimm and dax share. */
  readonly memregions: Ida;
  readonly nvdimms: Nvdimms;
  readonly pageHost: PageHost;
  readonly pages: VirtioMemPages;
  readonly params: readonly KernelParam[];
  /** Without it the machine has no slots. */
  readonly pci?: Pci;
  readonly platform: PlatformBus;
  readonly printk: Printk;
  readonly release: KernelRelease;
  readonly virtio: readonly VirtioHardware[];
  readonly drives: readonly Drive[];
}

/** What one group of drivers brings. */
interface DriverSet {
  readonly initcalls: readonly Initcall[];
  readonly buses: readonly Bus<Device>[];
  /** Parameters by module. */
  readonly modules: Readonly<Record<string, readonly Attribute[]>>;
}

export function driverSet(needs: DriverNeeds): DriverSet & { readonly dax: DaxBus; readonly pmem: ReadonlyMap<string, AttachedDesign> } {
  const nodes = nodeLookup(needs.arch);
  const dax = createDaxBus({ chrdev: { major: DAX_MAJOR, minors: createIda() }, printk: needs.printk, release: needs.release });
  const pmem = new Map<string, AttachedDesign>();
  const sets = [pciDrivers(needs), daxDrivers(needs, nodes, dax), pmemDrivers(needs, nodes, dax, pmem), virtioDrivers(needs, nodes), sdDrivers(needs)];
  return {
    dax,
    pmem,
    initcalls: sets.flatMap(({ initcalls }) => initcalls),
    buses: [needs.platform, ...sets.flatMap(({ buses }) => buses)],
    modules: Object.assign({}, ...sets.map(({ modules }) => modules)) as DriverSet['modules'],
  };
}

/** The bridge's window comes between the early and the late ranges of the memory map. */
function pciDrivers({ acpiMemory, arch, firmware, iomem, machine, pci, release }: DriverNeeds): DriverSet {
  const { e820, e820Resources } = arch;
  const { scan, insertMmconfig, claim, assign } = pciInitcalls({ arch, firmware, iomem, physBits: machine.cpu.physBits, release }, pci);
  return {
    initcalls: [
      { level: 'subsys', name: 'acpi_init', run: scan },
      { level: 'subsys', name: 'acpi_scan_init', run: () => firmware.memoryDevices?.forEach((device) => acpiMemory.deviceAdded(device)) },
      { level: 'fs', name: 'pcibios_resource_survey', run: claim },
      { level: 'fs', name: 'e820__reserve_resources_late', run: () => reserveE820ResourcesLate(e820.table, e820Resources, iomem, e820.log) },
      { level: 'fs', name: 'pci_mmcfg_late_insert_resources', run: insertMmconfig }, // Linux: a late one, but ahead of drivers that are modules
      { level: 'fs', name: 'pcibios_assign_resources', run: assign },
    ],
    buses: pci ? [pci.bus] : [],
    modules: {},
  };
}

/** Device-dax has a bus since 5.1, and soft-reserved memory since 5.5: that comes before pmem, and takes the first memory region ids. */
function daxDrivers(
  { deviceMemory, iomem, memoryHotplug, memregions, params, platform, printk, release }: DriverNeeds,
  nodes: NfitNodeLookup,
  dax: DaxBus,
): DriverSet {
  if (!releaseAtLeast(release, 5, 1)) return { initcalls: [], buses: [], modules: {} };
  const bus: Initcall[] = [
    { level: 'device', name: 'dax_init', run: () => registerDaxDriver(dax, deviceDaxDriver({ iomem, deviceMemory, printk })) },
    { level: 'device', name: 'dax_kmem_init', run: () => registerDaxDriver(dax, kmemDriver({ iomem, memory: memoryHotplug, printk })) },
  ];
  if (!releaseAtLeast(release, 5, 5)) return { initcalls: bus, buses: [dax], modules: {} };
  const hmem = hmemParams(params, printk);
  return {
    initcalls: [
      { level: 'device', name: 'hmem_init', run: () => registerHmemDevices({ platform, iomem, memregions }) },
      ...bus,
      { level: 'device', name: 'dax_hmem_init', run: () => registerHmemDriver({ platform, dax, iomem, nodes, memregions, params: hmem }) },
    ],
    buses: [dax],
    modules: { dax_hmem: hmem.attributes },
  };
}

/** The first dynamic major below those of other drivers, as on the captured machines. */
const DAX_MAJOR = 252;

function pmemDrivers(needs: DriverNeeds, nodes: NfitNodeLookup, dax: DaxBus, attached: Map<string, AttachedDesign>): DriverSet {
  const { iomem, nvdimms, params, platform, printk, release } = needs;
  const { values, attributes } = moduleParams('pmem', { mapping: pmemMappingParam, ...pmemPagesParams }, params, printk);
  const pmem: PmemNeeds = {
    block: needs.block,
    daxHosts: needs.daxHosts,
    cpu: needs.machine.cpu,
    memory: needs.machine.memory,
    iomem,
    printk,
    release,
    params: values,
    ...(needs.config.pmem ? { config: needs.config.pmem } : {}),
    pageHost: needs.pageHost,
    devicePages: needs.devicePages,
    attached,
  };
  const initcalls: Initcall[] = releaseAtLeast(release, 4, 2)
    ? [
        { level: 'device', name: 'register_e820_pmem', run: () => void registerE820Pmem(platform, iomem) },
        {
          level: 'device',
          name: 'nd_pmem_driver_init',
          run: () => nvdimms.registerDriver(createNdPmemDriver({ ...pmem, nvdimms, daxMinors: dax.chrdev.minors })),
        },
        // Before the dax bus there is nobody to give a region to.
        ...(releaseAtLeast(release, 5, 1)
          ? [{
            level: 'device' as const, name: 'dax_pmem_init',
            run: () => nvdimms.registerDriver(daxPmemDriver({ dax, nvdimms, cpu: pmem.cpu, iomem, printk })),
          }]
          : []),
        { level: 'device', name: 'e820_pmem_driver_init', run: () => registerE820Driver(platform, nvdimms, nodes, iomem, printk) },
        { level: 'device', name: 'nfit_init', run: () => nfitInit(needs, nodes) },
      ]
    : [
        { level: 'device', name: 'register_pmem_devices', run: () => registerPmemDevices(platform, iomem) },
        { level: 'device', name: 'pmem_init', run: () => startPlatformPmem(platform, pmem) },
      ];
  const { pci } = needs;
  const dma = moduleParams('holdfast_dma', BY_PFN, params, printk);
  const dmaNeeds = { memory: pmem.memory, pages: needs.block.needs.pages, devicePages: needs.devicePages, byPfn: dma.values.by_pfn };
  const card: Initcall[] = pci
    ? [{ level: 'device', name: 'pmem_pci_init', run: () => pci.registerDriver(createPmemPciDriver({ ...pmem, pci, memregions: needs.memregions })) },
      { level: 'device', name: 'holdfast_dma_init', run: () => pci.registerDriver(createDmaEngineDriver({ ...dmaNeeds, pci }, needs.dmaChannels)) }]
    : [];
  return { initcalls: [...initcalls, ...card], buses: [nvdimms.bus], modules: { pmem: attributes, ...(pci ? { holdfast_dma: dma.attributes } : {}) } };
}

function sdDrivers({ block, drives, machine, params, printk }: DriverNeeds): DriverSet {
  const { values, attributes } = moduleParams('sd_mod', BY_PFN, params, printk);
  return {
    initcalls: [{ level: 'device', name: 'init_sd', run: () => attachDrives(drives, { block, memory: machine.memory, printk, byPfn: values.by_pfn }) }],
    buses: [],
    modules: drives.length > 0 ? { sd_mod: attributes } : {},
  };
}

/** Ours: whether a driver takes I/O that names frames without struct pages by their numbers, as the drivers that the RFC of 2015 converted. */
const BY_PFN = { by_pfn: boolParam(false, 0o444) };

/** What a hypervisor gives: virtio-pmem since 5.3, virtio-mem since 5.8. */
function virtioDrivers(needs: DriverNeeds, nodes: NfitNodeLookup): DriverSet {
  const { iomem, machine, memoryHotplug, nvdimms, pages, params, printk, release, virtio: hardware } = needs;
  if (hardware.length === 0) return { initcalls: [], buses: [], modules: {} };
  const virtio = createVirtioBus(printk, release);
  const mem = releaseAtLeast(release, 5, 8)
    ? createVirtioMemDriver({ virtio, memory: memoryHotplug, pages, iomem, maxPhysAddr: 2 ** machine.cpu.physBits, nodes, params, printk })
    : undefined;
  return {
    initcalls: [
      // Nobody takes its memory back at shutdown.
      ...(mem ? [{ level: 'device' as const, name: 'virtio_mem_driver_init', run: () => void mem.start() }] : []),
      ...(releaseAtLeast(release, 5, 3)
        ? [{ level: 'device' as const, name: 'virtio_pmem_init', run: () => registerVirtioPmemDriver({ virtio, nvdimms, nodes, release }) }]
        : []),
      { level: 'device', name: 'virtio_pci_driver_init', run: () => hardware.forEach((device) => virtio.registerDevice(device)) },
    ],
    buses: [virtio],
    modules: mem ? { virtio_mem: mem.attributes } : {},
  };
}

function nfitInit({ firmware, machine, nvdimms, iomem, printk }: DriverNeeds, nodes: NfitNodeLookup): (() => void) | void {
  if (!firmware.nfit) return;
  const { nvdimmMethods: methods } = firmware;
  return registerNfit({
    machine,
    ...(methods ? { methods } : {}),
    nvdimms,
    nfit: parseNfit(firmware.nfit),
    labelArea: (handle) => labelAreaOf(firmware, handle),
    nodes,
    iomem,
    printk,
  });
}

function labelAreaOf({ dimms = [] }: Firmware, handle: number): ConfigArea | undefined {
  const dimm = dimms.find((each) => each.handle === handle);
  return dimm && dimm.labelSizeBytes > 0 ? (dimm.labelArea ?? createConfigArea(dimm.labelSizeBytes)) : undefined;
}

/** One platform device for each legacy range, in the map's order (arch/x86/kernel/pmem.c of 4.1). */
function registerPmemDevices(platform: PlatformBus, iomem: Resource): void {
  for (const { start, end } of resourcesOf(iomem, 'persistent-memory-legacy')) {
    platform.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start, end }] });
  }
}

function startPlatformPmem(platform: PlatformBus, needs: PmemNeeds): () => void {
  const pmem = createPlatformPmem(needs);
  const unregister = platform.registerDriver(pmem.driver);
  return () => {
    unregister();
    pmem.exit();
  };
}

function nodeLookup({ numa }: Arch): NfitNodeLookup {
  return {
    physToTargetNode: (addr) => numa.physToTargetNode(addr),
    mapToOnlineNode: (nid) => nearestOnlineNode(nid, numa.online, numa.distance),
    pxmToNode: (pxm) => numa.pxmToNode(pxm),
    memoryAddPhysaddrToNid: (addr) => numa.memoryAddPhysaddrToNid(addr),
  };
}
