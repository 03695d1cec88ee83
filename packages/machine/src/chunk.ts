/**
 * A chunk: 2 MiB of real bytes, and views of its 4 KiB frames, made when first asked for and kept.
 *
 * Invariant: `bytes` never changes identity while the chunk is in use.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { CHUNK_SIZE } from './hardware.js';

export const FRAMES_PER_CHUNK = CHUNK_SIZE / PAGE_SIZE;

export class Chunk {
  readonly bytes = new Uint8Array(CHUNK_SIZE);
  /** By frame: the view from there on that was asked for last. Who does I/O from a buffer does more of it, of the same length. */
  readonly #views = new Array<Uint8Array | undefined>(FRAMES_PER_CHUNK).fill(undefined);

  /** The view of `length` bytes from frame `index`, `[0, FRAMES_PER_CHUNK)`, on. They lie in the chunk. */
  frames(index: number, length: number): Uint8Array {
    const view = this.#views[index];
    return view?.length === length ? view : this.#makeView(index, length);
  }

  #makeView(index: number, length: number): Uint8Array {
    const start = index * PAGE_SIZE;
    return (this.#views[index] = this.bytes.subarray(start, start + length));
  }

  copy(): Chunk {
    const copy = new Chunk();
    copy.bytes.set(this.bytes);
    return copy;
  }
}
