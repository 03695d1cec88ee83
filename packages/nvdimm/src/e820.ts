/**
 * The legacy provider: persistent memory that only the firmware's memory map, or memmap=, tells of (e820 type 12).
 * Mirrors arch/x86/kernel/pmem.c: register_e820_pmem, and drivers/nvdimm/e820.c: e820_pmem_probe, e820_register_one.
 *
 * Invariant: each range of the map gives one region and one namespace over all of it; alignment matters only when a driver attaches.
 */
import { KERN, KernelError, physAddr } from '@holdfast/lib';
import type { NodeId, PhysAddr, Printk, Resource, ResourceDesc } from '@holdfast/lib';
import type { PlatformBus, PlatformDevice } from '@holdfast/driver-core';
import type { Nvdimms } from './bus.js';

/** Where memory belongs, as the architecture knows it. */
export interface NodeLookup {
  /** The node of an address, whether its memory is in use or not; NUMA_NO_NODE if unknown (phys_to_target_node). */
  physToTargetNode(addr: PhysAddr): NodeId;
  /** The online node nearest to a node; NUMA_NO_NODE stays (numa_map_to_online_node). */
  mapToOnlineNode(nid: NodeId): NodeId;
}

/** Make the device that stands for all legacy ranges, if there are any. */
export function registerE820Pmem(platform: PlatformBus, iomem: Resource): PlatformDevice | undefined {
  const [first] = resourcesOf(iomem, 'persistent-memory-legacy');
  return first && platform.registerDevice({ kind: 'e820_pmem' });
}

/** Register the driver that turns the ranges into regions; returns its undo. */
export function registerE820Driver(platform: PlatformBus, nvdimms: Nvdimms, nodes: NodeLookup, iomem: Resource, printk: Printk): () => void {
  return platform.registerDriver({
    name: 'e820_pmem',
    match: (device) => device.kind === 'e820_pmem',
    probe: (device) => probeE820(device, nvdimms, nodes, iomem, printk),
  });
}

function probeE820(parent: PlatformDevice, nvdimms: Nvdimms, nodes: NodeLookup, iomem: Resource, printk: Printk): () => void {
  const bus = nvdimms.registerBus({ provider: 'e820', parent });
  try {
    for (const { start, end } of resourcesOf(iomem, 'persistent-memory-legacy')) {
      const targetNode = nodes.physToTargetNode(physAddr(start));
      const numaNode = nodes.mapToOnlineNode(targetNode);
      nvdimms.registerRegion(bus, { start: physAddr(start), sizeBytes: end - start + 1, numaNode, targetNode, pageMapAllowed: true });
    }
  } catch (error) {
    nvdimms.unregisterBus(bus);
    printk('e820_pmem e820_pmem: failed to register legacy persistent memory ranges', KERN.err);
    if (error instanceof KernelError) throw new KernelError('ENXIO', `legacy persistent memory: ${error.message}`, { cause: error });
    throw error;
  }
  return () => nvdimms.unregisterBus(bus);
}

/**
 * The resources with a descriptor, at any depth, lowest first; what lies inside a found one is part of it (walk_iomem_res_desc).
 * Taken before anything is registered, as drivers put their own nodes into the tree.
 */
export function resourcesOf(iomem: Resource, desc: ResourceDesc): Resource[] {
  return iomem.children.flatMap((resource) => (resource.desc === desc ? [resource] : resourcesOf(resource, desc)));
}
