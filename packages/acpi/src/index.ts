// What every table shares: header, checksum, structures.
export { type AcpiHeader, type AcpiTable, ACPI_HEADER_SIZE, parseAcpiHeader } from './acpi-table.js';
// Who is near whom: processors and memory by proximity domain, and the distances between the domains.
export { type Srat, type SratMemory, type SratProcessor, encodeSrat, parseSrat } from './srat.js';
export { type Slit, encodeSlit, parseSlit } from './slit.js';
// NVDIMMs.
export {
  type Nfit, type NfitCapabilities, type NfitContents, type NfitControlRegion, type NfitControlWindows, type NfitDataRegion,
  type NfitFlushHints, type NfitInterleave, type NfitMemoryMap, type NfitSpaRange, type SpaType,
  SPA_GUIDS, parseNfit, spaType,
} from './nfit.js';
export { encodeNfit } from './nfit-encode.js';
