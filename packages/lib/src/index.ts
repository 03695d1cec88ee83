// Numbers with a unit, and the grains of memory.
export {
  type NodeId, type Pfn, type PhysAddr, type Sector,
  GIB, KIB, MIB, TIB,
  MAX_ORDER_NR_PAGES, MAX_PAGE_ORDER, NUMA_NO_NODE, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, PAGE_SHIFT, PAGE_SIZE,
  PAGES_PER_SECTION, PAGES_PER_SUBSECTION, SECTION_MEMMAP_SIZE, SECTION_SIZE, SECTION_SIZE_BITS, SECTORS_PER_PAGE, SECTOR_SIZE,
  STRUCT_PAGE_SIZE, SUBSECTIONS_PER_SECTION, SUBSECTION_SIZE,
  nodeId, pfn, pfnAdd, pfnToPhys, pfnToSectionNr, physAdd, physAddr, physToPfn, physToPfnUp, sectionNrToPfn, sector,
} from './units.js';
export { isAligned, isPowerOf2, roundDown, roundDownPow2, roundUp, roundUpPow2 } from './align.js';
export { type Range, firstEndingAfter, firstIndexWhere, intersectRanges, rangesOverlap } from './range.js';
export { type RangeSet, createRangeSet } from './range-set.js';
// Failure.
export {
  type ErrnoName, type KernelErrorOptions, type NearestRequest, BugError, KernelError, KernelPanic, bugOn, errnoNumber, strerror,
} from './kernel-error.js';
// What the kernel is told, and what it says.
export { type KernelParam, findParam, parseCmdline, sameParamName } from './cmdline.js';
export { parseBool, parseInteger, parseU64 } from './kstrtox.js';
export { type ModuleParams, type ParamSpec, boolParam, intParam, moduleParams, stringParam, uintParam, wordParam } from './module-param.js';
export { type Memparse, memparse, parseSize, parseUint } from './memparse.js';
export { type KernelRelease, DEFAULT_RELEASE, parseRelease, releaseAtLeast } from './kernel-release.js';
export { type LogLevel, type Printk, KERN, silentPrintk } from './printk.js';
export { type PrintkRatelimited, createRatelimit } from './ratelimit.js';
export { type Integer, hex, hex16, hex8, memRange } from './hex.js';
export { type Attribute, readOnly, readWrite } from './attribute.js';
// The resource tree.
export {
  type Resource, type ResourceDesc, type ResourceSpec,
  createIomem, createResource, formatIomem, insertResource, insertResourceExpandToFit, regionIntersectsSystemRam, releaseResource,
  removeResource, requestRegion, requestResource, reserveRegionWithSplit, tryInsertResource, tryRequestResource, walkResources,
} from './resource.js';
// Bytes on media.
export { type Field, type Layout, type RecordOf, ascii, bytes, layout, u16, u32, u64, u8 } from './layout.js';
export { crc32, fletcher64 } from './checksum.js';
export { formatGuid, parseGuid } from './guid.js';
// Names for things.
export { type Ida, createIda } from './ida.js';
// Chance, by seed.
export { type Random, seededRandom } from './random.js';
