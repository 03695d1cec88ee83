/**
 * The address space of a process: its areas, its page tables, and the calls that change them.
 * Mirrors mm/mmap.c: do_mmap, do_munmap, __split_vma, exit_mmap; mm/mprotect.c; mm/memory.c: copy_page_range, zap_page_range;
 * kernel/fork.c: dup_mmap.
 *
 * Invariant: areas are sorted and disjoint; each entry of the page tables lies in one of them; an area of a file is in the file's `mmaps`.
 * Differs from Linux: areas that touch are never merged; no limits, no accounting, no brk and no stack.
 */
import { KernelError, PAGE_SIZE, type Pfn, hex, isAligned, roundUp } from '@holdfast/lib';
import { isNormalPage } from './handle-fault.js';
import { leafFlags } from './insert-pfn.js';
import { type Leaf, type PageTable, TASK_SIZE, createPageTable } from './page-table.js';
import { PTE } from './pte.js';
import { MMAP_MIN_ADDR, alignedFree, topmostFree } from './unmapped-area.js';
import type { AnonSpace, UserPages } from './user-pages.js';
import { type MmapFile, type VmArea, VM, isCowMapping, linearPageIndex } from './vm-area.js';

export const PROT = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4 } as const;
export const MAP = {
  SHARED: 1, PRIVATE: 2, SHARED_VALIDATE: 3, TYPE: 0xf, FIXED: 0x10, ANONYMOUS: 0x20, NORESERVE: 0x4000, SYNC: 0x80000, FIXED_NOREPLACE: 0x100000,
} as const;
/** Flags that every mapping of a file may have, known or not. */
const LEGACY_MAP_MASK = 0xffff;

export interface MmapRequest {
  /** A wish; with MAP.FIXED an order. */
  readonly address?: number;
  /** Bytes; rounded up to pages. */
  readonly length: number;
  /** Bits of {@link PROT}. */
  readonly prot: number;
  /** Bits of {@link MAP}. */
  readonly flags: number;
  /** None for anonymous memory. */
  readonly file?: MmapFile | undefined;
  /** Bytes into the file, a multiple of a page. */
  readonly offset?: number;
}

export interface MmStruct extends AnonSpace {
  readonly pages: UserPages;
  readonly pageTable: PageTable;
  /** Ascending. */
  readonly areas: readonly VmArea[];
  /** A page of it was pinned at some time (MMF_HAS_PINNED): fork looks out for that. */
  hasPinned: boolean;
  /** The area that holds an address. */
  find(address: number): VmArea | undefined;
  /** Map; returns the address. @throws KernelError EINVAL, ENOMEM, EACCES, EEXIST, EOPNOTSUPP for flags a file does not know, and the file's */
  mmap(request: MmapRequest): number;
  /** @throws KernelError EINVAL if not whole pages, or an area must not be split there */
  munmap(start: number, length: number): void;
  /** @throws KernelError EINVAL, ENOMEM if not all is mapped, EACCES */
  mprotect(start: number, length: number, prot: number): void;
  /** Take entries away, areas stay: a touch faults again. Without `evenCows`, pages that private stores made stay. */
  zapRange(start: number, end: number, evenCows?: boolean): void;
  /** The zeros of 2 MiB that holes of files show, held until exit; undefined if there is no memory for them. */
  hugeZeroPage(): Pfn | undefined;
  /** A copy for a child. @throws KernelError ENOMEM, and there is no child */
  fork(): MmStruct;
  /** Unmap everything and give the page tables back. The space cannot be used again. */
  exit(): void;
}

