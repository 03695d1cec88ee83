/**
 * DIMMs that are plugged and pulled while the kernel runs, as ACPI's memory devices.
 * Mirrors drivers/acpi/acpi_memhotplug.c, and drivers/acpi/scan.c: acpi_scan_try_to_offline.
 *
 * Differs from Linux: a DIMM is one range; memory that is not used was refused as a whole.
 */
import { KERN, KernelError, NUMA_NO_NODE, PAGE_SIZE, createIda } from '@holdfast/lib';
import type { NodeId, Printk } from '@holdfast/lib';
import { createStaticGroup } from './memory-group.js';
import type { MemoryHotplug } from './memory-hotplug.js';

/** A DIMM as firmware describes it. */
export interface AcpiMemoryDevice {
  /** Bytes. */
  readonly start: number;
  readonly sizeBytes: number;
  /** Its proximity domain; undefined if firmware does not say. */
  readonly pxm: number | undefined;
}

export interface AcpiMemoryNeeds {
  readonly hotplug: MemoryHotplug;
  /** The node of a proximity domain, or NUMA_NO_NODE. */
  readonly pxmToNode: (pxm: number) => NodeId;
  /** The node of memory at an address, if nobody says (memory_add_physaddr_to_nid). */
  readonly addressToNode: (addr: number) => NodeId;
  readonly printk: Printk;
}

export interface AcpiMemory {
  /** A DIMM was plugged, or found at boot. If the kernel cannot use it, the log says so. */
  deviceAdded(device: AcpiMemoryDevice): void;
  /** Firmware asks to give a DIMM back. Returns whether it may be pulled; if not, all is as it was. */
  ejectRequested(device: AcpiMemoryDevice): boolean;
}

export function createAcpiMemory({ hotplug, pxmToNode, addressToNode, printk }: AcpiMemoryNeeds): AcpiMemory {
  const instances = createIda();
  /** By start address of the device. A number is free again when the device is gone. */
  const numbers = new Map<number, number>();
  /** Start addresses of the devices that are the kernel's memory now. */
  const enabled = new Set<number>();
  const nodeOf = ({ pxm, start }: AcpiMemoryDevice): NodeId => {
    const nid = pxm === undefined ? NUMA_NO_NODE : pxmToNode(pxm);
    return nid === NUMA_NO_NODE ? addressToNode(start) : nid;
  };

  return {
    deviceAdded(device) {
      const { start, sizeBytes } = device;
      const nid = nodeOf(device);
      const instance = instances.alloc();
      numbers.set(start, instance);
      const name = `acpi PNP0C80:${instance.toString(16).padStart(2, '0')}`;
      try {
        const group = createStaticGroup(nid, Math.ceil(sizeBytes / PAGE_SIZE));
        hotplug.addMemory(nid, start, sizeBytes, { group, memmapOnMemory: hotplug.supportsMemmapOnMemory(sizeBytes) });
        enabled.add(start);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        printk(`${name}: add_memory failed`, KERN.err);
        printk(`${name}: acpi_memory_enable_device() error`, KERN.err);
      }
    },
    ejectRequested({ start, sizeBytes }) {
      if (enabled.has(start)) {
        const { blockSize } = hotplug;
        const blocks = Array.from({ length: sizeBytes / blockSize }, (_, index) => start / blockSize + index);
        if (!offlineAll(hotplug, blocks, printk)) return false;
        hotplug.removeMemory(start, sizeBytes);
        enabled.delete(start);
      }
      instances.free(numbers.get(start) ?? -1);
      numbers.delete(start);
      return true;
    },
  };
}

/**
 * Take blocks offline, in order: a first pass over all, whatever fails, for a block may hold what others depend on; and a second that ends at
 * the first failure. Then the log names the block, and what went is put back. Returns whether all are offline.
 */
function offlineAll(hotplug: MemoryHotplug, numbers: readonly number[], printk: Printk): boolean {
  const gone: number[] = [];
  const offline = (nr: number): boolean => {
    try {
      if (hotplug.offlineBlock(nr)) gone.push(nr);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return false;
    }
  };
  const busy = numbers.filter((nr) => !offline(nr));
  const failed = busy.find((nr) => !offline(nr));
  if (failed === undefined) return true;
  printk(`memory memory${failed}: Offline failed.`, KERN.warning);
  for (const nr of gone.sort((a, b) => a - b)) hotplug.onlineBlock(nr);
  return false;
}
