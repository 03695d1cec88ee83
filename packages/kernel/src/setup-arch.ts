/**
 * The architecture's start: from the firmware's map and tables to nodes, sections and zones.
 * Mirrors arch/x86/kernel/setup.c: setup_arch, and arch/x86/mm/init_64.c: paging_init.
 */
import {
  KERN, KIB, type KernelParam, type KernelRelease, KernelPanic, MIB, PAGE_SIZE, type Pfn, type Printk, type Range, type Resource,
  physAddr, physToPfn, physToPfnUp, releaseAtLeast,
} from '@holdfast/lib';
import { parseSlit, parseSrat } from '@holdfast/acpi';
import {
  type E820Setup, type FirmwareMemmapEntry,
  applyLateE820Edits, finishE820EarlyParams, firmwareMemmapOf, memblockRangesOf, parseE820Text, registerNosaveRegions, removeEfiMmio,
  reserveE820ResourcesEarly, setupE820Memory, setupPciGap, trimE820Table,
} from '@holdfast/e820';
import type { Machine } from '@holdfast/machine';
import { type MemoryRange, type Sections, sparseInit } from '@holdfast/memory-hotplug';
import { type Memblock, type Numa, type ZoneLayout, createMemblock, freeAreaInit, initNuma } from '@holdfast/mm';
import type { Firmware, KernelConfig } from './boot-options.js';
import { chargeEarlyTables, chargeMemmapInit, chargeStores } from './boot-time.js';
import { reserveCrashkernel } from './crash-reserve.js';
import { e820PagesRanges } from './e820-pages.js';
import { type KernelImage, insertKernelResources } from './kernel-image.js';

export interface ArchNeeds {
  readonly machine: Machine;
  readonly firmware: Firmware;
  readonly params: readonly KernelParam[];
  readonly release: KernelRelease;
  readonly printk: Printk;
  readonly iomem: Resource;
  readonly image: KernelImage;
  readonly config: KernelConfig;
}

/** What setup_arch leaves to the rest of the boot. */
export interface Arch {
  readonly e820: E820Setup;
  /** Resources of all ranges; those of claimable ranges wait for {@link reserveE820ResourcesLate}. */
  readonly e820Resources: readonly Resource[];
  readonly firmwareMemmap: readonly FirmwareMemmapEntry[];
  readonly maxPfn: Pfn;
  readonly memblock: Memblock;
  readonly numa: Numa;
  readonly sections: Sections;
  readonly layout: ZoneLayout;
  /** The real-mode trampoline found its place below 1 MiB. */
  readonly hasTrampoline: boolean;
}

const LOW_MEMORY = MIB;
const EARLY_LOW_RESERVE = 64 * KIB;
/** Bytes of the real-mode code that wakes other CPUs. */
const TRAMPOLINE_SIZE = 28 * KIB;

/** @throws KernelPanic where Linux panics; KernelError EINVAL if the firmware's texts or tables cannot be read. */
export function setupArch(needs: ArchNeeds): Arch {
  const { machine, firmware, params, release, printk, iomem, image, config } = needs;

  // What the firmware says is there, and what the user says about it.
  const told = parseE820Text(firmware.e820);
  const maxArchPfn = told.maxArchPfn ?? 2 ** (machine.cpu.physBits - 12);
  const e820 = setupE820Memory({ firmware: told, params, release, printk, maxArchPfn });
  finishE820EarlyParams(e820);
  if (releaseAtLeast(release, 6, 3) || release.text === told.release) removeEfiMmio(e820.table, told.efiMmio, e820.log);
  insertKernelResources(iomem, image);
  const withPages = e820PagesRanges(e820.table, params, config.pmem);
  const { maxPfn } = trimE820Table(e820, image, { persistentToo: withPages.length > 0 });
  printk(`x86/PAT: Configuration [0-7]: ${patSlots(release)}`);

  // From ranges to memory that can be allocated.
  const memblock = createMemblock();
  const hasTrampoline = setupMemblock(memblock, e820, { image, withPages, printk });
  initMemMapping(memblock, printk);
  chargeEarlyTables(machine, { image, memblock, nrE820Entries: e820.table.entries.length, maxPfn });
  applyLateE820Edits(e820.table, told.lateEdits, e820.log);

  // From memory to nodes, sections and zones.
  const srat = firmware.srat && parseSrat(firmware.srat);
  const slit = firmware.slit && parseSlit(firmware.slit);
  const numa = initNuma({ memblock, maxPfn, params, release, printk, srat, slit, nrCpus: machine.cpus.length, nodeReport: config.nodeReport });
  reserveCrashkernel({ params, memblock, iomem, release, printk });
  const sections = sparseInit(memoryRanges(memblock), bootAllocator(memblock, machine, printk), (start, sizeBytes) => chargeStores(machine, start, sizeBytes));
    const layout = freeAreaInit({ ...config, memblock, maxPfn, numa, params, release, printk });
  chargeMemmapInit(machine, { sections, layout });

  // What is not RAM, for hibernation and for PCI.
  const e820Resources = reserveE820ResourcesEarly(e820.table, iomem, release);
  registerNosaveRegions(e820.table, maxPfn, e820.log, config.nosaveRule);
  setupPciGap(e820.table, maxPfn, e820.log);
  const firmwareMemmap = firmwareMemmapOf(e820.firmwareEntries, release);
  return { e820, e820Resources, firmwareMemmap, maxPfn, memblock, numa, sections, layout, hasTrampoline };
}

