/**
 * Counts of bytes and blocks as dd, head and hexdump take them: `512`, `4k`, `1M`, `0x1000`, `2x512`.
 * Bare letters and `KiB` are powers of 1024, `kB` and `MB` of 1000, `b` is 512, `c` 1, `w` 2.
 */
const UNITS: Record<string, number> = { '': 1, c: 1, w: 2, b: 512 };
for (const [index, letter] of [...'KMGTPE'].entries()) {
  UNITS[letter] = UNITS[`${letter}iB`] = 1024 ** (index + 1);
  UNITS[`${letter}B`] = 1000 ** (index + 1);
}
UNITS['k'] = UNITS['K']!;
UNITS['kB'] = UNITS['KB']!;

/** Undefined if the text is no such count, or none that is exact to 2^53. */
export function parseByteCount(text: string): number | undefined {
  let product = 1;
  for (const factor of /^0x/i.test(text) ? [text] : text.split('x')) {
    const match = /^(0x[0-9a-f]+|\d+)([a-z]*)$/i.exec(factor);
    const unit = match && Object.hasOwn(UNITS, match[2]!) ? UNITS[match[2]!] : undefined;
    if (!match || unit === undefined) return undefined;
    product *= Number(match[1]) * unit;
  }
  return Number.isSafeInteger(product) ? product : undefined;
}
