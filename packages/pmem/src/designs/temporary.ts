/**
 * Struct pages lent to frames for as long as I/O is in flight: a pool of K of them, whatever the size of the device. Mentioned in the thread
 * of April 2015 (row 18), and never written; get_user_pages borrows one for each frame, and its last reference gives it back.
 *
 *   frame ──hash──▶ slot ──64 · slot──▶ struct page: pgmap = the pool, index = the frame, refcount = its references
 *
 * Invariant: each struct page is free, with no references, or lent to one frame, and a frame has at most one. While somebody waits for a
 * struct page, none is free. Lending takes no memory: the pool and its tables are made when the device is attached.
 */
import { KernelError, bugOn, hex, physToPfn } from '@holdfast/lib';
import type { Pfn, PhysAddr } from '@holdfast/lib';
import { PAGE_INDEX, PAGE_REFCOUNT, writeWord64 } from '@holdfast/mm';
import type { AttachedPages, DesignDevice, PageDesign, PageHost } from '../page-design.js';
import { checkIdle } from './counted-pages.js';
import { allocPageArray, initDevicePage, wordOf } from './page-array.js';

/** Struct pages of a pool: 64 KiB of RAM. An O_DIRECT bio has at most 256. */
const DEFAULT_POOL_PAGES = 1024;
/** 64 MiB of RAM, and more I/O in flight than any host has. */
const MAX_POOL_PAGES = 2 ** 20;
const NONE = -1;

export interface LentPages extends AttachedPages {
  /** Struct pages that are lent now. */
  readonly lent: number;
  /**
   * As `pages.getPage`, for those who can wait: `granted` is called when the reference is theirs, at once or when a struct page comes back.
   * Whoever came first is served first. @throws KernelError EFAULT for a frame that is not the device's
   */
  getPageWait(pfn: Pfn, granted: () => void): void;
  /** Where the struct page of a frame lies, if it has one now (pfn_to_page). */
  pageOf(pfn: Pfn): PhysAddr | undefined;
  /** The frame that a struct page is lent to (page_to_pfn); undefined if it is free or none of the pool's. */
  frameOf(page: PhysAddr): Pfn | undefined;
}

export const temporaryPages = {
  name: 'temporary',
  summary: 'a pool of struct pages, lent to frames while I/O is in flight',
  attach: attachPool,
} satisfies PageDesign;

