/**
 * The printf forms that kernel logs are written in. Takes numbers or, for the full 64 bits of a file format, bigints.
 */
export type Integer = number | bigint;

/** `%#010x`: `0x` and at least eight digits. */
export function hex8(value: Integer): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

/** `%#018x`: `0x` and sixteen digits. */
export function hex16(value: Integer): string {
  return `0x${value.toString(16).padStart(16, '0')}`;
}

/** `%#x`. */
export function hex(value: Integer): string {
  return `0x${value.toString(16)}`;
}

/** `[mem 0x00000000-0x00000fff]`, the way resources and firmware ranges are logged; `end` is inclusive. */
export function memRange(start: Integer, endInclusive: Integer): string {
  return `[mem ${hex8(start)}-${hex8(endInclusive)}]`;
}
