// struct page: its bytes, and where they lie.
export {
  type PageRecord,
  DIRECT_MAP_BASE_L4, DIRECT_MAP_BASE_L5, PAGE_FLAGS, PAGE_FLAGS_HI, PAGE_INDEX, PAGE_LAYOUT, PAGE_LRU_NEXT, PAGE_LRU_PREV, PAGE_MAPCOUNT, PAGE_MAPPING,
  PAGE_MEMCG, PAGE_PGMAP, PAGE_PRIVATE, PAGE_REFCOUNT, PAGE_TYPE, PAGE_TYPE_BUDDY, PAGE_UNMAPPED, PAGE_ZONE_DEVICE_DATA, VMEMMAP_BASE_L4, VMEMMAP_BASE_L5,
  WORDS_PER_MEMMAP, WORDS_PER_PAGE, decodePage, pageToPfn, pfnToPage, readWord64, writeWord64,
} from './page.js';
export { NEW_PAGE_FLAGS_LO, type PageFlag, PG, flagsNode, flagsZone, pageFlagNames, pageLinks } from './page-flags.js';
export { type FreeListOwner, type Vmemmap, type VmemmapNeeds, createVmemmap } from './vmemmap.js';
export type { PristineRun, PristineState } from './page-init.js';
// The buddy allocator of one zone.
export {
  type MigrateType,
  MIGRATETYPE_NAMES, MIGRATE_FALLBACKS, MIGRATE_HIGHATOMIC, MIGRATE_ISOLATE, MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE, MIGRATE_TYPES, MIGRATE_UNMOVABLE,
} from './migratetype.js';
export { type Buddy, countFreeBlocks, createBuddy } from './buddy.js';
export { setSpan } from './buddy-slots.js';
export { allocBlock, putBlock } from './buddy-core.js';
export { freeListOwner } from './buddy-page.js';
export { firstBusyPfn, freeRange, isolateRange, offlineRange, pageblockType, undoIsolateRange } from './buddy-range.js';
// Live nodes and zones, and the page allocator over them.
export { type Mm, type MmNeeds, createMm } from './mm-init.js';
export { type BlockRun, type PageAllocator, type PageAllocatorNeeds, type Shrinker, createPageAllocator } from './alloc-pages.js';
export {
  GFP_ATOMIC, GFP_DMA, GFP_DMA32, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOIO, GFP_NOWAIT, GFP_USER, __GFP_MOVABLE, __GFP_NOWARN, __GFP_RECLAIMABLE,
  __GFP_MEMALLOC, __GFP_THISNODE, gfpMigratetype, gfpZone,
} from './gfp.js';
export {
  type NumaCounters, type Pgdat, type Watermarks, type Zone,
  addZoneRange, createPgdat, growZoneSpan, isPopulated, removeZoneRange, zoneEndPfn,
} from './zone.js';
export { type ZonesByHighest, type Zonelists, buildZonelists, policyZone, zonelistPages } from './zonelist.js';
export { type MarkedZone, recomputeWatermarks, totalReservePages, zoneWatermarkOk } from './watermark.js';
export { type MemoryOnline, type MemoryOnlineNeeds, type OnlineFrames, createMemoryOnline } from './memory-online.js';
// Pages that can be moved away.
export { type MovablePages, type PageOwner, createMovablePages } from './movable-pages.js';
export { anonPageOwner } from './anon-migrate.js';
export { pageCacheOwner } from './filemap-migrate.js';
// Frames of devices: what a fault installs for them, and who may hold them.
export { DEVICE_PAGE_IDLE, type PageRefs, createPageRefs } from './page-ref.js';
export { type DevicePages, type DevicePagesMap, createDevicePagesMap } from './device-pages.js';
// The page cache: files and devices in RAM, page by page.
export { type PageCache, type PageCacheNeeds, type PageCacheVmstat, type WritebackTunables, createPageCache } from './page-cache.js';
export { type PageCacheCounts, countPageCache } from './page-cache-counts.js';
export {
  type AddressSpace, type AddressSpaceOperations, type Folio, type MappingSpec,
  type DirectPages, createMapping, folioBytes, folioEndRead, folioEndWriteback, folioLength, folioTest,
} from './address-space.js';
export { type FileMapping, fileWriteAndWait, filemapRead, filemapWrite, openMapping } from './filemap.js';
export { type FilemapFileSpec, filemapFile } from './filemap-fault.js';
export { balanceDirtyPages, dirtyLimits, filemapFdatawrite, filemapWriteAndWait, runFlusher, syncPageCache } from './page-writeback.js';
export { type FileRaState, createRaState, initRaSize, nextRaSize } from './readahead.js';
export { destroyMapping, dropPagecache, invalidateInodePages2, invalidateMappingPages, truncateInodePages } from './truncate.js';
export { type ErrSeq, createErrSeq, errseqCheckAndAdvance, errseqSample, errseqSet } from './errseq.js';
// Swap areas.
export { type Swap, type SwapDevice, createSwap } from './swapfile.js';
export { type SwapHeaderSpec, encodeSwapHeader, readSwapHeader } from './swap-header.js';
// Processes' memory: address spaces, their page tables, faults, and who holds the pages behind them.
export { PTE } from './pte.js';
export { type Leaf, type LeafLevel, type PageTable, type PageTableNeeds, TASK_SIZE, createPageTable, leafSize } from './page-table.js';
export { type FaultOutcome, type MmapFile, type VmArea, type VmFault, type VmOperations, VM, isCowMapping, linearPageIndex } from './vm-area.js';
export { type FileMmaps, createFileMmaps } from './file-mmaps.js';
export { type UserPages, type UserPagesNeeds, createUserPages } from './user-pages.js';
export { type MmStruct, type MmapRequest, MAP, PROT, createMmStruct } from './mm-struct.js';
export { MMAP_BASE } from './unmapped-area.js';
export { type FaultSignal, faultIn, handleMmFault, isNormalPage, isSignal } from './handle-fault.js';
export { insertPfn } from './insert-pfn.js';
export { type GupFlags, type UserFrames, getUserPages, getUserPfns, pinUserPages } from './gup.js';
// What /proc and the log show.
export { formatBuddyinfo, formatPagetypeinfo } from './proc-buddyinfo.js';
export { type PageFlagsRun, type PageFlagsWord, formatKpageflags, kpageflagsRuns } from './proc-kpageflags.js';
export { type MeminfoExtras, formatMeminfo, formatNodeMeminfo } from './proc-meminfo.js';
export { formatVmstat } from './proc-vmstat.js';
export { formatNodeVmstat, formatNumastat } from './node-texts.js';
export { type OnlineCpus, formatZoneinfo } from './proc-zoneinfo.js';
export { dumpPage } from './page-dump.js';

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
export { type NodeReport } from './node-report.js';
export {
  type NodeLayout, type UnavailableRange, type ZoneIndex, type ZoneLayout, type ZoneLimit, type ZoneName, type ZoneSpan,
  MAX_NR_ZONES, ZONE_DEVICE, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NAMES, ZONE_NORMAL,
} from './zone-layout.js';
// Which node is asked after which, and the lines boot and hot-plug log of it.
export { type FallbackNeeds, type ZonelistLog, logZonelists, nodeFallbackOrders } from './node-fallback.js';
export { type KernelImage, type MemoryFacts, earlyFreeK, formatMemoryLine } from './memory-line.js';
