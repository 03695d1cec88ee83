/**
 * What boot's work on memory costs in virtual time: tables of ranges, the direct map, and the struct pages of RAM, early and deferred ones.
 * The work is that of e820__memory_setup, memblock, init_mem_mapping, memmap_init and deferred_init_memmap (6.1): so many bytes stored, at
 * the speed of the memory that they lie in (the cost table of @holdfast/machine). So the log's timestamps move with the machine's size.
 *
 * Invariant: one charge for each run of sections, whatever its size, and none that depends on the host: same machine, same timestamps.
 * Differs from Linux: one CPU makes all deferred struct pages; and what else a boot does takes no time, and neither does the firmware.
 */
import { GIB, PAGES_PER_SECTION, PAGE_SIZE, type Pfn, STRUCT_PAGE_SIZE, TIB, physAdd, physAddr } from '@holdfast/lib';
import type { PhysAddr } from '@holdfast/lib';
import type { Machine } from '@holdfast/machine';
import type { Sections } from '@holdfast/memory-hotplug';
import type { Memblock, ZoneLayout } from '@holdfast/mm';
import type { KernelImage } from './kernel-image.js';

/** Stores by the kernel, through its direct map. Where a command line made memory up there is nothing that takes time. */
export function chargeStores(machine: Machine, start: PhysAddr, sizeBytes: number): void {
  if (sizeBytes > 0 && machine.memory.isBacked(start, sizeBytes)) machine.chargeStores(start, sizeBytes, 'WB');
}

/** struct e820_entry, in three tables: as the firmware gave it, for kexec, and the kernel's own. */
const E820_ENTRY_BYTES = 20 * 3;
/** struct memblock_region, with its node. */
const MEMBLOCK_REGION_BYTES = 24;
/** One page table maps 512 GiB by pages of 1 GiB. */
const MAPPED_BY_TABLE = TIB / 2;

/** The memory map's tables, and the page tables of the direct map, in the kernel image (.init.data, .brk). */
export function chargeEarlyTables(
  machine: Machine,
  { image, memblock, nrE820Entries, maxPfn }: { image: Pick<KernelImage, 'start'>; memblock: Memblock; nrE820Entries: number; maxPfn: Pfn },
): void {
  const regions = memblock.memory.length + memblock.reserved.length;
  const tables = Math.ceil((maxPfn * PAGE_SIZE) / MAPPED_BY_TABLE);
  const bytes = nrE820Entries * E820_ENTRY_BYTES + regions * MEMBLOCK_REGION_BYTES + tables * PAGE_SIZE + Math.ceil((maxPfn * PAGE_SIZE) / GIB) * 8;
  chargeStores(machine, physAddr(image.start), bytes);
}

/** What boot laid out. */
interface BootMemory {
  readonly sections: Sections;
  readonly layout: ZoneLayout;
}

/** Struct pages up to where deferred init takes over, holes in present sections included (memmap_init, init_unavailable_range). */
export function chargeMemmapInit(machine: Machine, memory: BootMemory): void {
  chargeRuns(machine, memory, (firstDeferred) => ({ from: 0, to: firstDeferred }));
}

/** The rest, once there are threads to do it (deferred_init_memmap). */
export function chargeDeferredInit(machine: Machine, memory: BootMemory): void {
  chargeRuns(machine, memory, (firstDeferred) => ({ from: firstDeferred, to: Infinity }));
}

/** @param part which frames, of a node whose deferred ones begin at a frame; Infinity if it has none */
function chargeRuns(machine: Machine, { sections, layout }: BootMemory, part: (firstDeferred: number) => { from: number; to: number }): void {
  for (const { start, end, nid, memmap } of sections.early) {
    const { from, to } = part(layout.nodes.find((node) => node.nid === nid)?.firstDeferredPfn ?? Infinity);
    const first = Math.max(start * PAGES_PER_SECTION, from) - start * PAGES_PER_SECTION;
    const last = Math.min(end * PAGES_PER_SECTION, to) - start * PAGES_PER_SECTION;
    if (first < last) chargeStores(machine, physAdd(memmap, first * STRUCT_PAGE_SIZE), (last - first) * STRUCT_PAGE_SIZE);
  }
}
