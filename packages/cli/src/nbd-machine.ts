/**
 * The machine behind `holdfast nbd`: its disks, its plug, and machines that boot on what a power cut may have left of its stores.
 */
import { type BlockDevice, partitionsOf } from '@holdfast/block';
import type { Kernel } from '@holdfast/kernel';
import { KernelError, SECTOR_SIZE } from '@holdfast/lib';
import type { ImageBacking } from '@holdfast/machine';
import {
  type Cut, type NbdDisk, type PowerDomain, type Powered, type StateMachine, type StoreRange, type SwitchedMachine,
  createMachineExports, driveDomain, machineDomain, mediumName,
} from '@holdfast/nbd';
import { type BootPlan, type Hardware, type StoreImages, assembleHardware } from './boot-plan.js';
import { dirAt, textAt } from './facts/sysfs.js';
import { joinImage } from './labelled-dimms.js';
import { type System, createSystem } from './system.js';

export interface NbdMachine extends SwitchedMachine {
  readonly system: System;
  readonly hardware: Hardware;
  /** The kernel that runs now. */
  powered(): Powered | undefined;
  /** A machine on an outcome of a cut: the stores by name. Undefined if its kernel does not come up. */
  bootState(cut: Cut, stores: ReadonlyMap<string, ImageBacking>): StateMachine | undefined;
}

/** Boot the machine of a plan. @param files closed with the machine @throws KernelError for what no machine can be booted with */
export function createNbdMachine(plan: BootPlan, images: StoreImages, files: readonly { close(): void }[], exportNames: () => readonly string[]): NbdMachine {
  const hardware = assembleHardware(plan, images);
  const { machine, nvdimms, labelAreas, drives, firmware } = hardware;
  const { cmdline, release, config, seed } = plan;
  const system = createSystem({ machine, images: files, drives, firmware, cmdline, release, config, seed });
  const domains: PowerDomain[] = [machineDomain(machine, nvdimms), ...drives.map((drive, i) => driveDomain(drive, driveName(i)))];
  /** What the label areas held at each cut: firmware keeps them, so they are open in no outcome. */
  const labelsAt = new Map<number, ReadonlyMap<number, Uint8Array>>();

  return {
    system,
    hardware,
    domains,
    get poweredOn() {
      return system.poweredOn;
    },
    powered: () => poweredBy(system.kernel),
    ranges() {
      const { kernel } = system;
      if (!kernel) return new Map();
      return new Map(exportNames().map((name) => [name, rangesOf(kernel, name, hardware)]));
    },
    pullPlug(nr, cut) {
      labelsAt.set(nr, new Map([...labelAreas].map(([start, area]) => [start, area.read(0, area.sizeBytes)])));
      system.pullPlug(cut);
    },
    powerOn() {
      system.powerOn();
      if (!system.kernel) throw new KernelError('EIO', `the kernel panicked: ${system.panic}`);
    },
    forget: (nr) => void labelsAt.delete(nr),
    bootState(cut, stores) {
      const labels = labelsAt.get(cut.nr) ?? new Map<number, Uint8Array>();
      const state = createNbdMachine(plan, storeImages(hardware, stores, labels), [], exportNames);
      const { kernel } = state.system;
      if (!kernel) return undefined;
      return { disk: (name) => diskOf(kernel, name), close: () => state.system.pullPlug(() => {}) }; // nothing of it is to be kept
    },
  };
}

function poweredBy(kernel: Kernel | undefined): Powered | undefined {
  return kernel && { block: kernel.block, memory: kernel.machine.memory };
}

/** The disk of that name, or undefined if this kernel has none. */
function diskOf(kernel: Kernel, name: string): NbdDisk | undefined {
  try {
    return createMachineExports({ kernel: () => poweredBy(kernel), names: [name] })()[0]!.disk();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** The images of a machine's stores, from images by the store's name; the label areas lie behind their media. */
function storeImages({ nvdimms, drives }: Hardware, stores: ReadonlyMap<string, ImageBacking>, labels: ReadonlyMap<number, Uint8Array>): StoreImages {
  return {
    nvdimms: new Map(nvdimms.map((slot) => {
      const media = stores.get(mediumName(slot))!;
      const label = labels.get(slot.start);
      return [slot.start, label ? joinImage(media, label) : media];
    })),
    drives: drives.map((_, i) => stores.get(driveName(i))),
  };
}

function driveName(index: number): string {
  return `sd${String.fromCharCode(97 + index)}`;
}

/** Where a block device lies: a part of a drive, or of the NVDIMMs. */
function rangesOf(kernel: Kernel, name: string, { nvdimms, drives }: Hardware): StoreRange[] {
  const bdev = kernel.block.disks.flatMap((disk): BlockDevice[] => [disk.part0, ...partitionsOf(disk)]).find((each) => each.name === name);
  if (!bdev) return [];
  const [start, sizeBytes] = [bdev.startSector * SECTOR_SIZE, bdev.nrSectors * SECTOR_SIZE];
  const drive = drives.findIndex((_, i) => bdev.disk.name === driveName(i));
  if (drive >= 0) return [{ store: driveName(drive), start, end: start + sizeBytes }];
  const all = nvdimms.map((slot) => ({ store: mediumName(slot), start: 0, end: slot.medium.sizeBytes, at: slot.start }));
  const addresses = addressesOf(kernel, bdev.disk.name);
  if (!addresses) return all; // a kernel that does not tell
  // A disk over a BTT lies anywhere in its namespace.
  const [from, to] = addresses.linear
    ? [addresses.start + start, addresses.start + start + sizeBytes]
    : [addresses.start, addresses.start + addresses.sizeBytes];
  return all.flatMap(({ store, end, at }) => {
    const range = { store, start: Math.max(from - at, 0), end: Math.min(to - at, end) };
    return range.start < range.end ? [range] : [];
  });
}

/** The physical range of a pmem disk, as sysfs shows it; `linear` where sector n of the disk is sector n of the range. */
function addressesOf({ root }: Kernel, disk: string): { start: number; sizeBytes: number; linear: boolean } | undefined {
  const device = `/sys/block/${disk}/device`;
  const own = { resource: textAt(root, `${device}/resource`), size: textAt(root, `${device}/size`) };
  const namespace = textAt(root, `${device}/namespace`);
  if (own.resource !== undefined && own.size !== undefined) return { start: Number(own.resource), sizeBytes: Number(own.size), linear: true };
  const below = `/sys/bus/nd/devices/${namespace}`;
  if (namespace === undefined || !dirAt(root, below)) return undefined;
  const [resource, size] = [textAt(root, `${below}/resource`), textAt(root, `${below}/size`)];
  return resource === undefined || size === undefined ? undefined : { start: Number(resource), sizeBytes: Number(size), linear: false };
}
