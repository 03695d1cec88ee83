/**
 * References to struct pages of device memory: the count is the refcount field of the real 64 bytes.
 * Mirrors include/linux/page_ref.h, and put_devmap_managed_page of 4.15 to 6.14, where a device page that nobody holds counts 1.
 *
 * Invariant: a count never goes below its idle value.
 */
import { type Pfn, bugOn } from '@holdfast/lib';
import { PAGE_REFCOUNT } from './page.js';
import type { Vmemmap } from './vmemmap.js';

/** Of a device page that nobody holds. */
export const DEVICE_PAGE_IDLE = 1;

export interface PageRefs {
  /** @throws KernelError EFAULT if the frame has no struct page */
  get(pfn: Pfn): void;
  put(pfn: Pfn): void;
  /** The refcount field, idle value included (page_count). */
  count(pfn: Pfn): number;
}

export function createPageRefs(vmemmap: Pick<Vmemmap, 'pageWords' | 'readPage'>): PageRefs {
  return {
    get(pfn) {
      const words = vmemmap.pageWords(pfn);
      words[PAGE_REFCOUNT] = words[PAGE_REFCOUNT]! + 1;
    },
    put(pfn) {
      const words = vmemmap.pageWords(pfn);
      bugOn(words[PAGE_REFCOUNT]! <= DEVICE_PAGE_IDLE, `pfn 0x${pfn.toString(16)}: more references given back than taken`);
      words[PAGE_REFCOUNT] = words[PAGE_REFCOUNT]! - 1;
    },
    count: (pfn) => vmemmap.readPage(pfn)?.refcount ?? 0,
  };
}
