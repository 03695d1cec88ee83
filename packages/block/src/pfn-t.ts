/**
 * pfn_t: a frame number that says what stands behind it. Mirrors include/linux/pfn_t.h (4.5 to 6.16), the survivor of Dan Williams'
 * `__pfn_t` of 2015, with which bio_vec and scatterlist were to name frames that have no struct page.
 *
 *      63         62       61    60    59                  51 ... 0
 *   ┌──────────┬─────────┬─────┬─────┬─────────┬─────────┬──────────┐
 *   │ SG_CHAIN │ SG_LAST │ DEV │ MAP │ SPECIAL │ 7 bits 0│ frame    │
 *   └──────────┴─────────┴─────┴─────┴─────────┴─────────┴──────────┘
 *
 * Inside, frame and flags are two plain numbers: `flags` is the top 12 bits. Only the word itself, where it lies in memory, is a bigint.
 *
 * Invariant: decoding an encoded word gives the frame and the flags back.
 */
import { KernelError } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';

/** Bits of a pfn_t's flags, counted from bit 52 of the word on. */
export const PFN = {
  /** The frame holds the next entries of a scatterlist. */
  SG_CHAIN: 1 << 11,
  /** The last entry of a scatterlist. */
  SG_LAST: 1 << 10,
  /** Memory of a device: it has a struct page only with MAP. */
  DEV: 1 << 9,
  /** It has a struct page. */
  MAP: 1 << 8,
  /** To be mapped by a special page table entry even though it has a struct page. */
  SPECIAL: 1 << 7,
} as const;

const FLAGS_SHIFT = 52n;
const FRAME_MASK = (1n << FLAGS_SHIFT) - 1n;
const KNOWN = PFN.SG_CHAIN | PFN.SG_LAST | PFN.DEV | PFN.MAP | PFN.SPECIAL;

/** Is there a struct page behind a frame with these flags (pfn_t_has_page)? */
export function pfnHasPage(flags: number): boolean {
  return (flags & (PFN.DEV | PFN.MAP)) !== PFN.DEV;
}

/** Is it mapped by a devmap entry, for get_user_pages to find its device (pfn_t_devmap)? */
export function pfnIsDevmap(flags: number): boolean {
  return (flags & (PFN.DEV | PFN.MAP)) === (PFN.DEV | PFN.MAP);
}

/** The word for a frame. */
export function encodePfnT(pfn: Pfn, flags: number): bigint {
  return (BigInt(flags) << FLAGS_SHIFT) | BigInt(pfn);
}

/** @throws KernelError EINVAL for a bit that means nothing */
export function decodePfnT(word: bigint): { pfn: Pfn; flags: number } {
  const flags = Number(word >> FLAGS_SHIFT);
  if ((flags & ~KNOWN) !== 0) throw new KernelError('EINVAL', `pfn_t 0x${word.toString(16)}: bits 52 to 58 must be 0`);
  return { pfn: Number(word & FRAME_MASK) as Pfn, flags };
}