function patSlots(release: KernelRelease): string {
  return releaseAtLeast(release, 4, 2) ? 'WB  WC  UC- UC  WB  WP  UC- WT  ' : 'WB  WC  UC- UC  WB  WC  UC- UC  ';
}

/**
 * Feed memblock from the map, and reserve what the kernel already uses, and persistent memory that is to have struct pages.
 * Returns whether the trampoline has a place.
 */
function setupMemblock(
  memblock: Memblock,
  e820: E820Setup,
  { image, withPages, printk }: { image: KernelImage; withPages: readonly Range[]; printk: Printk },
): boolean {
  memblock.reserve(image.start, image.end - image.start);
  memblock.reserve(0, EARLY_LOW_RESERVE);
  for (const { start, end, kind } of memblockRangesOf(e820.table)) {
    if (kind === 'memory') memblock.add(start, end - start);
    else memblock.reserve(start, end - start);
  }
  for (const { start, end } of withPages) {
    memblock.add(start, end - start);
    memblock.reserve(start, end - start);
  }
  memblock.trimMemory(PAGE_SIZE);

  const hasTrampoline = memblock.alloc(TRAMPOLINE_SIZE, { align: PAGE_SIZE, max: LOW_MEMORY }) !== undefined;
  if (!hasTrampoline) printk('No sub-1M memory is available for the trampoline');
  memblock.reserve(0, LOW_MEMORY);
  return hasTrampoline;
}

/** The page tables of the direct map come from memory that nobody has yet: without any there is no going on (alloc_low_pages). */
function initMemMapping(memblock: Memblock, printk: Printk): void {
  printk('Using GB pages for direct mapping');
  if (memblock.freeRanges().some(({ start, end }) => end - start >= PAGE_SIZE)) return;
  printk('Failed to release memory for alloc_low_pages()', KERN.err);
  throw new KernelPanic('alloc_low_pages: can not alloc memory');
}

function memoryRanges(memblock: Memblock): MemoryRange[] {
  return memblock.memory
    .map(({ start, end, nid }) => ({ start: physToPfnUp(start), end: physToPfn(end), nid }))
    .filter(({ start, end }) => start < end);
}

/** Boot memory for page arrays. Memory that only a user believes in holds nothing: Linux reads back a null pointer, and dies of it. */
function bootAllocator(memblock: Memblock, machine: Machine, printk: Printk): Parameters<typeof sparseInit>[1] {
  return (nid, sizeBytes, align) => {
    const start = memblock.alloc(sizeBytes, { align, nid, min: 16 * MIB });
    if (start === undefined) throw new KernelPanic(`sparse_init_nid: node[${nid}] memory map backing failed`);
    if (!machine.memory.isBacked(physAddr(start), sizeBytes)) {
      printk('BUG: kernel NULL pointer dereference, address: 0000000000000000', KERN.alert);
      throw new KernelPanic('Attempted to kill the idle task!');
    }
    return start;
  };
}
