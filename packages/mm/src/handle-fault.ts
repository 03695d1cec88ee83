/**
 * Page faults: what a touch of an address makes of its page table entry.
 * Mirrors mm/memory.c: handle_mm_fault, do_anonymous_page, do_read_fault, do_cow_fault, do_shared_fault, do_wp_page, wp_pfn_shared,
 * wp_page_copy; and arch/x86/mm/fault.c: do_user_addr_fault, access_error.
 *
 * Invariant: the outcome `nopage` leaves an entry that allows the access, or none that stands in the way of asking again.
 * Differs from Linux: no swap, no huge anonymous pages, no userfaultfd; a fault never waits.
 */
import { PAGE_SIZE, type Pfn, BugError, pfnToPhys, roundDown } from '@holdfast/lib';
import { leafFlags, orOom } from './insert-pfn.js';
import type { MmStruct } from './mm-struct.js';
import type { Leaf } from './page-table.js';
import { PTE } from './pte.js';
import { type FaultOutcome, type VmArea, type VmFault, VM, linearPageIndex } from './vm-area.js';

/** What a touch of memory may end with, instead of a byte. */
export interface FaultSignal {
  readonly signal: 'SIGSEGV' | 'SIGBUS' | 'SIGKILL';
  /** si_code: no such mapping, not allowed, nothing behind it, a memory error; or no memory left, which kills. */
  readonly code: 'SEGV_MAPERR' | 'SEGV_ACCERR' | 'BUS_ADRERR' | 'BUS_MCEERR_AR' | 'OOM';
  readonly address: number;
}

/** So many handlers in a row may ask to be called again before we look for the bug. */
const MAX_RETRIES = 8;

/** The entry through which an address can be read, or written; or the signal that the process gets instead. */
export function faultIn(mm: MmStruct, address: number, write: boolean): Leaf | FaultSignal {
  for (let tries = 0; tries < MAX_RETRIES; tries++) {
    const leaf = mm.pageTable.find(address);
    if (leaf && allows(leaf, write)) return leaf;
    const vma = mm.find(address);
    if (!vma) return { signal: 'SIGSEGV', code: 'SEGV_MAPERR', address };
    if ((vma.flags & (write ? VM.WRITE : VM.READ | VM.WRITE | VM.EXEC)) === 0) return { signal: 'SIGSEGV', code: 'SEGV_ACCERR', address };
    const signal = signalOf(handleMmFault(vma, address, write), address);
    if (signal) return signal;
  }
  throw new BugError(`a fault at 0x${address.toString(16)} comes to no end`);
}

export function isSignal(result: Leaf | FaultSignal): result is FaultSignal {
  return 'signal' in result;
}

function allows({ flags }: Leaf, write: boolean): boolean {
  return !write || (flags & PTE.RW) !== 0;
}

function signalOf(outcome: FaultOutcome, address: number): FaultSignal | undefined {
  switch (outcome) {
    case 'sigbus':
      return { signal: 'SIGBUS', code: 'BUS_ADRERR', address };
    case 'hwpoison':
      return { signal: 'SIGBUS', code: 'BUS_MCEERR_AR', address };
    case 'sigsegv':
      return { signal: 'SIGSEGV', code: 'SEGV_MAPERR', address };
    case 'oom':
      return { signal: 'SIGKILL', code: 'OOM', address };
    default:
      return undefined;
  }
}

/** Handle a fault at an address of an area, which allows the access. */
export function handleMmFault(vma: VmArea, address: number, write: boolean): FaultOutcome {
  const { pageTable } = vma.mm;
  const page = roundDown(address, PAGE_SIZE);
  const leaf = pageTable.find(page);
  if (leaf && allows(leaf, write)) return 'nopage';
  if (leaf) return leaf.level > 0 ? wpHuge(vma, page, leaf) : wpPage(vma, page, leaf);
  for (const level of [2, 1] as const) {
    if (!vma.ops?.hugeFault || !pageTable.isNone(page, level)) continue;
    const outcome = vma.ops.hugeFault(faultAt(vma, page, write), level);
    if (outcome !== 'fallback') return outcome;
  }
  return orOom(() => {
    if (!vma.ops) return anonymousPage(vma, page, write);
    if (!write) return readFault(vma, page);
    return (vma.flags & VM.SHARED) !== 0 ? sharedFault(vma, page) : cowFault(vma, page);
  });
}

function faultAt(vma: VmArea, address: number, write: boolean, cowPage?: Pfn, page?: Pfn): VmFault {
  return { vma, address, pgoff: linearPageIndex(vma, address), write, cowPage, page };
}

