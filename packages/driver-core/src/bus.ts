/**
 * A bus: devices on one side, drivers on the other, and the rule that brings them together.
 * Mirrors drivers/base/{bus,dd,driver}.c: bus_add_device, bus_add_driver, really_probe, driver_detach, bind_store, unbind_store.
 *
 * Invariant: a device has at most one driver, and what its probe returned runs exactly once, when the two part.
 * Differs from Linux: probing is synchronous, and nothing defers. Where Linux's removal would wait for others to let go of the device,
 * it is refused here, and the device stays bound.
 */
import { DEFAULT_RELEASE, KERN, KernelError, releaseAtLeast } from '@holdfast/lib';
import type { Attribute, KernelRelease, Printk } from '@holdfast/lib';
import type { Device } from './device.js';
import type { Driver } from './driver.js';

export interface Bus<D extends Device> {
  readonly name: string;
  /** In the order in which they were added. */
  readonly devices: readonly D[];
  /** In the order in which they registered, which is the order in which a new device is offered to them. */
  readonly drivers: readonly Driver<D>[];
  /** Are new devices and drivers offered to each other? As /sys/bus/B/drivers_autoprobe says. */
  autoprobes(): boolean;
  setAutoprobe(on: boolean): void;
  findDevice(name: string): D | undefined;
  /** The driver a device is bound to; while it probes, the driver that probes it. */
  driverOf(device: D): Driver<D> | undefined;
  /**
   * Add a device and offer it to the drivers until one takes it. A probe that fails is logged, not thrown.
   * @throws KernelError EEXIST if a device of that name is there.
   */
  addDevice(device: D): void;
  /** Unbind a device from its driver, if any, and forget it. @throws KernelError ENODEV if it is not on this bus. */
  removeDevice(device: D): void;
  /**
   * Add a driver and offer it every device that has none. The returned function unbinds its devices, last bound first, and removes it.
   * @throws KernelError EBUSY if a driver of that name is there.
   */
  registerDriver(driver: Driver<D>): () => void;
  /** Offer a device that has no driver to each, as a write to /sys/bus/B/drivers_probe does. @throws KernelError ENODEV if there is no such device */
  probeDevice(deviceName: string): void;
  /** Offer a registered driver every device that has none, as when it has come to match more of them (driver_attach). */
  attachDriver(driver: Driver<D>): void;
  /**
   * What a write of a device's name to /sys/bus/B/drivers/D/bind does.
   * @throws KernelError ENODEV if there is no such driver or device, or they do not match; else, since 5.14, EBUSY if it is bound,
   * or what the probe threw. Before 5.14 each of these reads ENODEV.
   */
  bind(deviceName: string, driverName: string): void;
  /** What a write to /sys/bus/B/drivers/D/unbind does. @throws KernelError ENODEV if the device is not bound to this driver. */
  unbind(deviceName: string, driverName: string): void;
}

interface Binding<D extends Device> {
  readonly driver: Driver<D>;
  /** Undefined while the probe runs. */
  remove: (() => void) | undefined;
}

