/**
 * A part of a device that is system RAM while the device is attached: whole memory blocks at its end, hot-added with their own struct pages
 * in a pre-allocated area at their end, and online in the kernel's zone, so that struct pages of the rest can come from it.
 * Row 26 to 29 of the thread of April 2015 (Boaz Harrosh): "one partition of the device used as RAM, its contents re-initialised on boot".
 *
 * Invariant: nothing of the partition outlives a detach or a power cycle but the header of the page area, which is never in free memory.
 */
import { KernelError, MAX_ORDER_NR_PAGES, PAGE_SIZE, SECTION_SIZE, STRUCT_PAGE_SIZE, SUBSECTION_SIZE, physAdd, roundDown, roundUp } from '@holdfast/lib';
import type { NodeId, PhysAddr } from '@holdfast/lib';
import { preallocatedSize } from '@holdfast/memory-hotplug';
import type { DesignDevice, PageHost } from '../page-design.js';
import { binarySize } from './binary-size.js';

/** Where the partition lies. */
export interface RamPartition {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
}

/** The least RAM whose own size holds the struct pages of a device: D / 64 (row 27). */
export function leastRamBytes(deviceBytes: number): number {
  return (deviceBytes / PAGE_SIZE) * STRUCT_PAGE_SIZE;
}

/**
 * Lay a partition of at least `ramBytes` out at the end of a device, in whole memory blocks.
 * @throws KernelError ENOSPC if the device has no such blocks, with anything before them
 */
export function layOutRamPartition(
  { name, start, sizeBytes }: DesignDevice,
  { memoryHotplug: { blockSize } }: Pick<PageHost, 'memoryHotplug'>,
  ramBytes: number,
): RamPartition {
  const end = roundDown(start + sizeBytes, blockSize);
  const size = roundUp(ramBytes, blockSize);
  if (end - size <= start) {
    throw new KernelError(
      'ENOSPC',
      `${name}: ${binarySize(size)} of RAM, in whole memory blocks of ${binarySize(blockSize)}, leave nothing of ${binarySize(sizeBytes)} for a disk`,
    );
  }
  return { start: (end - size) as PhysAddr, sizeBytes: size };
}

/** Make the partition RAM. The returned function takes it away. @throws KernelError, that one EBUSY while its memory is in use */
export function addRamPartition(device: DesignDevice, host: PageHost, { start, sizeBytes }: RamPartition): () => void {
  const { memoryHotplug } = host;
  const end = start + sizeBytes;
  const memmapBytes = preallocatedSize(sizeBytes / SECTION_SIZE);
  // Of the header, which lies in the last frame of the device.
  const headerBytes = end === device.start + device.sizeBytes ? SUBSECTION_SIZE : 0;
  const kept = roundUp(memmapBytes + headerBytes, MAX_ORDER_NR_PAGES * PAGE_SIZE);
  const takeBack = device.releaseTail(device.start + device.sizeBytes - start);
  try {
    const nid = Math.max(0, device.nid) as NodeId;
    const preallocated = { start: physAdd(start, sizeBytes - kept), sizeBytes: kept - headerBytes };
    memoryHotplug.addMemoryDriverManaged(nid, start, sizeBytes, 'System RAM (pmem)', { preallocated });
    try {
      for (let at = start / memoryHotplug.blockSize; at < end / memoryHotplug.blockSize; at++) memoryHotplug.onlineBlock(at, 'online_kernel');
    } catch (error) {
      memoryHotplug.offlineAndRemoveMemory(start, sizeBytes);
      throw error;
    }
  } catch (error) {
    takeBack();
    throw error;
  }
  return () => {
    memoryHotplug.offlineAndRemoveMemory(start, sizeBytes);
    takeBack();
  };
}
