/**
 * The driver device_dax: gives a device's memory struct pages, so that it can be mapped. Mirrors drivers/dax/device.c: dev_dax_probe.
 *
 * Differs from Linux: no character device behind it; no shared tail pages of compound struct pages, so that it takes more RAM.
 */
import { KERN, KernelError, hex, releaseResource, requestRegion } from '@holdfast/lib';
import type { Printk, Resource } from '@holdfast/lib';
import type { Driver } from '@holdfast/driver-core';
import type { DeviceMemory } from '@holdfast/memory-hotplug';
import type { DevDax } from './dax-device.js';

export interface DeviceDaxDeps {
  iomem: Resource;
  deviceMemory: Pick<DeviceMemory, 'memremapPages'>;
  printk: Printk;
}

export function deviceDaxDriver(deps: DeviceDaxDeps): Driver<DevDax> {
  return { name: 'device_dax', match: () => true, probe: (device) => probe(device, deps) };
}

function probe(device: DevDax, { iomem, deviceMemory, printk }: DeviceDaxDeps): () => void {
  const { name, start, sizeBytes, region } = device;
  if (sizeBytes === 0) throw new KernelError('ENXIO', `${name} has no memory`);
  const claimed = reserve(device, iomem, printk);
  try {
    const unmap = deviceMemory.memremapPages({ type: 'generic', start, sizeBytes, owner: name }, region.numaNode);
    return () => {
      unmap();
      releaseResource(claimed);
    };
  } catch (error) {
    releaseResource(claimed);
    throw error;
  }
}

function reserve({ name, start, sizeBytes }: DevDax, iomem: Resource, printk: Printk): Resource {
  try {
    return requestRegion(iomem, start, sizeBytes, name);
  } catch (error) {
    printk(`device_dax ${name}: mapping0: ${hex(start)}-${hex(start + sizeBytes - 1)} could not reserve range`, KERN.warning);
    throw error;
  }
}
