/**
 * The machine on which designs are compared: RAM, one range of persistent memory behind it, a small disk with a write cache to copy to, and
 * a DMA engine. The disk under test is bound, unbound and bound again with another design, as an administrator would do it.
 */
import { type Kernel, boot, readFile, writeFile } from '@holdfast/kernel';
import { createDmaCard } from '@holdfast/dmaengine';
import { GIB, KernelError, MIB, type PhysAddr } from '@holdfast/lib';
import { type Machine, type Medium, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type PciHost, createPciHost } from '@holdfast/pci';
import type { AttachedPages, PageDesignName, PmemMapping } from '@holdfast/pmem';
import { type Drive, createDrive } from '@holdfast/sd';

export const DISK = '/dev/pmem0';
export const OTHER_DISK = '/dev/sda';
const OTHER_DISK_BYTES = 64 * MIB;
const LOW_RAM = 2 * GIB;
const DRIVER = '/sys/bus/nd/drivers/nd_pmem';
const DEVICE = 'namespace0.0';
/** Drivers that take frames by number where a design offers them so; no other design makes a difference to them. */
const CMDLINE = 'pmem.mapping=wb pmem.pages=none sd_mod.by_pfn holdfast_dma.by_pfn';

export interface RigSpec {
  /** Bytes of persistent memory: a multiple of 128 MiB. */
  readonly sizeBytes: number;
  /** Bytes of RAM, more than 2 GiB. */
  readonly ramBytes: number;
}

export interface Rig {
  readonly spec: RigSpec;
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly pmem: Medium;
  readonly drive: Drive;
  /** Where the range begins. */
  readonly start: PhysAddr;
  /** Bind the disk with a design. @throws KernelError if it cannot be had; the disk is unbound then */
  attach(design: PageDesignName, mapping: PmemMapping): AttachedPages;
  /** @throws KernelError EBUSY while pages are held */
  detach(): void;
  /** Pull the plug, and boot again with the disk unbound. */
  powercut(seed: number): Rig;
}

/** @throws KernelError EINVAL for sizes that do not fit */
export function createRig(spec: RigSpec): Rig {
  if (spec.sizeBytes % (128 * MIB) !== 0 || spec.sizeBytes <= 0) throw new KernelError('EINVAL', `a device of ${spec.sizeBytes} bytes: expected a multiple of 128 MiB`);
  if (spec.ramBytes % GIB !== 0 || spec.ramBytes <= LOW_RAM) throw new KernelError('EINVAL', `${spec.ramBytes} bytes of RAM: expected whole GiB, more than 2`);
  const highRam = spec.ramBytes - LOW_RAM;
  const start = 4 * GIB + highRam;
  const pmem = createNvdimm({ sizeBytes: spec.sizeBytes });
  const machine = createMachine({
    physBits: start + spec.sizeBytes >= 2 ** 45 ? 52 : 46,
    media: [{ start: 0, medium: createDram(LOW_RAM) }, { start: 4 * GIB, medium: createDram(highRam) }, { start, medium: pmem }],
  });
  const host = createPciHost(machine);
  host.plug(createDmaCard(machine, host));
  return bootRig({ spec, machine, pmem, drive: createDrive({ sizeBytes: OTHER_DISK_BYTES }), start: start as PhysAddr, host });
}

interface Hardware extends Pick<Rig, 'spec' | 'machine' | 'pmem' | 'drive' | 'start'> {
  readonly host: PciHost;
}

function bootRig(hardware: Hardware): Rig {
  const { spec, machine, drive, start, host } = hardware;
  const e820 = [
    row(0, 0x9fc00, 'usable'),
    row(0x100000, LOW_RAM, 'usable'),
    row(4 * GIB, start, 'usable'),
    row(start, start + spec.sizeBytes, 'persistent (type 12)'),
  ].join('\n');
  const { kernel, panic } = boot({ machine, firmware: { e820 }, cmdline: CMDLINE, pci: host, drives: [drive] });
  if (!kernel) throw new KernelError('ENOMEM', `the kernel panicked: ${panic}`);
  const detach = (): void => writeFile(kernel.root, `${DRIVER}/unbind`, DEVICE);
  detach();
  return {
    ...hardware,
    kernel,
    attach(design, mapping) {
      // Half of the device, at most 8 GiB, becomes RAM where that is the design; at least what its struct pages need.
      const ramPart = Math.max(Math.ceil(spec.sizeBytes / 64 / GIB) * GIB, Math.min(8 * GIB, Math.floor(spec.sizeBytes / 2 / (128 * MIB)) * 128 * MIB));
      for (const [name, value] of [['mapping', mapping], ['pages', design], ...(design === 'hotplug' ? [['ram_bytes', String(ramPart)]] : [])]) {
        writeFile(kernel.root, `/sys/module/pmem/parameters/${name}`, value!);
      }
      writeFile(kernel.root, `${DRIVER}/bind`, DEVICE);
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

function row(start: number, end: number, type: string): string {
  const hex = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;
  return `BIOS-e820: [mem ${hex(start)}-${hex(end - 1)}] ${type}`;
}

/** A line of /proc/meminfo, in bytes. */
export function meminfo(kernel: Kernel, field: string): number {
  return Number(new RegExp(`^${field}: *(\\d+) kB`, 'm').exec(String(readFile(kernel.root, '/proc/meminfo')))?.[1] ?? NaN) * 1024;
}
