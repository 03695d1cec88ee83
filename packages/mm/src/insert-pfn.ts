/**
 * What a handler of faults calls to have a frame mapped that it knows by number.
 * Mirrors mm/memory.c: vmf_insert_mixed, vmf_insert_mixed_mkwrite, insert_pfn; mm/huge_memory.c: vmf_insert_pfn_pmd, vmf_insert_pfn_pud.
 *
 * Invariant: the entry is devmap where the frame's owner has struct pages, and special where it has none. It holds no reference.
 * Differs from Linux 6.1: large entries may be special, too (pmd_special came with 6.12).
 */
import { KernelError, type Pfn, roundDown } from '@holdfast/lib';
import { type LeafLevel, leafSize } from './page-table.js';
import { PTE } from './pte.js';
import { type FaultOutcome, type VmArea, type VmFault, VM } from './vm-area.js';

/**
 * Map the page of 2^(9 * level) frames that begins with `pfn`, around the fault's address; `write` makes it writable and dirty.
 * An entry that is there stays; if it maps the same frame, `write` makes it writable.
 */
export function insertPfn({ vma, address }: VmFault, level: LeafLevel, pfn: Pfn, write: boolean): FaultOutcome {
  const { pageTable, pages } = vma.mm;
  const start = roundDown(address, leafSize(level));
  const there = pageTable.find(start);
  if (there !== undefined) {
    if (write && there.pfn === pfn && there.level === level) pageTable.set(start, level, pfn, there.flags | leafFlags(vma, true));
    return 'nopage';
  }
  const device = pages.isZeroPage(pfn) ? undefined : pages.deviceOf(pfn);
  // In larger entries the PAT bit is elsewhere.
  if (device?.writeThrough && level > 0) return 'fallback';
  const kind = (device?.pte === 'devmap' ? PTE.DEVMAP : PTE.SPECIAL) | (device?.writeThrough ? PTE.WRITE_THROUGH : 0);
  return orOom(() => {
    pageTable.set(start, level, pfn, kind | leafFlags(vma, write));
    return 'nopage';
  });
}

/** The bits of an area's entries (vm_page_prot), and those of a store's. */
export function leafFlags(vma: VmArea, write: boolean): number {
  const { flags } = vma;
  const executable = (flags & VM.EXEC) !== 0 ? 0 : PTE.NX;
  const writable = (write || isWritableAtOnce(vma)) && (flags & VM.WRITE) !== 0;
  return PTE.PRESENT | PTE.USER | PTE.ACCESSED | executable | (writable ? PTE.RW : 0) | (write ? PTE.DIRTY : 0);
}

/** Shared, and nobody wants to hear of the first store (not vma_wants_writenotify). */
function isWritableAtOnce({ flags, ops }: VmArea): boolean {
  return (flags & VM.SHARED) !== 0 && !ops?.pageMkwrite && !ops?.pfnMkwrite;
}

/** Run what may find no memory: the outcome `oom`, then. */
export function orOom(run: () => FaultOutcome): FaultOutcome {
  try {
    return run();
  } catch (error) {
    if (error instanceof KernelError && error.code === 'ENOMEM') return 'oom';
    throw error;
  }
}
