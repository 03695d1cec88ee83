/**
 * What a memory map is made of. Mirrors arch/x86/include/asm/e820/types.h: struct e820_entry.
 */

/** `[addr, addr + size)` bytes of one type. */
export interface E820Entry {
  readonly addr: bigint;
  readonly size: bigint;
  readonly type: number;
}

/** `[start, end)` in bytes. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}
