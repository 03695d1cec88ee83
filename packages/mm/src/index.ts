// struct page, and where it lies.
export { type FreeListOwner, type Vmemmap, type VmemmapNeeds, createVmemmap } from './vmemmap.js';
export { type PristineRun, type PristineState } from './page-init.js';
// The buddy allocator of one zone.
export { type Buddy, countFreeBlocks, createBuddy, dropSlots, setSpan } from './buddy.js';
export { allocBlock, putBlock } from './buddy-core.js';
export { freeListOwner } from './buddy-page.js';
export { freeRange } from './buddy-range.js';

// memblock: early boot's record of memory, and its allocator.
export {
  type Memblock, type MemblockAllocOptions, type MemblockRegion,
  MEMBLOCK_DRIVER_MANAGED, MEMBLOCK_HOTPLUG, MEMBLOCK_MIRROR, MEMBLOCK_NOMAP, MEMBLOCK_NONE, createMemblock, formatMemblock,
} from './memblock.js';
// Nodes: from firmware's tables or numa= to who owns which memory.
export { type Numa, type NumaNeeds, initNuma, nearestOnlineNode } from './numa.js';
export { type NodeDistance, type SlitDistances, LOCAL_DISTANCE, REMOTE_DISTANCE } from './numa-distance.js';
export { type SratAffinity } from './numa-srat.js';
// The zones boot lays out, as plain data.
export { type FreeAreaNeeds, findDmaReserve, freeAreaInit } from './free-area-init.js';
export { type HoleReport, holeReportOf } from './free-area-log.js';
export {
  type NodeLayout, type UnavailableRange, type ZoneIndex, type ZoneLayout, type ZoneLimit, type ZoneName, type ZoneSpan,
  MAX_NR_ZONES, ZONE_DEVICE, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NAMES, ZONE_NORMAL,
} from './zone-layout.js';
// Which node is asked after which, and the lines boot and hot-plug log of it.
export { type FallbackNeeds, type ZonelistLog, logZonelists, nodeFallbackOrders } from './node-fallback.js';
export { type KernelImage, type MemoryFacts, earlyFreeK, formatMemoryLine } from './memory-line.js';
