/**
 * NVDIMMs as the nvdimm bus sees them: `nmemN`, their driver, and the label area as user space reads and writes it.
 * Mirrors drivers/nvdimm/{dimm,dimm_devs}.c, and bus.c: nd_ioctl, nd_cmd_clear_to_send.
 *
 * Invariant: labels are known exactly while the driver is bound; while a region goes by them, user space cannot write them.
 */
import { KernelError, readOnly } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import type { Driver } from '@holdfast/driver-core';
import { availableSlots, readDimmLabels } from './dimm-labels.js';
import type { ConfigArea } from './label-area.js';
import type { NdBus, NdDevice, Nvdimm } from './nd-device.js';

/** What a provider tells of a DIMM. */
export interface NvdimmDesc {
  /** Left out if it has no label area. */
  configArea?: ConfigArea;
  notArmed: boolean;
  hasFlushHints: boolean;
  /** Names of the commands its firmware takes. */
  commands: readonly string[];
  attributes?: readonly Attribute[];
}

/** The dynamic major of /dev/nmemN, as on the captured machines; the minor is N. */
export const NMEM_MAJOR = 245;

export function createNvdimm(bus: NdBus, id: number, desc: NvdimmDesc): Nvdimm {
  const { configArea, notArmed, hasFlushHints } = desc;
  const dimm: Nvdimm = {
    type: 'dimm',
    name: `nmem${id}`,
    parent: bus,
    id,
    configArea,
    notArmed,
    hasFlushHints,
    labeling: false,
    labels: undefined,
    nrUsers: 0,
    attributes: () => [...attributesOf(dimm, desc.commands), ...(desc.attributes ?? [])],
  };
  return dimm;
}

function attributesOf(dimm: Nvdimm, commands: readonly string[]): Attribute[] {
  const { labels } = dimm;
  return [
    readOnly('commands', () => commands.map((command) => `${command} `).join('')),
    readOnly('dev', () => `${NMEM_MAJOR}:${dimm.id}`),
    readOnly('state', () => (dimm.nrUsers > 0 ? 'active' : 'idle')),
    readOnly('available_slots', () => {
      if (!labels) throw new KernelError('ENXIO', `${dimm.name} has no labels, or no driver to read them`);
      return availableSlots(labels);
    }),
    readOnly('flags', () => (dimm.labeling ? 'label ' : '')),
    readOnly('modalias', () => 'nd:t1'),
    readOnly('devtype', () => 'nvdimm'),
  ];
}

export const dimmDriver: Driver<NdDevice> = {
  name: 'nvdimm',
  match: (device) => device.type === 'dimm',
  probe(device) {
    const dimm = device as Nvdimm;
    if (!dimm.configArea) return () => {};
    dimm.labels = readDimmLabels(dimm.configArea);
    if (dimm.labels.area) dimm.labeling = true;
    return () => {
      dimm.labels = undefined;
    };
  },
};

/**
 * A DIMM's label area as user space gets it, through the ioctls of /dev/nmemN (ND_CMD_GET_CONFIG_SIZE, _GET_CONFIG_DATA, _SET_CONFIG_DATA).
 * Its calls throw EINVAL past the end, and a write EBUSY while an enabled region goes by the labels.
 *
 * @throws KernelError ENOTTY if the DIMM has none
 */
export function openConfigArea(dimm: Nvdimm): ConfigArea {
  const { name, configArea } = dimm;
  if (!configArea) throw new KernelError('ENOTTY', `${name} has no label area`);
  const { sizeBytes } = configArea;
  const check = (offset: number, length: number): void => {
    if (offset < 0 || length < 0 || offset + length > sizeBytes) {
      throw new KernelError('EINVAL', `${name}: ${length} bytes at ${offset} of a label area of ${sizeBytes}`);
    }
  };
  return {
    sizeBytes,
    read(offset, length) {
      check(offset, length);
      return configArea.read(offset, length);
    },
    write(offset, bytes) {
      check(offset, bytes.length);
      if (dimm.nrUsers > 0) throw new KernelError('EBUSY', `${name} is in use by a region: disable the region first`);
      configArea.write(offset, bytes);
    },
  };
}

/** A label area that is not kept anywhere: zeros at first. */
export function createConfigArea(sizeBytes: number): ConfigArea {
  const bytes = new Uint8Array(sizeBytes);
  return { sizeBytes, read: (offset, length) => bytes.slice(offset, offset + length), write: (offset, source) => bytes.set(source, offset) };
}
