/**
 * The memory map's part in the start of a kernel, in Linux's order; between the calls the kernel prints its other lines.
 * Mirrors arch/x86/kernel/setup.c: setup_arch, e820_add_kernel_range, trim_bios_range; arch/x86/kernel/e820.c: e820__memory_setup,
 * e820__memory_setup_extended, e820__reserve_setup_data, e820__finish_early_params; arch/x86/kernel/cpu/mtrr/cleanup.c:
 * mtrr_trim_uncached_memory.
 *
 *     setupE820Memory           the firmware's map, and what the command line does to it
 *     finishE820EarlyParams     EFI's word, setup_data, the user's map
 *     removeEfiMmio             (6.2 and later, on EFI machines)
 *     trimE820Table             the kernel's own range, the BIOS area, the end of RAM
 *     memblockRangesOf          … memblock is fed here, and later edits change the map but not memblock
 *     applyLateE820Edits
 */
import {
  type KernelParam, type KernelRelease, type Pfn, type Printk, KERN, KIB, KernelPanic, MIB, PAGE_SIZE, memRange,
  releaseAtLeast, sameParamName,
} from '@holdfast/lib';
import { addEfiMemmap, hasSoftReserve } from './efi.js';
import type { AddressRange, E820Entry } from './entry.js';
import type { E820Firmware, LateEdit } from './firmware.js';
import { type E820Log, e820Prefix, printE820Map } from './log.js';
import { type UserMemory, applyMem, applyMemmap } from './memmap.js';
import { LOW_RAM_LIMIT_PFN, endOfRamPfn } from './pfn.js';
import { type E820Table, createE820Table, mappedAll, rangeAdd, rangeRemove, rangeUpdate } from './table.js';
import { E820_TYPE_RAM, E820_TYPE_RESERVED, E820_TYPE_RESERVED_KERN } from './types.js';
import { updateTable } from './update-table.js';
import { U64_MAX, lastByte } from './u64.js';

export interface E820Boot {
  readonly firmware: E820Firmware;
  /** The command line, cut by lib's parseCmdline. */
  readonly params: readonly KernelParam[];
  readonly release: KernelRelease;
  readonly printk: Printk;
  /** MAXMEM in frames: 2^34 with 4-level paging, 2^40 with 5-level. */
  readonly maxArchPfn: number;
}

/** The map of a kernel that is starting. */
export interface E820Setup extends UserMemory {
  readonly table: E820Table;
  readonly boot: E820Boot;
  /** The map before the user's edits: what /sys/firmware/memmap shows. */
  readonly firmwareEntries: readonly E820Entry[];
}

/** Take the firmware's map, and let `mem=` and `memmap=` edit it, left to right. @throws KernelPanic where Linux has a BUG. */
export function setupE820Memory(boot: E820Boot): E820Setup {
  const { firmware, params, release, printk, maxArchPfn } = boot;
  const log = { printk, release };
  const table = createE820Table();
  appendFirmwareMap(table, firmware, log);
  const firmwareEntries = table.entries.slice();
  const setup: E820Setup = { boot, table, log, maxArchPfn, firmwareEntries, userDefined: false, maxMemSize: undefined };

  for (const { name, value } of params) {
    if (sameParamName(name, 'memmap') && value !== undefined) applyMemmap(setup, value);
    if (name === 'mem' && !applyMem(setup, value)) printk(`Malformed early option 'mem'`, KERN.warning);
  }
  return setup;
}

/** Settle the map: EFI's additions, setup_data, and the user's map. @throws KernelPanic if the user left no map. */
export function finishE820EarlyParams(setup: E820Setup): void {
  const { table, boot, log, userDefined } = setup;
  const { efiMemmap, setupData } = boot.firmware;
  const softReserve = !efiOptions(boot.params).includes('nosoftreserve');
  const addAll = boot.params.some(({ name }) => sameParamName(name, 'add_efi_memmap'));
  const softReserves = softReserve && releaseAtLeast(log.release, 5, 5) && hasSoftReserve(efiMemmap);
  if (addAll || softReserves) addEfiMemmap(table, efiMemmap, softReserve, log);

  if (setupData.length > 0) reserveSetupData(table, setupData, log);

  if (!userDefined) return;
  if (!updateTable(table, log.release)) throw new KernelPanic('Invalid user supplied memory map');
  printE820Map(table.entries, `${e820Prefix(log.release)}user-defined`, 'user', log);
}

export interface E820Limits {
  /** The frame behind the last of RAM. */
  readonly maxPfn: Pfn;
  /** The same below 4 GiB. */
  readonly maxLowPfn: Pfn;
}

/**
 * Make sure that the kernel lies in RAM, keep RAM out of the BIOS area, and find where RAM ends.
 * `kernelImage` is `[_text, _end)` in bytes, .brk included; `ends` as for {@link endOfRamPfn}.
 */
export function trimE820Table(
  { table, boot, log, maxArchPfn }: E820Setup,
  kernelImage: { start: number; end: number },
  ends?: { persistentToo?: boolean },
): E820Limits {
  addKernelRange(table, { start: BigInt(kernelImage.start), end: BigInt(kernelImage.end) }, log);
  trimBiosRange(table, log, boot.firmware.corruptsLowRam);
  let maxPfn = endOfRamPfn(table, maxArchPfn, maxArchPfn, log, ends);
  if (trimUncachedMemory(table, boot.firmware.mtrrTrim, log)) maxPfn = endOfRamPfn(table, maxArchPfn, maxArchPfn, log, ends);
  const maxLowPfn = maxPfn > LOW_RAM_LIMIT_PFN ? endOfRamPfn(table, LOW_RAM_LIMIT_PFN, maxArchPfn, log, ends) : maxPfn;
  return { maxPfn, maxLowPfn };
}

