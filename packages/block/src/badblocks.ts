/**
 * The list of sectors of a disk that cannot be read. Mirrors block/badblocks.c.
 *
 * Linux keeps one page of 64-bit entries: bit 63 acknowledged, bits 62 to 9 start, bits 8 to 0 length - 1. Hence the two limits here.
 *
 * Invariant: entries are sorted and disjoint, each of at most 512 sectors, and there are at most 512 of them.
 */
import { KernelError } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';

const MAX_ENTRIES = 512;
const MAX_ENTRY_SECTORS = 512;

/** All numbers are 512-byte sectors of the disk. */
export interface Badblocks {
  /** Number of entries; 0 on a healthy disk, so that the data path need not look further. */
  readonly count: number;
  /** Mark `[start, start + nrSectors)` bad. Returns false, having marked what fits, if the table is full. */
  set(start: number, nrSectors: number): boolean;
  /** Unmark; what would need another entry in a full table stays marked, and false is returned. */
  clear(start: number, nrSectors: number): boolean;
  /** The first bad sector of the range, and how many from there on are bad in its entry; undefined if all are good. */
  check(start: number, nrSectors: number): { readonly firstBad: number; readonly nrBad: number } | undefined;
  entries(): readonly (readonly [start: number, nrSectors: number])[];
}

interface Entry {
  readonly start: number;
  readonly end: number;
}

export function createBadblocks(): Badblocks {
  let entries: Entry[] = [];
  // A plain field, not a getter: the data path reads it for each bio.
  const list = { count: 0 };

  /** Take over a new set of disjoint ranges, cut to the length of an entry; false if there are too many. */
  const replace = (ranges: readonly Entry[]): boolean => {
    const cut = mergeTouching(ranges).flatMap(cutToEntries);
    if (cut.length > MAX_ENTRIES) return false;
    entries = cut;
    list.count = cut.length;
    return true;
  };

  return Object.assign(list, {
    set(start, nrSectors) {
      // Piece by piece, so that a full table takes what it can.
      return cutToEntries({ start, end: start + nrSectors }).every((piece) => replace([...entries, piece]));
    },
    clear(start, nrSectors) {
      const end = start + nrSectors;
      const left = entries.flatMap((entry) => [
        { start: entry.start, end: Math.min(entry.end, start) },
        { start: Math.max(entry.start, end), end: entry.end },
      ]);
      return replace(left.filter((piece) => piece.start < piece.end));
    },
    check(start, nrSectors) {
      const hit = entries.find((entry) => entry.start < start + nrSectors && start < entry.end);
      if (!hit) return undefined;
      const firstBad = Math.max(hit.start, start);
      return { firstBad, nrBad: hit.end - firstBad };
    },
    entries: () => entries.map(({ start, end }) => [start, end - start] as const),
  } satisfies Omit<Badblocks, 'count'>);
}

function mergeTouching(ranges: readonly Entry[]): Entry[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

function cutToEntries({ start, end }: Entry): Entry[] {
  const pieces: Entry[] = [];
  for (let at = start; at < end; at += MAX_ENTRY_SECTORS) pieces.push({ start: at, end: Math.min(at + MAX_ENTRY_SECTORS, end) });
  return pieces;
}

/** The disk's `badblocks` file: lines `start length`; such a line written to it marks those sectors (badblocks_show, badblocks_store). */
export function badblocksAttribute(badblocks: Badblocks): Attribute {
  return {
    name: 'badblocks',
    mode: 0o644,
    show: () => badblocks.entries().map(([start, nrSectors]) => `${start} ${nrSectors}\n`).join(''),
    store(text) {
      const match = /^\s*(\d+)\s+(\d+)\s*$/.exec(text);
      const [start, nrSectors] = [Number(match?.[1]), Number(match?.[2])];
      if (!(nrSectors > 0) || !Number.isSafeInteger(start + nrSectors)) {
        throw new KernelError('EINVAL', `badblocks '${text.trim()}': expected a first sector and a number of sectors`);
      }
      if (!badblocks.set(start, nrSectors)) throw new KernelError('ENOSPC', `badblocks: more than ${MAX_ENTRIES} entries`);
    },
  };
}
