/**
 * struct page: 64 bytes for each 4 KiB frame, and the pointers between them.
 * Mirrors include/linux/mm_types.h and asm-generic/memory_model.h (vmemmap) of 6.1, with CONFIG_MEMCG.
 *
 *  byte  0        8          16         24        32       40        48         52         56        64
 *       ┌────────┬──────────┬──────────┬─────────┬────────┬─────────┬──────────┬──────────┬─────────┐
 *  used │ flags  │ lru.next │ lru.prev │ mapping │ index  │ private │ mapcount │ refcount │ memcg   │
 *  free │ flags  │ next     │ prev     │         │        │ order   │ buddy    │ 0        │         │
 *  tail │ flags  │ head | 1 │ dtor …   │ pincount│        │         │ mapcount │ 0        │         │
 *  dev  │ flags  │ pgmap    │ zd_data  │ mapping │ index  │ private │ mapcount │ 1 = idle │         │
 *       └────────┴──────────┴──────────┴─────────┴────────┴─────────┴──────────┴──────────┴─────────┘
 *
 * A memmap is read as 32-bit little-endian words, 16 a page: the constants below are word numbers.
 * Pointers are the real virtual addresses, as two words; `vmemmap + 64 * pfn` makes both directions arithmetic.
 */
import { KernelError, PAGES_PER_SECTION, STRUCT_PAGE_SIZE } from '@holdfast/lib';
import { PG_RESERVED_MASK, type PageFlag, flagsNode, flagsZone, pageFlagNames } from './page-flags.js';

export const WORDS_PER_PAGE = STRUCT_PAGE_SIZE / 4;
export const WORDS_PER_MEMMAP = PAGES_PER_SECTION * WORDS_PER_PAGE;

/** Where each field starts, in 32-bit words, and how many it takes: in order, without a gap. */
export const PAGE_LAYOUT = [
  { name: 'flags', word: 0, words: 2 },
  { name: 'lru.next', word: 2, words: 2 },
  { name: 'lru.prev', word: 4, words: 2 },
  { name: 'mapping', word: 6, words: 2 },
  { name: 'index', word: 8, words: 2 },
  { name: 'private', word: 10, words: 2 },
  { name: 'mapcount', word: 12, words: 1 },
  { name: 'refcount', word: 13, words: 1 },
  { name: 'memcg', word: 14, words: 2 },
] as const;

export const PAGE_FLAGS = 0;
export const PAGE_FLAGS_HI = 1;
export const PAGE_LRU_NEXT = 2;
export const PAGE_LRU_PREV = 4;
export const PAGE_MAPPING = 6;
export const PAGE_INDEX = 8;
export const PAGE_PRIVATE = 10;
/** _mapcount of a page that may be mapped, page_type of one that never is. */
export const PAGE_TYPE = 12;
export const PAGE_MAPCOUNT = PAGE_TYPE;
export const PAGE_REFCOUNT = 13;
export const PAGE_MEMCG = 14;
/** Of a ZONE_DEVICE page: the dev_pagemap it belongs to, in the place of lru.next. */
export const PAGE_PGMAP = PAGE_LRU_NEXT;
export const PAGE_ZONE_DEVICE_DATA = PAGE_LRU_PREV;

/** page_type of the first page of a free block: all ones but PG_buddy. */
export const PAGE_TYPE_BUDDY = ~0x80;
/** _mapcount of a page that nothing maps. */
/** A frame that is there and must not be touched: the hypervisor took it back (PG_offline). */
export const PAGE_TYPE_OFFLINE = ~0x100;
export const PAGE_UNMAPPED = -1;

/** lru.next and lru.prev after list_del: 0xdead000000000100 and 0xdead000000000122. */
export const LIST_POISON_HI = 0xdead0000 | 0;
export const LIST_POISON1_LO = 0x100;
export const LIST_POISON2_LO = 0x122;

/** vmemmap_base without KASLR, 4-level and 5-level paging. */
export const VMEMMAP_BASE_L4 = 0xffffea0000000000n;
export const VMEMMAP_BASE_L5 = 0xffd4000000000000n;
/** page_offset_base: where the kernel maps physical address 0. */
export const DIRECT_MAP_BASE_L4 = 0xffff888000000000n;
export const DIRECT_MAP_BASE_L5 = 0xff11000000000000n;

/** The address of a frame's struct page (pfn_to_page), valid or not. */
export function pfnToPage(base: bigint, pfn: number): bigint {
  return base + BigInt(pfn) * BigInt(STRUCT_PAGE_SIZE);
}

/** The frame of a struct page's address (page_to_pfn). @throws KernelError EFAULT if no struct page can start there. */
export function pageToPfn(base: bigint, page: bigint): number {
  const offset = page - base;
  if (offset < 0n || offset % BigInt(STRUCT_PAGE_SIZE) !== 0n) {
    throw new KernelError('EFAULT', `0x${page.toString(16)} is no struct page: expected 0x${base.toString(16)} + 64 * pfn`);
  }
  return Number(offset / BigInt(STRUCT_PAGE_SIZE));
}

/** Store a 64-bit value in two words. */
export function writeWord64(words: Int32Array, at: number, value: bigint): void {
  words[at] = Number(BigInt.asIntN(32, value));
  words[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/** Load a 64-bit value from two words, unsigned. */
export function readWord64(words: Int32Array, at: number): bigint {
  return (BigInt(words[at + 1]! >>> 0) << 32n) | BigInt(words[at]! >>> 0);
}

/** What a struct page says, for people. 64-bit fields are bigints, unsigned. */
export interface PageRecord {
  readonly pfn: number;
  readonly flags: bigint;
  readonly flagNames: readonly PageFlag[];
  readonly nid: number;
  readonly zoneIndex: number;
  readonly reserved: boolean;
  readonly lruNext: bigint;
  readonly lruPrev: bigint;
  readonly mapping: bigint;
  readonly index: bigint;
  readonly private: bigint;
  readonly mapcount: number;
  readonly refcount: number;
  /** The order of the free block that starts here (PageBuddy), else undefined. */
  readonly buddyOrder: number | undefined;
}

/** Decode the struct page at word `at` of a memmap. */
export function decodePage(words: Int32Array, at: number, pfn: number): PageRecord {
  const flagsLo = words[at + PAGE_FLAGS]!;
  const flagsHi = words[at + PAGE_FLAGS_HI]!;
  const free = words[at + PAGE_TYPE] === PAGE_TYPE_BUDDY;
  return {
    pfn,
    flags: readWord64(words, at + PAGE_FLAGS),
    flagNames: pageFlagNames(flagsLo),
    nid: flagsNode(flagsHi),
    zoneIndex: flagsZone(flagsHi),
    reserved: (flagsLo & PG_RESERVED_MASK) !== 0,
    lruNext: readWord64(words, at + PAGE_LRU_NEXT),
    lruPrev: readWord64(words, at + PAGE_LRU_PREV),
    mapping: readWord64(words, at + PAGE_MAPPING),
    index: readWord64(words, at + PAGE_INDEX),
    private: readWord64(words, at + PAGE_PRIVATE),
    mapcount: words[at + PAGE_MAPCOUNT]!,
    refcount: words[at + PAGE_REFCOUNT]!,
    buddyOrder: free ? words[at + PAGE_PRIVATE]! : undefined,
  };
}