/** A read finds the zero page, a store a page of its own. */
function anonymousPage(vma: VmArea, address: number, write: boolean): FaultOutcome {
  const { pages, pageTable } = vma.mm;
  if (!write) {
    pageTable.set(address, 0, pages.zeroPage(), PTE.SPECIAL | leafFlags(vma, false));
    return 'nopage';
  }
  const page = pages.allocAnonPage(linearPageIndex(vma, address));
  pages.memory.frame(page).fill(0);
  return mapAnon(vma, address, page);
}

function readFault(vma: VmArea, address: number): FaultOutcome {
  const fault = faultAt(vma, address, false);
  const outcome = vma.ops!.fault(fault);
  return outcome === 'page' ? mapPage(vma, address, fault.page!, leafFlags(vma, false)) : outcome;
}

/** A first store to a private page goes to a copy at once. */
function cowFault(vma: VmArea, address: number): FaultOutcome {
  const { pages } = vma.mm;
  const copy = pages.allocAnonPage(linearPageIndex(vma, address));
  const fault = faultAt(vma, address, true, copy);
  const outcome = vma.ops!.fault(fault);
  if (outcome === 'page') {
    copyFrame(vma.mm, fault.page!, copy);
    pages.putPage(fault.page!);
  }
  if (outcome === 'page' || outcome === 'cow') return mapAnon(vma, address, copy);
  pages.putPage(copy);
  return outcome;
}

function sharedFault(vma: VmArea, address: number): FaultOutcome {
  const fault = faultAt(vma, address, true);
  const outcome = vma.ops!.fault(fault);
  if (outcome !== 'page') return outcome;
  const allowed = vma.ops!.pageMkwrite?.(fault) ?? 'page';
  if (allowed === 'page') return mapPage(vma, address, fault.page!, leafFlags(vma, true));
  vma.mm.pages.putPage(fault.page!);
  return allowed;
}

/** A store to a large page that is mapped read-only: the file makes it writable, or it goes, and smaller ones come. */
function wpHuge(vma: VmArea, address: number, leaf: Leaf): FaultOutcome {
  if (vma.ops?.hugeFault && (vma.flags & VM.SHARED) !== 0) {
    const outcome = vma.ops.hugeFault(faultAt(vma, address, true), leaf.level as 1 | 2);
    if (outcome !== 'fallback') return outcome;
  }
  vma.mm.pageTable.clear(address, address + PAGE_SIZE);
  return handleMmFault(vma, address, true);
}

/** A store to a page that is mapped read-only. */
function wpPage(vma: VmArea, address: number, leaf: Leaf): FaultOutcome {
  const { pages, pageTable } = vma.mm;
  const isNormal = isNormalPage(leaf);
  const reuse = (): FaultOutcome => {
    pageTable.set(address, 0, leaf.pfn, leaf.flags | leafFlags(vma, true));
    return 'nopage';
  };
  if ((vma.flags & VM.SHARED) !== 0) {
    const fault = faultAt(vma, address, true, undefined, isNormal ? leaf.pfn : undefined);
    const allowed = (isNormal ? vma.ops?.pageMkwrite?.(fault) : vma.ops?.pfnMkwrite?.(fault)) ?? 'page';
    return allowed === 'page' ? reuse() : allowed;
  }
  if (isNormal && pages.isAnon(leaf.pfn) && pages.pageCount(leaf.pfn) === 1) return reuse();
  return orOom(() => {
    const copy = pages.allocAnonPage(linearPageIndex(vma, address));
    copyFrame(vma.mm, leaf.pfn, copy);
    mapAnon(vma, address, copy);
    if (isNormal) pages.putPage(leaf.pfn);
    return 'nopage';
  });
}

/** Does its frame have a struct page that the entry holds a reference to (vm_normal_page)? */
export function isNormalPage({ flags }: Leaf): boolean {
  return (flags & (PTE.SPECIAL | PTE.DEVMAP)) === 0;
}

function mapAnon(vma: VmArea, address: number, page: Pfn): FaultOutcome {
  vma.hasAnon = true;
  return mapPage(vma, address, page, leafFlags(vma, true));
}

/** Map a page whose reference the entry takes over. */
function mapPage({ mm }: VmArea, address: number, page: Pfn, flags: number): FaultOutcome {
  try {
    mm.pageTable.set(address, 0, page, flags);
  } catch (error) {
    mm.pages.putPage(page);
    throw error;
  }
  return 'nopage';
}

function copyFrame({ pages }: MmStruct, from: Pfn, to: Pfn): void {
  pages.memory.read(pfnToPhys(from), pages.memory.frame(to));
}
