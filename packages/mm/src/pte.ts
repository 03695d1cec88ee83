/**
 * Entries of page tables, as x86-64 keeps them in memory. Mirrors arch/x86/include/asm/pgtable_types.h of 6.1, 4-level paging.
 *
 *   63  62    58       52 51                    12 11  9 8 7   6 5 4   3   2  1  0
 *  ┌───┬─────┬──┬────────┬────────────────────────┬─────┬─┬───┬─┬─┬───┬───┬──┬──┬─┐
 *  │NX │     │DM│        │ frame                  │ SP  │G│PSE│D│A│PCD│PWT│US│RW│P│   DM: devmap, SP: special (bit 9)
 *  └───┴─────┴──┴────────┴────────────────────────┴─────┴─┴───┴─┴─┴───┴───┴──┴──┴─┘
 *
 * Code passes an entry as a frame number and flags; in flags the two bits above the frame take the places 12 and 13, so that they fit a
 * small integer. PSE says that an entry of a middle level maps a large page instead of naming a table; in the lowest level the bit is
 * PAT. User mappings are write-back (slot 0 of the PAT), but for frames that are to be written through (slot 7: PAT, PCD and PWT).
 */

/** Bits of an entry's flags. */
export const PTE = {
  PRESENT: 0x001,
  RW: 0x002,
  USER: 0x004,
  ACCESSED: 0x020,
  DIRTY: 0x040,
  PSE: 0x080,
  /** PAT, PCD and PWT of a 4 KiB entry: slot 7, which Linux keeps for write-through since 4.2. */
  WRITE_THROUGH: 0x098,
  /** There is no struct page behind it that anybody may use (software bit 9). */
  SPECIAL: 0x200,
  /** A page of ZONE_DEVICE (software bit 58). */
  DEVMAP: 0x1000,
  /** No execution (bit 63). */
  NX: 0x2000,
} as const;

const LOW_FLAGS = 0xfff;
const DEVMAP_HI = 1 << (58 - 32);
const NX_HI = 1 << (63 - 32);
/** Of the frame number, the low word of an entry holds so many values. */
const FRAMES_IN_LOW = 2 ** 20;
const FRAME_HI_MASK = FRAMES_IN_LOW - 1;

/** Words are 32 bits, little-endian: entry `index` is words `2 * index` and the next. */
export function writeEntry(words: Uint32Array, index: number, pfn: number, flags: number): void {
  const high = Math.floor(pfn / FRAMES_IN_LOW);
  words[2 * index] = (pfn - high * FRAMES_IN_LOW) * (LOW_FLAGS + 1) + (flags & LOW_FLAGS);
  words[2 * index + 1] = high | ((flags & PTE.DEVMAP) !== 0 ? DEVMAP_HI : 0) | ((flags & PTE.NX) !== 0 ? NX_HI : 0);
}

export function clearEntry(words: Uint32Array, index: number): void {
  words[2 * index] = 0;
  words[2 * index + 1] = 0;
}

export function entryFlags(words: Uint32Array, index: number): number {
  const high = words[2 * index + 1]!;
  return (words[2 * index]! & LOW_FLAGS) | ((high & DEVMAP_HI) !== 0 ? PTE.DEVMAP : 0) | ((high & NX_HI) !== 0 ? PTE.NX : 0);
}

export function entryPfn(words: Uint32Array, index: number): number {
  return (words[2 * index + 1]! & FRAME_HI_MASK) * FRAMES_IN_LOW + (words[2 * index]! >>> 12);
}
