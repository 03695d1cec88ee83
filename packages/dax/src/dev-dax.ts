/**
 * One device of a dax region, `daxR.N`: ranges of memory, in the order in which a mapping of the device shows them.
 * Mirrors drivers/dax/bus.c: struct dev_dax, devm_create_dev_dax, alloc_dev_dax_range, size_store, mapping_store, align_store.
 *
 * Invariant: each range is a resource of the device's region that carries the device's name; while a driver holds a device, its size and
 * alignment stay as they are.
 */
import {
  GIB, KernelError, MIB, PAGE_SIZE, createIda, hex, isAligned, parseU64, physAddr, readOnly, readWrite, releaseResource, requestRegion, roundDown,
} from '@holdfast/lib';
import type { Attribute, PhysAddr, Resource } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';
import type { DevPagemap } from '@holdfast/memory-hotplug';
import { createFileMmaps } from '@holdfast/mm';
import type { FileMmaps } from '@holdfast/mm';
import type { DaxRegion, DaxRegionState } from './dax-region.js';
import { afterDisable, sizesNear } from './dax-request.js';

/** A piece of a device's memory. */
export interface DevDaxRange {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  /** Pages of the device before it. */
  readonly pageOffset: number;
}

export interface DevDax extends Device {
  readonly region: DaxRegion;
  /** N of `daxR.N`. */
  readonly id: number;
  /** In the order of their page offsets; none for a device that has no memory yet. */
  readonly ranges: readonly DevDaxRange[];
  /** Of all ranges. */
  readonly sizeBytes: number;
  /** Bytes: what a mapping's start and length are multiples of, and the size of the pages it is made of. */
  readonly align: number;
  /** Of its character device. */
  readonly minor: number;
  /** What has struct pages, where a static region's maker says so: the whole of a namespace, with those on the device. */
  readonly pgmap: DevPagemap | undefined;
  /** Who has it mapped. */
  readonly mmaps: FileMmaps;
  /** Unbind it, give back its memory and numbers, and forget it. */
  unregister(): void;
}

export interface DevDaxSpec {
  /** Only of a static region, which draws its number from elsewhere; else the lowest free one. */
  readonly id?: number;
  /** Bytes from the region's start. 0 makes a device that gets its memory later. */
  readonly sizeBytes: number;
  /** Only of a static region. */
  readonly pgmap?: DevPagemap;
}

/** Sizes are multiples of a sub-section, in which struct pages come (memremap_compat_align). */
const COMPAT_ALIGN = 2 * MIB;

/** Sizes of pages that x86-64 maps (dax_align_valid). */
const VALID_ALIGNS: readonly number[] = [PAGE_SIZE, 2 * MIB, GIB];

interface MutableDevDax extends DevDax {
  ranges: AllocatedRange[];
  align: number;
}

interface AllocatedRange extends DevDaxRange {
  readonly resource: Resource;
  /** N of its folder `mappingN`. */
  readonly mappingId: number;
}

/**
 * Make a device of a region and offer it to the drivers of its bus.
 * @throws KernelError ENOMEM if the range is not free, EINVAL for an id or pagemap in a region that is dynamic, or no id in a static one.
 */
export function createDevDax(region: DaxRegion, { id: givenId, sizeBytes, pgmap }: DevDaxSpec): DevDax {
  if (region.isStatic !== (givenId !== undefined)) {
    throw new KernelError('EINVAL', `${region.isStatic ? 'dynamic id specified to static region' : 'static id specified to dynamic region'} ${region.id}`);
  }
  const { bus } = region;
  const { devices } = region as DaxRegionState;
  const id = givenId ?? region.ids.alloc();
  const mappingIds = createIda();
  const device: MutableDevDax = {
    name: `dax${region.id}.${id}`,
    parent: region.provider,
    region,
    id,
    ranges: [],
    align: region.align,
    minor: bus.chrdev.minors.alloc(),
    pgmap,
    mmaps: createFileMmaps(),
    get sizeBytes() {
      return device.ranges.reduce((sum, range) => sum + range.sizeBytes, 0);
    },
    attributes: () => attributesOf(device, mappingIds),
    unregister() {
      bus.removeDevice(device);
      devices.splice(devices.indexOf(device), 1);
      giveBack();
    },
  };
  const giveBack = (): void => {
    while (device.ranges.length > 0) trimLastRange(device, mappingIds);
    bus.chrdev.minors.free(device.minor);
    if (!region.isStatic) region.ids.free(id);
  };
  try {
    if (sizeBytes > 0) addRange(device, mappingIds, region.start, sizeBytes);
  } catch (error) {
    giveBack();
    throw error;
  }
  devices.push(device);
  bus.addDevice(device);
  return device;
}

