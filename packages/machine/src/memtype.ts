/**
 * One memory type for each physical byte at a time: the interval list that ioremap and memremap ask.
 * Mirrors arch/x86/mm/pat/memtype.c (memtype_check_conflict) and is_new_memtype_allowed of arch/x86/include/asm/pgtable.h.
 *
 * Invariant: live entries that overlap have the same type.
 */
import { KernelError } from '@holdfast/lib';
import type { MemoryType } from './hardware.js';

export interface MemtypeEntry {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly type: MemoryType;
}

const NAMES: Record<MemoryType, string> = {
  WB: 'write-back',
  WC: 'write-combining',
  'UC-': 'uncached-minus',
  UC: 'uncached',
  WT: 'write-through',
};

/** Asked for, and what must not be given instead. Every other pair is granted with the type that is there. */
const REFUSED: Partial<Record<MemoryType, readonly MemoryType[]>> = { 'UC-': ['WB'], WC: ['WB'], WT: ['WB', 'WC'] };

/**
 * Reserve a range for a mapping, and return the entry with the type that it gets: the one asked for, or that of what is mapped there.
 * @throws KernelError EBUSY on a conflict.
 */
export function reserveMemtype(entries: Set<MemtypeEntry>, start: number, end: number, asked: MemoryType): MemtypeEntry {
  let type = asked;
  const overlapping = [...entries].filter((entry) => entry.start < end && start < entry.end);
  for (const there of overlapping) {
    if (there.type !== overlapping[0]!.type) throw conflict(start, end, overlapping[0]!.type, there.type);
    type = there.type;
  }
  if (REFUSED[asked]?.includes(type) === true) throw conflict(start, end, asked, type);
  const entry = { start, end, type };
  entries.add(entry);
  return entry;
}

function conflict(start: number, end: number, asked: MemoryType, there: MemoryType): KernelError {
  const range = `${start.toString(16)}-${end.toString(16)}`;
  return new KernelError('EBUSY', `conflicting memory types ${range} ${NAMES[asked]}<->${NAMES[there]}`);
}
