/**
 * A disk whose page cache is the device: what the block layer asks of such a disk, by loads and stores through the driver's mapping.
 * See designs/page-cache.ts.
 *
 * Invariant: a store that has returned is on its way to the medium by the mapping's memory type alone; nobody writes it back.
 */
import { PAGE_SIZE, SECTOR_SIZE, pfnAdd, physAdd, physToPfn, roundDown, roundUp, sector } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import type { BlockDeviceOperations } from '@holdfast/block';
import type { DirectPages } from '@holdfast/mm';
import { type PmemDevice, healForWrite } from './pmem-io.js';

/** A disk's operations, with direct pages where its design has them (AttachedPages.cacheIsDevice). */
export function withDirectPages(ops: BlockDeviceOperations, pmem: PmemDevice, makePage: ((pfn: Pfn) => void) | undefined): BlockDeviceOperations {
  return makePage ? { ...ops, directPages: directPagesOf(pmem, makePage) } : ops;
}

/** @param makePage called before anybody is given a frame: its struct page has to be there */
function directPagesOf(pmem: PmemDevice, makePage: (pfn: Pfn) => void): DirectPages {
  const { mapping, dataOffset, badblocks } = pmem;
  const first = physToPfn(physAdd(mapping.start, dataOffset));
  return {
    frameOf(index) {
      const pfn = pfnAdd(first, index);
      makePage(pfn);
      return pfn;
    },
    load: (offset, target) => target.length - mapping.readRecoverable(dataOffset + offset, target, 0, target.length),
    store(offset, source) {
      if (badblocks.count > 0) {
        // What a store covers of a bad page alone does not heal it.
        const from = roundDown(offset, PAGE_SIZE);
        const length = roundUp(offset + source.length, PAGE_SIZE) - from;
        const isWhole = from === offset && length === source.length;
        if (
          badblocks.check(sector(from / SECTOR_SIZE), length / SECTOR_SIZE) &&
          !(isWhole && healForWrite(pmem, sector(from / SECTOR_SIZE), dataOffset + from, length))
        )
          return false;
      }
      mapping.write(dataOffset + offset, source, 0, source.length);
      return true;
    },
  };
}
