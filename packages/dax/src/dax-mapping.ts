/**
 * A file whose pages are its device's memory: its index of entries, what is dirty, and who has it mapped.
 * Mirrors fs/dax.c of 6.1: grab_mapping_entry, dax_insert_entry, dax_writeback_mapping_range, dax_layout_busy_page, dax_iomap_rw.
 *
 * Invariant: a page that was mapped writable since its last writeback is in `dirty`; an entry of a PMD and entries of its pages never
 * exist together.
 * Differs from Linux: calls never sleep, so that no entry is ever found locked, and nobody waits for one. Struct pages do not point back to
 * the file (page->mapping).
 */
import { KernelError, PAGE_SIZE, roundDown } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import { createFileMmaps } from '@holdfast/mm';
import type { FaultOutcome, FileMmaps, UserPages } from '@holdfast/mm';
import { type DaxDevice, daxDirectAccess } from './dax-device.js';
import { DAX_ENTRY, daxEntryHas, daxEntryPfn, daxMakeEntry } from './dax-entry.js';

export const PG_PMD_NR = 512;

/** Where bytes of a file are: `[start, start + length)` of it, from byte `addr` of the dax device on; a hole is nowhere. */
export interface DaxExtent {
  readonly type: 'mapped' | 'unwritten' | 'hole';
  readonly start: number;
  readonly length: number;
  readonly addr: number;
  /** Made by this very call. */
  readonly isNew?: boolean;
  /** What the file system knows of it is not durable yet (IOMAP_F_DIRTY). */
  readonly isDirty?: boolean;
}

/** What a file system, or a whole block device, tells of a file. */
export interface DaxExtents {
  readonly sizeBytes: number;
  /** The extent that holds byte `start`; for a write, with memory behind it. @throws KernelError EIO, ENOSPC … */
  extentAt(start: number, length: number, forWrite: boolean): DaxExtent;
  /** Make durable what it knows of these bytes: for MAP_SYNC, and fsync. */
  syncMetadata?(start: number, length: number): void;
}

export interface DaxMapping {
  readonly device: DaxDevice;
  readonly extents: DaxExtents;
  readonly mmaps: FileMmaps;
  /** The entry that stands for a page. */
  entryAt(pgoff: number): number | undefined;
  /** May a fault of that size have an entry here? False where pages of a PMD are in the way (grab_mapping_entry). */
  grab(pgoff: number, isPmd: boolean): boolean;
  /** Remember what is mapped at a page, and that it may become dirty. What showed a hole before is unmapped. */
  insert(pgoff: number, pfn: Pfn, flags: number, dirty: boolean): void;
  /** Pages that were written through mappings since the last writeback. */
  readonly dirtyPages: number;
  /** Write the CPU's caches back for dirty pages of bytes `[start, end)`, which are write-protected again. Durable after the next flush. */
  writeback(start: number, end: number): void;
  /** Unmap pages `[first, first + count)`, and name one that somebody still holds, if any (dax_layout_busy_page). */
  layoutBusyPage(first: number, count: number, pages: Pick<UserPages, 'deviceHolds'>): Pfn | undefined;
  /** Forget pages `[first, first + count)` of the file, which are being cut off or punched. */
  invalidate(first: number, count: number): void;
  /**
   * Bytes of the file; how many there were, before the first that is lost. @throws KernelError EIO, EFAULT at poison nobody knew of, and {@link
   * daxDirectAccess}'s
   */
  read(offset: number, target: Uint8Array): number;
  /** Heals the bad blocks of pages that it writes whole. @throws KernelError ENOSPC at the end of a file that cannot grow, EFAULT if poison stays, EIO … */
  write(offset: number, source: Uint8Array): number;
}

