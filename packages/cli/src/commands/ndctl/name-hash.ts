/**
 * The order in which sysfs lists names. Mirrors fs/kernfs/dir.c: kernfs_name_hash, over fs/namei.c's partial name hash of x86-64 without
 * word-at-a-time loads, as readdir(3) of /sys shows it: ascending. libndctl puts each device before those it read before, so its lists
 * run the other way.
 */
const MASK = (1n << 64n) - 1n;
const GOLDEN_RATIO = 0x61c8864680b583ebn;

export function kernfsNameHash(name: string): number {
  let hash = 0n;
  for (const char of name) {
    const code = BigInt(char.codePointAt(0)!);
    hash = ((hash + (code << 4n) + (code >> 4n)) * 11n) & MASK;
  }
  return Number(((hash * GOLDEN_RATIO) & MASK) >> 32n) & 0x7fffffff;
}

/** Names as readdir gives them. */
export function inReaddirOrder(names: Iterable<string>): string[] {
  return [...names].map((name) => ({ name, hash: kernfsNameHash(name) })).sort((a, b) => a.hash - b.hash || (a.name < b.name ? -1 : 1)).map(({ name }) => name);
}
