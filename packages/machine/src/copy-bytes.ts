/**
 * The copy under every access. Small copies are loops and whole arrays go straight to `set`, because a `subarray` costs an allocation
 * (30 to 60 ns, as much as copying 2 KiB).
 */
const LOOP_LIMIT = 32;

/** Copy `length` bytes. The caller has checked both ranges. */
export function copyBytes(target: Uint8Array, targetOffset: number, source: Uint8Array, sourceOffset: number, length: number): void {
  if (length === source.length) target.set(source, targetOffset);
  else if (length <= LOOP_LIMIT) for (let i = 0; i < length; i++) target[targetOffset + i] = source[sourceOffset + i]!;
  else target.set(source.subarray(sourceOffset, sourceOffset + length), targetOffset);
}
