/**
 * The exports of a machine: its block devices, as the kernel that runs now has them, for requests of any bytes.
 *
 * Invariant: an export's disk is one object as long as its block device is, so that whoever holds it can tell a new boot from the old one.
 */
import { type Block, type BlockDevice, partitionsOf } from '@holdfast/block';
import { KernelError } from '@holdfast/lib';
import type { PhysicalMemory } from '@holdfast/machine';
import { createByteDisk } from './byte-disk.js';
import { type NbdDisk, createBdevDisk } from './disk.js';
import type { NbdExport } from './export.js';

/** What is asked of a running kernel. */
export interface Powered {
  readonly block: Block;
  readonly memory: Pick<PhysicalMemory, 'chunk'>;
}

export interface MachineExportsNeeds {
  /** The kernel that runs now; undefined while the machine is off. */
  readonly kernel: () => Powered | undefined;
  /** Device names, in the order of the listing; all whole disks if left out. */
  readonly names?: readonly string[];
  readonly readOnly?: boolean;
  /** Of each disk; see DiskNeeds. */
  readonly persist?: (() => void) | undefined;
  /** What lies between the clients and each disk, such as faults, and sees whole blocks only; asked once for each disk of each boot. */
  readonly layer?: (name: string, disk: NbdDisk) => NbdDisk;
}

/** @throws KernelError ENODEV for a name that no device has when this is called */
export function createMachineExports(needs: MachineExportsNeeds): () => readonly NbdExport[] {
  const { kernel, names, readOnly = false, persist, layer = (_name, disk) => disk } = needs;
  const disks = new WeakMap<BlockDevice, NbdDisk>();
  const diskOf = (name: string): NbdDisk | undefined => {
    const powered = kernel();
    const bdev = powered && blockDevices(powered.block).find((each) => each.name === name);
    if (!bdev) return undefined;
    let disk = disks.get(bdev);
    if (!disk) {
      disks.set(
        bdev,
        (disk = createByteDisk(layer(name, createBdevDisk({ bdev, memory: powered.memory, pages: powered.block.needs.pages, persist })))),
      );
    }
    return disk;
  };
  const known = kernel()?.block;
  const there = known ? blockDevices(known).map(({ name }) => name) : [];
  const unknown = names?.find((name) => !there.includes(name));
  if (unknown !== undefined) throw new KernelError('ENODEV', `no block device '${unknown}'; there are: ${there.join(', ') || 'none'}`);
  const listed = names ?? known?.disks.map(({ name }) => name) ?? [];
  const exports = listed.map((name): NbdExport => ({ name, description: `${name} of a simulated machine`, readOnly, disk: () => diskOf(name) }));
  return () => exports;
}

function blockDevices(block: Block): BlockDevice[] {
  return block.disks.flatMap((disk) => [disk.part0, ...partitionsOf(disk)]);
}
