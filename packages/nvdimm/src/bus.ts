/**
 * The nvdimm bus: where providers bring regions and drivers find namespaces. Mirrors drivers/nvdimm/{bus,core}.c.
 *
 * Invariant: a region's number comes from the memory region ids that all providers and dax hmem share, lowest free first.
 */
import { createIda } from '@holdfast/lib';
import type { Attribute, Ida, KernelRelease, Printk, Resource } from '@holdfast/lib';
import { createBus } from '@holdfast/driver-core';
import type { Bus, Device } from '@holdfast/driver-core';
import { createNvdimm, dimmDriver } from './dimm.js';
import type { NvdimmDesc } from './dimm.js';
import type { NdBus, NdDevice, NdDriver, NdNamespace, NdRegion, Nvdimm } from './nd-device.js';
import { createRegion, regionDriver } from './region.js';
import type { NdRegionDesc } from './region.js';

export interface NvdimmDeps {
  /** The root of /proc/iomem: decides whether a namespace may have struct pages. */
  iomem: Resource;
  printk: Printk;
  /** Memory region ids (drivers/nvdimm and drivers/dax share them: lib/memregion.c). */
  memregions: Ida;
  release?: KernelRelease;
}

/** What a provider tells of itself (struct nvdimm_bus_descriptor). */
export interface NdBusDesc {
  provider: string;
  /** The device that provides, such as the platform device e820_pmem. */
  parent: Device;
  /** Names of the commands its firmware takes. */
  commands?: readonly string[];
  attributes?: readonly Attribute[];
}

export interface Nvdimms {
  /** /sys/bus/nd. */
  readonly bus: Bus<NdDevice>;
  /** Register a driver of namespaces; the returned function unregisters it. @throws KernelError EBUSY */
  registerDriver(driver: NdDriver): () => void;
  /** Add `ndbusN`, N from 0. */
  registerBus(desc: NdBusDesc): NdBus;
  /** Take a bus away with all that hangs below it. */
  unregisterBus(bus: NdBus): void;
  /** Add `nmemN`, N from 0. */
  registerDimm(bus: NdBus, desc: NvdimmDesc): Nvdimm;
  /** Add `regionN` and enable it: its namespaces are offered to the drivers that are there. */
  registerRegion(bus: NdBus, desc: NdRegionDesc): NdRegion;
}

export function createNvdimms({ iomem, printk, memregions, release }: NvdimmDeps): Nvdimms {
  const bus = createBus<NdDevice>('nd', printk, release);
  const busIds = createIda();
  const dimmIds = createIda();
  const idsOf = { bus: busIds, dimm: dimmIds, region: memregions };

  bus.registerDriver({ name: 'nd_bus', match: (device) => device.type === 'bus', probe: () => () => {} });
  bus.registerDriver(dimmDriver);
  bus.registerDriver(regionDriver(bus, iomem));

  function add<D extends NdDevice>(device: D): D {
    bus.addDevice(device);
    return device;
  }

  return {
    bus,
    registerDriver: (driver) =>
      bus.registerDriver({
        name: driver.name,
        match: (device) => device.type === 'namespace' && driver.match(device),
        probe: (device) => driver.probe(device as NdNamespace),
      }),
    registerBus: (desc) => add(createNdBus(busIds.alloc(), desc)),
    registerDimm: (ndBus, desc) => add(createNvdimm(ndBus, dimmIds.alloc(), desc)),
    registerRegion: (ndBus, desc) => add(createRegion(ndBus, memregions.alloc(), desc)),
    unregisterBus(ndBus) {
      // Regions before the DIMMs they map, the bus last.
      const below = bus.devices.filter((device) => device.parent === ndBus);
      for (const device of [...below.reverse(), ndBus]) {
        bus.removeDevice(device);
        if (device.type === 'bus' || device.type === 'dimm' || device.type === 'region') idsOf[device.type].free(device.id);
      }
    },
  };
}

function createNdBus(id: number, { provider, parent, commands = [], attributes = [] }: NdBusDesc): NdBus {
  const own: Attribute[] = [
    { name: 'provider', mode: 0o444, show: () => `${provider}\n` },
    { name: 'commands', mode: 0o444, show: () => `${commands.map((command) => `${command} `).join('')}\n` },
    // Linux blocks here until all is probed; here it always is.
    { name: 'wait_probe', mode: 0o444, show: () => '1\n' },
  ];
  return { type: 'bus', name: `ndbus${id}`, id, parent, provider, attributes: () => [...own, ...attributes] };
}
