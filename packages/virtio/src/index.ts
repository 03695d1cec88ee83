// The bus, and what is on it.
export { type VirtioBus, type VirtioDevice, type VirtioHardware, createVirtioBus } from './virtio-bus.js';
