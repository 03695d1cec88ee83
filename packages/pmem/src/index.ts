// The two drivers: v4.1's over platform devices, and today's over nvdimm namespaces.
export { type PlatformPmem, createPlatformPmem } from './platform-pmem.js';
export { type NdPmemNeeds, createNdPmemDriver } from './nd-pmem.js';
export type { AttachedDesign, PmemNeeds } from './pmem-needs.js';
// How a device is mapped, and who says so.
export {
  type MappingChoice, type PmemConfig, type PmemMapping, type PmemMappingParam,
  PMEM_MAPPINGS, choosePmemMapping, formatPmemMapping, parsePmemMapping, pmemMappingParam,
} from './pmem-mapping.js';
// Access without a bio.
export { type DirectAccess, type DirectAccessMode, directAccess, directAccess41 } from './direct-access.js';
export { PMEM_IO_LAYERS, type PmemDevice, pmemOperations } from './pmem-io.js';
// How a device's frames get struct pages, or do without.
export type { AttachedPages, DesignDevice, DesignOptions, DeviceBus, PageAreaPolicy, PageDesign, PageHost } from './page-design.js';
export { PAGE_DESIGNS, type PageDesignName, type PmemPagesValues, choosePageDesign, designOptions, pmemPagesParams } from './pmem-pages.js';
export { type DeviceParam, deviceParam, deviceValue } from './device-param.js';
// For drivers of pmem that comes another way, such as on a PCI card.
export { type MappedPmem, type PmemAttachment, type UndoList, attachPmem, probeWithUndo } from './pmem-attach.js';
export { withDirectPages } from './pmem-direct-pages.js';
export { type PmemDaxSpec, createPmemDax } from './pmem-dax.js';