/** @throws KernelError ENOMEM */
export function createMmStruct(pages: UserPages): MmStruct {
  const pageTable = createPageTable({ memory: pages.memory, allocTable: () => pages.allocTable(), freeTable: (frame) => pages.putPage(frame) });
  const areas: VmArea[] = [];
  let hugeZero: Pfn | undefined;

  const indexFrom = (address: number): number => {
    const index = areas.findIndex(({ end }) => end > address);
    return index < 0 ? areas.length : index;
  };
  const insert = (vma: VmArea): void => {
    areas.splice(indexFrom(vma.start), 0, vma);
    vma.file?.mmaps.add(vma);
  };
  const remove = (vma: VmArea): void => {
    areas.splice(areas.indexOf(vma), 1);
    vma.file?.mmaps.remove(vma);
  };
  const drop = (leaf: Leaf): void => {
    if (isNormalPage(leaf)) pages.putPage(leaf.pfn);
  };

  /** Cut the area that holds `address` in two there, if it does not begin with it. */
  const splitAt = (address: number): void => {
    const vma = mm.find(address);
    if (!vma || vma.start === address) return;
    vma.ops?.maySplit?.(vma, address);
    const upper: VmArea = { ...vma, start: address, pgoff: vma.pgoff + (address - vma.start) / PAGE_SIZE };
    vma.end = address;
    insert(upper);
  };

  /** The areas of `[start, end)`, which none of them crosses afterwards. */
  const isolate = (start: number, end: number): VmArea[] => {
    splitAt(start);
    splitAt(end);
    return areas.filter((vma) => vma.start < end && start < vma.end);
  };

  const unmap = (start: number, end: number): void => {
    for (const vma of isolate(start, end)) {
      mm.zapRange(vma.start, vma.end);
      remove(vma);
    }
  };

  const place = ({ address, flags, file, offset = 0 }: MmapRequest, length: number): number => {
    if ((flags & (MAP.FIXED | MAP.FIXED_NOREPLACE)) !== 0) return fixedAddress(address ?? 0, length);
    if (address !== undefined) {
      const hint = roundUp(Math.max(address, MMAP_MIN_ADDR), PAGE_SIZE);
      const next = areas[indexFrom(hint)]?.start ?? TASK_SIZE;
      if (hint + length <= next) return hint;
    }
    return file?.mapAlign === undefined ? topmostFree(areas, length) : alignedFree(areas, length, offset, file.mapAlign);
  };

  const copyArea = (child: MmStruct, vma: VmArea): VmArea => {
    const copy: VmArea = { ...vma, mm: child };
    // What a file maps comes back by faults, unless it may hold what only this process has.
    if (!vma.hasAnon && (vma.flags & (VM.MIXEDMAP | VM.PFNMAP)) === 0) return copy;
    pageTable.forEach(vma.start, vma.end, (leaf) => {
      if (leaf.level === 0) copyLeaf(mm, copy, leaf);
    });
    return copy;
  };

  /**
   * What may become a process' own pages, or shared ones of no file, must fit into RAM and swap, each mapping by itself
   * (accountable_mapping, shmem_acct_size). Linux logs it, too.
   */
  const checkCommit = ({ flags, file }: MmapRequest, vma: VmArea): void => {
    const isOwn = (vma.flags & (VM.SHARED | VM.WRITE)) === VM.WRITE;
    const isShmem = file === undefined && (vma.flags & VM.SHARED) !== 0;
    if ((flags & MAP.NORESERVE) !== 0 || !(isOwn || isShmem)) return;
    const nrPages = (vma.end - vma.start) / PAGE_SIZE;
    const limit = pages.commitLimit();
    if (nrPages > limit) throw new KernelError('ENOMEM', `a mapping of ${nrPages} pages of its own: RAM and swap have ${limit}`);
  };

  const mm: MmStruct = {
    pages,
    pageTable,
    areas,
    hasPinned: false,
    find(address) {
      const vma = areas[indexFrom(address)];
      return vma && vma.start <= address ? vma : undefined;
    },
    mmap(request) {
      const length = roundUp(request.length, PAGE_SIZE);
      const { flags, file, offset = 0 } = request;
      if (!Number.isSafeInteger(length) || length <= 0) throw new KernelError('EINVAL', `mmap of ${request.length} bytes`);
      if (!isAligned(offset, PAGE_SIZE) || offset < 0) throw new KernelError('EINVAL', `mmap at offset ${offset}: expected a multiple of ${PAGE_SIZE}`);
      if (length > TASK_SIZE) throw new KernelError('ENOMEM', `mmap of ${length} bytes: an address space has ${TASK_SIZE}`);
      const vmFlags = vmFlagsOf(request);
      const start = place(request, length);
      if ((flags & MAP.FIXED_NOREPLACE) !== 0 && areas.some((vma) => vma.start < start + length && start < vma.end)) {
        throw new KernelError('EEXIST', `${hex(start)} is mapped already`);
      }
      const vma: VmArea = { mm, start, end: start + length, flags: vmFlags, pgoff: (file ? offset : start) / PAGE_SIZE, file, ops: undefined, hasAnon: false };
      if ((flags & MAP.FIXED) !== 0) unmap(start, start + length);
      checkCommit(request, vma);
      file?.mmap(vma);
      insert(vma);
      return start;
    },
    munmap(start, length) {
      const end = start + roundUp(length, PAGE_SIZE);
      if (!isAligned(start, PAGE_SIZE) || length <= 0 || start < 0 || end > TASK_SIZE) {
        throw new KernelError('EINVAL', `munmap of ${length} bytes at ${hex(start)}: expected whole pages of user space`);
      }
      unmap(start, end);
    },
    mprotect(start, length, prot) {
      const end = start + roundUp(length, PAGE_SIZE);
      if (!isAligned(start, PAGE_SIZE)) throw new KernelError('EINVAL', `mprotect at ${hex(start)}: expected a multiple of ${PAGE_SIZE}`);
      let mapped = start;
      for (const vma of areas) if (vma.start <= mapped && vma.end > mapped) mapped = vma.end;
      if (mapped < end) throw new KernelError('ENOMEM', `mprotect: nothing is mapped at ${hex(mapped)}`);
      for (const vma of isolate(start, end)) {
        const wanted = protFlags(prot);
        if ((wanted & ~(vma.flags >> 4)) !== 0) throw new KernelError('EACCES', `${vma.file?.name ?? 'the mapping'} cannot be made so accessible`);
        vma.flags = (vma.flags & ~(VM.READ | VM.WRITE | VM.EXEC)) | wanted;
        protectLeaves(vma);
      }
    },
    zapRange(start, end, evenCows = true) {
      if (evenCows) return pageTable.clear(start, end, drop);
      const file: Leaf[] = [];
      pageTable.forEach(start, end, (leaf) => {
        if (!isNormalPage(leaf) || !pages.isAnon(leaf.pfn)) file.push(leaf);
      });
      for (const { start: at } of file) pageTable.clear(at, at + PAGE_SIZE, drop);
    },
    anonEntries(index, pfn) {
      return areas.flatMap((vma) => {
        const address = vma.start + (index - vma.pgoff) * PAGE_SIZE;
        const leaf = vma.hasAnon && address >= vma.start && address < vma.end ? pageTable.find(address) : undefined;
        return leaf?.level === 0 && leaf.pfn === pfn ? [{ pageTable, leaf }] : [];
      });
    },
    hugeZeroPage: () => (hugeZero ??= pages.getHugeZeroPage()),
    fork() {
      const child = createMmStruct(pages) as MmStruct & { areas: VmArea[] };
      child.hasPinned = mm.hasPinned;
      try {
        for (const vma of areas) {
          if ((vma.flags & VM.DONTCOPY) !== 0) continue;
          const copy = copyArea(child, vma);
          child.areas.push(copy);
          copy.file?.mmaps.add(copy);
        }
      } catch (error) {
        child.zapRange(0, TASK_SIZE);
        child.exit();
        throw error;
      }
      return child;
    },
    exit() {
      mm.zapRange(0, TASK_SIZE);
      for (const vma of [...areas]) remove(vma);
      pageTable.free();
      if (hugeZero !== undefined) pages.putHugeZeroPage();
      hugeZero = undefined;
      pages.spaces.delete(mm);
    },
  };
  pages.spaces.add(mm);
  return mm;
}

