// The bus, and what is on it.
export { type VirtioBus, type VirtioDevice, type VirtioHardware, createVirtioBus } from './virtio-bus.js';
// RAM that the host gives and takes.
export { type VirtioMemNeeds, createVirtioMemDriver } from './virtio-mem.js';
export type { VirtioMemPages } from './virtio-mem-core.js';
