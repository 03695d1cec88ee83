/**
 * Numbers with a unit: physical addresses, page frames, sectors, and the page and section grains.
 * Mirrors include/linux/pfn.h, include/linux/mmzone.h and arch/x86/include/asm/{page_types,sparsemem}.h.
 *
 * Invariant: addresses are plain numbers, exact to 2^53. They are divided and multiplied, never shifted:
 * a JavaScript shift sees 32 bits.
 */
declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]: Name };

/** A byte address of the physical address space. */
export type PhysAddr = Unit<'PhysAddr'>;
/** A page frame number: a physical address divided by `PAGE_SIZE`. */
export type Pfn = Unit<'Pfn'>;
/** A 512-byte sector of a block device, whatever its logical block size. */
export type Sector = Unit<'Sector'>;
/** A NUMA node id, or `NUMA_NO_NODE`. */
export type NodeId = Unit<'NodeId'>;

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
export const SECTOR_SIZE = 512;
export const SECTORS_PER_PAGE = PAGE_SIZE / SECTOR_SIZE;

/** Bytes of one struct page. */
export const STRUCT_PAGE_SIZE = 64;

/** The largest order the buddy allocator hands out (6.1's MAX_ORDER, which is exclusive, minus one). */
export const MAX_PAGE_ORDER = 10;
export const MAX_ORDER_NR_PAGES = 2 ** MAX_PAGE_ORDER;
export const PAGEBLOCK_ORDER = 9;
export const PAGEBLOCK_NR_PAGES = 2 ** PAGEBLOCK_ORDER;

export const SECTION_SIZE_BITS = 27;
/** Bytes of memory in one section: 128 MiB. */
export const SECTION_SIZE = 128 * MIB;
export const PAGES_PER_SECTION = SECTION_SIZE / PAGE_SIZE;
/** Bytes of memory in one sub-section: 2 MiB. */
export const SUBSECTION_SIZE = 2 * MIB;
export const PAGES_PER_SUBSECTION = SUBSECTION_SIZE / PAGE_SIZE;
export const SUBSECTIONS_PER_SECTION = SECTION_SIZE / SUBSECTION_SIZE;
/** Bytes of struct pages that describe one section: 2 MiB. */
export const SECTION_MEMMAP_SIZE = PAGES_PER_SECTION * STRUCT_PAGE_SIZE;

export const NUMA_NO_NODE = -1 as NodeId;

export function physAddr(bytes: number): PhysAddr {
  return bytes as PhysAddr;
}

export function pfn(frame: number): Pfn {
  return frame as Pfn;
}

export function sector(number: number): Sector {
  return number as Sector;
}

export function nodeId(nid: number): NodeId {
  return nid as NodeId;
}

/** The frame that holds the address (PFN_DOWN). */
export function physToPfn(addr: PhysAddr): Pfn {
  return Math.floor(addr / PAGE_SIZE) as Pfn;
}

/** The first frame at or after the address (PFN_UP). */
export function physToPfnUp(addr: PhysAddr): Pfn {
  return Math.ceil(addr / PAGE_SIZE) as Pfn;
}

/** The address of the first byte of a frame (PFN_PHYS). */
export function pfnToPhys(frame: Pfn): PhysAddr {
  return (frame * PAGE_SIZE) as PhysAddr;
}

export function pfnAdd(frame: Pfn, nrPages: number): Pfn {
  return (frame + nrPages) as Pfn;
}

export function physAdd(addr: PhysAddr, sizeBytes: number): PhysAddr {
  return (addr + sizeBytes) as PhysAddr;
}

/** The section that holds a frame (pfn_to_section_nr). */
export function pfnToSectionNr(frame: Pfn): number {
  return Math.floor(frame / PAGES_PER_SECTION);
}

/** The first frame of a section (section_nr_to_pfn). */
export function sectionNrToPfn(sectionNr: number): Pfn {
  return (sectionNr * PAGES_PER_SECTION) as Pfn;
}
