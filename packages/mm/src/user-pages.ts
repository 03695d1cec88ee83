/**
 * References to the frames that processes have mapped: RAM by its struct pages, device memory by whoever owns it.
 * Mirrors get_page, put_page, try_grab_page (mm/gup.c) and get_dev_pagemap, for order-0 pages.
 *
 * Invariant: each entry of a page table that is neither special nor devmap holds one reference on its frame.
 */
import {
  type NodeId, type Pfn, BugError, KernelError, PAGE_SIZE, bugOn, pfnToPhys,
} from '@holdfast/lib';
import type { PhysicalMemory } from '@holdfast/machine';
import type { DevicePages, DevicePagesMap } from './device-pages.js';
import { GFP_HIGHUSER_MOVABLE, GFP_KERNEL } from './gfp.js';
import type { Mm } from './mm-init.js';
import type { MappedEntry } from './file-mmaps.js';
import { PAGE_INDEX, PAGE_MAPPING, PAGE_REFCOUNT, readWord64, writeWord64 } from './page.js';
import { createPageRefs } from './page-ref.js';
import { ZONE_DEVICE } from './zone-layout.js';

/** What a pin adds to a page's count of references (GUP_PIN_COUNTING_BIAS). */
const PIN_BIAS = 1024;

/** A process's memory, as its anonymous pages see it: who has them mapped (struct anon_vma). */
export interface AnonSpace {
  /** Its entries that show a frame as page `index` of an area. */
  anonEntries(index: number, pfn: Pfn): MappedEntry[];
}

export interface UserPages {
  readonly memory: Pick<PhysicalMemory, 'frame' | 'read' | 'clear'>;
  /** Of all processes. */
  readonly spaces: Set<AnonSpace>;
  /** A frame of zeros that many may map, and nobody writes. */
  zeroPage(): Pfn;
  isZeroPage(pfn: Pfn): boolean;
  /** A frame of anonymous memory with one reference, not cleared, for page `index` of an area. @throws KernelError ENOMEM */
  allocAnonPage(index: number): Pfn;
  /** Is it one of those, and not of the page cache (PageAnon)? */
  isAnon(pfn: Pfn): boolean;
  /** The page of an area that it is (page->index). */
  anonIndex(pfn: Pfn): number;
  /** Pages that one mapping may promise at most: what RAM and swap areas have (__vm_enough_memory, OVERCOMMIT_GUESS). */
  commitLimit(): number;
  /** A cleared frame for a page table. @throws KernelError ENOMEM */
  allocTable(): Pfn;
  /** 2 MiB of zeros that all who hold it share, each with a reference; undefined if there is no room. */
  getHugeZeroPage(): Pfn | undefined;
  putHugeZeroPage(): void;
  /** References to a frame of RAM. */
  getPage(pfn: Pfn): void;
  putPage(pfn: Pfn): void;
  pageCount(pfn: Pfn): number;
  /** As {@link getPage}, for somebody who reads or writes the frame by DMA (FOLL_PIN). */
  pinPage(pfn: Pfn): void;
  unpinPage(pfn: Pfn): void;
  /** May somebody have pinned it (page_maybe_dma_pinned)? */
  maybePinned(pfn: Pfn): boolean;
  /** Take a reference to a frame of device memory, by its owner; `longterm` for good. @throws what DevicePages.getPage throws */
  holdDevicePage(device: DevicePages, pfn: Pfn, longterm: boolean): void;
  putDevicePage(device: DevicePages, pfn: Pfn): void;
  /** How many such references there are to a frame. */
  deviceHolds(pfn: Pfn): number;
  /** Who owns a frame of device memory; undefined if it is none, or has no struct page. */
  deviceOf(pfn: Pfn): DevicePages | undefined;
}

export interface UserPagesNeeds {
  readonly memory: Pick<PhysicalMemory, 'frame' | 'read' | 'clear'>;
  readonly mm: Pick<Mm, 'allocPages' | 'freePages' | 'vmemmap'>;
  readonly devicePages: DevicePagesMap;
  /** Where processes run. */
  readonly nid: NodeId;
  /** A frame that the kernel image sets aside for zeros (empty_zero_page). */
  readonly zeroFrame: Pfn;
  /** Pages of RAM and of swap areas; no limit if left out. */
  readonly commitLimit?: () => number;
}

const HUGE_ORDER = 9;
/** The low bit of page->mapping (PAGE_MAPPING_ANON). */
const MAPPING_ANON = 1;

