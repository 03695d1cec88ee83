/**
 * A store as it would be in another outcome of a cut: what it was left with, and over it the units that would differ. Nothing is copied.
 */
import type { ImageBacking } from '@holdfast/machine';

/** Bytes in place of what lies below; patches are disjoint and in the order of offsets. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export function createPatchedImage(below: ImageBacking, patches: readonly Patch[]): ImageBacking {
  /** The first patch that ends behind `offset`. */
  const firstBehind = (offset: number): number => {
    let [low, high] = [0, patches.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { offset: at, bytes } = patches[middle]!;
      if (at + bytes.length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return {
    sizeBytes: below.sizeBytes,
    isKnownZero: (offset, length) => !((patches[firstBehind(offset)]?.offset ?? Infinity) < offset + length) && below.isKnownZero(offset, length),
    read(offset, target, targetOffset, length) {
      below.read(offset, target, targetOffset, length);
      for (let i = firstBehind(offset); i < patches.length && patches[i]!.offset < offset + length; i++) {
        const { offset: at, bytes } = patches[i]!;
        const from = Math.max(at, offset);
        const to = Math.min(at + bytes.length, offset + length);
        target.set(bytes.subarray(from - at, to - at), targetOffset + from - offset);
      }
    },
    write() {
      throw new TypeError('an outcome of a cut cannot be written: put an overlay over it');
    },
  };
}
