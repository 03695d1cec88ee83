/**
 * `Memory: 207548K/1048056K available (…)`: what boot says once the page allocator has taken over.
 * Mirrors mm/page_alloc.c: mem_init_print_info; before 3.11 arch/x86/mm/init_64.c: mem_init.
 */
import { type KernelRelease, type Pfn, PAGE_SIZE, releaseAtLeast } from '@holdfast/lib';
import type { ZoneLayout } from './zone-layout.js';

/** Sizes of a kernel image's parts, in KiB. */
export interface KernelImage {
  readonly codeK: number;
  readonly rwdataK: number;
  readonly rodataK: number;
  readonly initK: number;
  readonly bssK: number;
}

export interface MemoryFacts {
  readonly image: KernelImage;
  readonly layout: ZoneLayout;
  readonly maxPfn: Pfn;
  /** KiB free at that moment; see {@link earlyFreeK}. */
  readonly freeK: number;
  /** Pages handed to the page allocator so far, deferred ones included. */
  readonly managedPages: number;
}

const PAGE_K = PAGE_SIZE / 1024;

/** KiB free when the line is printed: the pages initialised early, less what is reserved among them. */
export function earlyFreeK({ nodes }: ZoneLayout, reservedEarlyK: number): number {
  return nodes.reduce((sum, { earlyPages }) => sum + earlyPages, 0) * PAGE_K - reservedEarlyK;
}

/** The line, in the words of a release. */
export function formatMemoryLine({ image, layout, maxPfn, freeK, managedPages }: MemoryFacts, release: KernelRelease): string {
  const presentPages = layout.nodes.reduce((sum, node) => sum + node.presentPages, 0);
  const reservedK = (presentPages - managedPages) * PAGE_K;
  const { codeK, rwdataK, rodataK, initK, bssK } = image;
  if (!releaseAtLeast(release, 3, 11)) {
    const absentK = (maxPfn - presentPages) * PAGE_K;
    const parts = `${codeK}k kernel code, ${absentK}k absent, ${reservedK}k reserved, ${rwdataK + rodataK}k data, ${initK}k init`;
    return `Memory: ${freeK}k/${maxPfn * PAGE_K}k available (${parts})`;
  }
  const parts = `${codeK}K kernel code, ${rwdataK}K rwdata, ${rodataK}K rodata, ${initK}K init, ${bssK}K bss, ${reservedK}K reserved`;
  const cma = releaseAtLeast(release, 3, 19) ? ', 0K cma-reserved' : '';
  return `Memory: ${freeK}K/${presentPages * PAGE_K}K available (${parts}${cma})`;
}
