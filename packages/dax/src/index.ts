// The dax bus, the regions of memory, and the devices cut from them.
export { type DaxBus, type DaxBusDeps, type DaxChrdev, type DaxDriver, createDaxBus, registerDaxDriver } from './dax-bus.js';
export { type DaxRegion, type DaxRegionSpec, allocDaxRegion } from './dax-region.js';
export { type DevDax, type DevDaxRange, type DevDaxSpec, createDevDax } from './dev-dax.js';
// The driver that lets a device be mapped.
export { type DeviceDaxDeps, deviceDaxDriver } from './device-dax.js';
// What a process may map of it.
export { type DaxMapping, type MmapRequest, mmapDevDax } from './dax-mmap.js';
// Namespaces of the nvdimm bus that were made devdax.
export { type DaxPmemDeps, daxPmemDriver } from './dax-pmem.js';
// Soft-reserved memory, which the firmware set aside.
export { type HmemDeps, type HmemParams, hmemParams, registerHmemDevices, registerHmemDriver } from './hmem.js';
