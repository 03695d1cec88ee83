import fc from 'fast-check';
import { MIB, physAddr } from '@holdfast/lib';
import { expect, test } from 'vitest';
import type { FrozenImage, ImageBacking } from './image-backing.js';
import { createMachine } from './machine.js';
import { createNvdimm } from './medium.js';
import { createOverlayImage } from './overlay-image.js';

const SIZE = 8 * MIB;
/** Not at the start of a chunk, so that the medium lies off the grid. */
const START = 4096;

function memoryImage(): ImageBacking {
  const bytes = new Uint8Array(SIZE);
  bytes.fill(7, 5 * MIB, 5 * MIB + 100);
  return {
    sizeBytes: SIZE,
    isKnownZero: (offset, length) => bytes.subarray(offset, offset + length).every((byte) => byte === 0),
    read: (offset, target, at, length) => target.set(bytes.subarray(offset, offset + length), at),
    write: (offset, source, at, length) => bytes.set(source.subarray(at, at + length), offset),
  };
}

/** A few places in each chunk, and over their edges. */
const place = fc.tuple(fc.nat(4), fc.constantFrom(-64, 0, 100, 4096)).map(([mib, offset]) => Math.max(0, Math.min(SIZE - 64, mib * 2 * MIB - START + offset)));
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), at: place, fill: fc.integer({ min: 1, max: 255 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), at: place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('freeze' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), nr: fc.nat() }) },
);

function spots(image: ImageBacking): number[] {
  const found: number[] = [];
  const byte = new Uint8Array(1);
  for (let mib = 0; mib <= 8; mib++) {
    for (const offset of [-64, -1, 0, 50, 100, 130, 4096, 4097]) {
      const at = mib * MIB - START + offset;
      if (at < 0 || at >= SIZE) continue;
      image.read(at, byte, 0, 1);
      if (image.isKnownZero(at, 1)) expect(byte[0]).toBe(0);
      found.push(byte[0]!);
    }
  }
  return found;
}

test.each([false, true])('a frozen state stays what it was, whatever is stored or let go of later (image: %s)', (withImage) => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 4, maxLength: 18 }), (steps) => {
      const medium = withImage ? createNvdimm({ backing: memoryImage() }) : createNvdimm({ sizeBytes: SIZE });
      const machine = createMachine({ media: [{ start: START, medium }] });
      const kept: { image: FrozenImage; then: number[] }[] = [];
      for (const each of steps) {
        if (each.kind === 'write') machine.memory.write(physAddr(START + each.at), new Uint8Array(64).fill(each.fill));
        else if (each.kind === 'clear') machine.memory.clear(physAddr(START + each.at), 64);
        else if (each.kind === 'release') {
          for (const { image } of kept.splice(each.nr % (kept.length + 1), 1)) image.release();
        } else {
          machine.poweroff();
          const image = medium.freeze();
          kept.push({ image, then: spots(image) });
        }
      }
      machine.poweroff();
      const now = spots(medium.freeze());
      const bytes = new Uint8Array(SIZE);
      machine.memory.read(physAddr(START), bytes);
      expect(now).toEqual(spots({ ...memoryImage(), read: (offset, target, at) => void (target[at] = bytes[offset]!), isKnownZero: () => false }));
      for (const { image, then } of kept) expect(spots(image)).toEqual(then);
    }),
    { numRuns: withImage ? 8 : 20 },
  );
});

test('an overlay reads through, keeps what is written to itself, and knows what is zeros', () => {
  const below = memoryImage();
  const overlay = createOverlayImage(below);
  overlay.write(2 * MIB - 2, Uint8Array.of(9, 1, 2, 3, 9), 1, 3);
  const bytes = new Uint8Array(8);
  overlay.read(2 * MIB - 4, bytes, 0, 8);
  expect([...bytes]).toEqual([0, 0, 1, 2, 3, 0, 0, 0]);
  overlay.read(5 * MIB + 96, bytes, 0, 8);
  expect([...bytes]).toEqual([7, 7, 7, 7, 0, 0, 0, 0]);
  expect([overlay.isKnownZero(6 * MIB, MIB), overlay.isKnownZero(2 * MIB, 1), overlay.isKnownZero(5 * MIB, 1)]).toEqual([true, false, false]);
  expect(spots(below)).toEqual(spots(memoryImage()));
});
