/**
 * What /sys/bus/pci/devices/D shows, beside the binary files `config` and `resourceN`. Mirrors drivers/pci/pci-sysfs.c.
 */
import { type Attribute, KernelError, parseBool, readOnly, readWrite } from '@holdfast/lib';
import { pciDisableDevice, pciEnableDevice } from './enable.js';
import type { Pci } from './pci-bus.js';
import { type PciDevice, resourceFlags } from './pci-device.js';
import { PCI, PCI_SHOWN_RESOURCES } from './pci-regs.js';

export function pciAttributes(device: PciDevice, pci: Pci): Attribute[] {
  const hex4 = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;
  return [
    readOnly('vendor', () => hex4(device.vendor)),
    readOnly('device', () => hex4(device.device)),
    readOnly('subsystem_vendor', () => hex4(device.subsystemVendor)),
    readOnly('subsystem_device', () => hex4(device.subsystemDevice)),
    readOnly('revision', () => `0x${device.revision.toString(16).padStart(2, '0')}`),
    readOnly('class', () => `0x${device.classCode.toString(16).padStart(6, '0')}`),
    readOnly('irq', () => device.config.read(PCI.INTERRUPT_LINE, 1) % 0xff),
    readOnly('modalias', () => modalias(device)),
    readOnly('numa_node', () => -1),
    readOnly('resource', () => resourceLines(device)),
    readWrite('enable', () => device.enableCount, (text) => storeEnable(device, pci, text)),
    { name: 'remove', mode: 0o220, store: (text) => {
      if (parseBool(text)) pci.remove(device);
    } },
    { name: 'rescan', mode: 0o220, store: (text) => {
      if (parseBool(text)) pci.rescan();
    } },
  ];
}

/** A bound device is its driver's to enable. */
function storeEnable(device: PciDevice, pci: Pci, text: string): void {
  const on = parseBool(text);
  if (pci.bus.driverOf(device)) throw new KernelError('EBUSY', `${device.name} has a driver`);
  if (on) pciEnableDevice(device, pci.say(device));
  else if (device.enableCount > 0) pciDisableDevice(device);
  else throw new KernelError('EIO', `${device.name} is not enabled`);
}

function modalias({ vendor, device, subsystemVendor, subsystemDevice, classCode }: PciDevice): string {
  const upper = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
  const [base, sub, prog] = [Math.floor(classCode / 65536), Math.floor(classCode / 256) % 256, classCode % 256];
  return `pci:v${upper(vendor, 8)}d${upper(device, 8)}sv${upper(subsystemVendor, 8)}sd${upper(subsystemDevice, 8)}bc${upper(base, 2)}sc${upper(sub, 2)}i${upper(prog, 2)}`;
}

/** What uevents say of a function before its modalias (pci_uevent). */
export function pciUevent({ name, vendor, device, subsystemVendor, subsystemDevice, classCode }: PciDevice): string[] {
  const upper = (value: number): string => value.toString(16).toUpperCase().padStart(4, '0');
  return [
    `PCI_CLASS=${upper(classCode)}`,
    `PCI_ID=${upper(vendor)}:${upper(device)}`,
    `PCI_SUBSYS_ID=${upper(subsystemVendor)}:${upper(subsystemDevice)}`,
    `PCI_SLOT_NAME=${name}`,
  ];
}

/** First byte, last byte and flags of each resource; zeros for none. A BAR without a place counts from 0. */
function resourceLines({ bars }: PciDevice): string {
  const wide = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;
  return Array.from({ length: PCI_SHOWN_RESOURCES }, (_, index) => {
    const bar = bars.find((each) => each.index === index);
    if (!bar) return [0, 0, 0].map(wide).join(' ');
    const start = bar.start ?? 0;
    return [start, start + bar.sizeBytes - 1, resourceFlags(bar)].map(wide).join(' ');
  }).join('\n');
}
