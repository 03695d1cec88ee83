/**
 * The end of RAM. Mirrors arch/x86/kernel/e820.c: e820_end_pfn, e820__end_of_ram_pfn, e820__end_of_low_ram_pfn.
 */
import { type KernelRelease, type Pfn, hex, pfn, releaseAtLeast } from '@holdfast/lib';
import { type E820Log, e820Prefix } from './log.js';
import type { E820Table } from './table.js';
import { E820_TYPE_PRAM, E820_TYPE_RAM } from './types.js';
import { u64 } from './u64.js';

/** The first frame behind 4 GiB. */
export const LOW_RAM_LIMIT_PFN = 2 ** 20 as Pfn;

/**
 * The frame behind the last frame of RAM below `limitPfn`, at most `maxArchPfn` (MAXMEM in frames, a property of the CPU's paging);
 * prints the `last_pfn` line. Ranges of type 12 count `persistentToo` if they are to have struct pages from boot on.
 */
export function endOfRamPfn(table: E820Table, limitPfn: number, maxArchPfn: number, log: E820Log, { persistentToo = false } = {}): Pfn {
  const last = Math.min(lastRamPfn(table, BigInt(limitPfn), log.release, persistentToo), maxArchPfn);
  log.printk(`${e820Prefix(log.release)}last_pfn = ${hex(last)} max_arch_pfn = ${hex(maxArchPfn)}`);
  return pfn(last);
}

function lastRamPfn(table: E820Table, limit: bigint, release: KernelRelease, persistentToo: boolean): number {
  let last = 0n;
  for (const entry of table.entries) {
    if (!countsAsRam(entry.type, release, persistentToo)) continue;
    const end = u64(entry.addr + entry.size) >> 12n;
    if (entry.addr >> 12n >= limit) continue;
    if (end > limit) return Number(limit);
    if (end > last) last = end;
  }
  return Number(last);
}

/** 4.1 to 4.3 meant to give persistent memory struct pages at boot and counted it as RAM here. */
function countsAsRam(type: number, release: KernelRelease, persistentToo: boolean): boolean {
  if (type === E820_TYPE_RAM) return true;
  if (type === E820_TYPE_PRAM && persistentToo) return true;
  return type === E820_TYPE_PRAM && releaseAtLeast(release, 4, 1) && !releaseAtLeast(release, 4, 4);
}
