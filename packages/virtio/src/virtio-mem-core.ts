/**
 * What both modes of virtio-mem share: requests to the device, memory added to and removed from the kernel, and pages taken from and given
 * to its allocator. Mirrors drivers/virtio/virtio_mem.c: struct virtio_mem, virtio_mem_send_request, virtio_mem_add_memory,
 * virtio_mem_could_add_memory, virtio_mem_fake_offline.
 *
 * Invariant: `offlineSize` is what was added and is not online; no more is added than the threshold allows.
 */
import { KERN, KernelError, MIB, PAGE_SIZE, type LogLevel, type NodeId, type Pfn, type Range } from '@holdfast/lib';
import type { VirtioMem, VirtioMemResponse } from '@holdfast/machine';
import { type MemoryGroup, type MemoryHotplug, type MemoryNotifier, createDynamicGroup } from '@holdfast/memory-hotplug';

/** What it asks of the page allocator. */
export interface VirtioMemPages {
  /** Take online frames from the allocator. @throws KernelError EBUSY if one is in use and cannot be moved */
  fakeOffline(start: Pfn, end: Pfn): void;
  /** Give such frames, or some that never were in it, to the allocator. */
  fakeOnline(start: Pfn, end: Pfn): void;
}

/** How the region is cut: both modes do these things in their own grain. Bytes. */
export interface VirtioMemMode {
  /** @throws KernelError ENOSPC if no more can be added */
  plug(bytes: number): void;
  /** @throws KernelError EBUSY if not all of it could be taken back */
  unplug(bytes: number): void;
  /** Unplug what should have been before. */
  unplugPending(): void;
  /** Blocks end here, at most. */
  setUsableEnd(end: number): void;
  /** Remove what was added and is not online, before the driver goes. */
  removeOffline(): void;
  readonly notifier: MemoryNotifier;
}

export interface VirtioMemCore {
  readonly device: VirtioMem;
  readonly memory: MemoryHotplug;
  readonly nid: NodeId;
  readonly unplugOnline: () => boolean;
  readonly warn: (text: string) => void;
  readonly hasMemoryAdded: () => boolean;
  couldAdd(bytes: number): boolean;
  /** Bytes went online, or offline. */
  moved(bytes: number): void;
  /** @throws KernelError EAGAIN if it is more than is requested now, EINVAL */
  sendPlug(start: number, bytes: number): void;
  sendUnplug(start: number, bytes: number): void;
  addMemory(start: number, bytes: number): void;
  removeMemory(start: number, bytes: number): void;
  offlineAndRemove(start: number, bytes: number): void;
  fakeOffline(start: number, bytes: number): void;
  fakeOnline(start: number, bytes: number): void;
}

export interface CoreSpec {
  readonly device: VirtioMem;
  readonly memory: MemoryHotplug;
  readonly pages: VirtioMemPages;
  readonly nid: NodeId;
  /** Bytes that are added at a time. */
  readonly unitSize: number;
  readonly unplugOnline: () => boolean;
  readonly log: (text: string, level: LogLevel) => void;
}

const RESOURCE_NAME = 'System RAM (virtio_mem)';
const OFFLINE_THRESHOLD = 1024 * MIB;

export function createVirtioMemCore({ device, memory, pages, nid, unitSize, unplugOnline, log }: CoreSpec): VirtioMemCore {
  const group: MemoryGroup = createDynamicGroup(nid, unitSize / PAGE_SIZE);
  const threshold = Math.max(2 * unitSize, OFFLINE_THRESHOLD);
  let offlineSize = 0;
  let added = 0;
  const warn = (text: string): void => log(text, KERN.warning);

  return {
    device,
    memory,
    nid,
    unplugOnline,
    warn,
    hasMemoryAdded: () => added > 0,
    couldAdd: (bytes) => offlineSize + bytes <= threshold,
    moved: (bytes) => void (offlineSize += bytes),
    sendPlug: (start, bytes) => check(device.plug(start, bytes / device.blockSize)),
    sendUnplug: (start, bytes) => check(device.unplug(start, bytes / device.blockSize)),
    addMemory(start, bytes) {
      offlineSize += bytes; // it may go online at once
      try {
        memory.addMemoryDriverManaged(nid, start, bytes, RESOURCE_NAME, { group, mergeResource: true });
        added += bytes;
      } catch (error) {
        offlineSize -= bytes;
        if (error instanceof KernelError) warn(`adding memory failed: -${error.errno}`);
        throw error;
      }
    },
    removeMemory(start, bytes) {
      memory.removeMemory(start, bytes);
      offlineSize -= bytes;
      added -= bytes;
    },
    offlineAndRemove(start, bytes) {
      memory.offlineAndRemoveMemory(start, bytes);
      offlineSize -= bytes;
      added -= bytes;
    },
    fakeOffline: (start, bytes) => pages.fakeOffline(pfnAt(start), pfnAt(start + bytes)),
    fakeOnline: (start, bytes) => pages.fakeOnline(pfnAt(start), pfnAt(start + bytes)),
  };
}

function check(response: VirtioMemResponse): void {
  if (response === 'nack') throw new KernelError('EAGAIN', 'the host requests less by now');
  if (response === 'error') throw new KernelError('EINVAL', 'the device refuses the request');
}

export function pfnAt(addr: number): Pfn {
  return (addr / PAGE_SIZE) as Pfn;
}

/** Bytes of frames. */
export function bytesOf({ start, end }: Range<Pfn>): { readonly start: number; readonly bytes: number } {
  return { start: start * PAGE_SIZE, bytes: (end - start) * PAGE_SIZE };
}

/** Is it an EBUSY: some memory is in use, and another may not be? */
export function isBusy(error: unknown): boolean {
  return error instanceof KernelError && error.code === 'EBUSY';
}
