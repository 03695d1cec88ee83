/**
 * No struct pages: the design of the v4.1 driver. Block I/O copies, DAX maps with special page table entries, and whoever asks for a page
 * is told that there is none. Mirrors v4.1's drivers/block/pmem.c and vm_insert_mixed.
 */
import { KernelError, hex, physToPfn } from '@holdfast/lib';
import type { PhysAddr } from '@holdfast/lib';
import type { AttachedPages, DesignDevice, PageDesign } from '../page-design.js';

export const noPages = {
  name: 'none',
  summary: 'no struct pages, as v4.1: block I/O by copy, DAX by special page table entries',
  attach: ({ name, start, sizeBytes }: DesignDevice): AttachedPages => ({
    dataOffset: 0,
    dataSize: sizeBytes,
    pages: {
      start: physToPfn(start),
      end: physToPfn((start + sizeBytes) as PhysAddr),
      owner: name,
      pte: 'special',
      ioByPfn: false,
      getPage: (pfn) => {
        throw new KernelError('EFAULT', `${name}: pfn ${hex(pfn)} has no struct page`);
      },
      putPage: () => undefined,
    },
    ramPageBytes: () => 0,
    devicePageBytes: () => 0,
    held: () => 0,
    makeAllReady: () => undefined,
    detach: () => undefined,
  }),
} satisfies PageDesign;
