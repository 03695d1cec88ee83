/**
 * The only source of chance in Holdfast: seeded, so that the same seed tells the same story.
 */
export interface Random {
  /** A whole number in `[0, bound)`; `bound` is at most 2^32. */
  below(bound: number): number;
  /** True with probability one half. */
  coin(): boolean;
  /** Fill bytes with noise. */
  fill(bytes: Uint8Array): void;
}

/** xoshiro128** of Blackman and Vigna, its state spread from the seed by splitmix32. */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0;
  const splitmix = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let a = splitmix();
  let b = splitmix();
  let c = splitmix();
  let d = splitmix();
  const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
  const next = (): number => {
    const result = Math.imul(rotl(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotl(d, 11);
    return result;
  };
  return {
    below: (bound) => Math.floor((next() / 2 ** 32) * bound),
    coin: () => next() >= 2 ** 31,
    fill(bytes) {
      for (let i = 0; i < bytes.length; i++) bytes[i] = next() >>> 24;
    },
  };
}
