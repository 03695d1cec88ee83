/**
 * The driver device_dax: gives a device's memory struct pages, so that it can be mapped. Mirrors drivers/dax/device.c: dev_dax_probe.
 *
 * A device whose pages are larger than 4 KiB asks for compound struct pages of that size, which share most of their tail pages.
 */
import { KERN, KernelError, PAGE_SIZE, hex, releaseResource, requestRegion } from '@holdfast/lib';
import type { Printk, Resource } from '@holdfast/lib';
import type { DevPagemap, DeviceMemory } from '@holdfast/memory-hotplug';
import type { DaxDriver } from './dax-bus.js';
import type { DevDax, DevDaxRange } from './dev-dax.js';

export interface DeviceDaxDeps {
  iomem: Resource;
  deviceMemory: Pick<DeviceMemory, 'memremapPages'>;
  printk: Printk;
}

export function deviceDaxDriver(deps: DeviceDaxDeps): DaxDriver {
  return { name: 'device_dax', matchAlways: true, probe: (device) => probe(device, deps) };
}

function probe(device: DevDax, { iomem, deviceMemory, printk }: DeviceDaxDeps): () => void {
  if (device.pgmap && device.ranges.length > 1) {
    printk(`device_dax ${device.name}: static pgmap / multi-range device conflict`, KERN.warning);
    throw new KernelError('EINVAL', `${device.name} has ${device.ranges.length} ranges and a pagemap for one`);
  }
  const undo: (() => void)[] = [];
  const undoAll = (): void => {
    for (let last = undo.pop(); last; last = undo.pop()) last();
  };
  try {
    for (const [index, range] of device.ranges.entries()) {
      const claimed = reserve(device.name, index, range, iomem, printk);
      undo.push(() => releaseResource(claimed));
    }
    for (const pgmap of pagemapsOf(device)) undo.push(deviceMemory.memremapPages(pgmap, device.region.numaNode));
  } catch (error) {
    undoAll();
    throw error;
  }
  // Mappings outlive the driver, but nothing is behind them any more: a touch faults, and finds no device (kill_dev_dax).
  undo.push(() => device.mmaps.unmapRange(0, Infinity));
  return undoAll;
}

function reserve(name: string, index: number, { start, sizeBytes }: DevDaxRange, iomem: Resource, printk: Printk): Resource {
  try {
    return requestRegion(iomem, start, sizeBytes, name);
  } catch (error) {
    printk(`device_dax ${name}: mapping${index}: ${hex(start)}-${hex(start + sizeBytes - 1)} could not reserve range`, KERN.warning);
    throw error;
  }
}

/** The maker's pagemap, or one for each range. */
function pagemapsOf({ name, pgmap, ranges, align }: DevDax): DevPagemap[] {
  const vmemmapShift = Math.log2(align / PAGE_SIZE);
  if (pgmap) return [{ ...pgmap, type: 'generic', vmemmapShift }];
  return ranges.map(({ start, sizeBytes }) => ({ type: 'generic', start, sizeBytes, owner: name, vmemmapShift }));
}
