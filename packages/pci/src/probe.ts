/**
 * Finding the functions of a bus. Mirrors drivers/pci/probe.c: pci_scan_slot, pci_scan_single_device, pci_setup_device, pci_cfg_space_size.
 *
 * Invariant: what the hardware answers is only ever data: no answer ends the scan.
 * Differs from Linux: bridges are listed and not crossed, so every device is on bus 0; a function that asks to be asked again (CRS) is
 * taken as absent.
 */
import { KERN, type Printk } from '@holdfast/lib';
import { readBars } from './bar.js';
import type { ConfigAccess, Devfn } from './pci-host.js';
import { FUNCTIONS_PER_SLOT, devfnOf } from './pci-host.js';
import { type DeviceConfig, type PciDevice, deviceConfig, pciName } from './pci-device.js';
import {
  ALL_ONES, PCI, PCI_CAP_ID_EXP, PCI_CFG_SPACE_EXP_SIZE, PCI_CFG_SPACE_SIZE, PCI_CLASS, PCI_HEADER_TYPE, PCI_STATUS_CAP_LIST,
} from './pci-regs.js';

/** A function that was found, before it is a device of a bus. */
export type FoundFunction = Omit<PciDevice, 'parent' | 'attributes' | 'uevent'>;

/** Vendor and device of a slot where nothing, or nothing that works, is; and the answer that asks for patience. */
const NO_DEVICE: readonly number[] = [ALL_ONES, 0, 0x0000ffff, 0xffff0000];
const VENDOR_RETRY = 0x0001;
/** A list of capabilities can be no longer, unless it runs in a circle. */
const MAX_CAPABILITIES = 48;

/** The functions of a slot that are not `known`. */
export function scanSlot(access: ConfigAccess, slot: number, printk: Printk, known: (devfn: Devfn) => boolean): FoundFunction[] {
  const found: FoundFunction[] = [];
  for (let fn = 0; fn < FUNCTIONS_PER_SLOT; fn++) {
    const devfn = devfnOf(slot, fn);
    if (!isThere(access, devfn)) {
      if (fn === 0) break;
      continue;
    }
    const device = known(devfn) ? undefined : setupDevice(deviceConfig(access, devfn), devfn, printk);
    if (device) found.push(device);
    if (fn === 0 && (access.read(devfn, PCI.HEADER_TYPE, 1) & PCI_HEADER_TYPE.MULTI_FUNCTION) === 0) break;
  }
  return found;
}

function isThere(access: ConfigAccess, devfn: Devfn): boolean {
  const id = access.read(devfn, PCI.VENDOR_ID, 4);
  return !NO_DEVICE.includes(id) && id % 2 ** 16 !== VENDOR_RETRY;
}

function setupDevice(config: DeviceConfig, devfn: Devfn, printk: Printk): FoundFunction | undefined {
  const name = pciName(devfn);
  const say: Printk = (text, level) => printk(`pci ${name}: ${text}`, level);
  const id = config.read(PCI.VENDOR_ID, 4);
  const header = config.read(PCI.HEADER_TYPE, 1);
  const headerType = header % PCI_HEADER_TYPE.MULTI_FUNCTION;
  const classRevision = config.read(PCI.CLASS_REVISION, 4);
  const told = Math.floor(classRevision / 256);
  const vendor = id % 2 ** 16;
  const device = Math.floor(id / 2 ** 16);
  say(`[${hex4(vendor)}:${hex4(device)}] type ${headerType.toString(16).padStart(2, '0')} class 0x${told.toString(16).padStart(6, '0')}`);
  if (headerType > PCI_HEADER_TYPE.CARDBUS) {
    say(`unknown header type ${headerType.toString(16).padStart(2, '0')}, ignoring device`, KERN.err);
    return undefined;
  }
  const isNormal = headerType === PCI_HEADER_TYPE.NORMAL;
  const classCode = fitsHeader(told, headerType) ? told : PCI_CLASS.NOT_DEFINED;
  if (classCode !== told) {
    say(`ignoring class 0x${told.toString(16).padStart(6, '0')} (doesn't match header type ${headerType.toString(16).padStart(2, '0')})`, KERN.err);
  }
  return {
    name,
    devfn,
    vendor,
    device,
    subsystemVendor: isNormal ? config.read(PCI.SUBSYSTEM_VENDOR_ID, 2) : 0,
    subsystemDevice: isNormal ? config.read(PCI.SUBSYSTEM_ID, 2) : 0,
    classCode,
    revision: classRevision % 256,
    headerType,
    configSize: configSize(config),
    bars: isNormal && classCode === told ? readBars(config, say) : [],
    config,
    enableCount: 0,
    disconnected: false,
  };
}

/** Bridges have the header of bridges, and nobody else does. */
function fitsHeader(classCode: number, headerType: number): boolean {
  const isBridge = Math.floor(classCode / 256) === PCI_CLASS.BRIDGE_PCI;
  return headerType === PCI_HEADER_TYPE.CARDBUS || isBridge === (headerType === PCI_HEADER_TYPE.BRIDGE);
}

/** PCI Express functions have 4 KiB, if anything answers up there. */
function configSize(config: DeviceConfig): number {
  if (findCapability(config, PCI_CAP_ID_EXP) === undefined) return PCI_CFG_SPACE_SIZE;
  return config.read(PCI_CFG_SPACE_SIZE, 4) === ALL_ONES ? PCI_CFG_SPACE_SIZE : PCI_CFG_SPACE_EXP_SIZE;
}

/** Where a capability lies (pci_find_capability). */
export function findCapability(config: DeviceConfig, id: number): number | undefined {
  if ((config.read(PCI.STATUS, 2) & PCI_STATUS_CAP_LIST) === 0) return undefined;
  let at = config.read(PCI.CAPABILITY_LIST, 1) & ~3;
  for (let i = 0; i < MAX_CAPABILITIES && at >= 0x40; i++) {
    const found = config.read(at, 1);
    if (found === id) return at;
    if (found === 0xff) return undefined;
    at = config.read(at + 1, 1) & ~3;
  }
  return undefined;
}

export function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}
