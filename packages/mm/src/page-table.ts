/**
 * Page tables of one address space: four levels of 512 entries, in frames of the simulated memory.
 * Mirrors mm/pgalloc-track.h, mm/memory.c: __pte_alloc, free_pgtables, and the walks of include/linux/pgtable.h.
 *
 * Invariant: a table other than the root has at least one entry; it goes back to the allocator with its last one. A leaf of level 0, 1 or
 * 2 maps 4 KiB, 2 MiB or 1 GiB, at a virtual address that is a multiple of that.
 * Differs from Linux: tables are freed with their last entry, not at the end of munmap; no TLB, so nothing is ever stale.
 */
import { type Pfn, PAGE_SIZE, bugOn } from '@holdfast/lib';
import { PTE, clearEntry, entryFlags, entryPfn, writeEntry } from './pte.js';

/** 0: a PTE maps 4 KiB; 1: a PMD maps 2 MiB; 2: a PUD maps 1 GiB. */
export type LeafLevel = 0 | 1 | 2;

const ENTRIES = 512;
const ROOT_LEVEL = 3;
/** Bytes that an entry of each level spans. */
const SPAN: readonly number[] = [PAGE_SIZE, PAGE_SIZE * ENTRIES, PAGE_SIZE * ENTRIES ** 2, PAGE_SIZE * ENTRIES ** 3];
/** User addresses end here (TASK_SIZE of 4-level paging). */
export const TASK_SIZE = 2 ** 47 - PAGE_SIZE;
/** Tables on the way to a leaf: present, writable and the user's, whatever the leaf allows. */
const TABLE_FLAGS = PTE.PRESENT | PTE.RW | PTE.USER | PTE.ACCESSED | PTE.DIRTY;

/** Bytes that a leaf maps. */
export function leafSize(level: LeafLevel): number {
  return SPAN[level]!;
}

export interface PageTableNeeds {
  readonly memory: { frame(pfn: number): Uint8Array };
  /** One zeroed frame. @throws KernelError ENOMEM */
  allocTable(): Pfn;
  freeTable(frame: Pfn): void;
}

/** An entry that maps something. */
export interface Leaf {
  readonly level: LeafLevel;
  /** Virtual address of its first byte. */
  readonly start: number;
  /** Its first frame. */
  readonly pfn: Pfn;
  /** Bits of {@link PTE}. */
  readonly flags: number;
}

export interface PageTable {
  /** What CR3 holds: the root's frame. */
  readonly root: Pfn;
  /** Frames that are tables, the root included. */
  readonly nrTables: number;
  /** The leaf that maps an address. */
  find(address: number): Leaf | undefined;
  /** Does the entry of a level that is responsible for an address hold nothing at all: no leaf, no table? */
  isNone(address: number, level: LeafLevel): boolean;
  /** Write a leaf, over one of the same level if there is one. @throws KernelError ENOMEM for want of a table */
  set(address: number, level: LeafLevel, pfn: number, flags: number): void;
  /** Take away all leaves that touch `[start, end)`, and tell `gone` of each: a large one goes whole. */
  clear(start: number, end: number, gone?: (leaf: Leaf) => void): void;
  /** All leaves that touch `[start, end)`, ascending. Only what was visited last may be changed meanwhile. */
  forEach(start: number, end: number, visit: (leaf: Leaf) => void): void;
  /** Give back the root: nothing is mapped any more. */
  free(): void;
}

interface Table {
  readonly frame: Pfn;
  readonly words: Uint32Array;
  used: number;
}

