// Sections and where their struct pages lie.
export {
  type AddOptions, type BlockRun, type BootAllocator, type ChargeStores, type MemoryRange, type PageSource, type SectionRun, type Sections,
  sparseInit,
} from './sparse.js';
export { type VmemAltmap, createVmemAltmap } from './vmem-altmap.js';
export { type Preallocated, addSection, preallocatedSize } from './preallocated.js';
export { canDedupVmemmap } from './vmemmap-dedup.js';
// Memory blocks: what /sys/devices/system/memory shows, and how they go online and offline.
export { type MemoryBlockSizeInputs, probeMemoryBlockSize } from './memory-block-size.js';
export { type MemoryBlockDeps, type MemoryBlocks, type PageRun, createMemoryBlocks } from './memory-block.js';
export { type HotplugPolicy, ONLINE_WORDS, type OnlineType, type OnlineWord, hotplugPolicy } from './policy.js';
export { type ZoneChoice, type ZoneChoiceNeeds, zoneForPfnRange } from './online-policy.js';
export { type MemoryGroup, createDynamicGroup, createStaticGroup } from './memory-group.js';
// Memory that comes and goes.
export { type AddMemoryOptions, type FirmwareMap, type MemoryHotplug, type MemoryHotplugDeps, createMemoryHotplug } from './memory-hotplug.js';
export { type AcpiMemory, type AcpiMemoryDevice, type AcpiMemoryNeeds, createAcpiMemory } from './acpi-memory-device.js';
export type { MemoryNotifier } from './memory-notifier.js';
// Struct pages for device memory.
export { type DevPagemap, type DeviceMemory, type DeviceMemoryDeps, type ZoneDevice, createDeviceMemory, pagemapPages } from './memremap.js';
// What mm implements.
export type { BlockFrames, MemoryOnliner, ZoneId, ZoneView, ZoneViews } from './memory-onliner.js';
