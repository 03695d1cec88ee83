/**
 * A chunk: 2 MiB of real bytes, and views of its 4 KiB frames, made when first asked for and kept.
 *
 * Invariant: `bytes` and its views never change identity while the chunk is in use.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { CHUNK_SIZE } from './hardware.js';

export const FRAMES_PER_CHUNK = CHUNK_SIZE / PAGE_SIZE;

export class Chunk {
  readonly bytes = new Uint8Array(CHUNK_SIZE);
  readonly #frames = new Array<Uint8Array | undefined>(FRAMES_PER_CHUNK).fill(undefined);

  /** The view of frame `index`, `[0, FRAMES_PER_CHUNK)`. */
  frame(index: number): Uint8Array {
    return (this.#frames[index] ??= this.bytes.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE));
  }

  copy(): Chunk {
    const copy = new Chunk();
    copy.bytes.set(this.bytes);
    return copy;
  }
}
