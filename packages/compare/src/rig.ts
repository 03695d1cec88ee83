/**
 * The machine on which designs are compared: RAM, persistent memory that the memory map, an NFIT or a PCI card tells of, a small disk with a write
 * cache to copy to, and a DMA engine. The disk under test is bound, unbound and bound again with another design, as an administrator would do it.
 */
import { type Kernel, boot, readFile, writeFile } from '@holdfast/kernel';
import { SPA_GUIDS, encodeNfit } from '@holdfast/acpi';
import { createDmaCard } from '@holdfast/dmaengine';
import { GIB, KernelError, MIB, type PhysAddr, pfnToPhys } from '@holdfast/lib';
import { type Machine, type Medium, createDram, createMachine, createNvdimm, createPciMemory } from '@holdfast/machine';
import { type PciHost, createPciHost } from '@holdfast/pci';
import type { AttachedPages, DeviceBus, PageDesignName, PmemMapping } from '@holdfast/pmem';
import { createPmemCard } from '@holdfast/pmem-pci';
import { type Drive, createDrive } from '@holdfast/sd';

export const DISK = '/dev/pmem0';
export const OTHER_DISK = '/dev/sda';
const OTHER_DISK_BYTES = 64 * MIB;
const LOW_RAM = 2 * GIB;
/** Memory attributes of an NFIT's range: write-back, non-volatile (EFI_MEMORY_WB, EFI_MEMORY_NV). */
const EFI_WRITE_BACK_NV = 0x8008n;
/** Slot of the PCI card; the DMA engine has the first that is free. */
const CARD_SLOT = 8;
const GRAIN = 128 * MIB;
/** Drivers that take frames by number where a design offers them so; no other design makes a difference to them. */
const CMDLINE = 'pmem.mapping=wb pmem.pages=none sd_mod.by_pfn holdfast_dma.by_pfn';

export interface RigSpec {
  /** Bytes of persistent memory: a multiple of 128 MiB. */
  readonly sizeBytes: number;
  /** Bytes of RAM, more than 2 GiB. */
  readonly ramBytes: number;
  /** What tells of the memory: the firmware's map (default), an NFIT, or the BAR of a PCI card. */
  readonly bus?: DeviceBus;
}

/** Where the disk is bound. */
const BINDINGS: Record<DeviceBus, { readonly driver: string; readonly device: string }> = {
  e820: { driver: '/sys/bus/nd/drivers/nd_pmem', device: 'namespace0.0' },
  nvdimm: { driver: '/sys/bus/nd/drivers/nd_pmem', device: 'namespace0.0' },
  pci: { driver: '/sys/bus/pci/drivers/pmem_pci', device: `0000:00:0${CARD_SLOT}.0` },
};

export interface Rig {
  readonly spec: RigSpec;
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly pmem: Medium;
  readonly drive: Drive;
  /** Where byte 0 of the disk is in memory. @throws KernelError ENODEV while it is unbound */
  readonly start: () => PhysAddr;
  /** Bind the disk with a design. @throws KernelError if it cannot be had; the disk is unbound then */
  attach(design: PageDesignName, mapping: PmemMapping): AttachedPages;
  /** @throws KernelError EBUSY while pages are held */
  detach(): void;
  /** Pull the plug, and boot again with the disk unbound. */
  powercut(seed: number): Rig;
}

/** @throws KernelError EINVAL for sizes that do not fit */
export function createRig(spec: RigSpec): Rig {
  if (spec.sizeBytes % GRAIN !== 0 || spec.sizeBytes <= 0) {
    throw new KernelError('EINVAL', `a device of ${spec.sizeBytes} bytes: expected a multiple of 128 MiB`);
  }
  if (spec.ramBytes % GIB !== 0 || spec.ramBytes <= LOW_RAM) throw new KernelError('EINVAL', `${spec.ramBytes} bytes of RAM: expected whole GiB, more than 2`);
  const highRam = spec.ramBytes - LOW_RAM;
  const ramEnd = 4 * GIB + highRam;
  const onCard = spec.bus === 'pci';
  const pmem = onCard ? createPciMemory({ sizeBytes: spec.sizeBytes }) : createNvdimm({ sizeBytes: spec.sizeBytes });
  const machine = createMachine({
    physBits: ramEnd + spec.sizeBytes >= 2 ** 45 ? 52 : 46,
    media: [{ start: 0, medium: createDram(LOW_RAM) }, { start: 4 * GIB, medium: createDram(highRam) }, ...(onCard ? [] : [{ start: ramEnd, medium: pmem }])],
  });
  const host = createPciHost(machine);
  host.plug(createDmaCard(machine, host));
  if (onCard) host.plug(createPmemCard(pmem), CARD_SLOT);
  return bootRig({ spec, machine, pmem, drive: createDrive({ sizeBytes: OTHER_DISK_BYTES }), ramEnd, host });
}

