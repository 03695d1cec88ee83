/**
 * Struct pages taken from the very range that they describe: a bump allocator over its first frames.
 * Mirrors include/linux/memremap.h: struct vmem_altmap, and mm/sparse-vmemmap.c: altmap_alloc_block_buf, vmem_altmap_free.
 *
 * Invariant: `reserve + alloc + align` frames from `basePfn` on are spoken for, never more than `reserve + free`.
 */
import { KernelError, type Pfn, type PhysAddr, bugOn, pfnToPhys, roundUp } from '@holdfast/lib';

export interface VmemAltmap {
  readonly basePfn: Pfn;
  /** Frames at the start that are the driver's. */
  readonly reserve: number;
  /** Frames behind them that may be taken. */
  readonly free: number;
  /** Frames taken. */
  readonly alloc: number;
  /** Frames lost to alignment. */
  readonly align: number;
  /**
   * Take `count` adjacent blocks of `nrPages` frames, a power of two, each at a multiple of its size; returns the address of the first.
   * @throws KernelError ENOMEM; there is no fallback to other memory.
   */
  take(nrPages: number, count?: number): PhysAddr;
  /** Give frames back: they are counted, and not handed out again. */
  giveBack(nrPages: number): void;
}

export function createVmemAltmap(basePfn: Pfn, { reserve, free }: { reserve: number; free: number }): VmemAltmap {
  let alloc = 0;
  let align = 0;
  return {
    basePfn,
    reserve,
    free,
    get alloc() {
      return alloc;
    },
    get align() {
      return align;
    },
    take(nrPages, count = 1) {
      const next = basePfn + reserve + alloc + align;
      const pad = roundUp(next, nrPages) - next;
      const left = Math.max(0, free - alloc - align);
      if (nrPages * count + pad > left) {
        throw new KernelError('ENOMEM', `${nrPages * count} frames for struct pages, ${pad} to align them: the device set ${left} aside`);
      }
      alloc += nrPages * count;
      align += pad;
      return pfnToPhys((next + pad) as Pfn);
    },
    giveBack(nrPages) {
      bugOn(nrPages > alloc, `altmap: ${nrPages} frames given back of ${alloc}`);
      alloc -= nrPages;
    },
  };
}
