// Sections and where their struct pages lie.
export { type AddOptions, type BlockRun, type BootAllocator, type MemoryRange, type PageSource, type SectionRun, type Sections, sparseInit } from './sparse.js';
// Memory blocks: what /sys/devices/system/memory shows.
export { type MemoryBlockSizeInputs, probeMemoryBlockSize } from './memory-block-size.js';
export { type MemoryBlockDeps, type MemoryBlocks, type PageRun, createMemoryBlocks } from './memory-block.js';
export { type HotplugPolicy, ONLINE_WORDS, type OnlineWord, hotplugPolicy } from './policy.js';
// Struct pages for device memory.
export { type DevPagemap, type DeviceMemory, type DeviceMemoryDeps, type ZoneDevice, createDeviceMemory, pagemapFirstPfn } from './memremap.js';
export { type VmemAltmap, createVmemAltmap } from './vmem-altmap.js';
// What mm implements.
export type { MemoryOnliner, ZoneView } from './memory-onliner.js';
