/**
 * The page cache is the device: struct pages in an area at its end go straight into the page cache, as entries for the device's own frames.
 * Nothing is copied to RAM, and nothing is written back: the device is mapped write-through, in processes as well. "Directly mapped pmem
 * page cache" (Ingo Molnar, May 2015, in the discussion that followed the thread; row 44), which was not built; DAX with pages comes next.
 *
 * The array is not made at attach but 2 MiB of the device at a time, when the first of its pages is used, as was proposed there.
 *
 * Invariant: a struct page is made before anybody is told of it, once an attach.
 */
import { MIB, PAGE_SIZE, STRUCT_PAGE_SIZE, physAdd } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import type { AttachedPages, DesignDevice, PageDesign, PageHost } from '../page-design.js';
import { attachArray } from './device.js';
import { pageAreaBytes } from './page-area.js';

/** Frames whose struct pages are made at once, and the bytes of those. */
const UNIT_FRAMES = (2 * MIB) / PAGE_SIZE;
const UNIT_BYTES = UNIT_FRAMES * STRUCT_PAGE_SIZE;

export const pageCachePages = {
  name: 'page-cache',
  summary: 'struct pages on the device, made when first used: the page cache is the device, written through',
  keepsArea: true,
  memoryType: 'WT',
  attach: attachPageCache,
} satisfies PageDesign;

function attachPageCache(device: DesignDevice, host: PageHost): AttachedPages {
  const { start, sizeBytes } = device;
  // Storing the array is charged here, when it is made.
  const attached = attachArray(device, { ...host, chargeStores: () => undefined }, 'page-cache', { start, sizeBytes, arrayBytes: pageAreaBytes(device) });
  const { pages, dataSize } = attached;
  const array = physAdd(start, dataSize);
  const nrUnits = Math.ceil(dataSize / (UNIT_FRAMES * PAGE_SIZE));
  const made = new Set<number>();
  const makeUnits = (from: number, to: number): void => {
    if (to > from) host.chargeStores?.(physAdd(array, from * UNIT_BYTES), (to - from) * UNIT_BYTES, device.memoryType);
  };
  const makePage = (pfn: Pfn): void => {
    const unit = Math.floor((pfn - pages.start) / UNIT_FRAMES);
    if (allMade || made.has(unit)) return;
    made.add(unit);
    makeUnits(unit, unit + 1);
  };
  let allMade = false;

  return {
    ...attached,
    pages: {
      ...pages,
      writeThrough: true,
      getPage(pfn, longterm) {
        pages.getPage(pfn, longterm);
        makePage(pfn);
      },
    },
    cacheIsDevice: makePage,
    makeAllReady() {
      if (allMade) return;
      let from = 0;
      for (const unit of [...made].sort((a, b) => a - b)) {
        makeUnits(from, unit);
        from = unit + 1;
      }
      makeUnits(from, nrUnits);
      allMade = true;
    },
  };
}
