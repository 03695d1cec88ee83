/**
 * The map in the resource tree, and in /sys/firmware/memmap.
 * Mirrors arch/x86/kernel/e820.c: e820__reserve_resources, e820__reserve_resources_late; drivers/firmware/memmap.c.
 *
 * RAM and the like go in early and busy. What a driver may claim, or PCI may find its windows in, waits until PCI is surveyed: reserved,
 * persistent and soft-reserved ranges above 1 MiB.
 */
import {
  KERN, type KernelRelease, type Resource, createResource, hex, insertResourceExpandToFit, memRange, reserveRegionWithSplit,
  tryInsertResource,
} from '@holdfast/lib';
import type { E820Log } from './log.js';
import type { E820Entry } from './entry.js';
import type { E820Table } from './table.js';
import { E820_TYPE_RAM, E820_TYPE_RESERVED_KERN, e820ResourceDesc, e820ResourceName, isClaimableType } from './types.js';
import { lastByte } from './u64.js';

/** Put the early ranges into the tree. Returns the resources of all ranges, for {@link reserveE820ResourcesLate}. */
export function reserveE820ResourcesEarly(table: E820Table, iomem: Resource, release: KernelRelease): Resource[] {
  const resources = table.entries.filter((entry) => fitsInto(iomem, entry)).map((entry) => resourceOf(entry, release));
  for (const resource of resources) {
    if (resource.busy) tryInsertResource(iomem, resource); // a conflict leaves it out, without a word
  }
  return resources;
}

/** Put in the rest, and pad the end of each RAM range against devices that PCI might place right behind it (`RAM buffer`). */
export function reserveE820ResourcesLate(table: E820Table, resources: readonly Resource[], iomem: Resource, log: E820Log): void {
  for (const resource of resources) {
    if (!resource.parent) insertResourceExpandToFit(iomem, resource);
  }
  for (const { addr, size, type } of table.entries) {
    if (type === E820_TYPE_RAM) reserveRamBuffer(addr + size, iomem, log);
  }
}

function reserveRamBuffer(start: bigint, iomem: Resource, log: E820Log): void {
  const grain = ramAlignment(start);
  const end = ((start + grain - 1n) / grain) * grain - 1n;
  if (start >= end) return;
  log.printk(`e820: reserve RAM buffer ${memRange(start, end)}`, KERN.debug);
  if (end <= BigInt(iomem.end)) reserveRegionWithSplit(iomem, { name: 'RAM buffer', start: Number(start), end: Number(end), busy: true });
}

/** 64 KiB in the first MiB, 1 MiB in the first 16, 64 MiB above. */
function ramAlignment(addr: bigint): bigint {
  if (addr < 1n << 20n) return 1n << 16n;
  return addr < 1n << 24n ? 1n << 20n : 1n << 26n;
}

/** Linux would make the resource and fail to insert it. */
function fitsInto(iomem: Resource, { addr, size }: E820Entry): boolean {
  return size > 0n && addr + size - 1n <= BigInt(iomem.end);
}

function resourceOf({ addr, size, type }: E820Entry, release: KernelRelease): Resource {
  return createResource({
    name: e820ResourceName(type, release),
    start: Number(addr),
    end: Number(addr + size - 1n),
    busy: addr < 1n << 20n || !isClaimableType(type, release),
    systemRam: type === E820_TYPE_RAM || type === E820_TYPE_RESERVED_KERN,
    desc: e820ResourceDesc(type),
  });
}

/** The files of one /sys/firmware/memmap/<i>, without their newlines. `end` is inclusive. */
export interface FirmwareMemmapEntry {
  readonly start: string;
  readonly end: string;
  readonly type: string;
}

/** What /sys/firmware/memmap shows of the firmware's map. */
export function firmwareMemmapOf(entries: readonly E820Entry[], release: KernelRelease): FirmwareMemmapEntry[] {
  return entries.map(({ addr, size, type }) => ({
    start: hex(addr),
    end: hex(lastByte(addr, size)),
    type: e820ResourceName(type, release),
  }));
}
