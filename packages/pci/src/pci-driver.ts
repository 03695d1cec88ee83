/**
 * A PCI driver: which functions it takes, by number. Mirrors drivers/pci/pci-driver.c: pci_match_device, new_id_store, remove_id_store.
 */
import { type Attribute, KernelError } from '@holdfast/lib';
import type { Bus, Driver } from '@holdfast/driver-core';
import type { PciDevice } from './pci-device.js';

/** What is left out matches anything. */
export interface PciDeviceId {
  readonly vendor: number;
  readonly device: number;
  readonly subvendor?: number;
  readonly subdevice?: number;
  /** 24 bits, compared where the mask has ones. */
  readonly classCode?: number;
  readonly classMask?: number;
}

export interface PciDriver {
  readonly name: string;
  readonly idTable: readonly PciDeviceId[];
  /** As of any driver: the returned function undoes it. @throws KernelError */
  probe(device: PciDevice): () => void;
}

export function pciMatchId(
  ids: readonly PciDeviceId[],
  device: Pick<PciDevice, 'vendor' | 'device' | 'subsystemVendor' | 'subsystemDevice' | 'classCode'>,
): boolean {
  return ids.some(
    (id) =>
      id.vendor === device.vendor &&
      id.device === device.device &&
      (id.subvendor ?? device.subsystemVendor) === device.subsystemVendor &&
      (id.subdevice ?? device.subsystemDevice) === device.subsystemDevice &&
      (((id.classCode ?? 0) ^ device.classCode) & (id.classMask ?? 0)) === 0,
  );
}

/** The driver as its bus sees it; numbers that an administrator adds count as its own. */
export function pciBusDriver(bus: () => Bus<PciDevice>, own: PciDriver): Driver<PciDevice> {
  const { name, idTable } = own;
  const dynamic: PciDeviceId[] = [];
  const driver: Driver<PciDevice> = {
    name,
    match: (device) => pciMatchId([...dynamic, ...idTable], device),
    probe: (device) => own.probe(device),
    attributes: (): Attribute[] => [
      { name: 'new_id', mode: 0o200, store: (text) => {
        const id = parseId(text);
        if (pciMatchId([...dynamic, ...idTable], { subsystemVendor: 0, subsystemDevice: 0, classCode: 0, ...id })) {
          throw new KernelError('EEXIST', `${name} knows ${text.trim()} already`);
        }
        dynamic.push(id);
        bus().attachDriver(driver);
      } },
      { name: 'remove_id', mode: 0o200, store: (text) => {
        const id = parseId(text);
        const at = dynamic.findIndex(({ vendor, device }) => vendor === id.vendor && device === id.device);
        if (at < 0) throw new KernelError('ENODEV', `${name} was not given ${text.trim()}`);
        dynamic.splice(at, 1);
      } },
    ],
  };
  return driver;
}

/** `VVVV DDDD`, hexadecimal; with subsystem numbers behind them, if wanted. */
function parseId(text: string): PciDeviceId {
  const words = text.trim().split(/\s+/);
  if (words.length < 2 || words.length > 4 || !words.every((word) => /^(0x)?[0-9a-f]{1,8}$/i.test(word))) {
    throw new KernelError('EINVAL', `PCI id '${text.trim()}': expected a vendor and a device in hexadecimal`);
  }
  const [vendor, device, subvendor, subdevice] = words.map((word) => parseInt(word, 16));
  return { vendor: vendor!, device: device!, ...(subvendor === undefined ? {} : { subvendor }), ...(subdevice === undefined ? {} : { subdevice }) };
}
