/**
 * Numbers and switches written to sysfs or given as module parameters. Mirrors lib/kstrtox.c: kstrtobool, kstrtoint, kstrtouint, kstrtoull.
 * Unlike {@link memparse} these take the whole text, apart from one newline at its end, or refuse it.
 */
import { KernelError } from './kernel-error.js';

/**
 * `y`, `Y`, `1`, `on…` are true; `n`, `N`, `0`, `of…` are false; only the first letter counts, or the first two of `on` and `of`.
 * @throws KernelError EINVAL for anything else.
 */
export function parseBool(text: string): boolean {
  if (/^([yY1]|[oO][nN])/.test(text)) return true;
  if (/^([nN0]|[oO][fF])/.test(text)) return false;
  throw new KernelError('EINVAL', `'${text.trimEnd()}' is no switch: expected Y, N, 1, 0, on or off`, { nearest: [{ value: 1 }, { value: 0 }] });
}

/**
 * A whole number with an optional sign: `0x` hexadecimal, leading `0` octal, else decimal.
 * @throws KernelError EINVAL if it is no number, ERANGE if it is outside `[min, max]`.
 */
export function parseInteger(text: string, min: number, max: number): number {
  const match = /^([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))\n?$/.exec(text);
  if (!match) throw new KernelError('EINVAL', `'${text.trimEnd()}' is no whole number: expected decimal, 0x hexadecimal or 0 octal`);
  const [, sign, hexadecimal, octal, decimal] = match;
  const size = hexadecimal !== undefined ? parseInt(hexadecimal, 16) : octal !== undefined ? parseInt(octal, 8) : Number(decimal);
  const value = sign === '-' ? 0 - size : size;
  if (value < min || value > max) throw new KernelError('ERANGE', `${text.trimEnd()} is out of range: expected ${min} to ${max}`);
  return value;
}

const U64_LIMIT = 2n ** 64n;

/**
 * An unsigned number of up to 64 bits, `+` allowed before it (kstrtoull). Base 0 takes `0x` hexadecimal, leading `0` octal, else
 * decimal; base 16 takes `0x` or nothing before its digits.
 * @throws KernelError EINVAL if it is no number, ERANGE if it needs more than 64 bits.
 */
export function parseU64(text: string, base: 0 | 16 = 0): bigint {
  const form = base === 16 ? /^\+?(?:0[xX])?([0-9a-fA-F]+)\n?$/ : /^\+?(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))\n?$/;
  const match = form.exec(text);
  if (!match) {
    throw new KernelError(
      'EINVAL',
      `'${text.trimEnd()}' is no whole number: expected ${base === 16 ? 'hexadecimal' : 'decimal, 0x hexadecimal or 0 octal'}`,
    );
  }
  const [, hexadecimal, octal, decimal] = match;
  const value = BigInt(hexadecimal !== undefined ? `0x${hexadecimal}` : octal !== undefined ? `0o${octal}` : decimal!);
  if (value >= U64_LIMIT) throw new KernelError('ERANGE', `${text.trimEnd()} is out of range: expected less than 2^64`);
  return value;
}
