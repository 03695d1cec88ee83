/**
 * What a driver does first with its device: enable it, claim its BARs, reach its registers.
 * Mirrors drivers/pci/pci.c: pci_enable_device, pci_request_region; drivers/pci/setup-res.c: pci_enable_resources; lib/iomap.c.
 */
import { KERN, KernelError, type Printk, type Resource, requestRegion } from '@holdfast/lib';
import { formatBar } from './bar.js';
import type { PciBridge } from './pci-host.js';
import type { PciBar, PciDevice } from './pci-device.js';
import { PCI, PCI_COMMAND, PCI_ROM_RESOURCE } from './pci-regs.js';

/**
 * Let a device decode its BARs. Calls are counted.
 * @param say writes a line with the name of the device's driver, or of the bus, before it
 * @throws KernelError EINVAL for a BAR without a place, ENODEV if the device is gone
 */
export function pciEnableDevice(device: PciDevice, say: Printk): void {
  if (device.disconnected) throw new KernelError('ENODEV', `${device.name} is gone`);
  if (device.enableCount++ > 0) return;
  try {
    enableResources(device, say);
  } catch (error) {
    device.enableCount--;
    throw error;
  }
}

function enableResources({ bars, config, name }: PciDevice, say: Printk): void {
  const old = config.read(PCI.COMMAND, 2);
  let command = old;
  for (const bar of bars) {
    if (bar.index === PCI_ROM_RESOURCE) continue;
    if (!bar.resource) {
      say(`can't enable device: BAR ${bar.index} ${formatBar(bar)} not ${bar.start === undefined ? 'assigned' : 'claimed'}`, KERN.err);
      throw new KernelError('EINVAL', `${name}: BAR ${bar.index} has no place`);
    }
    command |= bar.kind === 'io' ? PCI_COMMAND.IO : PCI_COMMAND.MEMORY;
  }
  if (command === old) return;
  say(`enabling device (${command4(old)} -> ${command4(command)})`);
  config.write(PCI.COMMAND, 2, command);
}

function command4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

/** The last one to disable it also ends its way to memory; it goes on decoding, as in Linux. */
export function pciDisableDevice(device: PciDevice): void {
  if (device.enableCount === 0 || --device.enableCount > 0) return;
  if (device.disconnected) return;
  device.config.write(PCI.COMMAND, 2, device.config.read(PCI.COMMAND, 2) & ~PCI_COMMAND.MASTER);
}

/** Let it read and write memory by itself. */
export function pciSetMaster({ config }: PciDevice): void {
  config.write(PCI.COMMAND, 2, config.read(PCI.COMMAND, 2) | PCI_COMMAND.MASTER);
}

/** Claim a BAR for a driver, who is to release the resource. @throws KernelError EBUSY if it is taken, EINVAL if it is not there */
export function pciRequestRegion(device: PciDevice, index: number, driverName: string, say: Printk): Resource {
  const bar = placedBar(device, index);
  try {
    return requestRegion(bar.resource, bar.resource.start, bar.sizeBytes, driverName);
  } catch (error) {
    if (error instanceof KernelError) say(`BAR ${index}: can't reserve ${formatBar(bar)}`, KERN.warning);
    throw error;
  }
}

function placedBar(device: PciDevice, index: number): PciBar & { resource: Resource } {
  const bar = device.bars.find((each) => each.index === index);
  if (!bar?.resource) throw new KernelError('EINVAL', `${device.name}: no BAR ${index} that has a place`);
  return bar as PciBar & { resource: Resource };
}

/** Registers of a BAR, mapped uncached: 32-bit words at byte offsets. Where the card is gone, reads give ones. */
export interface PciIomem {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** @throws KernelError EINVAL if the BAR is not there or the offset outside of it */
export function pciIomap(device: PciDevice, index: number, bridge: Pick<PciBridge, 'readRegister' | 'writeRegister'>): PciIomem {
  const { resource, sizeBytes } = placedBar(device, index);
  const { start } = resource;
  const at = (offset: number): number => {
    if (offset % 4 !== 0 || offset < 0 || offset >= sizeBytes) throw new KernelError('EINVAL', `${device.name}: no register at ${offset} of BAR ${index}`);
    return start + offset;
  };
  return { read: (offset) => bridge.readRegister(at(offset)), write: (offset, value) => bridge.writeRegister(at(offset), value) };
}
