// The contract: what the kernel may ask of the hardware.
export {
  type Clock, type Cpu, type DmaPort, type Machine, type Mapping, type MediaPoison, type MediaWear, type Medium, type MediumKind, type MediumSlot,
  type MemoryType, type PersistenceDomain, type PhysicalMemory, type PowercutReport, type PowercutTrigger, type UndecidedUnit, type WearClass,
  CACHE_LINE_SIZE, CHUNK_SIZE, MachineCheckPanic, PowerFailure, WORD_SIZE,
} from './hardware.js';
// A machine, and what is plugged into it.
export { MAX_CPUS, type MachineSpec, createMachine } from './machine.js';
export { type NonVolatileSpec, type NvdimmSpec, createDram, createHostedFile, createNvdimm, createNvdimmN, createPciMemory } from './medium.js';
// What its firmware does for NVDIMMs.
export {
  type ArsRange, type ArsStatus, type NvdimmRootMethods, type NvdimmRootSpec,
  ARS_OVERFLOW, ARS_RETURN_KNOWN, ARS_STATUS, ARS_TYPE, DSM_STATUS, INJECT_NOTIFY, createNvdimmRootMethods,
} from './nvdimm-root-methods.js';
export type { FrozenImage, ImageBacking } from './image-backing.js';
// Which bytes of a chunked store may hold data.
export { chunkRun } from './chunk-run.js';
// States of a chunked store that goes on, and images over images.
export { type FrozenLayers, createFrozenLayers, frozenImage } from './frozen-layers.js';
export { createOverlayImage } from './overlay-image.js';
// Devices that a hypervisor gives its guest: persistent memory in a file of the host, and RAM of a size that the host chooses.
export { type VirtioPmem, createVirtioPmem } from './virtio-pmem.js';
export { VIRTIO_MEM_BLOCK_SIZE, type VirtioMem, type VirtioMemResponse, type VirtioMemSpec, createVirtioMem } from './virtio-mem.js';
// Virtual time, and what an access costs.
export { createClock } from './clock.js';
export { type MediumFigures, type StoreCost, SFENCE_COST, mediumFigures, storeCost, uncachedLoadPerByte } from './costs.js';
