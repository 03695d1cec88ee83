/**
 * A virtual memory area: consecutive addresses that map one thing with one set of rights; and what that thing, a file, is asked.
 * Mirrors struct vm_area_struct, vm_operations_struct and vm_fault of include/linux/mm_types.h and mm.h (6.1).
 */
import type { Pfn } from '@holdfast/lib';
import type { FileMmaps } from './file-mmaps.js';
import type { MmStruct } from './mm-struct.js';

/** {@link VmArea.flags}. */
export const VM = {
  READ: 0x1,
  WRITE: 0x2,
  EXEC: 0x4,
  /** Stores reach the file. Not set for a shared mapping of a file that is open for reading only. */
  SHARED: 0x8,
  MAYREAD: 0x10,
  MAYWRITE: 0x20,
  MAYEXEC: 0x40,
  /** MAP_SHARED was asked for. */
  MAYSHARE: 0x80,
  /** Frames alone: nobody may take references to them. */
  PFNMAP: 0x400,
  IO: 0x4000,
  DONTCOPY: 0x20000,
  /** MAP_SYNC: what a store finds mapped writable is where it is on the medium. */
  SYNC: 0x800000,
  /** May hold frames and struct pages alike. */
  MIXEDMAP: 0x10000000,
  HUGEPAGE: 0x20000000,
} as const;

export interface VmArea {
  readonly mm: MmStruct;
  /** Addresses `[start, end)`, multiples of a page. */
  start: number;
  end: number;
  /** Bits of {@link VM}. */
  flags: number;
  /** The page that `start` shows: of the file, or, of anonymous memory, counted from address 0. */
  pgoff: number;
  /** Undefined: anonymous memory. */
  readonly file: MmapFile | undefined;
  ops: VmOperations | undefined;
  /** It may hold anonymous pages: what private stores made (anon_vma). */
  hasAnon: boolean;
}

/**
 * How a fault ended. `nopage`: the handler has written the entry; `page`: core code is to map {@link VmFault.page}, with the reference that
 * came with it; `cow`: {@link VmFault.cowPage} is filled; `fallback`: try smaller pages.
 */
export type FaultOutcome = 'nopage' | 'page' | 'cow' | 'fallback' | 'oom' | 'sigbus' | 'hwpoison' | 'sigsegv';

/** One fault on its way through a handler (struct vm_fault). */
export interface VmFault {
  readonly vma: VmArea;
  /** A multiple of a page. */
  readonly address: number;
  /** Page of the file. */
  readonly pgoff: number;
  readonly write: boolean;
  /** Of a store to a private mapping: the page that takes the copy. */
  readonly cowPage: Pfn | undefined;
  /** For the handler's answer `page`. */
  page: Pfn | undefined;
}

/** What a file does for its mappings. */
export interface VmOperations {
  /** Find the page of a fault on an address that has no entry. */
  fault(fault: VmFault): FaultOutcome;
  /** The same for a page of 2 MiB (1) or 1 GiB (2). */
  hugeFault?(fault: VmFault, level: 1 | 2): FaultOutcome;
  /** A store to a shared page that is mapped read-only, with a struct page of the page cache. `page` lets it be. */
  pageMkwrite?(fault: VmFault): FaultOutcome;
  /** The same for a frame without one, or of a device. `page` lets it be; after `nopage` the handler has done it. */
  pfnMkwrite?(fault: VmFault): FaultOutcome;
  /** May an area be cut in two there? @throws KernelError EINVAL */
  maySplit?(vma: VmArea, address: number): void;
}

/** An open file, as mmap sees it. */
export interface MmapFile {
  /** For people. */
  readonly name: string;
  readonly readable: boolean;
  readonly writable: boolean;
  /** All mappings of the file, whoever opened it (i_mmap). */
  readonly mmaps: FileMmaps;
  /** DAX of a file system or block device, which may take its pages back: no pin stays for good (vma_is_fsdax). */
  readonly isFsDax: boolean;
  /** Bytes: mappings that hold such a page lie in theirs as the file does; undefined where any page will do. */
  readonly mapAlign?: number;
  /** Does MAP_SYNC hold here? */
  readonly mapSync?: boolean;
  /** Agree to a mapping: set its operations, and flags of its own. @throws KernelError ENODEV, EINVAL, ENXIO … */
  mmap(vma: VmArea): void;
  /** Make bytes `[start, end)` of the file durable, what was stored through mappings included. @throws KernelError EIO */
  fsync?(start: number, end: number): void;
}

/** The page of the file that an address shows. */
export function linearPageIndex(vma: VmArea, address: number): number {
  return vma.pgoff + Math.floor((address - vma.start) / 4096);
}

/** Private, and can be written: stores go to copies (is_cow_mapping). */
export function isCowMapping(flags: number): boolean {
  return (flags & (VM.SHARED | VM.MAYWRITE)) === VM.MAYWRITE;
}
