/**
 * The driver of v4.1: a disk over a platform device with one memory resource. Mirrors drivers/block/pmem.c: pmem_probe, pmem_alloc.
 *
 * Invariant: a disk's index is never used again, so an unbound and bound device comes back under the next name.
 * Differs from Linux: the mapping is the administrator's choice (pmem-mapping.ts); uncached, as Linux's, unless told otherwise.
 */
import { KernelError, NUMA_NO_NODE, SECTOR_SIZE, hex, hex16, physAddr, type Resource } from '@holdfast/lib';
import {
  BLK_STS, addDisk, createBadblocks, createQueue, declareIoLayers, delDisk, registerBlkdev, setMaxHwSectors, unregisterBlkdev,
} from '@holdfast/block';
import type { Driver, PlatformDevice } from '@holdfast/driver-core';
import { attachPmem, claimRegion, probeWithUndo, type PmemRange, type UndoList } from './pmem-attach.js';
import { createPmemDax } from './pmem-dax.js';
import { PMEM_IO_LAYERS, pmem41Operations, type PmemDevice } from './pmem-io.js';
import { withDirectPages } from './pmem-direct-pages.js';
import { choosePmemMapping } from './pmem-mapping.js';
import type { PmemNeeds } from './pmem-needs.js';

const DRIVER_NAME = 'pmem';
const MINORS_PER_DISK = 16;
const MAX_HW_SECTORS = 1024;

export interface PlatformPmem {
  /** To be registered with the platform bus. */
  readonly driver: Driver<PlatformDevice>;
  /** Give the major back, once the driver is unregistered. */
  exit(): void;
}

/** Load the driver: it takes a major and counts its disks from 0. @throws KernelError EBUSY if there is no free major */
export function createPlatformPmem(needs: PmemNeeds): PlatformPmem {
  const major = registerBlkdev(needs.block, 0, DRIVER_NAME);
  let nextIndex = 0;
  return {
    driver: {
      name: DRIVER_NAME,
      match: (device) => device.kind === DRIVER_NAME,
      probe(device) {
        const range = memoryOf(device);
        return probeWithUndo((undo) => {
          const claim = claimRegion(needs, undo, range, DRIVER_NAME, {
            who: `${DRIVER_NAME} ${device.name}`,
            // Linux's format string writes the first 0x itself, and %pa writes it again.
            text: `[0x${hex16(range.start)}:${hex(range.sizeBytes)}]`,
            code: 'EINVAL',
          });
          attachDisk(needs, undo, device, { ...range, claim }, major, nextIndex++);
        });
      },
    },
    exit: () => unregisterBlkdev(needs.block, major),
  };
}

/** The device's one range. @throws KernelError ENXIO if it has none, or more */
function memoryOf(device: PlatformDevice): PmemRange {
  const [resource, ...more] = device.resources;
  if (!resource || more.length > 0) throw new KernelError('ENXIO', `${device.name} has ${device.resources.length} memory resources: expected one`);
  return { start: physAddr(resource.start), sizeBytes: resource.end - resource.start + 1, numaNode: NUMA_NO_NODE };
}

function attachDisk(needs: PmemNeeds, undo: UndoList, device: PlatformDevice, range: PmemRange & { claim: Resource }, major: number, index: number): void {
  const { block, config, memory, params, release } = needs;
  const name = `pmem${index}`;
  const choice = { shouldMapPages: false, release, ...(config ? { config } : {}), ...(params ? { param: params.mapping } : {}) };
  const mapped = attachPmem(needs, undo, { ...range, diskName: name, owner: DRIVER_NAME, bus: 'e820', mapping: choosePmemMapping(name, choice) });
  const pmem: PmemDevice = {
    memory,
    mapping: mapped.mapping,
    dataOffset: mapped.dataOffset,
    dataSize: mapped.dataSize,
    badblocks: createBadblocks(),
    flush: () => BLK_STS.OK,
    clearPoison: (_start, length) => length,
    flushEachWrite: false,
  };
  const queue = createQueue();
  setMaxHwSectors(queue.limits, MAX_HW_SECTORS, Infinity);
  declareIoLayers(queue, PMEM_IO_LAYERS);
  const disk = addDisk(block, {
    name,
    ops: withDirectPages(pmem41Operations(pmem), pmem, mapped.pages.cacheIsDevice),
    queue,
    nrSectors: Math.floor(mapped.dataSize / SECTOR_SIZE),
    numbers: { major, firstMinor: index * MINORS_PER_DISK, minors: MINORS_PER_DISK },
    parent: device,
  });
  undo.push(() => delDisk(disk));
  if (needs.daxHosts) undo.push(needs.daxHosts.addHost(disk, createPmemDax({ name, pmem, writeCache: () => true, synchronous: true })));
}
