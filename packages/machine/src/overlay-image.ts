/**
 * An image over another one: what is written stays in memory, in chunks, and the one below is never changed.
 */
import { CHUNK_SIZE } from './hardware.js';
import type { ImageBacking } from './image-backing.js';

export function createOverlayImage(below: ImageBacking): ImageBacking {
  const { sizeBytes } = below;
  const chunks = new Map<number, Uint8Array>();

  const eachPiece = (offset: number, length: number, use: (k: number, within: number, at: number, count: number) => void): void => {
    for (let at = offset; at < offset + length; ) {
      const k = Math.floor(at / CHUNK_SIZE);
      const count = Math.min(offset + length, (k + 1) * CHUNK_SIZE) - at;
      use(k, at - k * CHUNK_SIZE, at, count);
      at += count;
    }
  };
  const own = (k: number): Uint8Array => {
    let chunk = chunks.get(k);
    if (!chunk) {
      const length = Math.min(CHUNK_SIZE, sizeBytes - k * CHUNK_SIZE);
      chunk = new Uint8Array(length);
      if (!below.isKnownZero(k * CHUNK_SIZE, length)) below.read(k * CHUNK_SIZE, chunk, 0, length);
      chunks.set(k, chunk);
    }
    return chunk;
  };

  return {
    sizeBytes,
    isKnownZero(offset, length) {
      let zero = true;
      eachPiece(offset, length, (k, _within, at, count) => {
        if (chunks.has(k) || !below.isKnownZero(at, count)) zero = false;
      });
      return zero;
    },
    read(offset, target, targetOffset, length) {
      eachPiece(offset, length, (k, within, at, count) => {
        const chunk = chunks.get(k);
        const to = targetOffset + at - offset;
        if (chunk) target.set(chunk.subarray(within, within + count), to);
        else below.read(at, target, to, count);
      });
    },
    write(offset, source, sourceOffset, length) {
      eachPiece(offset, length, (k, within, at, count) => {
        const from = sourceOffset + at - offset;
        own(k).set(source.subarray(from, from + count), within);
      });
    },
  };
}
