/**
 * The dax bus: devices `daxR.N`, the regions they are cut from, and drivers that take devices by name.
 * Mirrors drivers/dax/bus.c: dax_bus_type, dax_bus_match, dax_bus_probe, do_id_store.
 *
 * Invariant: a driver is bound only to devices with memory, and, unless it matches always, only to devices whose name it was given.
 */
import { KernelError, SUBSECTION_SIZE } from '@holdfast/lib';
import type { Attribute, Ida, KernelRelease, Printk } from '@holdfast/lib';
import { createBus } from '@holdfast/driver-core';
import type { Bus, Device, Driver } from '@holdfast/driver-core';
import type { DaxRegion } from './dax-region.js';
import { storeLine } from './dax-request.js';
import type { DevDax } from './dev-dax.js';

/** The character devices of dax: one major, and minors that fsdax's hosts, such as pmem disks with DAX, draw from too. */
export interface DaxChrdev {
  readonly major: number;
  readonly minors: Ida;
}

/** /sys/bus/dax, and what its devices share. */
export interface DaxBus extends Bus<DevDax> {
  readonly chrdev: DaxChrdev;
  /** The regions there are, by the device that provides each. */
  readonly regions: Map<Device, DaxRegion>;
}

export interface DaxBusDeps {
  chrdev: DaxChrdev;
  printk: Printk;
  release?: KernelRelease;
}

export function createDaxBus({ chrdev, printk, release }: DaxBusDeps): DaxBus {
  return { ...createBus<DevDax>('dax', printk, release), chrdev, regions: new Map() };
}

export interface DaxDriver {
  readonly name: string;
  /** Takes any device; else only those whose name was written to `new_id`. */
  readonly matchAlways?: boolean;
  /** As of Driver; never sees a device without memory. */
  probe(device: DevDax): () => void;
}

/** Register a driver with the files `new_id` and `remove_id`. Returns its undo. @throws KernelError EBUSY if there is one of that name. */
export function registerDaxDriver(bus: DaxBus, daxDriver: DaxDriver): () => void {
  const { name, matchAlways = false } = daxDriver;
  const ids = new Set<string>();
  const driver: Driver<DevDax> = {
    name,
    match: (device) => matchAlways || ids.has(device.name),
    matchLine: (deviceName) => `echo ${deviceName} > /sys/bus/dax/drivers/${name}/new_id`,
    probe(device) {
      if (device.sizeBytes === 0) {
        throw new KernelError('ENXIO', `${device.name} has no memory`, {
          nearest: [{ first: storeLine(device.name, 'size', Math.max(device.align, SUBSECTION_SIZE)) }],
        });
      }
      const remove = daxDriver.probe(device);
      device.region.seedIsBound(device);
      return remove;
    },
    attributes: () => [
      idFile(bus, 'new_id', (id) => {
        ids.add(id);
        bus.attachDriver(driver);
      }),
      idFile(bus, 'remove_id', (id) => void ids.delete(id)),
    ],
  };
  return bus.registerDriver(driver);
}

function idFile(bus: DaxBus, name: string, store: (id: string) => void): Attribute {
  return {
    name,
    mode: 0o200,
    store(text) {
      const id = /^(dax(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))\n?$/.exec(text)?.[1];
      if (id === undefined) {
        throw new KernelError('EINVAL', `'${text.trimEnd()}': expected the name of a device`, {
          nearest: bus.devices.map((device) => ({ value: device.name })),
        });
      }
      store(id);
    },
  };
}
