/**
 * Device memory as the rest of mm sees it: what a fault installs for its frames, and whether anybody may hold them.
 * Plays the part of get_dev_pagemap and of pfn_t's flags (include/linux/pfn_t.h of 4.5), for every way to have, or not to have, struct pages.
 *
 * Invariant: a frame belongs to at most one registered range. Whoever takes a range away has seen all its references come back.
 */
import { type Pfn, KernelError, hex } from '@holdfast/lib';

export interface DevicePages {
  /** Frames `[start, end)`. */
  readonly start: Pfn;
  readonly end: Pfn;
  /** For people: the device. */
  readonly owner: string;
  /** The page table entry of a mapped frame: special has no struct page behind it (vm_normal_page finds none), devmap has. */
  readonly pte: 'special' | 'devmap';
  /** Are processes to map its frames write-through, 4 KiB at a time? Write-back, without it. */
  readonly writeThrough?: boolean;
  /** May I/O name these frames by number alone, without a struct page (PFN scatterlists)? */
  readonly ioByPfn: boolean;
  /**
   * Take a reference to a frame's struct page, which some designs only then make or lend.
   * @param longterm the reference may stay for good (FOLL_LONGTERM)
   * @throws KernelError EFAULT if it has none, EAGAIN or ENOMEM if none is to be had now, EOPNOTSUPP if it cannot be lent for so long,
   * ENODEV if the device is going
   */
  getPage(pfn: Pfn, longterm: boolean): void;
  /** Give a reference back. */
  putPage(pfn: Pfn): void;
}

/** All device memory of one kernel. */
export interface DevicePagesMap {
  /** Make a range known. The returned function forgets it. @throws KernelError EBUSY if it overlaps another. */
  register(pages: DevicePages): () => void;
  /** Whose frame this is, if any device's. */
  at(pfn: Pfn): DevicePages | undefined;
}

export function createDevicePagesMap(): DevicePagesMap {
  const ranges: DevicePages[] = [];
  return {
    register(pages) {
      const other = ranges.find(({ start, end }) => start < pages.end && pages.start < end);
      if (other) throw new KernelError('EBUSY', `${pages.owner}: frames from ${hex(pages.start)} on belong to ${other.owner}`);
      ranges.push(pages);
      return () => void ranges.splice(ranges.indexOf(pages), 1);
    },
    at: (pfn) => ranges.find(({ start, end }) => pfn >= start && pfn < end),
  };
}
