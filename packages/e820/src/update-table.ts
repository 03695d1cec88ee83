/**
 * Sorting the map and settling its overlaps: the highest type number wins.
 * Mirrors arch/x86/kernel/e820.c: e820__update_table (sanitize_e820_map before 4.12).
 *
 * Invariant: after a successful update the entries are sorted, disjoint and not empty, and updating again changes nothing.
 */
import type { KernelRelease } from '@holdfast/lib';
import type { E820Entry } from './entry.js';
import type { E820Table } from './table.js';
import { isNoMergeType } from './types.js';
import { u64 } from './u64.js';

/**
 * Sort the table and settle its overlaps.
 * Returns false, and leaves the table as it is, if it has fewer than two entries or one that wraps around 2^64.
 */
export function updateTable(table: E820Table, release: KernelRelease): boolean {
  const { entries } = table;
  if (entries.length < 2 || entries.some(wraps)) return false;
  table.entries = sweep(entries, release).slice(0, table.capacity);
  return true;
}

/** An entry that ends at 2^64 counts too: its end is 0. */
function wraps({ addr, size }: E820Entry): boolean {
  return u64(addr + size) < addr;
}

interface ChangePoint {
  readonly addr: bigint;
  readonly type: number;
  readonly isStart: boolean;
}

function changePoints(entries: readonly E820Entry[]): ChangePoint[] {
  const points = entries
    .filter(({ size }) => size !== 0n)
    .flatMap(({ addr, size, type }) => [
      { addr, type, isStart: true },
      { addr: addr + size, type, isStart: false },
    ]);
  // At one address starts come first, so that touching ranges are open together for a moment and merge.
  return points.sort((a, b) => (a.addr !== b.addr ? (a.addr < b.addr ? -1 : 1) : Number(b.isStart) - Number(a.isStart)));
}

/**
 * Go through the change points and emit a piece wherever the winning type changes.
 * While a type wins that must not merge, every point cuts, even the end of an entry that it beats.
 */
function sweep(entries: readonly E820Entry[], release: KernelRelease): E820Entry[] {
  const pieces: E820Entry[] = [];
  const open = new Map<number, number>();
  let piece = { addr: 0n, type: 0 };
  for (const point of changePoints(entries)) {
    changeOpen(open, point.type, point.isStart ? 1 : -1);
    const winner = highestType(open);
    if (winner === piece.type && !isNoMergeType(winner, release)) continue;
    if (piece.type !== 0 && point.addr > piece.addr) pieces.push({ ...piece, size: point.addr - piece.addr });
    piece = { addr: point.addr, type: winner };
  }
  return pieces;
}

/** Count an entry's type in or out of the ones that are open; a map has few types, however many entries. */
function changeOpen(open: Map<number, number>, type: number, by: 1 | -1): void {
  const count = (open.get(type) ?? 0) + by;
  if (count === 0) open.delete(type);
  else open.set(type, count);
}

/** 0 if none is open. */
function highestType(open: ReadonlyMap<number, number>): number {
  let highest = 0;
  for (const type of open.keys()) highest = Math.max(highest, type);
  return highest;
}
