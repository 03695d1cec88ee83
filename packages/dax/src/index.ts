// Device-dax: regions, and the devices cut from them.
export { type DaxChrdev, type DaxRegion, type DevDax, allocDaxRegion, createDevDax } from './dax-device.js';
export { type DeviceDaxDeps, deviceDaxDriver } from './device-dax.js';
// Soft-reserved memory, which the firmware set aside.
export { type HmemDeps, type HmemParams, hmemParams, registerHmemDevices, registerHmemDriver } from './hmem.js';
