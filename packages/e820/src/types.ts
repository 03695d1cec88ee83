/**
 * What an e820 entry can be, and what each Linux calls it.
 * Mirrors arch/x86/include/asm/e820/types.h; e820_print_type, e820_type_to_string and do_mark_busy of arch/x86/kernel/e820.c.
 *
 * Invariant: a type is an unsigned 32-bit number, and a number without a name is as good as any other: firmware invents them.
 */
import { type KernelRelease, type ResourceDesc, releaseAtLeast } from '@holdfast/lib';

export const E820_TYPE_RAM = 1;
export const E820_TYPE_RESERVED = 2;
export const E820_TYPE_ACPI = 3;
export const E820_TYPE_NVS = 4;
export const E820_TYPE_UNUSABLE = 5;
/** Persistent memory, ACPI 6.0. Linux 4.2 and later. */
export const E820_TYPE_PMEM = 7;
/** Persistent memory before the standard had a number for it, and what `memmap=nn!ss` makes. Linux 4.1 and later. */
export const E820_TYPE_PRAM = 12;
/** RAM that holds the boot loader's setup_data: usable, but not to be overwritten. Only the kernel itself uses this type. */
export const E820_TYPE_RESERVED_KERN = 128;
/** RAM that EFI marks "specific purpose", for a driver before the kernel. Linux 5.5 and later. */
export const E820_TYPE_SOFT_RESERVED = 0xefffffff;

/** What the log calls a type in that release, such as `persistent (type 12)`. */
export function e820TypeName(type: number, release: KernelRelease): string {
  switch (type) {
    case E820_TYPE_RAM:
    case E820_TYPE_RESERVED_KERN:
      return 'usable';
    case E820_TYPE_RESERVED:
      return 'reserved';
    case E820_TYPE_ACPI:
      return 'ACPI data';
    case E820_TYPE_NVS:
      return 'ACPI NVS';
    case E820_TYPE_UNUSABLE:
      return 'unusable';
  }
  if (!knowsE820Type(type, release)) return `type ${type}`;
  return type === E820_TYPE_SOFT_RESERVED ? 'soft reserved' : `persistent (type ${type})`;
}

/** The type that a name in a log stands for, whatever release wrote it; undefined if it is no name. `usable` reads as RAM. */
export function e820TypeFromName(name: string): number | undefined {
  const numbered = /^(?:type (\d{1,10})|persistent \(type (\d{1,10})\))$/.exec(name);
  if (!numbered) return TYPE_OF_NAME.get(name);
  const type = Number(numbered[1] ?? numbered[2]);
  return type <= 0xffffffff ? type : undefined;
}

const TYPE_OF_NAME = new Map([
  ['usable', E820_TYPE_RAM],
  ['reserved', E820_TYPE_RESERVED],
  ['ACPI data', E820_TYPE_ACPI],
  ['ACPI NVS', E820_TYPE_NVS],
  ['unusable', E820_TYPE_UNUSABLE],
  ['soft reserved', E820_TYPE_SOFT_RESERVED],
]);

/** What /proc/iomem and /sys/firmware/memmap call a type in that release, such as `Persistent Memory (legacy)`. */
export function e820ResourceName(type: number, release: KernelRelease): string {
  const rewritten = releaseAtLeast(release, 4, 12); // the e820 clean-up that gave these names their capitals
  switch (type) {
    case E820_TYPE_RAM:
    case E820_TYPE_RESERVED_KERN:
      return 'System RAM';
    case E820_TYPE_ACPI:
      return 'ACPI Tables';
    case E820_TYPE_NVS:
      return 'ACPI Non-volatile Storage';
    case E820_TYPE_UNUSABLE:
      return 'Unusable memory';
    case E820_TYPE_RESERVED:
      return rewritten ? 'Reserved' : 'reserved';
  }
  if (!knowsE820Type(type, release)) return rewritten ? 'Unknown E820 type' : 'reserved';
  if (type === E820_TYPE_SOFT_RESERVED) return 'Soft Reserved';
  if (type === E820_TYPE_PMEM) return 'Persistent Memory';
  return releaseAtLeast(release, 4, 2) ? 'Persistent Memory (legacy)' : 'Persistent RAM';
}

/** How a driver recognises the range in the resource tree, whatever its name. */
export function e820ResourceDesc(type: number): ResourceDesc {
  switch (type) {
    case E820_TYPE_RESERVED:
      return 'reserved';
    case E820_TYPE_ACPI:
      return 'acpi-tables';
    case E820_TYPE_NVS:
      return 'acpi-nv-storage';
    case E820_TYPE_PMEM:
      return 'persistent-memory';
    case E820_TYPE_PRAM:
      return 'persistent-memory-legacy';
    case E820_TYPE_SOFT_RESERVED:
      return 'soft-reserved';
    default:
      return 'none';
  }
}

/** Is the range left for a driver to claim: neither busy nor in the tree before PCI has placed its windows (do_mark_busy)? */
export function isClaimableType(type: number, release: KernelRelease): boolean {
  return type === E820_TYPE_RESERVED || (isSpecialType(type) && knowsE820Type(type, release));
}

/** Do neighbours of this type stay apart? Their seams may be the boundaries of two devices. */
export function isNoMergeType(type: number, release: KernelRelease): boolean {
  return (type === E820_TYPE_PRAM || type === E820_TYPE_SOFT_RESERVED) && knowsE820Type(type, release);
}

function isSpecialType(type: number): boolean {
  return type === E820_TYPE_PMEM || type === E820_TYPE_PRAM || type === E820_TYPE_SOFT_RESERVED;
}

/** The special types came one by one; to an older kernel they are numbers without a meaning. */
function knowsE820Type(type: number, release: KernelRelease): boolean {
  if (type === E820_TYPE_PRAM) return releaseAtLeast(release, 4, 1);
  if (type === E820_TYPE_PMEM) return releaseAtLeast(release, 4, 2);
  if (type === E820_TYPE_SOFT_RESERVED) return releaseAtLeast(release, 5, 5);
  return false;
}