interface Hardware extends Pick<Rig, 'spec' | 'machine' | 'pmem' | 'drive'> {
  readonly host: PciHost;
  /** Behind the RAM; there the memory is that firmware tells of. */
  readonly ramEnd: number;
}

function bootRig(hardware: Hardware): Rig {
  const { spec, machine, drive, ramEnd, host } = hardware;
  const { bus = 'e820' } = spec;
  const { driver, device } = BINDINGS[bus];
  const e820 = [
    row(0, 0x9fc00, 'usable'),
    row(0x100000, LOW_RAM, 'usable'),
    row(4 * GIB, ramEnd, 'usable'),
    ...(bus === 'e820' ? [row(ramEnd, ramEnd + spec.sizeBytes, 'persistent (type 12)')] : []),
  ].join('\n');
  const firmware = bus === 'nvdimm' ? { e820, nfit: nfitOf(ramEnd, spec.sizeBytes) } : { e820 };
  const { kernel, panic } = boot({ machine, firmware, cmdline: CMDLINE, pci: host, drives: [drive] });
  if (!kernel) throw new KernelError('ENOMEM', `the kernel panicked: ${panic}`);
  const detach = (): void => writeFile(kernel.root, `${driver}/unbind`, device);
  detach();
  return {
    ...hardware,
    kernel,
    start() {
      const attached = kernel.pmem.get('pmem0')?.pages;
      if (!attached) throw new KernelError('ENODEV', `${DISK} is not bound`);
      return pfnToPhys(attached.pages.start);
    },
    attach(design, mapping) {
      // Half of the device, at most 8 GiB, becomes RAM where that is the design; at least what its struct pages need.
      const ramPart = Math.max(Math.ceil(spec.sizeBytes / 64 / GRAIN) * GRAIN, Math.min(8 * GIB, Math.floor(spec.sizeBytes / 2 / GRAIN) * GRAIN));
      for (const [name, value] of [['mapping', mapping], ['pages', design], ...(design === 'hotplug' ? [['ram_bytes', String(ramPart)]] : [])]) {
        writeFile(kernel.root, `/sys/module/pmem/parameters/${name}`, value!);
      }
      writeFile(kernel.root, `${driver}/bind`, device);
      return kernel.pmem.get('pmem0')!.pages;
    },
    detach,
    powercut(seed) {
      machine.powercut(seed);
      drive.powercut(seed);
      return bootRig(hardware);
    },
  };
}

/** One range of persistent memory, and no DIMM that anything is known of. */
function nfitOf(start: number, sizeBytes: number): Uint8Array {
  return encodeNfit({
    spaRanges: [
      { rangeIndex: 1, flags: 0, proximityDomain: 0, typeGuid: SPA_GUIDS.pm, address: start, length: sizeBytes, memoryAttribute: EFI_WRITE_BACK_NV },
    ],
  });
}

function row(start: number, end: number, type: string): string {
  const hex = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;
  return `BIOS-e820: [mem ${hex(start)}-${hex(end - 1)}] ${type}`;
}

/** A line of /proc/meminfo, in bytes. */
export function meminfo(kernel: Kernel, field: string): number {
  return Number(new RegExp(`^${field}: *(\\d+) kB`, 'm').exec(String(readFile(kernel.root, '/proc/meminfo')))?.[1] ?? NaN) * 1024;
}
