/**
 * Device pages that are there for as long as their design is attached: each reference is counted in the struct page, and their sum says
 * whether the design may go.
 */
import { KernelError, hex } from '@holdfast/lib';
import type { Pfn, Range } from '@holdfast/lib';
import type { DevicePages, PageRefs } from '@holdfast/mm';

export interface CountedPages {
  readonly pages: DevicePages;
  held(): number;
  /** @throws KernelError EBUSY while references are held */
  checkIdle(): void;
}

export function countedPages(owner: string, { start, end }: Range<Pfn>, refs: PageRefs): CountedPages {
  let held = 0;
  return {
    pages: {
      start,
      end,
      owner,
      pte: 'devmap',
      ioByPfn: false,
      getPage(pfn) {
        if (pfn < start || pfn >= end) throw new KernelError('EFAULT', `${owner}: pfn ${hex(pfn)} is no device page`);
        refs.get(pfn);
        held++;
      },
      putPage(pfn) {
        refs.put(pfn);
        held--;
      },
    },
    held: () => held,
    checkIdle: () => checkIdle(owner, held),
  };
}

/** @throws KernelError EBUSY while references are held */
export function checkIdle(owner: string, held: number): void {
  if (held > 0) throw new KernelError('EBUSY', `${owner}: ${held} references to its pages are held`);
}
