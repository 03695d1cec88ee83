/**
 * The EFI memory map as e820 entries.
 * Mirrors drivers/firmware/efi/libstub/x86-stub.c: setup_e820 (the boot stub), and arch/x86/platform/efi/efi.c: do_add_efi_memmap,
 * efi_remove_e820_mmio. Format: UEFI 2.10, 7.2 (EFI_MEMORY_DESCRIPTOR).
 */
import { type KernelRelease, MIB, releaseAtLeast } from '@holdfast/lib';
import type { AddressRange, E820Entry } from './entry.js';
import type { E820Log } from './log.js';
import { type E820Table, rangeAdd, rangeRemove } from './table.js';
import {
  E820_TYPE_ACPI, E820_TYPE_NVS, E820_TYPE_PMEM, E820_TYPE_RAM, E820_TYPE_RESERVED, E820_TYPE_SOFT_RESERVED, E820_TYPE_UNUSABLE,
} from './types.js';
import { updateTable } from './update-table.js';
import { lastByte, u64 } from './u64.js';

export const EFI_MEMORY_TYPE = {
  reserved: 0, loaderCode: 1, loaderData: 2, bootCode: 3, bootData: 4, runtimeCode: 5, runtimeData: 6, conventional: 7,
  unusable: 8, acpiReclaim: 9, acpiNvs: 10, mmio: 11, mmioPort: 12, palCode: 13, persistent: 14,
} as const;

export const EFI_MEMORY_WB = 0x8n;
/** Specific purpose: memory set aside for a driver. */
export const EFI_MEMORY_SP = 0x40000n;

const EFI_PAGE_SIZE = 4096n;

export interface EfiMemoryDescriptor {
  readonly type: number;
  readonly start: bigint;
  /** Of 4 KiB. */
  readonly pages: bigint;
  readonly attribute: bigint;
}

/** An EFI MMIO descriptor, which the boot stub made a reserved entry of: 6.2 and later take large ones out of the map again. */
export interface EfiMmio extends AddressRange {
  /** Its number in the EFI memory map, as in `mem25`. */
  readonly index: number;
  readonly removed: boolean;
}

/** The boot stub's table: descriptors in order, merged into the entry before where they continue it with the same type. */
export function efiMemmapToE820(memmap: readonly EfiMemoryDescriptor[], softReserve: boolean, release: KernelRelease): E820Entry[] {
  const entries: E820Entry[] = [];
  for (const descriptor of memmap) {
    // The stub takes all conventional memory for RAM, whether or not it can be cached.
    const type = e820TypeOfEfi({ ...descriptor, attribute: descriptor.attribute | EFI_MEMORY_WB }, softReserve, release);
    const size = u64(descriptor.pages * EFI_PAGE_SIZE);
    const previous = entries.at(-1);
    if (previous?.type === type && u64(previous.addr + previous.size) === descriptor.start) {
      entries[entries.length - 1] = { ...previous, size: u64(previous.size + size) };
    } else {
      entries.push({ addr: descriptor.start, size, type });
    }
  }
  return entries;
}

/** Add each descriptor to the map and settle the overlaps (do_add_efi_memmap). */
export function addEfiMemmap(table: E820Table, memmap: readonly EfiMemoryDescriptor[], softReserve: boolean, log: E820Log): void {
  for (const descriptor of memmap) {
    rangeAdd(table, descriptor.start, u64(descriptor.pages * EFI_PAGE_SIZE), e820TypeOfEfi(descriptor, softReserve, log.release), log);
  }
  updateTable(table, log.release);
}

/** Is any descriptor to be soft-reserved (do_efi_soft_reserve)? */
export function hasSoftReserve(memmap: readonly EfiMemoryDescriptor[]): boolean {
  return memmap.some(({ type, attribute }) => type === EFI_MEMORY_TYPE.conventional && (attribute & EFI_MEMORY_SP) !== 0n);
}

/** The e820 type of a descriptor; memory that can't be cached is no RAM. `softReserve` is false under `efi=nosoftreserve`. */
export function e820TypeOfEfi({ type, attribute }: EfiMemoryDescriptor, softReserve: boolean, release: KernelRelease): number {
  switch (type) {
    case EFI_MEMORY_TYPE.loaderCode:
    case EFI_MEMORY_TYPE.loaderData:
    case EFI_MEMORY_TYPE.bootCode:
    case EFI_MEMORY_TYPE.bootData:
    case EFI_MEMORY_TYPE.conventional:
      if (softReserve && (attribute & EFI_MEMORY_SP) !== 0n && releaseAtLeast(release, 5, 5)) return E820_TYPE_SOFT_RESERVED;
      return (attribute & EFI_MEMORY_WB) !== 0n ? E820_TYPE_RAM : E820_TYPE_RESERVED;
    case EFI_MEMORY_TYPE.acpiReclaim:
      return E820_TYPE_ACPI;
    case EFI_MEMORY_TYPE.acpiNvs:
      return E820_TYPE_NVS;
    case EFI_MEMORY_TYPE.unusable:
      return E820_TYPE_UNUSABLE;
    case EFI_MEMORY_TYPE.persistent:
      return releaseAtLeast(release, 4, 2) ? E820_TYPE_PMEM : E820_TYPE_RESERVED;
    default:
      return E820_TYPE_RESERVED;
  }
}

/**
 * Take large EFI MMIO ranges out of the map, so that PCI may use them, and tell about the small ones that stay (efi_remove_e820_mmio).
 * The table is sorted by whoever updates it next.
 */
export function removeEfiMmio(table: E820Table, mmio: readonly EfiMmio[], log: E820Log): void {
  for (const { index, start, end, removed } of mmio) {
    const size = end - start;
    const range = `mem${String(index).padStart(2, '0')}: MMIO range=[0x${start.toString(16)}-0x${lastByte(end).toString(16)}]`;
    if (removed) {
      log.printk(`efi: Remove ${range} (${size / BigInt(MIB)}MB) from e820 map`);
      rangeRemove(table, start, size, E820_TYPE_RESERVED, log);
    } else {
      log.printk(`efi: Not removing ${range} (${size / 1024n}KB) from e820 map`);
    }
  }
}
