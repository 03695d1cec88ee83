/**
 * Struct pages since boot, for ranges of the firmware's memory map: sections that are present, with a memmap in RAM from memblock, and pages
 * that are reserved and never freed. What the "old Intel patches" for E820_PMEM did (row 10 of the thread of April 2015), which were not
 * merged; what is left of them in Linux is that 4.1 to 4.3 count type 12 in last_pfn.
 *
 * The kernel's boot does the work, for the disks that the command line names (pmem.pages=e820-pages); this takes what is there.
 *
 * Invariant: its pages are there before the device and after it; attaching and detaching change no memory.
 */
import { KernelError, PAGE_SIZE, STRUCT_PAGE_SIZE, physAdd, physToPfn } from '@holdfast/lib';
import type { PageDesign } from '../page-design.js';
import { countedPages } from './counted-pages.js';

export const bootPages = {
  name: 'e820-pages',
  summary: 'struct pages in RAM since boot, 64 bytes for each 4 KiB, for ranges of the firmware\'s memory map',
  madeAtBoot: true,
  attach({ name, start, sizeBytes, bus }, host) {
    if (bus !== 'e820') {
      throw new KernelError(
        'EOPNOTSUPP',
        `${name}: boot gives struct pages to ranges of the e820 memory map, and this device is on the ${bus} bus: see pmem.pages=dynamic`,
      );
    }
    if (!host.hasBootPages(start, sizeBytes)) {
      throw new KernelError('EOPNOTSUPP', `${name}: boot gave it no struct pages: pmem.pages=e820-pages, or ${name}:e820-pages, has to be on the command line`);
    }
    const counted = countedPages(name, { start: physToPfn(start), end: physToPfn(physAdd(start, sizeBytes)) }, host.pageRefs);
    return {
      dataOffset: 0,
      dataSize: sizeBytes,
      pages: counted.pages,
      ramPageBytes: () => (sizeBytes / PAGE_SIZE) * STRUCT_PAGE_SIZE,
      devicePageBytes: () => 0,
      held: () => counted.held(),
      makeAllReady: () => undefined,
      detach: () => counted.checkIdle(),
    };
  },
} satisfies PageDesign;
