/**
 * What DAX remembers of a page of a file: no page, but a number in the file's index. Mirrors fs/dax.c: dax_make_entry (6.1).
 *
 *   value:  frame << 4 │ EMPTY 8 │ ZERO 4 │ PMD 2 │ LOCKED 1        as the index's word: value << 1 │ 1
 *
 * An entry of a PMD stands for 512 pages, at the index of the first.
 */
import type { Pfn } from '@holdfast/lib';

export const DAX_ENTRY = { LOCKED: 1, PMD: 2, ZERO: 4, EMPTY: 8 } as const;

const FLAG_VALUES = 16;

export function daxMakeEntry(pfn: number, flags: number): number {
  return pfn * FLAG_VALUES + flags;
}

export function daxEntryPfn(entry: number): Pfn {
  return Math.floor(entry / FLAG_VALUES) as Pfn;
}

export function daxEntryHas(entry: number, flag: number): boolean {
  return (entry % FLAG_VALUES & flag) !== 0;
}

/** The word of the index that holds an entry (xa_mk_value). */
export function daxEntryWord(entry: number): bigint {
  return BigInt(entry) * 2n + 1n;
}
