/**
 * A dax region: memory that device-dax devices are cut from, and the folder `dax_region` that its provider shows.
 * Mirrors drivers/dax/bus.c: struct dax_region, alloc_dax_region, create_store, delete_store.
 *
 * A *static* region is handed over whole, as one device, by whoever drew its bounds: a namespace of libnvdimm. A *dynamic* region (soft-
 * reserved memory) is carved up through sysfs: write 1 to `create` for an empty device, then its size, align or mapping.
 *
 * Invariant: the ranges of a region's devices lie inside it and do not overlap. A dynamic region always keeps its device 0.
 */
import { KernelError, SUBSECTION_SIZE, createIda, createResource, hex, isAligned, parseInteger, readOnly, readWrite, roundUp } from '@holdfast/lib';
import type { Attribute, Ida, NearestRequest, NodeId, PhysAddr, Resource } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';
import type { DaxBus } from './dax-bus.js';
import { disableLines, storeLine } from './dax-request.js';
import { createDevDax, sizeOf } from './dev-dax.js';
import type { DevDax } from './dev-dax.js';

export interface DaxRegionSpec {
  /** The device whose driver makes the region; the region's devices hang under it. */
  readonly provider: Device;
  /** R of `daxR.N`: a memory region id, or that of the nvdimm region. */
  readonly id: number;
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  /** Bytes: the region's start and size are multiples of it, and its devices begin with it. */
  readonly align: number;
  /** The node its memory would make if it were onlined; NUMA_NO_NODE if none is known. */
  readonly targetNode: NodeId;
  /** The online node nearest to it. */
  readonly numaNode: NodeId;
  /** One device, whose bounds are not ours to change. */
  readonly isStatic: boolean;
}

export interface DaxRegion extends DaxRegionSpec {
  readonly bus: DaxBus;
  /** In the order in which they were made. */
  readonly devices: readonly DevDax[];
  /** Who has which part of the region; a tree of its own, beside /proc/iomem. */
  readonly resource: Resource;
  /** Numbers of a dynamic region's devices. */
  readonly ids: Ida;
  readonly availableBytes: number;
  /** What the provider shows; each name begins with `dax_region/`. */
  attributes(): Attribute[];
  /** A driver took this device: if it was the seed, there is none now. */
  seedIsBound(device: DevDax): void;
  /** Take all devices away, last made first, and forget the region. */
  unregister(): void;
}

/** What dev-dax.ts keeps of the region that is not for others. */
export interface DaxRegionState extends DaxRegion {
  readonly devices: DevDax[];
}

/** Make a region; undefined unless both its start and its size are multiples of its alignment. */
export function allocDaxRegion(bus: DaxBus, spec: DaxRegionSpec): DaxRegion | undefined {
  const { provider, start, sizeBytes, align } = spec;
  if (!isAligned(start, align) || !isAligned(sizeBytes, align)) return undefined;
  const devices: DevDax[] = [];
  const resource = createResource({ name: `dax${spec.id}`, start, end: start + sizeBytes - 1 });
  /** The oldest device that was created empty and no driver has taken yet. */
  let seed: DevDax | undefined;
  /** The last device that was created. */
  let youngest: DevDax | undefined;

  function create(text: string): void {
    if (parseInteger(text, -(2 ** 31), 2 ** 31 - 1) !== 1) throw new KernelError('EINVAL', `'${text.trimEnd()}': expected 1`, { nearest: [{ value: 1 }] });
    if (region.availableBytes === 0) throw new KernelError('ENOSPC', `all of dax region ${spec.id} is given out`, shrinkLargest(region));
    youngest = createDevDax(region, { sizeBytes: 0 });
    seed ??= youngest;
  }

  function destroy(text: string): void {
    const name = text.replace(/\n$/, '');
    const victim = devices.find((device) => device.name === name);
    if (!victim) {
      throw new KernelError('ENXIO', `dax region ${spec.id} has no device '${name}'`, {
        nearest: devices
          .filter((device) => device.id !== 0 && device.sizeBytes === 0 && !bus.driverOf(device))
          .map((device) => ({ value: device.name })),
      });
    }
    const giveBack = [...disableLines(victim), storeLine(name, 'size', 0)].join(' && ');
    // Number 0 stays: what it can do is to give back its memory.
    const nearest = victim.id === 0 ? (victim.sizeBytes > 0 ? [{ instead: giveBack }] : []) : [{ first: giveBack }];
    if (bus.driverOf(victim)) throw new KernelError('EBUSY', `${name} is in use`, { nearest });
    if (victim.sizeBytes > 0) {
      throw new KernelError('EBUSY', `${name} has ${hex(victim.sizeBytes)} bytes of memory, which it must give back first`, { nearest });
    }
    if (victim.id === 0) throw new KernelError('EBUSY', `${name} stays as long as its region`, { nearest });
    if (seed === victim) seed = undefined;
    if (youngest === victim) youngest = undefined;
    victim.unregister();
  }

  const region: DaxRegionState = {
    ...spec,
    bus,
    devices,
    resource,
    ids: createIda(),
    get availableBytes() {
      return sizeBytes - resource.children.reduce((sum, child) => sum + sizeOf(child), 0);
    },
    seedIsBound(device) {
      if (seed === device) seed = undefined;
    },
    unregister() {
      for (const device of [...devices].reverse()) device.unregister();
      bus.regions.delete(provider);
    },
    attributes: () => [
      ...(spec.isStatic
        ? []
        : [
            readOnly('dax_region/available_size', () => region.availableBytes),
            readWrite('dax_region/create', () => youngest?.name ?? '', create),
            readOnly('dax_region/seed', () => seed?.name ?? ''),
            { name: 'dax_region/delete', mode: 0o200, store: destroy },
          ]),
      readOnly('dax_region/size', () => sizeBytes),
      readOnly('dax_region/align', () => align, 0o400),
      readOnly('dax_region/id', () => spec.id),
    ],
  };
  bus.regions.set(provider, region);
  return region;
}

/** How room is made in a region that is all given out: its largest device, unless it is RAM, gives half of what it has. */
function shrinkLargest({ bus, devices }: DaxRegionState): { nearest: NearestRequest[] } {
  const shrinkable = devices.filter((device) => device.sizeBytes >= 2 * Math.max(device.align, SUBSECTION_SIZE) && bus.driverOf(device)?.name !== 'kmem');
  const [largest] = shrinkable.sort((a, b) => b.sizeBytes - a.sizeBytes);
  if (!largest) return { nearest: [] };
  const half = roundUp(largest.sizeBytes / 2, Math.max(largest.align, SUBSECTION_SIZE));
  return { nearest: [{ first: [...disableLines(largest), storeLine(largest.name, 'size', half)].join(' && ') }] };
}
