/** Numbers as ndctl reads and writes them. Mirrors ndctl's util/size.c: parse_size64, and util/json.c: display_size, display_hex. */
import { GIB, KIB, MIB, TIB } from '@holdfast/lib';

const UNITS: Readonly<Record<string, number>> = { k: KIB, m: MIB, g: GIB, t: TIB };

/** A size with at most one unit letter: bytes, and the bytes of its unit. Undefined if it is none. */
export function parseSize64(text: string): { bytes: number; unit: number } | undefined {
  const match = /^\s*(?:0x([0-9a-f]+)|0([0-7]*)|([1-9]\d*))([kmgt]?)$/i.exec(text);
  if (!match) return text === '' ? { bytes: 0, unit: 1 } : undefined;
  const [, hex, octal, decimal, letter] = match;
  const value = hex !== undefined ? parseInt(hex, 16) : octal !== undefined ? parseInt(octal || '0', 8) : Number(decimal);
  const unit = UNITS[letter!.toLowerCase()] ?? 1;
  return Number.isSafeInteger(value * unit) ? { bytes: value * unit, unit } : undefined;
}

/** Bytes for a person: small numbers as they are, larger ones in binary and in decimal units, to two digits. */
export function humanSize(bytes: number): number | string {
  if (bytes < 5000 * KIB) return bytes;
  const [binary, decimal, name] = bytes < 2 * GIB ? [MIB, 1e6, 'M'] : bytes < 2 * TIB ? [GIB, 1e9, 'G'] : [TIB, 1e12, 'T'];
  const hundredths = (unit: number): string => {
    const value = (BigInt(bytes) * 200n) / BigInt(unit) + 1n;
    const rounded = value / 2n;
    return `${rounded / 100n}.${String(rounded % 100n).padStart(2, '0')}`;
  };
  return `${hundredths(binary)} ${name}iB (${hundredths(decimal)} ${name}B)`;
}

/** `0x…`, and `0` for 0, as printf's `%#llx`. */
export function humanHex(value: number | bigint): string {
  return value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`;
}
