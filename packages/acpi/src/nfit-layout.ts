/**
 * Where the fields of NFIT structures lie. Mirrors include/acpi/actbl2.h (struct acpi_nfit_*); ACPI 6.4, 5.2.25.
 * `type` and `size` open each structure; where a list follows the fixed part, the layout is that part only.
 */
import { bytes, layout, u16, u32, u64, u8 } from '@holdfast/lib';

/** Four reserved bytes stand between the ACPI header and the first structure. */
export const NFIT_HEAD_SIZE = 4;

export const NFIT_TYPE = {
  spaRange: 0, memoryMap: 1, interleave: 2, smbios: 3, controlRegion: 4, dataRegion: 5, flushHints: 6, capabilities: 7,
} as const;

/** Flag of a range: a location cookie of 8 bytes follows. */
export const SPA_LOCATION_COOKIE = 4;

export const SPA_RANGE = layout('NFIT SPA range', 56, {
  type: u16(0),
  size: u16(2),
  rangeIndex: u16(4),
  flags: u16(6),
  reserved: u32(8),
  proximityDomain: u32(12),
  guid: bytes(16, 16),
  address: u64(32),
  length: u64(40),
  memoryAttribute: u64(48),
});

export const MEMORY_MAP = layout('NFIT memory map', 48, {
  type: u16(0),
  size: u16(2),
  deviceHandle: u32(4),
  physicalId: u16(8),
  regionId: u16(10),
  rangeIndex: u16(12),
  controlRegionIndex: u16(14),
  regionSize: u64(16),
  regionOffset: u64(24),
  dpa: u64(32),
  interleaveIndex: u16(40),
  interleaveWays: u16(42),
  flags: u16(44),
  reserved: u16(46),
});

export const INTERLEAVE_HEAD = layout('NFIT interleave', 16, {
  type: u16(0), size: u16(2), index: u16(4), reserved: u16(6), lines: u32(8), lineSize: u32(12),
});

export const SMBIOS_HEAD = layout('NFIT SMBIOS information', 8, { type: u16(0), size: u16(2), reserved: u32(4) });

/** A control region without windows may end here. */
export const CONTROL_REGION_SHORT_SIZE = 32;
export const CONTROL_REGION = layout('NFIT control region', 80, {
  type: u16(0),
  size: u16(2),
  index: u16(4),
  vendorId: u16(6),
  deviceId: u16(8),
  revisionId: u16(10),
  subsystemVendorId: u16(12),
  subsystemDeviceId: u16(14),
  subsystemRevisionId: u16(16),
  validFields: u8(18),
  manufacturingLocation: u8(19),
  manufacturingDate: u16(20),
  reserved: u16(22),
  serialNumber: u32(24),
  interfaceCode: u16(28),
  windowCount: u16(30),
  windowSize: u64(32),
  commandOffset: u64(40),
  commandSize: u64(48),
  statusOffset: u64(56),
  statusSize: u64(64),
  flags: u16(72),
});

export const DATA_REGION = layout('NFIT data region', 40, {
  type: u16(0), size: u16(2), controlRegionIndex: u16(4), windows: u16(6), offset: u64(8), windowSize: u64(16), capacity: u64(24), startAddress: u64(32),
});

export const FLUSH_HINT_HEAD = layout('NFIT flush hints', 16, { type: u16(0), size: u16(2), deviceHandle: u32(4), count: u16(8) });

export const CAPABILITIES = layout('NFIT platform capabilities', 16, {
  type: u16(0), size: u16(2), highestValidBit: u8(4), capabilities: u32(8),
});
