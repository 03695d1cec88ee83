/**
 * A device: a name, a place below another device, and what it shows. Mirrors include/linux/device.h: struct device.
 *
 * A subsystem's own device type extends this interface; the bus it is added to keeps its driver, not the device itself.
 * Differs from Linux: no reference counts, no uevents; a device is gone when its bus has let go of it.
 */
import type { Attribute } from '@holdfast/lib';

export interface Device {
  readonly name: string;
  /** The device it hangs under in /sys/devices; undefined for a root, such as `platform`. */
  readonly parent: Device | undefined;
  /** What its directory shows now: attributes may come and go. A group's attribute is named with its folder, such as `nfit/handle`. */
  attributes(): readonly Attribute[];
  /** What its bus adds to its uevents before the modalias, as `KEY=VALUE`. */
  uevent?(): readonly string[];
}

/** A device without attributes that only holds others, such as `platform` (root_device_register). */
export function createRootDevice(name: string, parent?: Device): Device {
  return { name, parent, attributes: () => [] };
}

/** Where sysfs shows it, such as `/sys/devices/platform/e820_pmem/ndbus0`. */
export function devicePath(device: Device): string {
  return `${device.parent ? devicePath(device.parent) : '/sys/devices'}/${device.name}`;
}
