/**
 * Where PCI may place devices that firmware has not: the biggest gap of the map below 4 GiB.
 * Mirrors arch/x86/kernel/e820.c: e820_search_gap, e820__setup_pci_gap.
 */
import { KERN, type KernelRelease, MIB, PAGE_SIZE, memRange, releaseAtLeast } from '@holdfast/lib';
import { type E820Log, e820Prefix } from './log.js';
import type { E820Table } from './table.js';
import { minU64, u64 } from './u64.js';

const MAX_GAP_END = 2n ** 32n;
const MIN_GAP_SIZE = BigInt(4 * MIB);

/** Find the gap and print it: `[start, start + size)` in bytes. Without one, PCI gets a place behind RAM. The table must be sorted. */
export function setupPciGap(table: E820Table, maxPfn: number, log: E820Log): { start: number; size: number } {
  let gap = searchGap(table);
  if (!gap) {
    for (const line of noGapLines(log.release)) log.printk(line, KERN.err);
    gap = { start: BigInt(maxPfn * PAGE_SIZE + MIB), size: MIN_GAP_SIZE };
  }
  log.printk(`${e820Prefix(log.release)}${memRange(gap.start, gap.start + gap.size - 1n)} available for PCI devices`);
  return { start: Number(gap.start), size: Number(gap.size) };
}

/** From the top down, so that of two equal gaps the lower one wins. */
function searchGap({ entries }: E820Table): { start: bigint; size: bigint } | undefined {
  let found: { start: bigint; size: bigint } | undefined;
  let last = MAX_GAP_END;
  for (const { addr, size } of entries.toReversed()) {
    const end = u64(addr + size);
    if (last > end && last - end >= (found?.size ?? MIN_GAP_SIZE)) found = { start: end, size: last - end };
    last = minU64(last, addr);
  }
  return found;
}

function noGapLines(release: KernelRelease): string[] {
  const prefix = e820Prefix(release);
  const lines = releaseAtLeast(release, 4, 12)
    ? ['Cannot find an available gap in the 32-bit address range', 'PCI devices with unassigned 32-bit BARs may not work!']
    : ['cannot find a gap in the 32bit address range', 'PCI devices with unassigned 32bit BARs may break!'];
  return lines.map((line) => prefix + line);
}