export function createDaxMapping(device: DaxDevice, extents: DaxExtents): DaxMapping {
  const entries = new Map<number, number>();
  const dirty = new Set<number>();
  const mmaps = createFileMmaps();
  device.onKill(() => mmaps.unmapRange(0, Infinity));

  /** The index under which a page's entry is kept. */
  const indexOf = (pgoff: number): number => {
    const base = roundDown(pgoff, PG_PMD_NR);
    const entry = entries.get(base);
    return entry !== undefined && daxEntryHas(entry, DAX_ENTRY.PMD) ? base : pgoff;
  };
  const forget = (index: number): void => {
    entries.delete(index);
    dirty.delete(index);
  };
  const pagesOf = (entry: number): number => (daxEntryHas(entry, DAX_ENTRY.PMD) ? PG_PMD_NR : 1);

  /** How many bytes at byte `addr` of the device can be reached at once, at most `length`; and whether only a write that heals may. */
  const reach = (addr: number, length: number, forWrite: boolean): { readonly count: number; readonly heal: boolean } => {
    const first = Math.floor(addr / PAGE_SIZE);
    const nrPages = Math.floor((addr + length - 1) / PAGE_SIZE) - first + 1;
    const upTo = (pages: number): number => Math.min(length, (first + pages) * PAGE_SIZE - addr);
    try {
      return { count: upTo(daxDirectAccess(device, first, nrPages).nrPages), heal: false };
    } catch (error) {
      if (!forWrite || !(error instanceof KernelError) || error.code !== 'EIO') throw error;
      return { count: upTo(daxDirectAccess(device, first, nrPages, 'recovery').nrPages), heal: true };
    }
  };

  /** Walk `length` bytes of the file; `move` returns how many of `count` it took, and taking fewer ends the walk (dax_iomap_iter). */
  const moveBytes = (
    offset: number,
    length: number,
    forWrite: boolean,
    move: (extent: DaxExtent, at: number, done: number, count: number, heal: boolean) => number,
  ): number => {
    let done = 0;
    while (done < length) {
      const at = offset + done;
      const extent = extents.extentAt(at, length - done, forWrite);
      const addr = extent.addr + at - extent.start;
      let moved: number;
      try {
        const inExtent = Math.min(length - done, extent.start + extent.length - at);
        const { count, heal } = extent.type === 'mapped' || forWrite ? reach(addr, inExtent, forWrite) : { count: inExtent, heal: false };
        moved = move(extent, addr, done, count, heal);
        if (moved === 0) {
          throw new KernelError(
            'EFAULT',
            `${device.name}: poison at byte ${addr}, which ${forWrite ? `a write of ${count} bytes does not heal` : 'no load gets past'}`,
          );
        }
        if (moved < count) return done + moved;
      } catch (error) {
        if (done === 0 || !(error instanceof KernelError)) throw error;
        return done;
      }
      done += moved;
    }
    return done;
  };

  return {
    device,
    extents,
    mmaps,
    entryAt: (pgoff) => entries.get(indexOf(pgoff)),
    grab(pgoff, isPmd) {
      const index = indexOf(pgoff);
      const entry = entries.get(index);
      if (!isPmd) {
        const isHole = entry !== undefined && index !== pgoff && (daxEntryHas(entry, DAX_ENTRY.ZERO) || daxEntryHas(entry, DAX_ENTRY.EMPTY));
        if (isHole) {
          mmaps.unmapRange(index, PG_PMD_NR, false);
          forget(index);
        }
        return true;
      }
      if (entry !== undefined && daxEntryHas(entry, DAX_ENTRY.PMD)) return true;
      const base = roundDown(pgoff, PG_PMD_NR);
      for (let page = base; page < base + PG_PMD_NR; page++) if (entries.has(page)) return false;
      return true;
    },
    insert(pgoff, pfn, flags, isDirty) {
      const wanted = daxMakeEntry(pfn, flags);
      const index = daxEntryHas(wanted, DAX_ENTRY.PMD) ? roundDown(pgoff, PG_PMD_NR) : indexOf(pgoff);
      const there = entries.get(index);
      const showedHole = there !== undefined && daxEntryHas(there, DAX_ENTRY.ZERO);
      if (showedHole && !daxEntryHas(wanted, DAX_ENTRY.ZERO)) mmaps.unmapRange(index, pagesOf(there), false);
      if (there === undefined || showedHole || daxEntryHas(there, DAX_ENTRY.EMPTY)) entries.set(index, wanted);
      if (isDirty) dirty.add(index);
    },
    get dirtyPages() {
      let pages = 0;
      for (const index of dirty) pages += pagesOf(entries.get(index)!);
      return pages;
    },
    writeback(start, end) {
      for (const index of [...dirty].sort((a, b) => a - b)) {
        const entry = entries.get(index)!;
        const count = pagesOf(entry);
        if ((index + count) * PAGE_SIZE <= start || index * PAGE_SIZE >= end) continue;
        mmaps.mkclean(index, count);
        if (device.writeCache) {
          const extent = extents.extentAt(index * PAGE_SIZE, count * PAGE_SIZE, false);
          device.writeBack((extent.addr + index * PAGE_SIZE - extent.start) / PAGE_SIZE, count);
        }
        dirty.delete(index);
      }
    },
    layoutBusyPage(first, count, pages) {
      mmaps.unmapRange(first, count);
      for (const [index, entry] of entries) {
        if (index + pagesOf(entry) <= first || index >= first + count || daxEntryHas(entry, DAX_ENTRY.ZERO)) continue;
        for (let page = 0; page < pagesOf(entry); page++) {
          const pfn = (daxEntryPfn(entry) + page) as Pfn;
          if (index + page >= first && index + page < first + count && pages.deviceHolds(pfn) > 0) return pfn;
        }
      }
      return undefined;
    },
    invalidate(first, count) {
      mmaps.unmapRange(first, count);
      for (const [index, entry] of [...entries]) if (index + pagesOf(entry) > first && index < first + count) forget(index);
    },
    read(offset, target) {
      const length = Math.min(target.length, extents.sizeBytes - offset);
      if (length <= 0) return 0;
      return moveBytes(offset, length, false, ({ type }, at, done, count) => {
        const part = target.subarray(done, done + count);
        if (type === 'mapped') return device.read(at, part);
        part.fill(0);
        return count;
      });
    },
    write(offset, source) {
      return moveBytes(offset, source.length, true, ({ isNew }, at, done, count, heal) => {
        if (isNew === true) mmaps.unmapRange(Math.floor((offset + done) / PAGE_SIZE), Math.ceil((((offset + done) % PAGE_SIZE) + count) / PAGE_SIZE));
        const part = source.subarray(done, done + count);
        if (heal) return device.recoveryWrite(at, part);
        device.write(at, part);
        return count;
      });
    },
  };
}

/** The page of the dax device that shows a page of an extent. */
export function devicePage({ addr, start }: DaxExtent, pgoff: number): number {
  return (addr + pgoff * PAGE_SIZE - start) / PAGE_SIZE;
}

/** Run a handler; what it is refused with becomes `otherwise`, want of memory `oom` (dax_fault_return). */
export function orFault(otherwise: FaultOutcome, run: () => FaultOutcome): FaultOutcome {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.code === 'ENOMEM' ? 'oom' : otherwise;
  }
}
