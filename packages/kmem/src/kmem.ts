/**
 * The driver kmem: adds the memory of a device-dax device as RAM of a node of its own choosing, in whole memory blocks.
 * Mirrors drivers/dax/kmem.c: dev_dax_kmem_probe, dev_dax_kmem_remove.
 *
 * Invariant: while a range is RAM, /proc/iomem shows it below a node that carries the device's name; memory that cannot be removed stays
 * there, and keeps that node, when the driver lets go of the device.
 * Differs from Linux: no memory tiers.
 */
import { KERN, KernelError, PAGE_SIZE, hex, releaseResource, requestRegion } from '@holdfast/lib';
import type { NodeId, PhysAddr, Printk, Resource } from '@holdfast/lib';
import type { DaxDriver, DevDax } from '@holdfast/dax';
import { createStaticGroup } from '@holdfast/memory-hotplug';
import type { MemoryGroup } from '@holdfast/memory-hotplug';
import { KMEM_RESOURCE_NAME, kmemRange } from './kmem-range.js';
import type { KmemRange } from './kmem-range.js';

/** What kmem asks of memory hotplug. */
export interface KmemMemory {
  /** Bytes of a memory block. */
  readonly blockSize: number;
  /**
   * Add memory that the firmware's map does not know, as blocks of a node. It is named in /proc/iomem, below what holds the range.
   * All of a device is one group, which decides where it goes when it is onlined. @throws KernelError
   */
  addMemoryDriverManaged(nid: NodeId, start: PhysAddr, sizeBytes: number, name: string, options: { readonly group: MemoryGroup }): void;
  /** @throws KernelError EBUSY if any of its blocks is online. */
  removeMemory(start: PhysAddr, sizeBytes: number): void;
}

export interface KmemDeps {
  readonly iomem: Resource;
  readonly memory: KmemMemory;
  readonly printk: Printk;
}

/** A driver for registerDaxDriver: it takes the devices whose names are written to its `new_id`. */
export function kmemDriver(deps: KmemDeps): DaxDriver {
  return { name: 'kmem', probe: (device) => probe(device, deps) };
}

/** Part of a device that is RAM now. */
interface Added {
  /** N of `mappingN`. */
  readonly index: number;
  readonly range: KmemRange;
  readonly resource: Resource;
}

function probe(device: DevDax, deps: KmemDeps): () => void {
  const { targetNode } = device.region;
  const say = (text: string): void => deps.printk(`kmem ${device.name}: ${text}`, KERN.warning);
  if (targetNode < 0) {
    say(`rejecting DAX region with invalid node: ${targetNode}`);
    throw new KernelError('EINVAL', `${device.name}: no node is known for its memory, so it would mix with faster memory`);
  }
  const usable = usableRanges(device, deps);
  if (usable.length === 0) {
    say('rejecting DAX region without any memory after alignment');
    throw new KernelError('EINVAL', `${device.name} holds no whole memory block of ${hex(deps.memory.blockSize)} bytes`);
  }
  const group = createStaticGroup(targetNode, usable.reduce((sum, [, { sizeBytes }]) => sum + sizeBytes, 0) / PAGE_SIZE);
  const added: Added[] = [];
  for (const [index, range] of usable) {
    try {
      added.push({ index, range, resource: addRange(device.name, index, range, group, deps) });
    } catch (error) {
      // What is RAM already may be in use by now, so that the device is kept with the rest of it.
      if (!(error instanceof KernelError) || added.length === 0) throw error;
    }
  }
  return () => {
    for (const each of added) removeRange(device.name, each, deps);
  };
}

/** Whole blocks of each mapping, by its number. */
function usableRanges({ name, ranges }: DevDax, { memory, printk }: KmemDeps): [index: number, range: KmemRange][] {
  return [...ranges.entries()].flatMap(([index, range]): [number, KmemRange][] => {
    const blocks = kmemRange(range, memory.blockSize);
    if (!blocks) printk(`kmem ${name}: ${mapping(index, range)} too small after alignment`, KERN.info);
    return blocks ? [[index, blocks]] : [];
  });
}

function addRange(name: string, index: number, range: KmemRange, group: MemoryGroup, { iomem, memory, printk }: KmemDeps): Resource {
  const refuse = (what: string): void => printk(`kmem ${name}: ${mapping(index, range)} ${what}`, KERN.warning);
  let resource: Resource;
  try {
    resource = requestRegion(iomem, range.start, range.sizeBytes, name);
  } catch (error) {
    refuse('could not reserve region');
    throw error;
  }
  // System RAM goes below it, which a busy resource would not allow.
  resource.busy = false;
  resource.systemRam = true;
  try {
    memory.addMemoryDriverManaged(group.nid, range.start, range.sizeBytes, KMEM_RESOURCE_NAME, { group });
    return resource;
  } catch (error) {
    refuse('memory add failed');
    releaseResource(resource);
    throw error;
  }
}

function removeRange(name: string, { index, range, resource }: Added, { memory, printk }: KmemDeps): void {
  try {
    memory.removeMemory(range.start, range.sizeBytes);
    releaseResource(resource);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    printk(`kmem ${name}: ${mapping(index, range)} cannot be hotremoved until the next reboot`, KERN.err);
  }
}

function mapping(index: number, { start, sizeBytes }: KmemRange): string {
  return `mapping${index}: ${hex(start)}-${hex(start + sizeBytes - 1)}`;
}
