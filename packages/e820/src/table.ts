/**
 * The memory map and its edits.
 * Mirrors arch/x86/kernel/e820.c: e820__range_add, e820__range_update, e820__range_remove, e820__mapped_any, e820__mapped_all.
 *
 * Invariant: none on order. Edits append and leave overlaps; {@link updateTable} sorts and decides. Arithmetic is modulo 2^64, as in the
 * kernel, so that a range at the very end of the address space is edited as Linux edits it.
 */
import { KERN, bugOn, memRange } from '@holdfast/lib';
import type { E820Entry } from './entry.js';
import { type E820Log, e820Prefix, printE820Remove, printE820Update } from './log.js';
import { U64_MAX, lastByte, maxU64, minU64, u64 } from './u64.js';

export interface E820Table {
  entries: E820Entry[];
  /** What does not fit is dropped, with a line. */
  readonly capacity: number;
}

/** 128 entries of the zero page and three for each node that a distribution's kernel allows. */
export const E820_MAX_ENTRIES = 128 + 3 * 1024;

export function createE820Table(entries: readonly E820Entry[] = [], capacity = E820_MAX_ENTRIES): E820Table {
  return { entries: entries.slice(0, capacity), capacity };
}

/** Append a range; overlaps are settled by the next {@link updateTable}. */
export function rangeAdd(table: E820Table, addr: bigint, size: bigint, type: number, log: E820Log): void {
  if (table.entries.length >= table.capacity) {
    log.printk(`${e820Prefix(log.release)}too many entries; ignoring ${memRange(addr, lastByte(addr, size))}`, KERN.err);
    return;
  }
  table.entries.push({ addr, size, type });
}

/**
 * Retype what of `[start, start + size)` has the type `oldType`; says so in the log, whether or not anything has.
 * Returns the number of bytes that changed.
 */
export function rangeUpdate(table: E820Table, start: bigint, size: bigint, oldType: number, newType: number, log: E820Log): bigint {
  bugOn(oldType === newType, `e820 update of type ${oldType} to itself`);
  const end = start + minU64(size, U64_MAX - start);
  printE820Update(start, end, oldType, newType, log);
  return cutRange(table, start, end, {
    hits: (type) => type === oldType,
    whole: (entry) => ({ ...entry, type: newType }),
    part: (addr, bytes) => rangeAdd(table, addr, bytes, newType, log),
    tail: (addr, bytes, type) => rangeAdd(table, addr, bytes, type, log),
  });
}

/**
 * Drop what of `[start, start + size)` has the type `oldType`, or all of it if `oldType` is undefined; says so in the log.
 * An entry that goes whole stays behind as zeros until the next {@link updateTable}. Returns the number of bytes that went.
 */
export function rangeRemove(table: E820Table, start: bigint, size: bigint, oldType: number | undefined, log: E820Log): bigint {
  const end = start + minU64(size, U64_MAX - start);
  printE820Remove(start, end, oldType, log);
  return cutRange(table, start, end, {
    hits: (type) => oldType === undefined || type === oldType,
    whole: () => ({ addr: 0n, size: 0n, type: 0 }),
    part: () => undefined,
    tail: (addr, bytes, type) => rangeAdd(table, addr, bytes, type, log),
  });
}

/** What an edit does with the entries it meets. */
interface RangeCut {
  hits(type: number): boolean;
  /** What becomes of an entry that lies in the range. */
  whole(entry: E820Entry): E820Entry;
  /** Called with the part of an entry that was cut off it. */
  part(addr: bigint, size: bigint): void;
  /** Called with what an entry keeps behind the range, after {@link part}; its head keeps the entry's place. */
  tail(addr: bigint, size: bigint, type: number): void;
}

/** Walk all entries, those appended on the way too, as the kernel does. */
function cutRange(table: E820Table, start: bigint, end: bigint, cut: RangeCut): bigint {
  let changed = 0n;
  for (let i = 0; i < table.entries.length; i++) {
    const entry = table.entries[i]!;
    if (!cut.hits(entry.type)) continue;
    const entryEnd = u64(entry.addr + entry.size);

    if (entry.addr >= start && entryEnd <= end) {
      table.entries[i] = cut.whole(entry);
      changed += entry.size;
      continue;
    }
    if (entry.addr < start && entryEnd > end) {
      cut.part(start, end - start);
      cut.tail(end, entryEnd - end, entry.type);
      table.entries[i] = { ...entry, size: start - entry.addr };
      changed += end - start;
      continue;
    }
    const from = maxU64(start, entry.addr);
    const to = minU64(end, entryEnd);
    if (from >= to) continue;
    cut.part(from, to - from);
    changed += to - from;
    table.entries[i] = { addr: entry.addr < from ? entry.addr : to, size: u64(entry.size - (to - from)), type: entry.type };
  }
  return u64(changed);
}

/** Does any entry of that type (of any, if undefined) overlap `[start, end)`? */
export function mappedAny(table: E820Table, start: bigint, end: bigint, type?: number): boolean {
  return table.entries.some((entry) => (type === undefined || entry.type === type) && overlaps(entry, start, end));
}

/** Do entries of that type (of any, if undefined) cover all of `[start, end)`? The table must be sorted there. */
export function mappedAll(table: E820Table, start: bigint, end: bigint, type?: number): boolean {
  for (const entry of table.entries) {
    if (type !== undefined && entry.type !== type) continue;
    if (!overlaps(entry, start, end)) continue;
    if (entry.addr <= start) start = u64(entry.addr + entry.size);
    if (start >= end) return true;
  }
  return false;
}

function overlaps(entry: E820Entry, start: bigint, end: bigint): boolean {
  return entry.addr < end && u64(entry.addr + entry.size) > start;
}
