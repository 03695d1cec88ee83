/**
 * All mappings of one file, in whatever process: how entries are found from the file's side.
 * Mirrors struct address_space's i_mmap; mm/memory.c: unmap_mapping_range, zap_pte_range; mm/rmap.c: page_mkclean_one, pfn_mkclean_range,
 * rmap_walk_file.
 *
 * Invariant: holds an area exactly while the area is part of a process.
 */
import { PAGE_SIZE, type Pfn } from '@holdfast/lib';
import { PTE } from './pte.js';
import { type Leaf, type PageTable, leafSize } from './page-table.js';
import { type VmArea, VM } from './vm-area.js';

/** An entry of somebody's page table. */
export interface MappedEntry {
  readonly pageTable: PageTable;
  readonly leaf: Leaf;
}

export interface FileMmaps {
  readonly areas: Iterable<VmArea>;
  add(vma: VmArea): void;
  remove(vma: VmArea): void;
  /** Take pages `[first, first + count)` of the file out of all processes; with `evenCows` also private copies. A touch faults again. */
  unmapRange(first: number, count: number, evenCows?: boolean): void;
  /** Make shared entries of pages `[first, first + count)` read-only and clean; how many were not (the next store faults again). */
  mkclean(first: number, count: number): number;
  /** The entries of 4 KiB that show a page of the file by this frame. */
  entriesOf(index: number, pfn: Pfn): MappedEntry[];
}

export function createFileMmaps(): FileMmaps {
  const areas = new Set<VmArea>();
  /** The addresses of each area that show pages of the range. */
  const eachPart = (first: number, count: number, use: (vma: VmArea, start: number, end: number) => void): void => {
    if (areas.size === 0) return;
    for (const vma of [...areas]) {
      const start = vma.start + Math.max(0, first - vma.pgoff) * PAGE_SIZE;
      const end = Math.min(vma.end, vma.start + (first + count - vma.pgoff) * PAGE_SIZE);
      if (start < end) use(vma, start, end);
    }
  };
  return {
    areas,
    add: (vma) => void areas.add(vma),
    remove: (vma) => void areas.delete(vma),
    unmapRange(first, count, evenCows = true) {
      eachPart(first, count, (vma, start, end) => vma.mm.zapRange(start, end, evenCows));
    },
    mkclean(first, count) {
      let cleaned = 0;
      eachPart(first, count, ({ mm, flags }, start, end) => {
        if ((flags & VM.SHARED) === 0) return;
        mm.pageTable.forEach(start, end, (leaf) => {
          if ((leaf.flags & (PTE.RW | PTE.DIRTY)) === 0) return;
          mm.pageTable.set(leaf.start, leaf.level, leaf.pfn, leaf.flags & ~(PTE.RW | PTE.DIRTY));
          cleaned += leafSize(leaf.level) / PAGE_SIZE;
        });
      });
      return cleaned;
    },
    entriesOf(index, pfn) {
      const entries: MappedEntry[] = [];
      eachPart(index, 1, ({ mm: { pageTable } }, start) => {
        const leaf = pageTable.find(start);
        if (leaf?.level === 0 && leaf.pfn === pfn) entries.push({ pageTable, leaf });
      });
      return entries;
    },
  };
}
