// The two drivers: v4.1's over platform devices, and today's over nvdimm namespaces.
export { type PlatformPmem, createPlatformPmem } from './platform-pmem.js';
export { type NdPmemNeeds, type PoisonSource, createNdPmemDriver } from './nd-pmem.js';
export type { MemremapPages, PmemNeeds } from './pmem-needs.js';
// How a device is mapped, and who says so.
export {
  type MappingChoice, type PmemConfig, type PmemMapping, type PmemMappingParam,
  PMEM_MAPPINGS, choosePmemMapping, formatPmemMapping, parsePmemMapping, pmemMappingParam,
} from './pmem-mapping.js';
// Access without a bio.
export { type DirectAccess, type DirectAccessMode, directAccess, directAccess41 } from './direct-access.js';
export type { PmemDevice } from './pmem-io.js';
