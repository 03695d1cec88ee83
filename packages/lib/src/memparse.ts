/**
 * Sizes as the kernel reads them. Mirrors lib/cmdline.c: memparse, and lib/kstrtox.c for the base.
 */
import { KernelError } from './kernel-error.js';
import { GIB, KIB, MIB, TIB } from './units.js';

const U64_MASK = 0xffff_ffff_ffff_ffffn;
const SUFFIX_SHIFT: Record<string, bigint> = { K: 10n, M: 20n, G: 30n, T: 40n, P: 50n, E: 60n };

export interface Memparse {
  /** Modulo 2^64, as in the kernel. */
  readonly value: bigint;
  /** What is left of the text behind the number and its suffix. */
  readonly rest: string;
  /** Whether a number was there at all; if not, `value` is 0 and `rest` the whole text. */
  readonly found: boolean;
}

/** Read an unsigned number as simple_strtoull(…, 0) does: `0x` hexadecimal, leading `0` octal, else decimal. */
export function parseUint(text: string): Memparse {
  const digits = /^0[xX]([0-9a-fA-F]+)/.exec(text) ?? /^(0[0-7]*)/.exec(text) ?? /^([1-9][0-9]*)/.exec(text);
  if (!digits) return { value: 0n, rest: text, found: false };
  const whole = digits[0];
  const value = /^0[0-7]/.test(whole) ? BigInt(`0o${whole.slice(1)}`) : BigInt(whole);
  return { value: value & U64_MASK, rest: text.slice(whole.length), found: true };
}

/** Read a number with an optional suffix K, M, G, T, P or E of either case, each 1024 times the one before. */
export function memparse(text: string): Memparse {
  const number = parseUint(text);
  if (!number.found) return number;
  const shift = SUFFIX_SHIFT[number.rest.charAt(0).toUpperCase()];
  if (shift === undefined) return number;
  return { value: (number.value << shift) & U64_MASK, rest: number.rest.slice(1), found: true };
}

/**
 * Read a size that a person typed (`4G`, `1.5T`, `128KiB`, `4096`) into bytes.
 * @throws KernelError EINVAL, naming `what`, if it is no size or not exact to 2^53.
 */
export function parseSize(text: string, what: string): number {
  const match = /^(0x[0-9a-f]+|\d+(?:\.\d+)?)\s*([KMGTPE])?(?:i?B)?$/i.exec(text.trim());
  const scale = { '': 1, K: KIB, M: MIB, G: GIB, T: TIB, P: TIB * 1024, E: TIB * 1024 * 1024 }[(match?.[2] ?? '').toUpperCase()];
  const bytes = match && scale !== undefined ? Number(match[1]) * scale : NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new KernelError('EINVAL', `${what} '${text}': expected a size such as 4096, 128K, 4G or 1.5T, at most 8P`);
  }
  return bytes;
}
