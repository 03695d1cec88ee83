/**
 * The kernel's u64: bigints modulo 2^64. The map is a file format's edge, and firmware and users write any 64 bits they like.
 */
export const U64_MAX = 0xffff_ffff_ffff_ffffn;

export function u64(value: bigint): bigint {
  return value & U64_MAX;
}

/** The last byte of a range that starts at `addr` with `size` bytes; with one argument, the byte before `addr`. */
export function lastByte(addr: bigint, size = 0n): bigint {
  return u64(addr + size - 1n);
}

export function minU64(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function maxU64(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
