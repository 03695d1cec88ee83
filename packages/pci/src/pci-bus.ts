/**
 * PCI bus 0 and what is on it, from the scan at boot to devices that come and go. Mirrors drivers/pci/{probe,remove,pci-sysfs}.c.
 *
 * Invariant: a device is on the bus from when it was found until it is removed; its BARs are in the resource tree only in between.
 * Differs from Linux: cards that are plugged and pulled are announced by whoever does it, without a hotplug controller between.
 */
import { type Attribute, type Printk, type Resource, KERN, KernelError, createResource, parseBool } from '@holdfast/lib';
import { type Bus, type Device, createBus, createRootDevice } from '@holdfast/driver-core';
import { pciAttributes, pciUevent } from './pci-sysfs.js';
import { type PciDriver, pciBusDriver } from './pci-driver.js';
import { type PciBridge, FUNCTIONS_PER_SLOT, SLOTS_PER_BUS } from './pci-host.js';
import type { PciDevice } from './pci-device.js';
import { type FoundFunction, scanSlot } from './probe.js';
import { type PciWindow, assignBars, claimBars, formatWindow, releaseBars } from './windows.js';

export interface PciNeeds {
  readonly bridge: PciBridge;
  readonly printk: Printk;
}

export interface Pci {
  readonly bridge: PciBridge;
  readonly bus: Bus<PciDevice>;
  /** Where bus 0 hangs in /sys/devices. */
  readonly root: Device;
  /** What /sys/bus/pci itself shows. */
  readonly busAttributes: readonly Attribute[];
  /** The kernel's log, with the device's driver, or `pci`, and its name before each line (dev_printk). */
  say(device: PciDevice): Printk;
  /** At boot: find the bridge's windows, which are in the resource tree already, and the devices. */
  scan(memoryWindows: readonly Resource[]): void;
  /** At boot, later: keep what firmware assigned. */
  claimResources(): void;
  /** And give places to the BARs that have none (pci_assign_unassigned_resources). */
  assignResources(): void;
  registerDriver(driver: PciDriver): () => void;
  /** Look again, and bring up what is new (pci_rescan_bus). */
  rescan(): void;
  /** Let go of a device; the card stays in its slot (pci_stop_and_remove_bus_device). @throws KernelError ENODEV; EBUSY while its pages are held */
  remove(device: PciDevice): void;
  /** A slot's card was pulled without a word: nobody answers, and its devices go, or wait until nobody holds them. */
  surpriseRemoved(slot: number): void;
  /** A slot's card is asked for: its devices go, and it may be pulled then. */
  ejectRequested(slot: number): void;
}

export function createPci({ bridge, printk }: PciNeeds): Pci {
  const bus = createBus<PciDevice>('pci', printk);
  const root = createRootDevice('pci0000:00');
  const ioports = createResource({ name: 'PCI IO', start: 0, end: 0xffff });
  const windows: PciWindow[] = [];

  const say = (device: PciDevice): Printk => (text, level) => printk(`${bus.driverOf(device)?.name ?? 'pci'} ${device.name}: ${text}`, level);

  function findNew(slots: Iterable<number>): FoundFunction[] {
    const known = (devfn: number): boolean => bus.devices.some((device) => device.devfn === devfn);
    return [...slots].flatMap((slot) => scanSlot(bridge, slot, printk, known));
  }

  function add(found: readonly FoundFunction[]): void {
    for (const each of found) {
      const device: PciDevice = Object.assign(each, { parent: root, attributes: () => pciAttributes(device, pci), uevent: () => pciUevent(device) });
      bus.addDevice(device);
    }
  }

  function remove(device: PciDevice): void {
    bus.removeDevice(device);
    releaseBars(device);
  }

  /** Its hardware is gone, whoever still holds on to it: what cannot be let go of now waits for the next rescan. */
  function removeGone(device: PciDevice): void {
    try {
      remove(device);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      say(device)(`is gone, and cannot be removed yet: ${error.message}`, KERN.err);
    }
  }

  const inSlot = (slot: number): PciDevice[] => bus.devices.filter(({ devfn }) => Math.floor(devfn / FUNCTIONS_PER_SLOT) === slot).reverse();

  const pci: Pci = {
    bridge,
    bus,
    root,
    busAttributes: [
      {
        name: 'rescan',
        mode: 0o200,
        store: (text) => {
          if (parseBool(text)) pci.rescan();
        },
      },
    ],
    say,
    scan(memoryWindows) {
      windows.push(ioWindow(ioports, 0, 0x0cf7), ioWindow(ioports, 0x0d00, 0xffff));
      windows.push(...memoryWindows.map((resource) => ({ kind: 'mem' as const, resource })));
      printk('PCI host bridge to bus 0000:00');
      for (const window of windows) printk(`pci_bus 0000:00: root bus resource ${formatWindow(window)}`);
      printk('pci_bus 0000:00: root bus resource [bus 00-ff]');
      add(findNew(Array.from({ length: SLOTS_PER_BUS }, (_, slot) => slot)));
    },
    claimResources() {
      for (const device of bus.devices) claimBars(device, windows, printk);
    },
    assignResources() {
      assignBars(bus.devices, windows, printk);
      for (const [index, window] of windows.entries()) printk(`pci_bus 0000:00: resource ${index + FIRST_ROOT_RESOURCE} ${formatWindow(window)}`, KERN.debug);
    },
    registerDriver: (driver) => bus.registerDriver(pciBusDriver(() => bus, driver)),
    rescan() {
      for (const device of bus.devices.filter(({ disconnected }) => disconnected)) removeGone(device);
      const found = findNew(Array.from({ length: SLOTS_PER_BUS }, (_, slot) => slot));
      assignBars([...bus.devices, ...found], windows, printk);
      add(found);
    },
    remove,
    surpriseRemoved(slot) {
      const devices = inSlot(slot);
      for (const device of devices) device.disconnected = true;
      for (const device of devices) removeGone(device);
    },
    ejectRequested(slot) {
      for (const device of inSlot(slot)) remove(device);
    },
  };
  return pci;
}

/** Behind the four windows that a bridge of PCI to PCI would have. */
const FIRST_ROOT_RESOURCE = 4;

function ioWindow(ioports: Resource, start: number, end: number): PciWindow {
  const resource = createResource({ name: 'PCI Bus 0000:00', start, end });
  resource.parent = ioports;
  ioports.children.push(resource);
  return { kind: 'io', resource };
}
