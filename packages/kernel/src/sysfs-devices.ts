/**
 * /sys/devices and /sys/bus: the devices of all buses as the tree of their parents, with links from each bus and driver.
 * Mirrors drivers/base/{core,bus}.c: device_add, bus_add_device, driver_sysfs_add.
 */
import type { Attribute, Printk } from '@holdfast/lib';
import { type Bus, type Device, devicePath, driverAttributes } from '@holdfast/driver-core';
import { relativeLink } from './sysfs-links.js';
import { powerDir } from './sysfs-power.js';
import { nodeLines, synthUevent, ueventFile } from './sysfs-uevent.js';
import { type VfsDir, type VfsNode, vfsAttributes, vfsDir, vfsParts } from './vfs.js';

/** Entries that another subsystem hangs below a device, such as `block/` below the device of a disk. */
export type DeviceExtras = (device: Device) => Record<string, VfsNode>;

type AnyBus = Bus<Device>;

export interface DeviceTree {
  readonly buses: readonly AnyBus[];
  readonly extras: DeviceExtras;
  readonly printk: Printk;
}

/** Buses whose devices want nothing of power management (device_set_pm_not_required). */
const WITHOUT_POWER: ReadonlySet<string> = new Set(['nd']);

/** The entries of /sys/devices that come from buses. */
export function deviceEntries({ buses, extras, printk }: DeviceTree): Record<string, VfsNode> {
  return childrenOf(undefined, { buses, extras, printk });
}

/** The entries of /sys/bus; `extras` gives what a bus shows beside devices and drivers. */
export function busEntries(buses: readonly AnyBus[], printk: Printk, extras: (bus: AnyBus) => Record<string, VfsNode> = () => ({})): Record<string, VfsNode> {
  return Object.fromEntries(
    buses.map((bus) => [
      bus.name,
      vfsDir(() => ({ devices: deviceLinks(bus), drivers: driverDirs(bus, printk), ...busFiles(bus, printk), ...extras(bus) })),
    ]),
  );
}

function childrenOf(parent: Device | undefined, tree: DeviceTree): Record<string, VfsNode> {
  const children = new Set<Device>();
  for (const bus of tree.buses) {
    for (let device of bus.devices as readonly (Device | undefined)[]) {
      while (device && device.parent !== parent) device = device.parent;
      if (device) children.add(device);
    }
  }
  return Object.fromEntries([...children].map((device) => [device.name, deviceDir(device, tree)]));
}

function deviceDir(device: Device, tree: DeviceTree): VfsDir {
  const busOf = (): AnyBus | undefined => tree.buses.find(({ devices }) => devices.includes(device));
  const links = (): Record<string, VfsNode> => {
    const bus = busOf();
    if (!bus) return {};
    const driver = bus.driverOf(device);
    const path = devicePath(device);
    const subsystem = relativeLink(path, `/sys/bus/${bus.name}`);
    return driver ? { subsystem, driver: relativeLink(path, `/sys/bus/${bus.name}/drivers/${driver.name}`) } : { subsystem };
  };
  const common = (): Record<string, VfsNode> => {
    const bus = busOf();
    const driver = bus?.driverOf(device)?.name;
    const uevent = ueventFile({
      devpath: devicePath(device).slice('/sys'.length),
      who: () => `${driver ?? bus?.name ?? ''} ${device.name}`,
      lines: () => ueventLines(device, driver),
      printk: tree.printk,
    });
    return bus && WITHOUT_POWER.has(bus.name) ? { uevent } : { uevent, power: powerDir() };
  };
  // Most who ask are on their way to a device below.
  return vfsParts([() => childrenOf(device, tree), () => attributeTree(device.attributes()), links, () => tree.extras(device), common]);
}

/** The numbers of its node, its type, its driver, and what its bus adds: by itself the alias by which modules are found (dev_uevent). */
function ueventLines(device: Device, driver: string | undefined): string[] {
  const attributes = device.attributes();
  const textOf = (name: string): string | undefined => attributes.find((attribute) => attribute.name === name)?.show?.().trimEnd();
  const [major, minor] = (textOf('dev') ?? '').split(':').map(Number);
  const [devtype, modalias] = [textOf('devtype'), textOf('modalias')];
  return [
    ...(minor === undefined ? [] : nodeLines(major!, minor, device.name)),
    ...(devtype === undefined ? [] : [`DEVTYPE=${devtype}`]),
    ...(driver === undefined ? [] : [`DRIVER=${driver}`]),
    ...(device.uevent?.() ?? []),
    ...(modalias === undefined ? [] : [`MODALIAS=${modalias}`]),
  ];
}

/** What the directory of every bus has. */
function busFiles(bus: AnyBus, printk: Printk): Record<string, VfsNode> {
  return {
    uevent: synthUevent(`/bus/${bus.name}`, printk),
    drivers_autoprobe: {
      kind: 'file',
      mode: 0o644,
      read: () => `${Number(bus.autoprobes())}\n`,
      write: (text) => bus.setAutoprobe(!text.startsWith('0')),
    },
    drivers_probe: {
      kind: 'file',
      mode: 0o200,
      write(text) {
        bus.probeDevice(text.trim());
      },
    },
  };
}

/** Attributes as files; one named `group/name` lies in a folder of the group's name. */
export function attributeTree(attributes: readonly Attribute[]): Record<string, VfsNode> {
  const groups = new Map<string, Attribute[]>();
  for (const attribute of attributes) {
    const slash = attribute.name.indexOf('/');
    const group = slash < 0 ? '' : attribute.name.slice(0, slash);
    const members = groups.get(group) ?? [];
    members.push({ ...attribute, name: attribute.name.slice(slash + 1) });
    groups.set(group, members);
  }
  const entries = vfsAttributes(groups.get('') ?? []);
  groups.delete('');
  for (const [group, members] of groups) entries[group] = vfsDir(vfsAttributes(members));
  return entries;
}

function deviceLinks(bus: AnyBus): VfsDir {
  const here = `/sys/bus/${bus.name}/devices`;
  return vfsDir(() => Object.fromEntries(bus.devices.map((device) => [device.name, relativeLink(here, devicePath(device))])));
}

function driverDirs(bus: AnyBus, printk: Printk): VfsDir {
  return vfsDir(() => Object.fromEntries(bus.drivers.map((driver) => [driver.name, driverDir(bus, driver, printk)])));
}

function driverDir(bus: AnyBus, driver: AnyBus['drivers'][number], printk: Printk): VfsDir {
  const here = `/sys/bus/${bus.name}/drivers/${driver.name}`;
  const links = (): Record<string, VfsNode> => {
    const bound = bus.devices.filter((device) => bus.driverOf(device) === driver);
    return Object.fromEntries(bound.map((device) => [device.name, relativeLink(here, devicePath(device))]));
  };
  const files = (): Record<string, VfsNode> => ({
    uevent: synthUevent(`/bus/${bus.name}/drivers/${driver.name}`, printk),
    ...vfsAttributes(driverAttributes(bus, driver)),
  });
  return vfsParts([files, links]);
}
