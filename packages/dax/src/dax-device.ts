/**
 * Device-dax: ranges of memory handed out as character devices, and the regions they are cut from.
 * Mirrors drivers/dax/bus.c and dax-private.h: struct dax_region, struct dev_dax, alloc_dax_region, devm_create_dev_dax.
 *
 * Invariant: the devices of a region lie inside it and do not overlap.
 * Differs from Linux: a region is made with its one device; devices are not created, resized or destroyed through sysfs yet.
 */
import { NUMA_NO_NODE, hex, isAligned, readOnly } from '@holdfast/lib';
import type { Attribute, Ida, NodeId, PhysAddr } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';

/** Memory that device-dax devices share. */
export interface DaxRegion {
  /** A memory region id, R of `daxR.N`. */
  readonly id: number;
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  /** Bytes: what each device's start and size are multiples of. */
  readonly align: number;
  /** The node its memory would make if it were onlined. */
  readonly targetNode: NodeId;
  /** The online node nearest to it. */
  readonly numaNode: NodeId;
}

/** One device on the dax bus: `daxR.N`. */
export interface DevDax extends Device {
  readonly region: DaxRegion;
  readonly id: number;
  readonly start: PhysAddr;
  /** 0 for a device that has no memory yet. */
  readonly sizeBytes: number;
  readonly align: number;
  /** Of its character device. */
  readonly minor: number;
}

/** The character devices of dax: one major, and minors that fsdax's hosts, such as pmem disks with DAX, draw from too. */
export interface DaxChrdev {
  readonly major: number;
  readonly minors: Ida;
}

/** Make a region; undefined unless both its start and its size are multiples of its alignment. */
export function allocDaxRegion(region: DaxRegion): DaxRegion | undefined {
  return isAligned(region.start, region.align) && isAligned(region.sizeBytes, region.align) ? region : undefined;
}

/** Make device `id` over the first `sizeBytes` of a region, below the device that provides it. Takes a minor, for its maker to free. */
export function createDevDax(region: DaxRegion, id: number, sizeBytes: number, parent: Device, { major, minors }: DaxChrdev): DevDax {
  const { start, align } = region;
  const name = `dax${region.id}.${id}`;
  const attributes = (): readonly Attribute[] => devDaxAttributes(device, major);
  const device: DevDax = { name, parent, region, id, start, sizeBytes, align, minor: minors.alloc(), attributes };
  return device;
}

function devDaxAttributes({ region, start, sizeBytes, align, minor }: DevDax, major: number): Attribute[] {
  const { targetNode, numaNode } = region;
  const mapping = [
    readOnly('mapping0/start', () => hex(start), 0o400),
    readOnly('mapping0/end', () => hex(start + sizeBytes - 1), 0o400),
    readOnly('mapping0/page_offset', () => '0x0', 0o400),
  ];
  return [
    readOnly('size', () => sizeBytes, 0o644),
    readOnly('align', () => align, 0o644),
    readOnly('resource', () => hex(start), 0o400),
    ...(targetNode === NUMA_NO_NODE ? [] : [readOnly('target_node', () => targetNode)]),
    readOnly('numa_node', () => numaNode),
    readOnly('modalias', () => 'dax:t0'),
    readOnly('dev', () => `${major}:${minor}`),
    ...(sizeBytes > 0 ? mapping : []),
  ];
}

/** What the providing device shows of its region, in the folder `dax_region`. */
export function daxRegionAttributes(region: DaxRegion, devices: readonly DevDax[]): Attribute[] {
  const used = (): number => devices.filter((device) => device.region === region).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [
    readOnly('dax_region/id', () => region.id),
    readOnly('dax_region/size', () => region.sizeBytes),
    readOnly('dax_region/align', () => region.align),
    readOnly('dax_region/available_size', () => region.sizeBytes - used()),
    readOnly('dax_region/create', () => '', 0o644),
    readOnly('dax_region/seed', () => ''),
  ];
}
