/**
 * A PCI function as the kernel knows it. Mirrors include/linux/pci.h: struct pci_dev; drivers/pci/access.c.
 */
import type { Attribute, Resource } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';
import type { ConfigAccess, Devfn } from './pci-host.js';
import { FUNCTIONS_PER_SLOT } from './pci-host.js';
import { ALL_ONES } from './pci-regs.js';

/** What a resource of a function is: flags of sysfs' file `resource` (include/linux/ioport.h). */
export const IORESOURCE = { IO: 0x100, MEM: 0x200, READONLY: 0x4000, PREFETCH: 0x2000, SIZEALIGN: 0x40000, MEM_64: 0x100000 } as const;

/** A BAR, or the expansion ROM. */
export interface PciBar {
  /** 0 to 5; 6 is the ROM. */
  readonly index: number;
  readonly kind: 'io' | 'mem';
  readonly is64: boolean;
  readonly prefetchable: boolean;
  /** A power of two. */
  readonly sizeBytes: number;
  /** The low bits of the register itself. */
  readonly wiredBits: number;
  /** Its address; undefined while none is known (IORESOURCE_UNSET). */
  start: number | undefined;
  /** Its place in the resource tree: there from when it is claimed or assigned. */
  resource: Resource | undefined;
}

export interface PciDevice extends Device {
  readonly devfn: Devfn;
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor: number;
  readonly subsystemDevice: number;
  /** 24 bits: base class, sub class, programming interface. */
  readonly classCode: number;
  readonly revision: number;
  readonly headerType: number;
  /** Bytes of its configuration space. */
  readonly configSize: number;
  readonly bars: readonly PciBar[];
  readonly config: DeviceConfig;
  /** How often it was enabled (pci_enable_device). */
  enableCount: number;
  /** It was pulled: nobody answers any more (pci_dev_is_disconnected). */
  disconnected: boolean;
  attributes(): readonly Attribute[];
}

/** The configuration space of one function. */
export interface DeviceConfig {
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

export function deviceConfig(access: ConfigAccess, devfn: Devfn): DeviceConfig {
  return {
    read: (offset, size) => access.read(devfn, offset, size),
    write: (offset, size, value) => access.write(devfn, offset, size, value),
  };
}

/** `0000:00:04.0`: domain, bus, slot, function. */
export function pciName(devfn: Devfn): string {
  const slot = Math.floor(devfn / FUNCTIONS_PER_SLOT);
  return `0000:00:${slot.toString(16).padStart(2, '0')}.${devfn % FUNCTIONS_PER_SLOT}`;
}

/** What the file `config` shows: the whole space, as root sees it. */
export function configBytes({ config, configSize }: Pick<PciDevice, 'config' | 'configSize'>): Uint8Array {
  const view = new DataView(new ArrayBuffer(configSize));
  for (let at = 0; at < configSize; at += 4) view.setUint32(at, config.read(at, 4), true);
  return new Uint8Array(view.buffer);
}

/** Does it still answer? One that was pulled reads as ones (pci_device_is_present). */
export function pciDeviceIsPresent({ config, disconnected }: Pick<PciDevice, 'config' | 'disconnected'>): boolean {
  return !disconnected && config.read(0, 4) !== ALL_ONES;
}

/** The first byte of a BAR. 0 if there is none (pci_resource_start). */
export function pciResourceStart(device: Pick<PciDevice, 'bars'>, index: number): number {
  return device.bars.find((bar) => bar.index === index)?.start ?? 0;
}

/** Bytes of a BAR; 0 if there is none (pci_resource_len). */
export function pciResourceLen(device: Pick<PciDevice, 'bars'>, index: number): number {
  return device.bars.find((bar) => bar.index === index)?.sizeBytes ?? 0;
}

/** What `resource` shows of it. */
export function resourceFlags({ index, kind, is64, prefetchable, wiredBits }: PciBar): number {
  const { IO, MEM, MEM_64, PREFETCH, READONLY, SIZEALIGN } = IORESOURCE;
  const type = kind === 'io' ? IO : MEM;
  return type + SIZEALIGN + wiredBits + (is64 ? MEM_64 : 0) + (prefetchable ? PREFETCH : 0) + (index > 5 ? READONLY : 0);
}
