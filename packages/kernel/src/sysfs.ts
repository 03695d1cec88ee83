/**
 * /sys: what each subsystem shows, hung together. Mirrors fs/sysfs, with the directories that this kernel has something to say in.
 */
import type { Attribute, Printk } from '@holdfast/lib';
import { type Block, formatIoLayers } from '@holdfast/block';
import type { DaxBus } from '@holdfast/dax';
import type { Bus, Device } from '@holdfast/driver-core';
import type { FirmwareMemmapEntry } from '@holdfast/e820';
import type { MemoryBlocks } from '@holdfast/memory-hotplug';
import type { Numa } from '@holdfast/mm';
import type { Nvdimms } from '@holdfast/nvdimm';
import type { Pci } from '@holdfast/pci';
import { sysClassBdi, virtualBdiDir } from './sysfs-bdi.js';
import { disksOf, sysBlock, sysClassBlock, sysDevBlock, virtualDisks } from './sysfs-block.js';
import { daxRegionOf, sysDevChar } from './sysfs-dax.js';
import { busEntries, deviceEntries } from './sysfs-devices.js';
import { pciBusExtras, pciFilesOf } from './sysfs-pci.js';
import { ndctlOf, nvdimmDevChar, sysClassNd } from './sysfs-nvdimm.js';
import { type NodeTexts, cpuDir, memoryDir, nodeDir, systemBuses } from './sysfs-memory.js';
import { type VfsDir, type VfsNode, vfsAttributes, vfsDir, vfsParts, vfsText } from './vfs.js';

export interface SysNeeds {
  readonly block: Block;
  readonly buses: readonly Bus<Device>[];
  readonly dax: DaxBus;
  /** By the numbers of their directories. */
  readonly firmwareMemmap: ReadonlyMap<number, FirmwareMemmapEntry>;
  /** The binary tables that the firmware gave, by signature. */
  readonly acpiTables: Readonly<Record<string, Uint8Array>>;
  readonly memoryBlocks: MemoryBlocks;
  readonly numa: Numa;
  readonly nvdimms: Nvdimms;
  readonly pci?: Pci;
  readonly nodeTexts: NodeTexts;
  /** The parameters of each module that has any. */
  readonly modules: Readonly<Record<string, readonly Attribute[]>>;
  readonly nrCpus: number;
  readonly printk: Printk;
}

export function createSys(needs: SysNeeds): VfsDir {
  const { block, buses, dax, nvdimms, pci, printk, memoryBlocks, numa } = needs;
  const system = systemDir(needs);
  const virtual = vfsDir({ bdi: virtualBdiDir(block, printk), block: vfsDir(() => virtualDisks(block, printk)) });
  return vfsDir({
    block: vfsDir(() => sysBlock(block)),
    bus: vfsParts([() => busEntries(buses, printk, (bus) => pciBusExtras(pci, bus)), () => systemBuses(memoryBlocks, numa, needs.nrCpus)]),
    class: vfsDir({ bdi: vfsDir(() => sysClassBdi(block)), block: vfsDir(() => sysClassBlock(block)), nd: vfsDir(() => sysClassNd(nvdimms)) }),
    dev: vfsDir({ block: vfsDir(() => sysDevBlock(block)), char: vfsDir(() => ({ ...sysDevChar(dax), ...nvdimmDevChar(nvdimms) })) }),
    devices: vfsParts([
      () => ({ system, virtual }),
      () => deviceEntries({
        buses,
        printk,
        extras: (device) => ({
          ...disksOf(block, device, printk), ...daxRegionOf(dax, device), ...ndctlOf(nvdimms, device, printk), ...pciFilesOf(pci, device),
        }),
      }),
    ]),
    firmware: vfsDir({ memmap: memmapDir(needs.firmwareMemmap), acpi: vfsDir({ tables: tablesDir(needs.acpiTables) }) }),
    // debugfs, where Linux mounts it. Ours: which layers take I/O that names frames without struct pages by their numbers.
    kernel: vfsDir({ debug: vfsDir({ pfn_io: vfsText(() => formatIoLayers(block.disks)) }) }),
    module: vfsDir(Object.fromEntries(
      Object.entries(needs.modules).map(([name, attributes]) => [name, vfsDir({ parameters: vfsDir(vfsAttributes(attributes)) })]),
    )),
  });
}

function systemDir({ memoryBlocks, numa, nodeTexts, nrCpus, printk }: SysNeeds): VfsDir {
  return vfsDir({ cpu: cpuDir(numa, nrCpus, printk), memory: memoryDir(memoryBlocks, printk), node: nodeDir(numa, memoryBlocks, nodeTexts, printk) });
}

function memmapDir(entries: SysNeeds['firmwareMemmap']): VfsDir {
  return vfsDir(() => Object.fromEntries([...entries].map(([nr, { start, end, type }]) => [
    String(nr),
    vfsDir({ start: vfsText(() => `${start}\n`), end: vfsText(() => `${end}\n`), type: vfsText(() => `${type}\n`) }),
  ])));
}

function tablesDir(tables: Readonly<Record<string, Uint8Array>>): VfsDir {
  return vfsDir(
    Object.fromEntries(
      Object.entries(tables).map(([signature, table]): [string, VfsNode] => [signature, { kind: 'file', mode: 0o400, read: () => table }]),
    ),
  );
}