function attachPool(device: DesignDevice, host: PageHost): LentPages {
  const { name, sizeBytes, nid, options } = device;
  const start = physToPfn(device.start);
  const end = physToPfn((device.start + sizeBytes) as PhysAddr);
  const size = options.poolPages ?? DEFAULT_POOL_PAGES;
  if (size > MAX_POOL_PAGES) throw new KernelError('EINVAL', `${name}: a pool of ${size} struct pages: expected at most ${MAX_POOL_PAGES}`);
  const array = allocPageArray(host, name, nid, size, (words, at, _index, phys) => initDevicePage(words, at, { array: phys, nid, frame: 0, refcount: 0 }));
  const slots = createSlots(size);
  const slotOfPage = new Map<number, number>();
  for (let slot = 0; slot < size; slot++) {
    array.words(slot); // made now, not in the I/O path
    slotOfPage.set(array.phys(slot), slot);
  }
  const waiting: { readonly pfn: Pfn; readonly granted: () => void }[] = [];
  let held = 0;

  const addRef = (slot: number, change: number): number => {
    const words = array.words(slot);
    return (words[wordOf(slot) + PAGE_REFCOUNT]! += change);
  };
  const check = (pfn: Pfn): void => {
    if (pfn < start || pfn >= end) throw new KernelError('EFAULT', `${name}: pfn ${hex(pfn)} is not its`);
  };
  /** Take a reference, with a struct page from the pool if the frame has none; false if all are lent. */
  const tryGet = (pfn: Pfn): boolean => {
    let slot = slots.find(pfn);
    if (slot === NONE) {
      slot = slots.take(pfn);
      if (slot === NONE) return false;
      writeWord64(array.words(slot), wordOf(slot) + PAGE_INDEX, BigInt(pfn - start));
    }
    addRef(slot, 1);
    held++;
    return true;
  };

  return {
    dataOffset: 0,
    dataSize: sizeBytes,
    pages: {
      start,
      end,
      owner: name,
      pte: 'devmap',
      ioByPfn: false,
      getPage(pfn, longterm) {
        check(pfn);
        if (longterm) throw new KernelError('EOPNOTSUPP', `${name}: struct pages are lent while I/O is in flight, and not for good`);
        if (!tryGet(pfn)) throw new KernelError('EAGAIN', `${name}: all ${size} struct pages of the pool are lent: see pmem.pool_pages`);
      },
      putPage(pfn) {
        const slot = slots.find(pfn);
        bugOn(slot === NONE, `${name}: pfn ${hex(pfn)} is given back, and has no struct page`);
        held--;
        if (addRef(slot, -1) > 0) return;
        slots.giveBack(slot);
        for (let next = waiting[0]; next && tryGet(next.pfn); next = waiting[0]) {
          waiting.shift();
          next.granted();
        }
      },
    },
    get lent() {
      return slots.used;
    },
    getPageWait(pfn, granted) {
      check(pfn);
      // Nobody overtakes those who wait, but for a frame that has its page anyway.
      if ((waiting.length === 0 || slots.find(pfn) !== NONE) && tryGet(pfn)) granted();
      else waiting.push({ pfn, granted });
    },
    pageOf(pfn) {
      const slot = slots.find(pfn);
      return slot === NONE ? undefined : array.phys(slot);
    },
    frameOf(page) {
      const slot = slotOfPage.get(page);
      return slot === undefined ? undefined : slots.frameOf(slot);
    },
    ramPageBytes: () => array.ramBytes,
    devicePageBytes: () => 0,
    held: () => held,
    makeAllReady: () => undefined,
    detach() {
      checkIdle(name, held);
      array.free();
    },
  };
}

/** Which slot is lent to which frame: a chained hash over flat arrays. */
interface Slots {
  readonly used: number;
  /** The slot of a frame, or -1. */
  find(pfn: Pfn): number;
  /** Lend a free slot to a frame that has none; -1 if there is none. */
  take(pfn: Pfn): number;
  giveBack(slot: number): void;
  frameOf(slot: number): Pfn | undefined;
}

function createSlots(size: number): Slots {
  const nrBuckets = 2 ** Math.ceil(Math.log2(size + 1));
  const buckets = new Int32Array(nrBuckets).fill(NONE);
  /** The next slot of the same bucket, or of the free list. */
  const next = Int32Array.from({ length: size }, (_, slot) => (slot + 1 < size ? slot + 1 : NONE));
  const frames = new Float64Array(size).fill(NONE);
  let firstFree = 0;
  let used = 0;
  const bucketOf = (pfn: number): number => pfn % nrBuckets;

  return {
    get used() {
      return used;
    },
    find(pfn) {
      let slot = buckets[bucketOf(pfn)]!;
      while (slot !== NONE && frames[slot] !== pfn) slot = next[slot]!;
      return slot;
    },
    take(pfn) {
      const slot = firstFree;
      if (slot === NONE) return NONE;
      firstFree = next[slot]!;
      next[slot] = buckets[bucketOf(pfn)]!;
      buckets[bucketOf(pfn)] = slot;
      frames[slot] = pfn;
      used++;
      return slot;
    },
    giveBack(slot) {
      const bucket = bucketOf(frames[slot]!);
      if (buckets[bucket] === slot) {
        buckets[bucket] = next[slot]!;
      } else {
        let before = buckets[bucket]!;
        while (next[before] !== slot) before = next[before]!;
        next[before] = next[slot]!;
      }
      frames[slot] = NONE;
      next[slot] = firstFree;
      firstFree = slot;
      used--;
    },
    frameOf: (slot) => (frames[slot] === NONE ? undefined : (frames[slot] as Pfn)),
  };
}
