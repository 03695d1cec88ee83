/**
 * NFIT: the NVDIMMs of a machine, the physical ranges they appear at, and how the two are woven together.
 * Mirrors drivers/acpi/nfit/core.c (add_table) and include/acpi/actbl2.h; layout: ACPI 6.4, 5.2.25.
 *
 * Each list keeps the order of the table: region ids follow it. Cross references (range index, control region index, device handle)
 * are given as they stand; resolving them is the NFIT driver's work.
 */
import { formatGuid } from '@holdfast/lib';
import {
  ACPI_HEADER_SIZE, type AcpiHeader, type AcpiTable, type Subtable,
  exactNumber, parseAcpiHeader, requireLength, subtables, tableError,
} from './acpi-table.js';
import {
  CAPABILITIES, CONTROL_REGION, CONTROL_REGION_SHORT_SIZE, DATA_REGION, FLUSH_HINT_HEAD, INTERLEAVE_HEAD, MEMORY_MAP, NFIT_HEAD_SIZE,
  NFIT_TYPE, SMBIOS_HEAD, SPA_LOCATION_COOKIE, SPA_RANGE,
} from './nfit-layout.js';

/** Type 0: a system physical address range. Bytes. */
export interface NfitSpaRange {
  readonly rangeIndex: number;
  readonly flags: number;
  readonly proximityDomain: number;
  /** Lower-case text; see {@link spaType}. */
  readonly typeGuid: string;
  readonly address: number;
  readonly length: number;
  /** EFI memory attribute bits. */
  readonly memoryAttribute: bigint;
  /** Only with flag bit 2. */
  readonly locationCookie?: bigint;
}

/** Type 1: the part of a DIMM that takes part in a range. Bytes. */
export interface NfitMemoryMap {
  readonly deviceHandle: number;
  readonly physicalId: number;
  readonly regionId: number;
  readonly rangeIndex: number;
  readonly controlRegionIndex: number;
  readonly regionSize: number;
  readonly regionOffset: number;
  /** The DIMM physical address (DPA) where the part begins. */
  readonly dpa: number;
  readonly interleaveIndex: number;
  readonly interleaveWays: number;
  /** NVDIMM state flags: bit 3 is "not armed". */
  readonly flags: number;
}

/** Type 2: how lines of several DIMMs alternate. */
export interface NfitInterleave {
  readonly index: number;
  readonly lineSize: number;
  /** Offsets in units of `lineSize`. */
  readonly lineOffsets: readonly number[];
}

/** Type 4: what a DIMM is, and its block control windows if it has any. */
export interface NfitControlRegion {
  readonly index: number;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revisionId: number;
  readonly subsystemVendorId: number;
  readonly subsystemDeviceId: number;
  readonly subsystemRevisionId: number;
  readonly validFields: number;
  readonly manufacturingLocation: number;
  readonly manufacturingDate: number;
  readonly serialNumber: number;
  readonly interfaceCode: number;
  /** Only where the number of windows is not zero. Bytes. */
  readonly windows?: NfitControlWindows;
}

export interface NfitControlWindows {
  readonly count: number;
  readonly size: number;
  readonly commandOffset: number;
  readonly commandSize: number;
  readonly statusOffset: number;
  readonly statusSize: number;
  readonly flags: number;
}

/** Type 5: block data windows. Bytes. */
export interface NfitDataRegion {
  readonly controlRegionIndex: number;
  readonly windows: number;
  readonly offset: number;
  readonly size: number;
  readonly capacity: number;
  readonly startAddress: number;
}

/** Type 6: addresses that flush a DIMM's write queue when written. */
export interface NfitFlushHints {
  readonly deviceHandle: number;
  readonly addresses: readonly number[];
}

/** Type 7: what the platform keeps on power loss. */
export interface NfitCapabilities {
  /** Index of the highest bit of `capabilities` that means something. */
  readonly highestValidBit: number;
  readonly capabilities: number;
}

export interface NfitContents {
  readonly spaRanges: readonly NfitSpaRange[];
  readonly memoryMaps: readonly NfitMemoryMap[];
  readonly interleaves: readonly NfitInterleave[];
  /** The data of each type 3 structure. */
  readonly smbios: readonly Uint8Array[];
  readonly controlRegions: readonly NfitControlRegion[];
  readonly dataRegions: readonly NfitDataRegion[];
  readonly flushHints: readonly NfitFlushHints[];
  readonly capabilities?: NfitCapabilities;
}

export interface Nfit extends NfitContents {
  readonly header: AcpiHeader;
}