/** Bytes of a resource. */
export function sizeOf({ start, end }: Resource): number {
  return end - start + 1;
}

function attributesOf(device: MutableDevDax, mappingIds: Ida): Attribute[] {
  const { region, minor, align, sizeBytes } = device;
  const { isStatic, targetNode, numaNode } = region;
  return [
    readOnly('modalias', () => 'dax:t0'),
    isStatic ? readOnly('size', () => sizeBytes) : readWrite('size', () => sizeBytes, (text) => storeSize(device, mappingIds, text)),
    ...(isStatic ? [] : [{ name: 'mapping', mode: 0o200, store: (text: string) => storeMapping(device, mappingIds, text) }]),
    ...(targetNode < 0 ? [] : [readOnly('target_node', () => targetNode)]),
    isStatic ? readOnly('align', () => align) : readWrite('align', () => align, (text) => storeAlign(device, text)),
    readOnly('resource', () => hex(device.ranges[0]?.start ?? region.start), 0o400),
    readOnly('numa_node', () => numaNode),
    readOnly('dev', () => `${region.bus.chrdev.major}:${minor}`),
    ...device.ranges.flatMap(({ mappingId, start, sizeBytes: length, pageOffset }) => [
      readOnly(`mapping${mappingId}/start`, () => hex(start), 0o400),
      readOnly(`mapping${mappingId}/end`, () => hex(start + length - 1), 0o400),
      readOnly(`mapping${mappingId}/page_offset`, () => hex(pageOffset), 0o400),
    ]),
  ];
}

type Ida = ReturnType<typeof createIda>;

function granule({ align }: DevDax): number {
  return Math.max(align, COMPAT_ALIGN);
}

/** @throws KernelError EINVAL or ERANGE for no number, or one that is misaligned; EBUSY, ENOSPC, ENXIO as {@link resize}. */
function storeSize(device: MutableDevDax, mappingIds: Ida, text: string): void {
  const value = parseU64(text);
  if (value % BigInt(granule(device)) !== 0n) {
    throw new KernelError(
      'EINVAL',
      `${device.name}: size ${hex(value)}: expected a multiple of ${hex(granule(device))}`,
      sizesNear(Number(value), granule(device), device.sizeBytes + device.region.availableBytes),
    );
  }
  resize(device, mappingIds, Number(value));
}

/** Shrink from the end, or grow into the first gaps of the region (dev_dax_resize). */
function resize(device: MutableDevDax, mappingIds: Ida, sizeBytes: number): void {
  const { region, name } = device;
  if (region.bus.driverOf(device)) throw new KernelError('EBUSY', `${name} is in use, and keeps its size`, afterDisable(device));
  let missing = sizeBytes - device.sizeBytes;
  if (missing > region.availableBytes) {
    throw new KernelError(
      'ENOSPC',
      `${name}: ${hex(missing)} bytes more are asked for, of which the region has ${hex(region.availableBytes)}`,
      sizesNear(sizeBytes, granule(device), device.sizeBytes + region.availableBytes),
    );
  }
  if (missing < 0) return shrink(device, mappingIds, -missing);
  if (!isAligned(missing, granule(device))) {
    throw new KernelError('ENXIO', `${name}: would grow by ${hex(missing)} bytes: expected a multiple of ${hex(granule(device))}`, {
      nearest: [{ value: device.sizeBytes + roundDown(missing, granule(device)) }],
    });
  }
  while (missing > 0) missing -= growOnce(device, mappingIds, missing);
}

function shrink(device: MutableDevDax, mappingIds: Ida, bytes: number): void {
  for (let left = bytes; left > 0; ) {
    const last = device.ranges.at(-1)!;
    if (last.sizeBytes > left) {
      setLastSize(device, last.sizeBytes - left);
      return;
    }
    trimLastRange(device, mappingIds);
    left -= last.sizeBytes;
  }
}

/** Take up to `most` bytes from the region's first gap, and add them to the last range if they lie right behind it. Returns how many. */
function growOnce(device: MutableDevDax, mappingIds: Ida, most: number): number {
  const { resource } = device.region;
  let before: Resource | undefined;
  for (const next of [...resource.children, undefined]) {
    const start = before ? before.end + 1 : resource.start;
    const bytes = Math.min(most, (next ? next.start : resource.end + 1) - start);
    if (bytes > 0) {
      const last = device.ranges.at(-1);
      if (last && last.resource === before) setLastSize(device, last.sizeBytes + bytes);
      else addRange(device, mappingIds, physAddr(start), bytes);
      return bytes;
    }
    before = next;
  }
  throw new KernelError('ENOSPC', `dax region ${device.region.id} has no gap left`);
}

