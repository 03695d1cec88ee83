/**
 * Faults on files whose pages are the device's memory, by the rules of today. Mirrors fs/dax.c of 6.1: dax_iomap_fault,
 * dax_iomap_pte_fault, dax_iomap_pmd_fault, dax_fault_check_fallback, dax_finish_sync_fault.
 *
 * Invariant: what is mapped writable is dirty in the file's index; with MAP_SYNC, its metadata is durable before.
 */
import { PAGE_SIZE, pfnToPhys, roundDown } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import { VM, insertPfn } from '@holdfast/mm';
import type { FaultOutcome, MmapFile, VmFault } from '@holdfast/mm';
import { daxDirectAccess } from './dax-device.js';
import { DAX_ENTRY } from './dax-entry.js';
import { daxFault41 } from './dax-fault-4.1.js';
import { type DaxExtent, type DaxMapping, PG_PMD_NR, devicePage, orFault } from './dax-mapping.js';

export interface DaxFileSpec {
  readonly name: string;
  readonly readable?: boolean;
  readonly writable?: boolean;
  /** The handlers of v4.1: 4 KiB pages, and nobody remembers what was written. */
  readonly rules?: 'v4.1' | 'iomap';
}

const PMD_SIZE = PAGE_SIZE * PG_PMD_NR;

/** An open file of a DAX mapping, to be mapped. */
export function daxFile(mapping: DaxMapping, { name, readable = true, writable = true, rules = 'iomap' }: DaxFileSpec): MmapFile {
  const common = { name, readable, writable, mmaps: mapping.mmaps, isFsDax: true };
  if (rules === 'v4.1') {
    return {
      ...common,
      mmap(vma) {
        // A store to a page that is mapped already concerns the file's times alone: core code makes the entry writable (dax_pfn_mkwrite).
        vma.ops = { fault: (fault) => daxFault41(mapping, fault), pfnMkwrite: () => 'page' };
        vma.flags |= VM.MIXEDMAP;
      },
    };
  }
  return {
    ...common,
    mapAlign: PMD_SIZE,
    mapSync: mapping.device.synchronous,
    mmap(vma) {
      const fault = (at: VmFault): FaultOutcome => pteFault(mapping, at);
      vma.ops = { fault, pfnMkwrite: fault, hugeFault: (at, level) => (level === 1 ? pmdFault(mapping, at) : 'fallback') };
      vma.flags |= VM.MIXEDMAP | VM.HUGEPAGE;
    },
  };
}

function pteFault(mapping: DaxMapping, fault: VmFault): FaultOutcome {
  const { pgoff, write, cowPage, vma } = fault;
  const { extents } = mapping;
  if (pgoff * PAGE_SIZE >= extents.sizeBytes) return 'sigbus';
  return orFault('sigbus', () => {
    const forWrite = write && cowPage === undefined;
    mapping.grab(pgoff, false);
    const extent = extents.extentAt(pgoff * PAGE_SIZE, PAGE_SIZE, forWrite);
    if (cowPage !== undefined) return fillCow(mapping, extent, fault);
    if (extent.type !== 'mapped') {
      if (write) return 'sigbus';
      const zero = vma.mm.pages.zeroPage();
      mapping.insert(pgoff, zero, DAX_ENTRY.ZERO, false);
      return insertPfn(fault, 0, zero, false);
    }
    const { pfn } = daxDirectAccess(mapping.device, devicePage(extent, pgoff), 1);
    return install(mapping, extent, fault, 0, pfn);
  });
}

function pmdFault(mapping: DaxMapping, fault: VmFault): FaultOutcome {
  const { pgoff, write } = fault;
  const { extents, device } = mapping;
  const base = roundDown(pgoff, PG_PMD_NR);
  const filePages = Math.ceil(extents.sizeBytes / PAGE_SIZE);
  if (base >= filePages) return 'sigbus';
  if (mustFallBack(fault, base, filePages) || !mapping.grab(pgoff, true)) return 'fallback';
  return orFault('fallback', () => {
    const extent = extents.extentAt(base * PAGE_SIZE, PMD_SIZE, write);
    if (extent.start + extent.length < base * PAGE_SIZE + PMD_SIZE) return 'fallback';
    if (extent.type !== 'mapped') return write ? 'fallback' : loadHugeHole(mapping, fault, base);
    const first = devicePage(extent, base);
    const { pfn, nrPages } = daxDirectAccess(device, first, PG_PMD_NR);
    if (nrPages < PG_PMD_NR || pfn % PG_PMD_NR !== 0) return 'fallback';
    return install(mapping, extent, fault, 1, pfn);
  });
}

/** dax_fault_check_fallback. */
function mustFallBack({ vma, address, pgoff, write }: VmFault, base: number, filePages: number): boolean {
  const start = roundDown(address, PMD_SIZE);
  if (pgoff % PG_PMD_NR !== (address / PAGE_SIZE) % PG_PMD_NR) return true;
  if (write && (vma.flags & VM.SHARED) === 0) return true;
  if (start < vma.start || start + PMD_SIZE > vma.end) return true;
  return base + PG_PMD_NR - 1 >= filePages;
}

function loadHugeHole(mapping: DaxMapping, fault: VmFault, base: number): FaultOutcome {
  const zero = fault.vma.mm.hugeZeroPage();
  if (zero === undefined) return 'fallback';
  mapping.insert(base, zero, DAX_ENTRY.PMD | DAX_ENTRY.ZERO, false);
  return insertPfn(fault, 1, zero, false);
}

/** Remember the page, and map it; with MAP_SYNC only when a crash would find its extent. */
function install(mapping: DaxMapping, extent: DaxExtent, fault: VmFault, level: 0 | 1, pfn: Pfn): FaultOutcome {
  const { vma, write, pgoff } = fault;
  const index = level === 1 ? roundDown(pgoff, PG_PMD_NR) : pgoff;
  if (write && (vma.flags & VM.SYNC) !== 0 && extent.isDirty === true) {
    mapping.extents.syncMetadata?.(index * PAGE_SIZE, level === 1 ? PMD_SIZE : PAGE_SIZE);
  }
  mapping.insert(index, pfn, level === 1 ? DAX_ENTRY.PMD : 0, write);
  return insertPfn(fault, level, pfn, write);
}

function fillCow({ device }: DaxMapping, extent: DaxExtent, { cowPage, pgoff, vma }: VmFault): FaultOutcome {
  const { memory } = vma.mm.pages;
  const frame = memory.frame(cowPage!);
  if (extent.type !== 'mapped') frame.fill(0);
  else memory.read(pfnToPhys(daxDirectAccess(device, devicePage(extent, pgoff), 1).pfn), frame);
  return 'cow';
}
