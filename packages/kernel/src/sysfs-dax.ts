/**
 * Device-dax in the trees: the folder `dax_region` of a device that provides a region, /sys/dev/char, and /dev/daxR.N.
 * Mirrors drivers/dax/bus.c: dax_region_attribute_groups, and drivers/base/devtmpfs.c.
 */
import { type DaxBus, type DaxMmapLog, devDaxFile } from '@holdfast/dax';
import { type Device, devicePath } from '@holdfast/driver-core';
import { attributeTree } from './sysfs-devices.js';
import { relativeLink } from './sysfs-links.js';
import type { VfsNode } from './vfs.js';

/** What a device's directory holds of the region that it provides: `dax_region/`, if it does. */
export function daxRegionOf(dax: DaxBus, device: Device): Record<string, VfsNode> {
  return attributeTree(dax.regions.get(device)?.attributes() ?? []);
}

/** The entries of /sys/dev/char, by number. */
export function sysDevChar(dax: DaxBus): Record<string, VfsNode> {
  return Object.fromEntries(dax.devices.map((device) => [`${dax.chrdev.major}:${device.minor}`, relativeLink('/sys/dev/char', devicePath(device))]));
}

/** The character special files of /dev. */
export function devDax(dax: DaxBus, log: DaxMmapLog): Record<string, VfsNode> {
  const { major } = dax.chrdev;
  return Object.fromEntries(
    dax.devices.map((device) => [
      device.name,
      { kind: 'char', major, minor: device.minor, mode: 0o600, openMmap: (opener) => devDaxFile(device, { ...opener, log }) },
    ]),
  );
}
