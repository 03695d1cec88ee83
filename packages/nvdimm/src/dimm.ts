/**
 * NVDIMMs as the nvdimm bus sees them: `nmemN`. Mirrors drivers/nvdimm/{dimm,dimm_devs}.c.
 *
 * Differs from Linux: the label area is known by its size only; reading and writing labels is not done here.
 */
import { readOnly } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import type { Driver } from '@holdfast/driver-core';
import { labelSlots } from './label-area.js';
import type { NdBus, NdDevice, Nvdimm } from './nd-device.js';

/** What a provider tells of a DIMM. */
export interface NvdimmDesc {
  labelAreaSize: number;
  notArmed: boolean;
  hasFlushHints: boolean;
  /** Names of the commands its firmware takes. */
  commands: readonly string[];
  attributes?: readonly Attribute[];
}

export function createNvdimm(bus: NdBus, id: number, desc: NvdimmDesc): Nvdimm {
  const { labelAreaSize, notArmed, hasFlushHints } = desc;
  const own: Attribute[] = [
    readOnly('commands', () => desc.commands.map((command) => `${command} `).join('')),
    // A region that reads a DIMM's labels keeps it busy, and every region does so if there is an area to read.
    readOnly('state', () => (labelAreaSize > 0 ? 'active' : 'idle')),
    // One slot is kept back for updates.
    ...(labelAreaSize > 0 ? [readOnly('available_slots', () => Math.max(0, labelSlots(labelAreaSize, 256) - 1))] : []),
    readOnly('flags', () => ''),
    readOnly('modalias', () => 'nd:t1'),
    readOnly('devtype', () => 'nvdimm'),
  ];
  return { type: 'dimm', name: `nmem${id}`, parent: bus, id, labelAreaSize, notArmed, hasFlushHints, attributes: () => [...own, ...(desc.attributes ?? [])] };
}

export const dimmDriver: Driver<NdDevice> = { name: 'nvdimm', match: (device) => device.type === 'dimm', probe: () => () => {} };
