/**
 * Where a new mapping comes to lie. Mirrors mm/mmap.c: arch_get_unmapped_area_topdown; mm/huge_memory.c: __thp_get_unmapped_area, and
 * drivers/dax/device.c: dax_get_unmapped_area, which reckon alike.
 *
 * Differs from Linux: no randomization; there is no other mapping to begin with, neither program nor stack.
 */
import { KernelError, PAGE_SIZE, roundDown, roundUp } from '@holdfast/lib';

/** Where a process without address randomization has room: below its loader. */
export const MMAP_BASE = 0x7ffff7fc9000;
/** mmap_min_addr. */
export const MMAP_MIN_ADDR = 65536;

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The highest free `length` bytes below {@link MMAP_BASE}; `areas` are sorted and disjoint. @throws KernelError ENOMEM */
export function topmostFree(areas: readonly Span[], length: number): number {
  let top = MMAP_BASE;
  for (let i = areas.length - 1; i >= 0; i--) {
    const { start, end } = areas[i]!;
    if (end <= top && top - end >= length) break;
    top = Math.min(top, start);
  }
  const start = roundDown(top - length, PAGE_SIZE);
  if (start < MMAP_MIN_ADDR) throw new KernelError('ENOMEM', `no ${length} bytes of address space are free`);
  return start;
}

/**
 * The same, such that an address lies in its page of `align` bytes as its offset in the file does, unless the mapping holds no such page.
 * @param offset bytes into the file
 */
export function alignedFree(areas: readonly Span[], length: number, offset: number, align: number): number {
  const end = offset + length;
  const firstPage = roundUp(offset, align);
  if (end <= firstPage || end - firstPage < align) return topmostFree(areas, length);
  const address = topmostFree(areas, length + align);
  return address + ((((offset - address) % align) + align) % align);
}
