/**
 * /sys/devices and /sys/bus: the devices of all buses as the tree of their parents, with links from each bus and driver.
 * Mirrors drivers/base/{core,bus}.c: device_add, bus_add_device, driver_sysfs_add.
 */
import type { Attribute } from '@holdfast/lib';
import { type Bus, type Device, devicePath, driverAttributes } from '@holdfast/driver-core';
import { type VfsDir, type VfsLink, type VfsNode, vfsAttributes, vfsDir, vfsParts } from './vfs.js';

/** Entries that another subsystem hangs below a device, such as `block/` below the device of a disk. */
export type DeviceExtras = (device: Device) => Record<string, VfsNode>;

type AnyBus = Bus<Device>;

/** The entries of /sys/devices that come from buses. */
export function deviceEntries(buses: readonly AnyBus[], extras: DeviceExtras): Record<string, VfsNode> {
  return childrenOf(undefined, buses, extras);
}

/** The entries of /sys/bus; `extras` gives what a bus shows beside devices and drivers. */
export function busEntries(buses: readonly AnyBus[], extras: (bus: AnyBus) => Record<string, VfsNode> = () => ({})): Record<string, VfsNode> {
  return Object.fromEntries(buses.map((bus) => [bus.name, vfsDir(() => ({ devices: deviceLinks(bus), drivers: driverDirs(bus), ...extras(bus) }))]));
}

/** A relative link from the directory `from` to the absolute path `to`, as sysfs writes its links. Worked out when somebody reads it. */
export function relativeLink(from: string, to: string): VfsLink {
  return {
    kind: 'link',
    get target() {
      return relativePath(from, to);
    },
  };
}

function relativePath(from: string, to: string): string {
  const source = from.split('/').filter((part) => part !== '');
  const target = to.split('/').filter((part) => part !== '');
  let common = 0;
  while (common < source.length && source[common] === target[common]) common++;
  return [...source.slice(common).map(() => '..'), ...target.slice(common)].join('/');
}

function childrenOf(parent: Device | undefined, buses: readonly AnyBus[], extras: DeviceExtras): Record<string, VfsNode> {
  const children = new Set<Device>();
  for (const bus of buses) {
    for (let device of bus.devices as readonly (Device | undefined)[]) {
      while (device && device.parent !== parent) device = device.parent;
      if (device) children.add(device);
    }
  }
  return Object.fromEntries([...children].map((device) => [device.name, deviceDir(device, buses, extras)]));
}

function deviceDir(device: Device, buses: readonly AnyBus[], extras: DeviceExtras): VfsDir {
  const links = (): Record<string, VfsNode> => {
    const bus = buses.find(({ devices }) => devices.includes(device));
    if (!bus) return {};
    const driver = bus.driverOf(device);
    const path = devicePath(device);
    const subsystem = relativeLink(path, `/sys/bus/${bus.name}`);
    return driver ? { subsystem, driver: relativeLink(path, `/sys/bus/${bus.name}/drivers/${driver.name}`) } : { subsystem };
  };
  // Most who ask are on their way to a device below.
  return vfsParts([() => childrenOf(device, buses, extras), () => attributeTree(device.attributes()), links, () => extras(device)]);
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

function driverDirs(bus: AnyBus): VfsDir {
  return vfsDir(() => Object.fromEntries(bus.drivers.map((driver) => [driver.name, driverDir(bus, driver)])));
}

function driverDir(bus: AnyBus, driver: AnyBus['drivers'][number]): VfsDir {
  const here = `/sys/bus/${bus.name}/drivers/${driver.name}`;
  const links = (): Record<string, VfsNode> => {
    const bound = bus.devices.filter((device) => bus.driverOf(device) === driver);
    return Object.fromEntries(bound.map((device) => [device.name, relativeLink(here, devicePath(device))]));
  };
  return vfsParts([() => vfsAttributes(driverAttributes(bus, driver)), links]);
}
