/**
 * The platform bus: devices that nothing enumerates, made by the kernel itself. Mirrors drivers/base/platform.c.
 *
 * Invariant: each memory resource of a live platform device is a node of /proc/iomem that carries the device's name.
 */
import { KERN, KernelError, createIda, createResource, memRange, readOnly, releaseResource, tryInsertResource } from '@holdfast/lib';
import type { Attribute, KernelRelease, Printk, Resource } from '@holdfast/lib';
import { createBus } from './bus.js';
import type { Bus } from './bus.js';
import { createRootDevice } from './device.js';
import type { Device } from './device.js';

/** How a platform device gets its number: none at all, the lowest free one (PLATFORM_DEVID_AUTO), or this. */
export type PlatformDevId = 'none' | 'auto' | number;

export interface PlatformDevice extends Device {
  /** The name that drivers match: `pmem` of the device `pmem.0.auto`. */
  readonly kind: string;
  readonly id: PlatformDevId;
  /** Memory it owns, as nodes of /proc/iomem. */
  readonly resources: readonly Resource[];
}

export interface PlatformDeviceSpec {
  kind: string;
  /** Default `none`. */
  id?: PlatformDevId;
  /** Memory ranges in bytes; `end` is inclusive, as in Linux. */
  resources?: readonly { start: number; end: number }[];
  /** Default the root `platform`. */
  parent?: Device;
  /** What it shows beside its modalias, asked anew each time: a driver may add to it. */
  attributes?: () => readonly Attribute[];
}

export interface PlatformBus extends Bus<PlatformDevice> {
  /** Make a device from its parts, claim its resources and add it. @throws KernelError EBUSY if a resource partly overlaps another. */
  registerDevice(spec: PlatformDeviceSpec): PlatformDevice;
}

/** @param iomem the root of /proc/iomem, where the resources of platform devices appear. */
export function createPlatformBus(iomem: Resource, printk: Printk, release?: KernelRelease): PlatformBus {
  const bus = createBus<PlatformDevice>('platform', printk, release);
  const root = createRootDevice('platform');
  const autoIds = createIda();

  function giveBack(device: PlatformDevice): void {
    for (const resource of device.resources) if (resource.parent) releaseResource(resource);
    if (device.id === 'auto') autoIds.free(Number(device.name.split('.').at(-2)));
  }

  return {
    ...bus,

    registerDevice({ kind, id = 'none', resources = [], parent = root, attributes = () => [] }) {
      const name = id === 'none' ? kind : id === 'auto' ? `${kind}.${autoIds.alloc()}.auto` : `${kind}.${id}`;
      const claimed: Resource[] = [];
      const modalias = readOnly('modalias', () => `platform:${kind}`);
      const device: PlatformDevice = { name, kind, id, parent, resources: claimed, attributes: () => [modalias, ...attributes()] };
      try {
        for (const [index, range] of resources.entries()) claimed.push(claimResource(iomem, name, index, range, printk));
        bus.addDevice(device);
      } catch (error) {
        giveBack(device);
        throw error;
      }
      return device;
    },

    removeDevice(device) {
      bus.removeDevice(device);
      giveBack(device);
    },
  };
}

function claimResource(iomem: Resource, name: string, index: number, range: { start: number; end: number }, printk: Printk): Resource {
  const resource = createResource({ name, ...range });
  if (tryInsertResource(iomem, resource)) {
    printk(`platform ${name}: failed to claim resource ${index}: ${memRange(range.start, range.end)}`, KERN.err);
    throw new KernelError('EBUSY', `platform device ${name}: ${memRange(range.start, range.end)} partly overlaps another resource`);
  }
  return resource;
}
