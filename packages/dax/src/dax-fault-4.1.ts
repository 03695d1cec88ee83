/**
 * Faults on files whose pages are the device's memory, as DAX began. Mirrors fs/dax.c of 4.1: do_dax_fault, dax_insert_mapping, copy_user_bh.
 *
 * Pages of 4 KiB only; nothing is remembered of what was mapped, so that no fsync writes the CPU's caches back for it.
 * Differs from Linux: the page that shows a hole is not cached by the file; it is the zero page, and goes when the hole is filled.
 */
import { PAGE_SIZE, pfnToPhys } from '@holdfast/lib';
import { insertPfn } from '@holdfast/mm';
import type { FaultOutcome, VmFault } from '@holdfast/mm';
import { daxDirectAccess } from './dax-device.js';
import { type DaxMapping, devicePage, orFault } from './dax-mapping.js';

export function daxFault41({ device, extents, mmaps }: DaxMapping, fault: VmFault): FaultOutcome {
  const { pgoff, write, cowPage, vma } = fault;
  const { pages } = vma.mm;
  if (pgoff >= Math.ceil(extents.sizeBytes / PAGE_SIZE)) return 'sigbus';
  return orFault('sigbus', () => {
    const extent = extents.extentAt(pgoff * PAGE_SIZE, PAGE_SIZE, write && cowPage === undefined);
    const isMapped = extent.type === 'mapped';
    if (cowPage !== undefined) {
      if (isMapped) pages.memory.read(pfnToPhys(daxDirectAccess(device, devicePage(extent, pgoff), 1).pfn), pages.memory.frame(cowPage));
      else pages.memory.frame(cowPage).fill(0);
      return 'cow';
    }
    if (!isMapped) return write ? 'sigbus' : insertPfn(fault, 0, pages.zeroPage(), false);
    if (extent.isNew === true) mmaps.unmapRange(pgoff, 1, false);
    return insertPfn(fault, 0, daxDirectAccess(device, devicePage(extent, pgoff), 1).pfn, write);
  });
}
