/**
 * A store as it would be in another outcome of a cut: what it was left with, and over it the units that would differ. Nothing is copied.
 */
import { firstIndexWhere } from '@holdfast/lib';
import type { ImageBacking } from '@holdfast/machine';

/** Bytes in place of what lies below; patches are disjoint and in the order of offsets. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export function createPatchedImage(below: ImageBacking, patches: readonly Patch[]): ImageBacking {
  /** The first patch that ends behind `offset`. */
  const firstBehind = (offset: number): number => firstIndexWhere(patches.length, (i) => patches[i]!.offset + patches[i]!.bytes.length > offset);
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
