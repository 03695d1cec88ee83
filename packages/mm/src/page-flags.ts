/**
 * The flags word of struct page: state bits below, node and zone links above.
 * Mirrors include/linux/page-flags.h and page-flags-layout.h of 6.1, for NODES_SHIFT 10, vmemmap (no section field) and the multi-gen LRU.
 *
 *   63        54 53  51 50             30 29 27 26 25 24            0
 *  ┌────────────┬──────┬─────────────────┬─────┬─────┬───────────────┐
 *  │ node       │ zone │ lastcpupid      │ gen │ tier│ PG_… bits     │
 *  └────────────┴──────┴─────────────────┴─────┴─────┴───────────────┘
 *
 * The word is kept as two 32-bit halves: every link above bit 32 but for two bits of lastcpupid.
 */
export const PG = {
  locked: 0,
  referenced: 1,
  uptodate: 2,
  dirty: 3,
  lru: 4,
  active: 5,
  workingset: 6,
  waiters: 7,
  error: 8,
  slab: 9,
  owner_priv_1: 10,
  arch_1: 11,
  reserved: 12,
  private: 13,
  private_2: 14,
  writeback: 15,
  head: 16,
  mappedtodisk: 17,
  reclaim: 18,
  swapbacked: 19,
  unevictable: 20,
  mlocked: 21,
  uncached: 22,
  hwpoison: 23,
  arch_2: 24,
} as const;
export type PageFlag = keyof typeof PG;

export const NR_PAGEFLAGS = 25;
export const NODES_WIDTH = 10;
export const ZONES_WIDTH = 3;
export const LAST_CPUPID_WIDTH = 21;
export const NODES_PGSHIFT = 54;
export const ZONES_PGSHIFT = 51;
export const LAST_CPUPID_PGSHIFT = 30;

const LAST_CPUPID_NONE_LO = 0xc0000000 | 0; // its two low bits, set: no CPU has touched the page
const LAST_CPUPID_NONE_HI = 0x7ffff;

/** The low half of a new page's flags: no state, lastcpupid unset. */
export const NEW_PAGE_FLAGS_LO = LAST_CPUPID_NONE_LO;
export const PG_RESERVED_MASK = 1 << PG.reserved;
export const PG_LRU_MASK = 1 << PG.lru;
export const PG_HWPOISON_MASK = 1 << PG.hwpoison;

/** The high half of a new page's flags: its node and zone (set_page_links). */
export function pageLinks(nid: number, zoneIndex: number): number {
  return (nid << (NODES_PGSHIFT - 32)) | (zoneIndex << (ZONES_PGSHIFT - 32)) | LAST_CPUPID_NONE_HI;
}

/** The node in the high half of a flags word (page_to_nid). */
export function flagsNode(flagsHi: number): number {
  return flagsHi >>> (NODES_PGSHIFT - 32);
}

/** The zone index in the high half of a flags word (page_zonenum). */
export function flagsZone(flagsHi: number): number {
  return (flagsHi >>> (ZONES_PGSHIFT - 32)) & ((1 << ZONES_WIDTH) - 1);
}

/** The names of the state bits that are set, in bit order, as the kernel dumps them. */
export function pageFlagNames(flagsLo: number): PageFlag[] {
  const names: PageFlag[] = [];
  for (const [name, bit] of Object.entries(PG)) {
    if ((flagsLo >>> bit) & 1) names.push(name as PageFlag);
  }
  return names;
}
