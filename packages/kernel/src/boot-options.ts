/**
 * What a boot is given: the hardware, what its firmware says of it, and what the user asks for.
 */
import type { KernelRelease } from '@holdfast/lib';
import type { NosaveRule } from '@holdfast/e820';
import type { Machine, NvdimmRootMethods } from '@holdfast/machine';
import type { AcpiMemoryDevice } from '@holdfast/memory-hotplug';
import type { HoleReport, NodeReport } from '@holdfast/mm';
import type { ConfigArea } from '@holdfast/nvdimm';
import type { PciHost } from '@holdfast/pci';
import type { PmemConfig } from '@holdfast/pmem';
import type { Drive } from '@holdfast/sd';
import type { VirtioHardware } from '@holdfast/virtio';
import type { LogLine } from './kernel-log.js';

/** An NVDIMM's label area and media, which firmware gives by method and not by table. */
export interface FirmwareDimm {
  /** The NFIT device handle. */
  readonly handle: number;
  readonly labelSizeBytes: number;
  /** Where the label area's bytes are kept over boots; without it each boot finds zeros. */
  readonly labelArea?: ConfigArea;
  readonly mediaSizeBytes: number;
}

/** What the firmware hands over. Tables are the raw bytes, as /sys/firmware/acpi/tables shows them. */
export interface Firmware {
  /** Lines of a dmesg, or a whole one: see parseE820Text. */
  readonly e820: string;
  readonly srat?: Uint8Array;
  readonly slit?: Uint8Array;
  readonly nfit?: Uint8Array;
  readonly dimms?: readonly FirmwareDimm[];
  /** What it does for its NVDIMMs as a whole: scrub, clear and inject errors. Many firmwares, QEMU's among them, do nothing. */
  readonly nvdimmMethods?: NvdimmRootMethods;
  /** DIMMs that were plugged into the running machine, and are there still: no memory map knows them. */
  readonly memoryDevices?: readonly AcpiMemoryDevice[];
  /** Memory may be plugged in behind what is there, and no SRAT need say how far: no bridge decodes anything above 4 GiB then. */
  readonly takesMemory?: boolean;
}

export interface BootOptions {
  readonly machine: Machine;
  readonly firmware: Firmware;
  /** The slots of the machine, if there is anything in them, or may be: power comes to their cards when the boot begins. */
  readonly pci?: PciHost;
  readonly cmdline: string;
  /** Devices that a hypervisor gives the machine, in the order of their slots. */
  readonly virtio?: readonly VirtioHardware[];
  /** Drives on the machine's SATA or SAS ports, in order: sda, sdb, … */
  readonly drives?: readonly Drive[];
  /** The Linux that is mirrored; 6.1 if left out. */
  readonly release?: KernelRelease;
  /** What the kernel was built with. */
  readonly config?: KernelConfig;
  /** Sees each line of the log as it is written. */
  readonly onLogLine?: (line: LogLine) => void;
}

/** Choices of the one who builds the kernel, which the command line may overrule. */
export interface KernelConfig {
  /** CONFIG_ZONE_DEVICE: zone Device exists. From 4.3 on, if left out. */
  readonly zoneDevice?: boolean;
  /** How it logs holes in memory, and its nodes: as its release, if left out; distributions took later ways over. */
  readonly holeReport?: HoleReport;
  readonly nodeReport?: NodeReport;
  /** CONFIG_ZONE_DMA and CONFIG_ZONE_DMA32; both are there if left out. */
  readonly zoneDma?: boolean;
  readonly zoneDma32?: boolean;
  /** sizeof(struct page), for what boot says of it; 64 if left out. */
  readonly structPageBytes?: number;
  /** What it keeps from hibernation: as its release, if left out. */
  readonly nosaveRule?: NosaveRule;
  readonly pmem?: PmemConfig;
}