/** Short names of the range types, as drivers/acpi/nfit calls them. */
export const SPA_GUIDS = {
  volatile: '7305944f-fdda-44e3-b16c-3f22d252e5d0',
  pm: '66f0d379-b4f3-4074-ac43-0d3318b78cdb',
  dcr: '92f701f6-13b4-405d-910b-299367e8234c',
  bdw: '91af0530-5d86-470e-a6b0-0a2db9408249',
  vdisk: '77ab535a-45fc-624b-5560-f7b281d1f96e',
  vcd: '3d5abd30-4175-87ce-6d64-d2ade523c4bb',
  pdisk: '5cea02c9-4d07-69d3-269f-4496fbe096f9',
  pcd: '08018188-42cd-bb48-100f-5387d53ded3d',
} as const;
export type SpaType = keyof typeof SPA_GUIDS;

/** The short name of a range's type, or undefined for a GUID that nobody knows. */
export function spaType(guid: string): SpaType | undefined {
  return (Object.keys(SPA_GUIDS) as SpaType[]).find((name) => SPA_GUIDS[name] === guid);
}

const FIRST_STRUCTURE = ACPI_HEADER_SIZE + NFIT_HEAD_SIZE;

/**
 * Read a binary NFIT. Structures of unknown types are skipped, and of several platform capabilities the last counts, as in Linux.
 * @throws KernelError EINVAL, naming the byte and what was expected there.
 */
export function parseNfit(data: Uint8Array): Nfit {
  const table = parseAcpiHeader(data, 'NFIT', FIRST_STRUCTURE);
  const all = subtables(table, FIRST_STRUCTURE, 2);
  const each = <T>(type: number, read: (table: AcpiTable, at: Subtable) => T): T[] =>
    all.filter((structure) => structure.type === type).map((structure) => read(table, structure));
  const capabilities = each(NFIT_TYPE.capabilities, readCapabilities).at(-1);
  return {
    header: table.header,
    spaRanges: each(NFIT_TYPE.spaRange, readSpaRange),
    memoryMaps: each(NFIT_TYPE.memoryMap, readMemoryMap),
    interleaves: each(NFIT_TYPE.interleave, readInterleave),
    smbios: each(NFIT_TYPE.smbios, readSmbios),
    controlRegions: each(NFIT_TYPE.controlRegion, readControlRegion),
    dataRegions: each(NFIT_TYPE.dataRegion, readDataRegion),
    flushHints: each(NFIT_TYPE.flushHints, readFlushHints),
    ...(capabilities ? { capabilities } : {}),
  };
}

function readSpaRange(table: AcpiTable, structure: Subtable): NfitSpaRange {
  requireLength(table, structure, 'SPA range', SPA_RANGE.size);
  const { at } = structure;
  const record = SPA_RANGE.decode(table.bytes, at);
  const hasCookie = (record.flags & SPA_LOCATION_COOKIE) !== 0 && structure.length >= SPA_RANGE.size + 8;
  const address = exactNumber(table, at + SPA_RANGE.fields.address.at, 'range address', record.address);
  const length = exactNumber(table, at + SPA_RANGE.fields.length.at, 'range length', record.length);
  if (!Number.isSafeInteger(address + length)) {
    throw tableError('NFIT', at, `SPA range of ${length} bytes from ${address}`, 'an end below 2^53');
  }
  return {
    rangeIndex: record.rangeIndex,
    flags: record.flags,
    proximityDomain: record.proximityDomain,
    typeGuid: formatGuid(record.guid),
    address,
    length,
    memoryAttribute: record.memoryAttribute,
    ...(hasCookie ? { locationCookie: viewOf(table).getBigUint64(at + SPA_RANGE.size, true) } : {}),
  };
}

function readMemoryMap(table: AcpiTable, structure: Subtable): NfitMemoryMap {
  requireLength(table, structure, 'memory map', MEMORY_MAP.size);
  const { at } = structure;
  const record = MEMORY_MAP.decode(table.bytes, at);
  return {
    deviceHandle: record.deviceHandle,
    physicalId: record.physicalId,
    regionId: record.regionId,
    rangeIndex: record.rangeIndex,
    controlRegionIndex: record.controlRegionIndex,
    regionSize: exactNumber(table, at + MEMORY_MAP.fields.regionSize.at, 'region size', record.regionSize),
    regionOffset: exactNumber(table, at + MEMORY_MAP.fields.regionOffset.at, 'region offset', record.regionOffset),
    dpa: exactNumber(table, at + MEMORY_MAP.fields.dpa.at, 'DIMM physical address', record.dpa),
    interleaveIndex: record.interleaveIndex,
    interleaveWays: record.interleaveWays,
    flags: record.flags,
  };
}

