/**
 * Where a client's bytes arrive: a slab of simulated RAM, so that the payload of a write lies where a bio can name it.
 *
 * Invariant: `[start, end)` has arrived and is not used up; the rest is free.
 */
import type { Slab } from './disk.js';

/** A read of the socket gets at least so much room. */
const MIN_READ_BYTES = 128 * 1024;

export interface RequestBuffer {
  readonly slab: Slab;
  readonly view: DataView;
  start: number;
  end: number;
}

export function createRequestBuffer(slab: Slab): RequestBuffer {
  const { bytes } = slab;
  return { slab, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), start: 0, end: 0 };
}

/** Bytes that have arrived and are not used up. */
export function available({ start, end }: RequestBuffer): number {
  return end - start;
}

/** Make room for `needed` bytes from `start` on, and for a read of a decent size behind what is there. `needed` is at most half a slab. */
export function makeRoom(buffer: RequestBuffer, needed: number): void {
  const { bytes } = buffer.slab;
  if (buffer.start === buffer.end) {
    buffer.start = buffer.end = 0;
    return;
  }
  if (buffer.start + needed <= bytes.length && buffer.end + MIN_READ_BYTES <= bytes.length) return;
  bytes.copyWithin(0, buffer.start, buffer.end);
  buffer.end -= buffer.start;
  buffer.start = 0;
}

/**
 * Take in `length` bytes that were read into `space`: at the end of the buffer, unless what was before them has moved meanwhile, or lies in
 * the memory of another boot.
 */
export function append(buffer: RequestBuffer, space: Uint8Array, length: number): void {
  const { bytes } = buffer.slab;
  const inPlace = space.buffer === bytes.buffer && space.byteOffset === bytes.byteOffset + buffer.end;
  if (!inPlace) bytes.set(space.subarray(0, length), buffer.end);
  buffer.end += length;
}
