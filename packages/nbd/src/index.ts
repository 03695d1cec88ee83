// A server, what it exports, and the disk behind that.
export { type NbdAddress, type NbdServer, type NbdServerOptions, createNbdServer } from './server.js';
export { type NbdExport } from './export.js';
export { type DiskNeeds, type Extent, type NbdDisk, type Slab, createBdevDisk } from './disk.js';
export type { NbdCounters } from './transmission.js';
export { type MachineExportsNeeds, type Powered, createMachineExports } from './machine-exports.js';