/** The edits that a machine's EFI tables and graphics make once memblock has been fed: they show in /proc/iomem, not in the zones. */
export function applyLateE820Edits(table: E820Table, edits: readonly LateEdit[], log: E820Log): void {
  for (const { kind, start, end } of edits) {
    if (kind === 'efi-reserve') {
      rangeUpdate(table, start, end - start, E820_TYPE_RAM, E820_TYPE_RESERVED, log);
    } else {
      log.printk(`Reserving Intel graphics memory at ${memRange(start, lastByte(end))}`);
      rangeAdd(table, start, end - start, E820_TYPE_RESERVED, log);
    }
    updateTable(table, log.release);
  }
}

function appendFirmwareMap(table: E820Table, firmware: E820Firmware, log: E820Log): void {
  let { who } = firmware;
  const usable = firmware.entries.length >= 2 && appendEntries(table, firmware.entries, log);
  if (!usable) who = fakeMap(table, firmware, log);
  updateTable(table, log.release);
  printE820Map(table.entries, `${e820Prefix(log.release)}BIOS-provided`, who, log);

  if (firmware.extended.length === 0) return;
  appendEntries(table, firmware.extended, log);
  updateTable(table, log.release);
  printE820Map(table.entries, `${e820Prefix(log.release)}extended`, 'extended', log);
}

/** Append up to the first entry that runs past 2^64; returns false if there was one. */
function appendEntries(table: E820Table, entries: readonly E820Entry[], log: E820Log): boolean {
  for (const { addr, size, type } of entries) {
    if (size > 0n && addr + size - 1n > U64_MAX) return false;
    rangeAdd(table, addr, size, type, log);
  }
  return true;
}

/** No usable map: RAM up to the BIOS area, and above 1 MiB as much as the better of two older BIOS calls says. Returns its name. */
function fakeMap(table: E820Table, { altMemKib, extMemKib }: E820Firmware, log: E820Log): string {
  table.entries = [];
  rangeAdd(table, 0n, 0x9f000n, E820_TYPE_RAM, log);
  rangeAdd(table, BigInt(MIB), BigInt(Math.max(altMemKib, extMemKib) * KIB), E820_TYPE_RAM, log);
  return altMemKib < extMemKib ? 'BIOS-88' : 'BIOS-e801';
}

function efiOptions(params: readonly KernelParam[]): string[] {
  return params.filter(({ name }) => name === 'efi').flatMap(({ value }) => value?.split(',') ?? []);
}

function reserveSetupData(table: E820Table, setupData: readonly AddressRange[], log: E820Log): void {
  for (const { start, end } of setupData) rangeUpdate(table, start, end - start, E820_TYPE_RAM, E820_TYPE_RESERVED_KERN, log);
  updateTable(table, log.release);
  printE820Map(table.entries, 'extended', 'reserve setup_data', log); // the one heading that never had a prefix
}

function addKernelRange(table: E820Table, { start, end }: AddressRange, log: E820Log): void {
  if (mappedAll(table, start, end, E820_TYPE_RAM)) return;
  const name = releaseAtLeast(log.release, 4, 12) ? 'E820_TYPE_RAM' : 'E820_RAM';
  log.printk(`.text .data .bss are not marked as ${name}!`, KERN.warning);
  rangeRemove(table, start, end - start, undefined, log);
  rangeAdd(table, start, end - start, E820_TYPE_RAM, log);
}

/**
 * The first page belongs to the BIOS, and nothing between 640 KiB and 1 MiB is RAM. Until 3.7 the first 64 KiB could be the BIOS's: from
 * 2.6.37 on by CONFIG_X86_RESERVE_LOW whoever made it, and before only of makers that are suspect (CONFIG_X86_RESERVE_LOW_64K and
 * bad_bios_dmi_table of arch/x86/kernel/setup.c), ahead of the edit for the first page.
 */
function trimBiosRange(table: E820Table, log: E820Log, corruptsLowRam = false): void {
  const reserveLow = (size: number): bigint => rangeUpdate(table, 0n, BigInt(size), E820_TYPE_RAM, E820_TYPE_RESERVED, log);
  const patch = Number(/^2\.6\.(\d+)/.exec(log.release.text)?.[1] ?? Infinity);
  const isBefore37 = patch < 37;
  if (isBefore37 ? corruptsLowRam : !releaseAtLeast(log.release, 3, 8)) reserveLow(64 * KIB);
  if (isBefore37 || releaseAtLeast(log.release, 3, 8)) reserveLow(PAGE_SIZE);
  rangeRemove(table, 0xa0000n, 0x60000n, E820_TYPE_RAM, log);
  updateTable(table, log.release);
}

/** RAM that no MTRR makes cacheable is not worth having. Returns whether any was lost. */
function trimUncachedMemory(table: E820Table, ranges: readonly AddressRange[], log: E820Log): boolean {
  let lost = 0n;
  for (const { start, end } of ranges) lost += rangeUpdate(table, start, end - start, E820_TYPE_RAM, E820_TYPE_RESERVED, log);
  if (lost === 0n) return false;
  log.printk(`WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing ${lost / BigInt(MIB)}MB of RAM.`, KERN.warning);
  log.printk('update e820 for mtrr');
  if (updateTable(table, log.release)) printE820Map(table.entries, `${e820Prefix(log.release)}modified`, 'modified', log);
  return true;
}
