import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPatchedImage } from './state-image.js';

const SIZE = 64;

test('a patched image reads as its bytes with the patches over them, and is not known to be zeros where one is', () => {
  const anyPatches = fc.uniqueArray(fc.nat(15), { maxLength: 6 }).map((slots) => [...slots].sort((a, b) => a - b).map((slot) => ({ offset: slot * 4, bytes: new Uint8Array(1 + (slot % 4)).fill(slot + 1) })));
  const below = Uint8Array.from({ length: SIZE }, (_, i) => 100 + i);
  fc.assert(
    fc.property(anyPatches, fc.nat(SIZE), fc.nat(SIZE), (patches, a, b) => {
      const [offset, length] = [Math.min(a, b), Math.abs(a - b)];
      const model = below.slice();
      for (const { offset: at, bytes } of patches) model.set(bytes, at);
      const image = createPatchedImage({ sizeBytes: SIZE, isKnownZero: () => true, read: (from, target, at, count) => target.set(below.subarray(from, from + count), at), write: () => {} }, patches);
      const target = new Uint8Array(length + 2);
      image.read(offset, target, 1, length);
      expect([...target]).toEqual([0, ...model.subarray(offset, offset + length), 0]);
      const touched = patches.some(({ offset: at, bytes }) => at < offset + length && offset < at + bytes.length);
      expect(image.isKnownZero(offset, length)).toBe(!touched);
    }),
  );
});