export function createBus<D extends Device>(name: string, printk: Printk, release: KernelRelease = DEFAULT_RELEASE): Bus<D> {
  const devices: D[] = [];
  const drivers: Driver<D>[] = [];
  /** In the order of binding. */
  const bindings = new Map<D, Binding<D>>();

  function probe(device: D, driver: Driver<D>): void {
    const binding: Binding<D> = { driver, remove: undefined };
    bindings.set(device, binding);
    try {
      binding.remove = driver.probe(device);
    } catch (error) {
      bindings.delete(device);
      logFailedProbe(printk, driver, device, error);
      throw error;
    }
  }

  /** Probe at registration: a refusal leaves the device without driver and is no error of the caller. */
  function offer(device: D, driver: Driver<D>): boolean {
    if (bindings.has(device) || !driver.match(device)) return false;
    try {
      probe(device, driver);
      return true;
    } catch (error) {
      if (error instanceof KernelError) return false;
      throw error;
    }
  }

  function detach(device: D): void {
    const binding = bindings.get(device);
    bindings.delete(device);
    try {
      binding?.remove?.();
    } catch (error) {
      if (binding) bindings.set(device, binding);
      throw error;
    }
  }

  function attachDriver(driver: Driver<D>): void {
    for (const device of [...devices]) offer(device, driver);
  }

  const findDriver = (driverName: string): Driver<D> | undefined => drivers.find((driver) => driver.name === driverName);
  const findDevice = (deviceName: string): D | undefined => devices.find((device) => device.name === deviceName);

  let autoprobe = true;
  return {
    name,
    devices,
    drivers,
    autoprobes: () => autoprobe,
    setAutoprobe(on) {
      autoprobe = on;
    },
    findDevice,
    driverOf: (device) => bindings.get(device)?.driver,

    addDevice(device) {
      if (findDevice(device.name)) throw new KernelError('EEXIST', `bus ${name}: there is a device ${device.name} already`);
      devices.push(device);
      if (!autoprobe) return;
      for (const driver of [...drivers]) if (offer(device, driver)) return;
    },

    removeDevice(device) {
      if (!devices.includes(device)) throw new KernelError('ENODEV', `bus ${name}: no device ${device.name} to remove`);
      detach(device);
      devices.splice(devices.indexOf(device), 1);
    },

    registerDriver(driver) {
      if (findDriver(driver.name)) {
        printk(`Error: Driver '${driver.name}' is already registered, aborting...`, KERN.err);
        throw new KernelError('EBUSY', `bus ${name}: there is a driver ${driver.name} already`);
      }
      drivers.push(driver);
      if (autoprobe) attachDriver(driver);
      return () => {
        if (!drivers.includes(driver)) return;
        const bound = [...bindings].filter(([, binding]) => binding.driver === driver).map(([device]) => device);
        for (const device of bound.reverse()) detach(device);
        drivers.splice(drivers.indexOf(driver), 1);
      };
    },

    attachDriver,

    probeDevice(deviceName) {
      const device = findDevice(deviceName);
      if (!device) throw new KernelError('ENODEV', `bus ${name}: there is no device ${deviceName}`);
      for (const driver of [...drivers]) if (offer(device, driver)) return;
    },

    bind(deviceName, driverName) {
      const device = findDevice(deviceName);
      const driver = findDriver(driverName);
      if (!device || !driver?.match(device)) {
        const line = device && driver?.matchLine?.(deviceName);
        const other = device && bindings.get(device)?.driver.name;
        const release = other === undefined ? '' : `${unbindLine(name, other, deviceName)} && `;
        throw new KernelError(
          'ENODEV',
          `bus ${name}: driver ${driverName} knows no device ${deviceName}`,
          line === undefined ? {} : { nearest: [{ instead: release + line }] },
        );
      }
      try {
        const bound = bindings.get(device)?.driver.name;
        if (bound !== undefined) {
          throw new KernelError('EBUSY', `bus ${name}: ${deviceName} is bound to ${bound}`, {
            nearest: [{ first: unbindLine(name, bound, deviceName) }],
          });
        }
        probe(device, driver);
      } catch (error) {
        if (!(error instanceof KernelError) || releaseAtLeast(release, 5, 14)) throw error;
        throw new KernelError('ENODEV', `bus ${name}: driver ${driverName} did not accept ${deviceName}`, { cause: error });
      }
    },

    unbind(deviceName, driverName) {
      const device = findDevice(deviceName);
      const bound = device && bindings.get(device)?.driver.name;
      if (!device || bound !== driverName) {
        const nearest = bound === undefined ? [] : [{ instead: unbindLine(name, bound, deviceName) }];
        throw new KernelError('ENODEV', `bus ${name}: ${deviceName} is not bound to ${driverName}`, { nearest });
      }
      detach(device);
    },
  };
}

function unbindLine(busName: string, driverName: string, deviceName: string): string {
  return `echo ${deviceName} > /sys/bus/${busName}/drivers/${driverName}/unbind`;
}

/** What /sys/bus/B/drivers/D holds beside the links to its devices. */
export function driverAttributes<D extends Device>(bus: Bus<D>, driver: Driver<D>): Attribute[] {
  const writeOnly = (name: string, write: (deviceName: string) => void): Attribute => {
    return { name, mode: 0o200, store: (text) => write(text.replace(/\n$/, '')) };
  };
  const moving = [
    writeOnly('bind', (deviceName) => bus.bind(deviceName, driver.name)),
    writeOnly('unbind', (deviceName) => bus.unbind(deviceName, driver.name)),
  ];
  return [...(driver.suppressBindAttrs ? [] : moving), ...(driver.attributes?.() ?? [])];
}

function logFailedProbe<D extends Device>(printk: Printk, driver: Driver<D>, device: D, error: unknown): void {
  if (!(error instanceof KernelError)) return;
  if (error.code === 'ENODEV' || error.code === 'ENXIO') return;
  printk(`${driver.name}: probe of ${device.name} failed with error -${error.errno}`, KERN.warning);
}
