// The dax bus, the regions of memory, and the devices cut from them.
export { type DaxBus, type DaxBusDeps, type DaxChrdev, type DaxDriver, createDaxBus, registerDaxDriver } from './dax-bus.js';
export { type DaxRegion, type DaxRegionSpec, allocDaxRegion } from './dax-region.js';
export { type DevDax, type DevDaxRange, type DevDaxSpec, createDevDax } from './dev-dax.js';
// The driver that lets a device be mapped.
export { type DeviceDaxDeps, deviceDaxDriver } from './device-dax.js';
// What a process may map of it.
export { type DaxMmapLog, type DevDaxFileSpec, createDaxMmapLog, devDaxFile } from './dax-mmap.js';
// Memory behind disks: dax_device.
export {
  type DaxAccessMode, type DaxDevice, type DaxHosts, type DaxOperations,
  createDaxDevice, createDaxHosts, daxDirectAccess, daxPartOffset, daxZeroPageRange, fsDaxGetByBdev,
} from './dax-device.js';
// Files whose pages are that memory: of a file system, or a block device.
export { type DaxExtent, type DaxExtents, type DaxMapping, createDaxMapping } from './dax-mapping.js';
export { type DaxFileSpec, daxFile } from './dax-fault.js';
export { DAX_ENTRY, daxEntryHas, daxEntryPfn, daxEntryWord, daxMakeEntry } from './dax-entry.js';
// Namespaces of the nvdimm bus that were made devdax.
export { type DaxPmemDeps, daxPmemDriver } from './dax-pmem.js';
// Soft-reserved memory, which the firmware set aside.
export { type HmemDeps, type HmemParams, hmemParams, registerHmemDevices, registerHmemDriver } from './hmem.js';
