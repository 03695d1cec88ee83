/**
 * What the NFIT tells of one DIMM, as its sysfs folder `nfit/` shows it. Mirrors drivers/acpi/nfit/core.c: acpi_nfit_dimm_attributes.
 */
import { hex, readOnly } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import type { NfitControlRegion, NfitMemoryMap } from '@holdfast/acpi';

/** Bits of NfitMemoryMap.flags that say that something failed, and the words for them. */
const FAILURES = [[0x01, 'save_fail'], [0x02, 'restore_fail'], [0x04, 'flush_fail'], [0x08, 'not_armed'], [0x40, 'map_fail']] as const;
/** As the file `flags` lists them. */
const FLAG_WORDS = [
  [0x01, 'save_fail'], [0x02, 'restore_fail'], [0x04, 'flush_fail'], [0x08, 'not_armed'], [0x10, 'smart_event'], [0x40, 'map_fail'], [0x20, 'smart_notify'],
] as const;
/** Bit of NfitControlRegion.validFields: manufacturing location and date are given. */
const MANUFACTURING_VALID = 1;

export const NOT_ARMED = 0x08;

/** What to say of a DIMM that the firmware found faulty, such as ` not_armed`; empty if it is well. */
export function failureWords(flags: number): string {
  return FAILURES.filter(([bit]) => flags & bit).map(([, word]) => ` ${word}`).join('');
}

/**
 * @param formats the interface codes of all control regions of the DIMM
 * @param hasLabelArea the firmware's methods for it give the DIMM a command family
 */
export function nfitDimmAttributes(map: NfitMemoryMap, control: NfitControlRegion, formats: readonly number[], hasLabelArea: boolean): Attribute[] {
  const word = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;
  const show = (name: string, text: string | number): Attribute => readOnly(`nfit/${name}`, () => text);
  return [
    show('handle', hex(map.deviceHandle)),
    show('phys_id', hex(map.physicalId)),
    // Identifying numbers are stored big-endian, whatever the table is.
    show('vendor', word(swap16(control.vendorId))),
    show('device', word(swap16(control.deviceId))),
    show('rev_id', word(swap16(control.revisionId))),
    show('subsystem_vendor', word(swap16(control.subsystemVendorId))),
    show('subsystem_device', word(swap16(control.subsystemDeviceId))),
    show('subsystem_rev_id', word(swap16(control.subsystemRevisionId))),
    show('serial', `0x${serialText(control)}`),
    show('id', dimmId(control)),
    show('formats', formats.length),
    show('format', word(control.interfaceCode)),
    ...formats.filter((code) => code !== control.interfaceCode).map((code) => show('format1', word(code))),
    show('flags', FLAG_WORDS.filter(([bit]) => map.flags & bit).map(([, text]) => `${text} `).join('')),
    // The three label methods, which are commands 4 to 6 of family 0.
    ...(hasLabelArea ? [show('family', 0), show('dsm_mask', '0x70')] : []),
  ];
}

function dimmId(control: NfitControlRegion): string {
  const vendor = swap16(control.vendorId).toString(16).padStart(4, '0');
  if (!(control.validFields & MANUFACTURING_VALID)) return `${vendor}-${serialText(control)}`;
  const location = control.manufacturingLocation.toString(16).padStart(2, '0');
  return `${vendor}-${location}-${swap16(control.manufacturingDate).toString(16).padStart(4, '0')}-${serialText(control)}`;
}

function serialText({ serialNumber }: NfitControlRegion): string {
  const bytes = [0, 8, 16, 24].map((shift) => (serialNumber >>> shift) & 0xff);
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