/** `START-END`, hexadecimal, END inclusive: that very range. @throws KernelError EINVAL, ERANGE, ENXIO if misaligned, ENOMEM if taken. */
function storeMapping(device: MutableDevDax, mappingIds: Ida, text: string): void {
  const dash = text.indexOf('-');
  if (dash < 0) throw new KernelError('EINVAL', `'${text.trimEnd()}': expected START-END`, freeMapping(device));
  const start = parseU64(text.slice(0, dash), 16);
  const length = parseU64(text.slice(dash + 1), 16) - start + 1n;
  if (length % BigInt(granule(device)) !== 0n) {
    throw new KernelError('ENXIO', `${device.name}: ${hex(length)} bytes: expected a multiple of ${hex(granule(device))}`, freeMapping(device));
  }
  if (length === 0n && device.ranges.length > 0) throw new KernelError('EBUSY', '0-size allocation must be first');
  if (length !== 0n) addRange(device, mappingIds, Number(start) as PhysAddr, Number(length));
}

/** @throws KernelError ENXIO for no number, EINVAL for a size no page has, or one that the ranges are no multiples of, EBUSY while bound. */
function storeAlign(device: MutableDevDax, text: string): void {
  const { name, region } = device;
  const align = alignOf(text);
  if (!VALID_ALIGNS.includes(align)) {
    throw new KernelError('EINVAL', `${name}: align ${hex(align)}: expected ${VALID_ALIGNS.map(hex).join(', ')}`, nearestAligns(device, align));
  }
  if (region.bus.driverOf(device)) throw new KernelError('EBUSY', `${name} is in use, and keeps its alignment`, afterDisable(device));
  const unfit = device.ranges.find(({ sizeBytes }) => !isAligned(sizeBytes, Math.max(align, COMPAT_ALIGN)));
  if (unfit) throw new KernelError('EINVAL', `${name}: a range of ${hex(unfit.sizeBytes)} bytes is no multiple of ${hex(align)}`, nearestAligns(device, align));
  device.align = align;
}

/** The alignments that all ranges are multiples of, from the one nearest to what was asked. */
function nearestAligns({ ranges, align: current }: MutableDevDax, wanted: number): { nearest: { value: number }[] } {
  const fitting = VALID_ALIGNS.filter((align) => align !== current && ranges.every(({ sizeBytes }) => isAligned(sizeBytes, Math.max(align, COMPAT_ALIGN))));
  return { nearest: fitting.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted)).slice(0, 1).map((value) => ({ value })) };
}

/** The first gap of the region, in whole granules. */
function freeMapping(device: MutableDevDax): { nearest: { value: string }[] } {
  const { resource } = device.region;
  let start = resource.start;
  for (const next of [...resource.children, undefined]) {
    const bytes = roundDown((next ? next.start : resource.end + 1) - start, granule(device));
    if (bytes > 0) return { nearest: [{ value: `${hex(start)}-${hex(start + bytes - 1)}` }] };
    if (next) start = next.end + 1;
  }
  return { nearest: [] };
}

function alignOf(text: string): number {
  try {
    return Number(parseU64(text));
  } catch (cause) {
    throw new KernelError('ENXIO', `'${text.trimEnd()}' is no alignment`, { cause });
  }
}

/** @throws KernelError ENOMEM if something else has a part of it, or it is not all in the region. */
function addRange(device: MutableDevDax, mappingIds: Ida, start: PhysAddr, sizeBytes: number): void {
  const { region, name } = device;
  let resource: Resource;
  try {
    resource = requestRegion(region.resource, start, sizeBytes, name);
  } catch (cause) {
    throw new KernelError('ENOMEM', `${name}: ${hex(start)}-${hex(start + sizeBytes - 1)} is not free in dax region ${region.id}`, {
      cause,
      ...freeMapping(device),
    });
  }
  const pageOffset = device.sizeBytes / PAGE_SIZE;
  device.ranges.push({ start, sizeBytes, pageOffset, resource, mappingId: mappingIds.alloc() });
}

function setLastSize(device: MutableDevDax, sizeBytes: number): void {
  const last = device.ranges.pop()!;
  last.resource.end = last.start + sizeBytes - 1;
  device.ranges.push({ ...last, sizeBytes });
}

function trimLastRange(device: MutableDevDax, mappingIds: Ida): void {
  const last = device.ranges.pop()!;
  releaseResource(last.resource);
  mappingIds.free(last.mappingId);
}
