/**
 * The nvdimm buses beside /sys/bus/nd: /sys/class/nd with an `ndctlN` for each bus, where libndctl begins, the numbers of buses and DIMMs
 * in /sys/dev/char, and under /dev `ndctlN`, the way to a bus's commands, and `nmemN`, the way to a DIMM's label area.
 * Mirrors drivers/nvdimm/bus.c: nvdimm_bus_create_ndctl, nvdimm_create_dimm's class device, nd_ioctl.
 */
import { type Device, devicePath } from '@holdfast/driver-core';
import { NMEM_MAJOR, type NdBus, type Nvdimms, openBusControl, openConfigArea } from '@holdfast/nvdimm';
import type { Printk } from '@holdfast/lib';
import { relativeLink } from './sysfs-links.js';
import { nodeLines, ueventFile } from './sysfs-uevent.js';
import { type VfsNode, vfsDir, vfsText } from './vfs.js';

/** Taken right before that of the DIMMs, and numbers go down. */
const NDCTL_MAJOR = NMEM_MAJOR + 1;

/** What the directories of buses and DIMMs hold beside attributes: of a bus its control device, `nd/ndctlN`. */
export function ndctlOf({ bus }: Nvdimms, device: Device, printk: Printk): Record<string, VfsNode> {
  const found = bus.devices.find((each) => each === device);
  // What firmware can be told to do is in a folder, which is empty where it can do nothing.
  if (found?.type === 'dimm') return { firmware: vfsDir({}) };
  if (found?.type !== 'bus') return {};
  const path = ndctlPath(found);
  const ndctl = vfsDir({
    dev: vfsText(() => `${NDCTL_MAJOR}:${found.id}\n`),
    device: relativeLink(path, devicePath(found)),
    subsystem: relativeLink(path, '/sys/class/nd'),
    uevent: ueventFile({
      devpath: path.slice('/sys'.length),
      who: () => `nd ndctl${found.id}`,
      lines: () => nodeLines(NDCTL_MAJOR, found.id, `ndctl${found.id}`),
      printk,
    }),
  });
  return { firmware: vfsDir({}), nd: vfsDir({ [`ndctl${found.id}`]: ndctl }) };
}

/** The entries of /sys/class/nd. */
export function sysClassNd({ bus }: Nvdimms): Record<string, VfsNode> {
  const buses = bus.devices.filter((device): device is NdBus => device.type === 'bus');
  return Object.fromEntries(buses.map((each) => [`ndctl${each.id}`, relativeLink('/sys/class/nd', ndctlPath(each))]));
}

/** The entries of /sys/dev/char, by number. */
export function nvdimmDevChar({ bus }: Nvdimms): Record<string, VfsNode> {
  const entries = bus.devices.flatMap((device): [string, string][] => {
    if (device.type === 'bus') return [[`${NDCTL_MAJOR}:${device.id}`, ndctlPath(device)]];
    return device.type === 'dimm' ? [[`${NMEM_MAJOR}:${device.id}`, devicePath(device)]] : [];
  });
  return Object.fromEntries(entries.map(([number, path]) => [number, relativeLink('/sys/dev/char', path)]));
}

function ndctlPath(bus: NdBus): string {
  return `${devicePath(bus)}/nd/ndctl${bus.id}`;
}

/** The character special files of /dev. */
export function devNvdimm({ bus }: Nvdimms): Record<string, VfsNode> {
  const entries = bus.devices.flatMap((device): [string, VfsNode][] => {
    if (device.type === 'bus') {
      return [
        [`ndctl${device.id}`, { kind: 'char', major: NDCTL_MAJOR, minor: device.id, mode: 0o600, openBusControl: () => openBusControl(device) }],
      ];
    }
    if (device.type !== 'dimm') return [];
    return [[device.name, { kind: 'char', major: NMEM_MAJOR, minor: device.id, mode: 0o600, openConfigArea: () => openConfigArea(device) }]];
  });
  return Object.fromEntries(entries);
}
