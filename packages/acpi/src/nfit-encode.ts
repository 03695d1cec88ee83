/**
 * Writing an NFIT, for machines that are made from options and have no firmware to ask. The counterpart of nfit.ts.
 */
import { parseGuid } from '@holdfast/lib';
import { type AcpiMaker, encodeAcpiTable } from './acpi-table.js';
import type {
  NfitCapabilities, NfitContents, NfitControlRegion, NfitDataRegion, NfitFlushHints, NfitInterleave, NfitMemoryMap, NfitSpaRange,
} from './nfit.js';
import {
  CAPABILITIES, CONTROL_REGION, DATA_REGION, FLUSH_HINT_HEAD, INTERLEAVE_HEAD, MEMORY_MAP, NFIT_HEAD_SIZE, NFIT_TYPE, SMBIOS_HEAD, SPA_RANGE,
} from './nfit-layout.js';

/** The bytes of an NFIT (revision 1) that says this: structures by type, each list in its order. Lists left out are empty. */
export function encodeNfit(contents: Partial<NfitContents>, maker?: AcpiMaker): Uint8Array {
  const structures = [
    ...(contents.spaRanges ?? []).map(encodeSpaRange),
    ...(contents.memoryMaps ?? []).map(encodeMemoryMap),
    ...(contents.interleaves ?? []).map(encodeInterleave),
    ...(contents.smbios ?? []).map(encodeSmbios),
    ...(contents.controlRegions ?? []).map(encodeControlRegion),
    ...(contents.dataRegions ?? []).map(encodeDataRegion),
    ...(contents.flushHints ?? []).map(encodeFlushHints),
    ...(contents.capabilities ? [encodeCapabilities(contents.capabilities)] : []),
  ];
  const body = new Uint8Array(NFIT_HEAD_SIZE + structures.reduce((sum, structure) => sum + structure.length, 0));
  let at = NFIT_HEAD_SIZE;
  for (const structure of structures) {
    body.set(structure, at);
    at += structure.length;
  }
  return encodeAcpiTable('NFIT', 1, body, maker);
}

/** An empty structure of a type: its head filled in. */
function structureOf(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type, true);
  view.setUint16(2, length, true);
  return bytes;
}

function encodeSpaRange({ typeGuid, locationCookie, ...range }: NfitSpaRange): Uint8Array {
  const length = SPA_RANGE.size + (locationCookie === undefined ? 0 : 8);
  const bytes = structureOf(NFIT_TYPE.spaRange, length);
  const record = { ...range, type: NFIT_TYPE.spaRange, size: length, reserved: 0, guid: parseGuid(typeGuid) };
  SPA_RANGE.encode({ ...record, address: BigInt(range.address), length: BigInt(range.length) }, bytes);
  if (locationCookie !== undefined) new DataView(bytes.buffer).setBigUint64(SPA_RANGE.size, locationCookie, true);
  return bytes;
}

function encodeMemoryMap(map: NfitMemoryMap): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.memoryMap, MEMORY_MAP.size);
  const head = { type: NFIT_TYPE.memoryMap, size: MEMORY_MAP.size, reserved: 0 };
  const sizes = { regionSize: BigInt(map.regionSize), regionOffset: BigInt(map.regionOffset), dpa: BigInt(map.dpa) };
  MEMORY_MAP.encode({ ...map, ...head, ...sizes }, bytes);
  return bytes;
}

function encodeInterleave({ index, lineSize, lineOffsets }: NfitInterleave): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.interleave, INTERLEAVE_HEAD.size + 4 * lineOffsets.length);
  const head = { type: NFIT_TYPE.interleave, size: bytes.length, reserved: 0 };
  INTERLEAVE_HEAD.encode({ ...head, index, lines: lineOffsets.length, lineSize }, bytes);
  const view = new DataView(bytes.buffer);
  for (const [line, offset] of lineOffsets.entries()) view.setUint32(INTERLEAVE_HEAD.size + 4 * line, offset, true);
  return bytes;
}

function encodeSmbios(data: Uint8Array): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.smbios, SMBIOS_HEAD.size + data.length);
  bytes.set(data, SMBIOS_HEAD.size);
  return bytes;
}

function encodeControlRegion({ windows, ...region }: NfitControlRegion): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.controlRegion, CONTROL_REGION.size);
  CONTROL_REGION.encode(
    {
      ...region,
      type: NFIT_TYPE.controlRegion,
      size: CONTROL_REGION.size,
      reserved: 0,
      windowCount: windows?.count ?? 0,
      windowSize: BigInt(windows?.size ?? 0),
      commandOffset: BigInt(windows?.commandOffset ?? 0),
      commandSize: BigInt(windows?.commandSize ?? 0),
      statusOffset: BigInt(windows?.statusOffset ?? 0),
      statusSize: BigInt(windows?.statusSize ?? 0),
      flags: windows?.flags ?? 0,
    },
    bytes,
  );
  return bytes;
}

function encodeDataRegion(region: NfitDataRegion): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.dataRegion, DATA_REGION.size);
  DATA_REGION.encode(
    {
      type: NFIT_TYPE.dataRegion,
      size: DATA_REGION.size,
      controlRegionIndex: region.controlRegionIndex,
      windows: region.windows,
      offset: BigInt(region.offset),
      windowSize: BigInt(region.size),
      capacity: BigInt(region.capacity),
      startAddress: BigInt(region.startAddress),
    },
    bytes,
  );
  return bytes;
}

function encodeFlushHints({ deviceHandle, addresses }: NfitFlushHints): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.flushHints, FLUSH_HINT_HEAD.size + 8 * addresses.length);
  FLUSH_HINT_HEAD.encode({ type: NFIT_TYPE.flushHints, size: bytes.length, deviceHandle, count: addresses.length }, bytes);
  const view = new DataView(bytes.buffer);
  for (const [index, address] of addresses.entries()) view.setBigUint64(FLUSH_HINT_HEAD.size + 8 * index, BigInt(address), true);
  return bytes;
}

function encodeCapabilities(capabilities: NfitCapabilities): Uint8Array {
  const bytes = structureOf(NFIT_TYPE.capabilities, CAPABILITIES.size);
  CAPABILITIES.encode({ ...capabilities, type: NFIT_TYPE.capabilities, size: CAPABILITIES.size }, bytes);
  return bytes;
}
