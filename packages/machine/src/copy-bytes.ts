/**
 * The copy under every access. Small copies are loops and whole arrays go straight to `set`, because a `subarray` costs 30 to 60 ns.
 * Keeping views of each frame instead was slower on working sets beyond the host's cache: 860 ns for a 4 KiB load, not 680, because
 * the view is one more thing to fetch.
 */
const LOOP_LIMIT = 32;

// Looking the method up through two prototypes at each copy costs 5 ns.
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with its `this`
const { set } = Uint8Array.prototype;

/** Copy `length` bytes. The caller has checked both ranges. */
export function copyBytes(target: Uint8Array, targetOffset: number, source: Uint8Array, sourceOffset: number, length: number): void {
  if (length === source.length) set.call(target, source, targetOffset);
  else if (length <= LOOP_LIMIT) for (let i = 0; i < length; i++) target[targetOffset + i] = source[sourceOffset + i]!;
  else set.call(target, source.subarray(sourceOffset, sourceOffset + length), targetOffset);
}
