/**
 * What sysfs shows of PCI that is no text: `config`, and a file for each BAR. Mirrors drivers/pci/pci-sysfs.c: pci_read_config,
 * pci_create_resource_files.
 */
import type { Bus, Device } from '@holdfast/driver-core';
import { type Pci, configBytes } from '@holdfast/pci';
import { type VfsNode, vfsAttributes } from './vfs.js';

/** Of /sys/bus/pci: `rescan`. */
export function pciBusExtras(pci: Pci | undefined, bus: Bus<Device>): Record<string, VfsNode> {
  return pci?.bus === bus ? vfsAttributes(pci.busAttributes) : {};
}

/** What the directory of a PCI device holds: memory BARs can be mapped by a process, and not read or written. */
export function pciFilesOf(pci: Pci | undefined, device: Device): Record<string, VfsNode> {
  const found = pci?.bus.devices.find((each) => each === device);
  if (!found) return {};
  const files: Record<string, VfsNode> = { config: { kind: 'file', mode: 0o644, read: () => configBytes(found) } };
  for (const { index, kind, prefetchable } of found.bars) {
    if (index > 5) continue;
    files[`resource${index}`] = { kind: 'file', mode: 0o600 };
    if (kind === 'mem' && prefetchable) files[`resource${index}_wc`] = { kind: 'file', mode: 0o600 };
  }
  return files;
}
