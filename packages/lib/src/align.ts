/**
 * Rounding to a grain. Mirrors include/linux/align.h and include/linux/math.h.
 * All work on numbers up to 2^53 and on any grain, a power of two or not.
 */
export function roundUp(value: number, grain: number): number {
  return Math.ceil(value / grain) * grain;
}

export function roundDown(value: number, grain: number): number {
  return Math.floor(value / grain) * grain;
}

export function isAligned(value: number, grain: number): boolean {
  return value % grain === 0;
}

export function isPowerOf2(value: number): boolean {
  return value > 0 && Number.isSafeInteger(value) && 2 ** Math.floor(Math.log2(value)) === value;
}

/** The largest power of two not above `value` (rounddown_pow_of_two); `value` is at least 1. */
export function roundDownPow2(value: number): number {
  return 2 ** Math.floor(Math.log2(value));
}

export function roundUpPow2(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}
