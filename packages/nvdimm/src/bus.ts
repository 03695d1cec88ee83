/**
 * The nvdimm bus: where providers bring regions and drivers find namespaces. Mirrors drivers/nvdimm/{bus,core}.c.
 *
 * Invariant: a region's number comes from the memory region ids that all providers and dax hmem share, lowest free first. A device that
 * a probe finds is itself probed when the call that began it all is done with the rest, and before it returns.
 */
import { KernelError, createIda } from '@holdfast/lib';
import type { Attribute, Ida, KernelRelease, Printk, Resource } from '@holdfast/lib';
import { createBus } from '@holdfast/driver-core';
import type { Bus, Device } from '@holdfast/driver-core';
import type { NvdimmRootMethods } from '@holdfast/machine';
import { createBadrange } from './badrange.js';
import { probeClaims } from './claim-probe.js';
import { type PfnSetup, setupNdPfn } from './claim-setup.js';
import { createNvdimm, dimmDriver } from './dimm.js';
import type { NvdimmDesc } from './dimm.js';
import type { NamespaceIo } from './namespace-io.js';
import type { NdBus, NdClaim, NdCore, NdDevice, NdDriver, NdNamespace, NdPfn, NdRegion, Nvdimm } from './nd-device.js';
import { advanceSeeds, createRegion, regionDriver } from './region.js';
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
  /** What its firmware can do about errors. */
  methods?: NvdimmRootMethods;
  isScrubbing?: () => boolean;
}

export interface Nvdimms {
  /** /sys/bus/nd. */
  readonly bus: Bus<NdDevice>;
  /** Register a driver of namespaces or of what claims them; the returned function unregisters it. @throws KernelError EBUSY */
  registerDriver(driver: NdDriver): () => void;
  /** Add `ndbusN`, N from 0. */
  registerBus(desc: NdBusDesc): NdBus;
  /** Take a bus away with all that hangs below it. */
  unregisterBus(bus: NdBus): void;
  /** Add `nmemN`, N from 0. */
  registerDimm(bus: NdBus, desc: NvdimmDesc): Nvdimm;
  /** Add `regionN` and enable it: its namespaces are offered to the drivers that are there. */
  registerRegion(bus: NdBus, desc: NdRegionDesc): NdRegion;
  /**
   * For the driver that probes a raw namespace: does it hold a BTT, fsdax or devdax? If so, the device for it comes up by itself.
   * @throws KernelError EOPNOTSUPP, logged, if it holds one that this kernel cannot honour
   */
  probeClaims(ns: NdNamespace, io: NamespaceIo): boolean;
  /** For the driver that probes a pfn or dax device: find or write its info block. @throws KernelError as setupNdPfn */
  setupPfn(pfn: NdPfn, io: NamespaceIo): PfnSetup;
  /** For a driver, what a probe of Linux does only after it slept: once the bus is idle, other devices' probes have been there first. */
  later(action: () => void): void;
}

export function createNvdimms({ iomem, printk, memregions, release }: NvdimmDeps): Nvdimms {
  const { bus, later } = deferringBus(createBus<NdDevice>('nd', printk, release));
  const core: NdCore = { bus, iomem, printk, later };
  const busIds = createIda();
  const dimmIds = createIda();
  const idsOf = { bus: busIds, dimm: dimmIds, region: memregions };

  bus.registerDriver({ name: 'nd_bus', suppressBindAttrs: true, match: (device) => device.type === 'bus', probe: () => () => {} });
  bus.registerDriver(dimmDriver);
  bus.registerDriver(regionDriver(core));

  function add<D extends NdDevice>(device: D): D {
    bus.addDevice(device);
    return device;
  }

  return {
    bus,
    registerDriver: (driver) =>
      bus.registerDriver({
        name: driver.name,
        match: (device) => isAttachable(device) && driver.match(device),
        probe: (device) => probeAndAdvance(core, driver, device as NdNamespace | NdClaim),
      }),
    registerBus: (desc) => add(createNdBus(busIds.alloc(), desc)),
    registerDimm: (ndBus, desc) => add(createNvdimm(ndBus, dimmIds.alloc(), desc)),
    registerRegion: (ndBus, desc) => add(createRegion(ndBus, memregions.alloc(), desc)),
    probeClaims: (ns, io) => probeClaims(core, ns, io),
    setupPfn: (pfn, io) => setupNdPfn(core, pfn, io),
    later,
    unregisterBus(ndBus) {
      // Regions before the DIMMs they map, the bus last.
      const below = bus.devices.filter((device) => device.parent === ndBus);
      for (const device of [...below.reverse(), ndBus]) {
        bus.removeDevice(device);
        if (device.type === 'region') ndBus.regions.splice(ndBus.regions.indexOf(device), 1);
        if (device.type === 'bus' || device.type === 'dimm' || device.type === 'region') idsOf[device.type].free(device.id);
      }
    },
  };
}

function isAttachable(device: NdDevice): device is NdNamespace | NdClaim {
  return device.type === 'namespace' || device.type === 'btt' || device.type === 'pfn' || device.type === 'dax';
}

/** What holds data that this kernel cannot honour is in use, too: user space gets another seed (nvdimm_bus_probe). */
function probeAndAdvance(core: NdCore, driver: NdDriver, device: NdNamespace | NdClaim): () => void {
  try {
    const remove = driver.probe(device);
    advanceSeeds(core, device);
    return remove;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EOPNOTSUPP') advanceSeeds(core, device);
    throw error;
  }
}

/** A bus on which {@link NdCore.later} waits for the outermost call to end. */
function deferringBus(bus: Bus<NdDevice>): { bus: Bus<NdDevice>; later: NdCore['later'] } {
  const waiting: (() => void)[] = [];
  let depth = 0;

  function busy<T>(call: () => T): T {
    depth++;
    try {
      return call();
    } finally {
      // Still busy while the queue runs: what it adds goes to the end of it.
      if (depth === 1) for (let next = waiting.shift(); next; next = waiting.shift()) next();
      depth--;
    }
  }

  return {
    later: (action) => {
      waiting.push(action);
      if (depth === 0) busy(() => {});
    },
    bus: {
      ...bus,
      addDevice: (device) => busy(() => bus.addDevice(device)),
      removeDevice: (device) => busy(() => bus.removeDevice(device)),
      registerDriver: (driver) => {
        const unregister = busy(() => bus.registerDriver(driver));
        return () => busy(unregister);
      },
      attachDriver: (driver) => busy(() => bus.attachDriver(driver)),
      bind: (device, driver) => busy(() => bus.bind(device, driver)),
      unbind: (device, driver) => busy(() => bus.unbind(device, driver)),
    },
  };
}

function createNdBus(id: number, { provider, parent, commands = [], attributes = [], methods, isScrubbing = () => false }: NdBusDesc): NdBus {
  const own: Attribute[] = [
    { name: 'provider', mode: 0o444, show: () => `${provider}\n` },
    { name: 'commands', mode: 0o444, show: () => `${commands.map((command) => `${command} `).join('')}\n` },
    // Linux blocks here until all is probed; here it always is.
    { name: 'wait_probe', mode: 0o444, show: () => '1\n' },
  ];
  return {
    type: 'bus', name: `ndbus${id}`, id, parent, provider, badrange: createBadrange(), methods, regions: [], isScrubbing,
    attributes: () => [...own, ...attributes], uevent: () => ['MODALIAS=nd:t0'],
  };
}
