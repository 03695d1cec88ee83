/**
 * What memblock is told of the map. Mirrors arch/x86/kernel/e820.c: e820__memblock_setup (memblock_x86_fill before 4.12).
 *
 * Here bigints end: no x86 has more than 52 physical address bits, and what firmware or a user claims beyond them is cut off.
 */
import type { E820Entry } from './entry.js';
import type { E820Table } from './table.js';
import { E820_TYPE_RAM, E820_TYPE_RESERVED_KERN, E820_TYPE_SOFT_RESERVED } from './types.js';
import { minU64 } from './u64.js';

const PHYS_LIMIT = 2n ** 52n;

export interface MemblockRange {
  /** In bytes, not rounded to pages: memblock does that itself. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** `memory` for memblock_add, `reserve` for memblock_reserve (soft-reserved ranges are reserved without being memory). */
  readonly kind: 'memory' | 'reserve';
}

/** The ranges to add and to reserve, in table order. */
export function memblockRangesOf(table: E820Table): MemblockRange[] {
  return table.entries.flatMap((entry) => {
    const kind = memblockKind(entry.type);
    const range = toPhysRange(entry);
    return kind && range ? [{ ...range, kind }] : [];
  });
}

function memblockKind(type: number): MemblockRange['kind'] | undefined {
  if (type === E820_TYPE_RAM || type === E820_TYPE_RESERVED_KERN) return 'memory';
  return type === E820_TYPE_SOFT_RESERVED ? 'reserve' : undefined;
}

/** The part of an entry below 2^52 as numbers, or undefined if there is none. */
function toPhysRange({ addr, size }: E820Entry): { start: number; end: number } | undefined {
  const end = minU64(addr + size, PHYS_LIMIT);
  return addr < end ? { start: Number(addr), end: Number(end) } : undefined;
}