function readInterleave(table: AcpiTable, structure: Subtable): NfitInterleave {
  requireLength(table, structure, 'interleave', INTERLEAVE_HEAD.size);
  const { index, lines, lineSize } = INTERLEAVE_HEAD.decode(table.bytes, structure.at);
  requireLength(table, structure, `interleave of ${lines} lines`, INTERLEAVE_HEAD.size + 4 * lines);
  const view = viewOf(table);
  const first = structure.at + INTERLEAVE_HEAD.size;
  return { index, lineSize, lineOffsets: Array.from({ length: lines }, (_, line) => view.getUint32(first + 4 * line, true)) };
}

function readSmbios(table: AcpiTable, structure: Subtable): Uint8Array {
  requireLength(table, structure, 'SMBIOS information', SMBIOS_HEAD.size);
  return table.bytes.slice(structure.at + SMBIOS_HEAD.size, structure.at + structure.length);
}

function readControlRegion(table: AcpiTable, structure: Subtable): NfitControlRegion {
  requireLength(table, structure, 'control region', CONTROL_REGION_SHORT_SIZE);
  const { at } = structure;
  // Without windows the structure may end early; the rest then reads as zeros.
  const bytes = new Uint8Array(CONTROL_REGION.size);
  bytes.set(table.bytes.subarray(at, at + Math.min(structure.length, CONTROL_REGION.size)));
  const record = CONTROL_REGION.decode(bytes);
  if (record.windowCount > 0) requireLength(table, structure, `control region with ${record.windowCount} windows`, CONTROL_REGION.size);
  const number = (field: 'windowSize' | 'commandOffset' | 'commandSize' | 'statusOffset' | 'statusSize'): number =>
    exactNumber(table, at + CONTROL_REGION.fields[field].at, field, record[field]);
  return {
    index: record.index,
    vendorId: record.vendorId,
    deviceId: record.deviceId,
    revisionId: record.revisionId,
    subsystemVendorId: record.subsystemVendorId,
    subsystemDeviceId: record.subsystemDeviceId,
    subsystemRevisionId: record.subsystemRevisionId,
    validFields: record.validFields,
    manufacturingLocation: record.manufacturingLocation,
    manufacturingDate: record.manufacturingDate,
    serialNumber: record.serialNumber,
    interfaceCode: record.interfaceCode,
    ...(record.windowCount > 0
      ? {
          windows: {
            count: record.windowCount,
            size: number('windowSize'),
            commandOffset: number('commandOffset'),
            commandSize: number('commandSize'),
            statusOffset: number('statusOffset'),
            statusSize: number('statusSize'),
            flags: record.flags,
          },
        }
      : {}),
  };
}

function readDataRegion(table: AcpiTable, structure: Subtable): NfitDataRegion {
  requireLength(table, structure, 'data region', DATA_REGION.size);
  const record = DATA_REGION.decode(table.bytes, structure.at);
  const number = (field: 'offset' | 'windowSize' | 'capacity' | 'startAddress'): number =>
    exactNumber(table, structure.at + DATA_REGION.fields[field].at, field, record[field]);
  return {
    controlRegionIndex: record.controlRegionIndex,
    windows: record.windows,
    offset: number('offset'),
    size: number('windowSize'),
    capacity: number('capacity'),
    startAddress: number('startAddress'),
  };
}

function readFlushHints(table: AcpiTable, structure: Subtable): NfitFlushHints {
  requireLength(table, structure, 'flush hints', FLUSH_HINT_HEAD.size);
  const { deviceHandle, count } = FLUSH_HINT_HEAD.decode(table.bytes, structure.at);
  requireLength(table, structure, `${count} flush hints`, FLUSH_HINT_HEAD.size + 8 * count);
  const view = viewOf(table);
  const address = (index: number): number => {
    const at = structure.at + FLUSH_HINT_HEAD.size + 8 * index;
    return exactNumber(table, at, 'flush hint address', view.getBigUint64(at, true));
  };
  return { deviceHandle, addresses: Array.from({ length: count }, (_, index) => address(index)) };
}

function readCapabilities(table: AcpiTable, structure: Subtable): NfitCapabilities {
  requireLength(table, structure, 'platform capabilities', CAPABILITIES.size);
  const { highestValidBit, capabilities } = CAPABILITIES.decode(table.bytes, structure.at);
  return { highestValidBit, capabilities };
}

function viewOf({ bytes }: AcpiTable): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