export function createUserPages({ memory, mm, devicePages, nid, zeroFrame, commitLimit = () => Infinity }: UserPagesNeeds): UserPages {
  let zeroIsClear = false;
  const refs = createPageRefs(mm.vmemmap);
  const deviceHolds = new Map<Pfn, number>();
  let huge: { readonly pfn: Pfn; users: number } | undefined;

  const alloc = (gfp: number, order: number, what: string): Pfn => {
    const pfn = mm.allocPages(gfp, order, nid);
    if (pfn === undefined) throw new KernelError('ENOMEM', `no memory for ${what}`);
    return pfn;
  };

  const words = (pfn: Pfn): Int32Array => mm.vmemmap.pageWords(pfn);
  const countOf = (pfn: Pfn): number => words(pfn)[PAGE_REFCOUNT]!;
  const addToCount = (pfn: Pfn, change: number): void => {
    const count = countOf(pfn);
    bugOn(count + change <= 0, `page pfn:${pfn.toString(16)} has ${count} references, which cannot change by ${change}`);
    words(pfn)[PAGE_REFCOUNT] = count + change;
  };
  const isAnon = (pfn: Pfn): boolean => (words(pfn)[PAGE_MAPPING]! & MAPPING_ANON) !== 0;
  const putPage = (pfn: Pfn): void => {
    if (countOf(pfn) === 1 && isAnon(pfn)) {
      const page = words(pfn);
      page[PAGE_MAPPING] = 0;
      writeWord64(page, PAGE_INDEX, 0n);
    }
    mm.freePages(pfn, 0);
  };

  return {
    memory,
    spaces: new Set(),
    commitLimit,
    zeroPage() {
      if (!zeroIsClear) memory.clear(pfnToPhys(zeroFrame), PAGE_SIZE);
      zeroIsClear = true;
      return zeroFrame;
    },
    isZeroPage: (pfn) => pfn === zeroFrame || (huge !== undefined && pfn >= huge.pfn && pfn < huge.pfn + 2 ** HUGE_ORDER),
    allocAnonPage(index) {
      const pfn = alloc(GFP_HIGHUSER_MOVABLE, 0, 'a user page');
      const page = words(pfn);
      page[PAGE_MAPPING] = MAPPING_ANON;
      writeWord64(page, PAGE_INDEX, BigInt(index));
      return pfn;
    },
    isAnon,
    anonIndex: (pfn) => Number(readWord64(words(pfn), PAGE_INDEX)),
    allocTable() {
      const pfn = alloc(GFP_KERNEL, 0, 'a page table');
      memory.frame(pfn).fill(0);
      return pfn;
    },
    getHugeZeroPage() {
      if (!huge) {
        const pfn = mm.allocPages(GFP_KERNEL, HUGE_ORDER, nid);
        if (pfn === undefined) return undefined;
        memory.clear(pfnToPhys(pfn), PAGE_SIZE * 2 ** HUGE_ORDER);
        huge = { pfn, users: 0 };
      }
      huge.users++;
      return huge.pfn;
    },
    putHugeZeroPage() {
      if (!huge) throw new BugError('nobody holds the huge zero page');
      if (--huge.users > 0) return;
      mm.freePages(huge.pfn, HUGE_ORDER);
      huge = undefined;
    },
    getPage: (pfn) => addToCount(pfn, 1),
    putPage,
    pageCount: countOf,
    pinPage: (pfn) => addToCount(pfn, PIN_BIAS),
    unpinPage(pfn) {
      addToCount(pfn, 1 - PIN_BIAS);
      putPage(pfn);
    },
    maybePinned: (pfn) => countOf(pfn) >= PIN_BIAS,
    holdDevicePage(device, pfn, longterm) {
      device.getPage(pfn, longterm);
      deviceHolds.set(pfn, (deviceHolds.get(pfn) ?? 0) + 1);
    },
    putDevicePage(device, pfn) {
      const left = (deviceHolds.get(pfn) ?? 0) - 1;
      bugOn(left < 0, `frame ${pfn.toString(16)} of ${device.owner} is put once too often`);
      if (left === 0) deviceHolds.delete(pfn);
      else deviceHolds.set(pfn, left);
      device.putPage(pfn);
    },
    deviceHolds: (pfn) => deviceHolds.get(pfn) ?? 0,
    deviceOf: (pfn) => devicePages.at(pfn) ?? (mm.vmemmap.zoneOf(pfn)?.zoneIndex === ZONE_DEVICE ? plainDevicePage(pfn) : undefined),
  };

  /** A frame that nobody told of, but that has a struct page: plain ZONE_DEVICE, whose pages are there as long as the device is. */
  function plainDevicePage(pfn: Pfn): DevicePages {
    return {
      start: pfn,
      end: (pfn + 1) as Pfn,
      owner: 'ZONE_DEVICE',
      pte: 'devmap',
      ioByPfn: false,
      getPage: (frame) => refs.get(frame),
      putPage: (frame) => refs.put(frame),
    };
  }
}