/** @throws KernelError EINVAL */
function fixedAddress(address: number, length: number): number {
  if (!isAligned(address, PAGE_SIZE) || address < MMAP_MIN_ADDR) throw new KernelError('EINVAL', `MAP_FIXED at ${hex(address)}`);
  if (address + length > TASK_SIZE) throw new KernelError('ENOMEM', `${hex(address)} + ${hex(length)} ends outside of user space`);
  return address;
}

function protFlags(prot: number): number {
  return ((prot & PROT.READ) !== 0 ? VM.READ : 0) | ((prot & PROT.WRITE) !== 0 ? VM.WRITE : 0) | ((prot & PROT.EXEC) !== 0 ? VM.EXEC : 0);
}

/** The checks of do_mmap for files, in their order. @throws KernelError EINVAL, EOPNOTSUPP, EACCES */
function vmFlagsOf({ prot, flags, file }: MmapRequest): number {
  const may = VM.MAYREAD | VM.MAYWRITE | VM.MAYEXEC;
  const type = flags & MAP.TYPE;
  const isShared = type === MAP.SHARED || (type === MAP.SHARED_VALIDATE && file !== undefined);
  if (!isShared && type !== MAP.PRIVATE) throw new KernelError('EINVAL', 'mmap: expected MAP_SHARED, MAP_SHARED_VALIDATE of a file, or MAP_PRIVATE');
  if (!file) {
    if ((flags & MAP.ANONYMOUS) === 0) throw new KernelError('EBADF', 'mmap of no file without MAP_ANONYMOUS');
    return protFlags(prot) | may | (isShared ? VM.SHARED | VM.MAYSHARE : 0);
  }
  const known = LEGACY_MAP_MASK | MAP.FIXED_NOREPLACE | (file.mapSync === true ? MAP.SYNC : 0);
  if (type === MAP.SHARED_VALIDATE && (flags & ~known) !== 0) {
    throw new KernelError('EOPNOTSUPP', `${file.name}: a flag of MAP_SHARED_VALIDATE is not supported${(flags & MAP.SYNC) !== 0 ? ': MAP_SYNC' : ''}`);
  }
  if (!file.readable) throw new KernelError('EACCES', `${file.name} is not open for reading`);
  if (!isShared) return protFlags(prot) | may;
  if ((prot & PROT.WRITE) !== 0 && !file.writable) throw new KernelError('EACCES', `${file.name} is not open for writing`);
  const sync = type === MAP.SHARED_VALIDATE && (flags & MAP.SYNC) !== 0 ? VM.SYNC : 0;
  return protFlags(prot) | VM.MAYSHARE | sync | (file.writable ? may | VM.SHARED : may & ~VM.MAYWRITE);
}