export function createPageTable(needs: PageTableNeeds): PageTable {
  const tables = new Map<number, Table>();

  const makeTable = (): Table => {
    const frame = needs.allocTable();
    const bytes = needs.memory.frame(frame);
    const table = { frame, words: new Uint32Array(bytes.buffer, bytes.byteOffset, 2 * ENTRIES), used: 0 };
    tables.set(frame, table);
    return table;
  };

  const dropTable = (table: Table): void => {
    tables.delete(table.frame);
    needs.freeTable(table.frame);
  };

  const root = makeTable();

  /** The table below an entry, if it names one. */
  const below = ({ words }: Table, index: number): Table | undefined => {
    const flags = entryFlags(words, index);
    return (flags & PTE.PRESENT) !== 0 && (flags & PTE.PSE) === 0 ? tables.get(entryPfn(words, index)) : undefined;
  };

  const leafAt = ({ words }: Table, index: number, level: number, start: number): Leaf | undefined => {
    const flags = entryFlags(words, index);
    return (flags & PTE.PRESENT) === 0 ? undefined : { level: level as LeafLevel, start, pfn: entryPfn(words, index) as Pfn, flags };
  };

  /** Call `visit` for each entry in use of a table that touches `[start, end)`; `base` is the address of its first entry. */
  const walk = (table: Table, level: number, base: number, start: number, end: number, visit: (table: Table, index: number, leaf: Leaf) => void): void => {
    const span = SPAN[level]!;
    const last = Math.min(ENTRIES - 1, Math.ceil((end - base) / span) - 1);
    for (let index = Math.max(0, Math.floor((start - base) / span)); index <= last; index++) {
      const at = base + index * span;
      const lower = level > 0 ? below(table, index) : undefined;
      if (lower !== undefined) walk(lower, level - 1, at, start, end, visit);
      else {
        const leaf = leafAt(table, index, level, at);
        if (leaf !== undefined) visit(table, index, leaf);
      }
      if (lower?.used === 0) {
        dropTable(lower);
        clearEntry(table.words, index);
        table.used--;
      }
    }
  };

  return {
    root: root.frame,
    get nrTables() {
      return tables.size;
    },
    find(address) {
      let table = root;
      for (let level = ROOT_LEVEL; ; level--) {
        const index = indexOf(address, level);
        const lower = level > 0 ? below(table, index) : undefined;
        if (lower === undefined) return leafAt(table, index, level, Math.floor(address / SPAN[level]!) * SPAN[level]!);
        table = lower;
      }
    },
    isNone(address, level) {
      let table = root;
      for (let at = ROOT_LEVEL; at > level; at--) {
        const index = indexOf(address, at);
        const lower = below(table, index);
        if (lower === undefined) return entryFlags(table.words, index) === 0;
        table = lower;
      }
      return entryFlags(table.words, indexOf(address, level)) === 0;
    },
    set(address, level, pfn, flags) {
      bugOn(address % SPAN[level]! !== 0 || address < 0 || address >= 2 ** 47, `a leaf of level ${level} at ${address}`);
      let table = root;
      const made: { readonly above: Table; readonly index: number; readonly table: Table }[] = [];
      try {
        for (let at = ROOT_LEVEL; at > level; at--) {
          const index = indexOf(address, at);
          let lower = below(table, index);
          if (lower === undefined) {
            bugOn(entryFlags(table.words, index) !== 0, `a large leaf is in the way of ${address}`);
            lower = makeTable();
            made.push({ above: table, index, table: lower });
          }
          table = lower;
        }
      } catch (error) {
        for (const { table: unused } of made) dropTable(unused);
        throw error;
      }
      for (const { above, index, table: lower } of made) {
        writeEntry(above.words, index, lower.frame, TABLE_FLAGS);
        above.used++;
      }
      const index = indexOf(address, level);
      bugOn(below(table, index) !== undefined && level > 0, `a table is in the way of a leaf of level ${level} at ${address}`);
      if (entryFlags(table.words, index) === 0) table.used++;
      writeEntry(table.words, index, pfn, flags | PTE.PRESENT | (level > 0 ? PTE.PSE : 0));
    },
    clear(start, end, gone) {
      walk(root, ROOT_LEVEL, 0, start, end, (table, index, leaf) => {
        clearEntry(table.words, index);
        table.used--;
        gone?.(leaf);
      });
    },
    forEach(start, end, visit) {
      walk(root, ROOT_LEVEL, 0, start, end, (_table, _index, leaf) => visit(leaf));
    },
    free() {
      bugOn(tables.size !== 1 || root.used !== 0, `page tables are freed with ${tables.size - 1} tables below the root`);
      dropTable(root);
    },
  };
}

function indexOf(address: number, level: number): number {
  return Math.floor(address / SPAN[level]!) % ENTRIES;
}
