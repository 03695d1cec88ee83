/**
 * The virtio-pmem provider: persistent memory in a file of the host. Mirrors drivers/nvdimm/virtio_pmem.c and nd_virtio.c.
 *
 * Invariant: a device gives a bus with one region, and a namespace over all of it, which may have struct pages. What was written is durable
 * when the host has answered a flush request, and no instruction of the CPU makes it so: hence no MAP_SYNC.
 */
import { NUMA_NO_NODE, type KernelRelease, type NodeId, type PhysAddr, physAddr, releaseAtLeast } from '@holdfast/lib';
import type { VirtioBus, VirtioDevice } from '@holdfast/virtio';
import type { VirtioPmem } from '@holdfast/machine';
import type { Nvdimms } from './bus.js';
import type { NodeLookup } from './e820.js';

export interface VirtioPmemDeps {
  readonly virtio: VirtioBus;
  readonly nvdimms: Nvdimms;
  readonly nodes: NodeLookup & { memoryAddPhysaddrToNid(addr: PhysAddr): NodeId };
  readonly release: KernelRelease;
}

/** Register the driver; returns its undo. */
export function registerVirtioPmemDriver({ virtio, nvdimms, nodes, release }: VirtioPmemDeps): () => void {
  return virtio.registerDriver({
    name: 'virtio_pmem',
    match: ({ hardware }) => hardware.kind === 'pmem',
    probe: (device) => probe(device, device.hardware as VirtioPmem),
  });

  function probe(parent: VirtioDevice, device: VirtioPmem): () => void {
    const { start, sizeBytes } = device;
    const bus = nvdimms.registerBus({ provider: 'virtio-pmem', parent });
    nvdimms.registerRegion(bus, { start: physAddr(start), sizeBytes, ...nodesOf(physAddr(start)), pageMapAllowed: true, flush: () => device.flush() });
    return () => nvdimms.unregisterBus(bus);
  }

  /** Before 6.2 the node was that of the virtio device, which has none, and nobody set the target. */
  function nodesOf(start: PhysAddr): { numaNode: NodeId; targetNode: NodeId } {
    if (!releaseAtLeast(release, 6, 2)) return { numaNode: NUMA_NO_NODE, targetNode: 0 as NodeId };
    const numaNode = nodes.memoryAddPhysaddrToNid(start);
    const targetNode = nodes.physToTargetNode(start);
    return { numaNode, targetNode: targetNode === NUMA_NO_NODE ? numaNode : targetNode };
  }
}
