/**
 * Bits that have turned on a disk: each read shows them, until their block is written.
 */
import type { Random, Range } from '@holdfast/lib';

export interface Rot {
  /** A bit in `[start, end)`, in bytes of the disk, turns. */
  turnBit(random: Random, range: Range): void;
  /** `[offset, offset + length)` was read to `bytes[at, …)`: let it look as it is. */
  apply(bytes: Uint8Array, at: number, offset: number, length: number): void;
  /** Blocks were written. */
  heal(offset: number, length: number, blockBytes: number): void;
}

export function createRot(): Rot {
  /** By byte of the disk: the bits that have turned. */
  const turned = new Map<number, number>();
  return {
    turnBit(random, { start, end }) {
      const at = start + random.below(Math.min(end - start, 2 ** 32));
      turned.set(at, (turned.get(at) ?? 0) ^ (1 << random.below(8)));
    },
    apply(bytes, at, offset, length) {
      for (const [byte, bits] of turned) if (offset <= byte && byte < offset + length) bytes[at + byte - offset]! ^= bits;
    },
    heal(offset, length, blockBytes) {
      const start = Math.floor(offset / blockBytes) * blockBytes;
      for (const byte of turned.keys()) if (start <= byte && byte < offset + length) turned.delete(byte);
    },
  };
}