/** After a change of rights: entries lose what is no longer allowed. What is newly allowed comes by faults. */
function protectLeaves(vma: VmArea): void {
  const { mm, flags } = vma;
  if ((flags & (VM.READ | VM.WRITE | VM.EXEC)) === 0) return mm.zapRange(vma.start, vma.end, false);
  const executable = leafFlags(vma, false) & PTE.NX;
  mm.pageTable.forEach(vma.start, vma.end, ({ start, level, pfn, flags: old }) => {
    mm.pageTable.set(start, level, pfn, (old & ~PTE.NX & ((flags & VM.WRITE) !== 0 ? ~0 : ~PTE.RW)) | executable);
  });
}

/** copy_present_pte: the child shares the page; of private ones neither may write any longer, unless a device writes to it. */
function copyLeaf({ pageTable, pages, hasPinned }: MmStruct, copy: VmArea, { start, pfn, flags }: Leaf): void {
  const child = copy.mm.pageTable;
  const isCow = isCowMapping(copy.flags) && (flags & PTE.RW) !== 0;
  if ((flags & (PTE.SPECIAL | PTE.DEVMAP)) === 0) {
    if (hasPinned && pages.isAnon(pfn) && pages.maybePinned(pfn)) return copyPinned(copy, start, pfn);
    pages.getPage(pfn);
  }
  if (isCow) pageTable.set(start, 0, pfn, flags & ~PTE.RW);
  const cleaned = (copy.flags & VM.SHARED) !== 0 ? PTE.DIRTY | PTE.ACCESSED : PTE.ACCESSED;
  try {
    child.set(start, 0, pfn, flags & ~cleaned & (isCow ? ~PTE.RW : ~0));
  } catch (error) {
    if ((flags & (PTE.SPECIAL | PTE.DEVMAP)) === 0) pages.putPage(pfn);
    throw error;
  }
}

function copyPinned(copy: VmArea, start: number, pfn: Pfn): void {
  const { pages, pageTable } = copy.mm;
  const page = pages.allocAnonPage(linearPageIndex(copy, start));
  pages.memory.frame(page).set(pages.memory.frame(pfn));
  try {
    pageTable.set(start, 0, page, leafFlags(copy, true));
  } catch (error) {
    pages.putPage(page);
    throw error;
  }
}
