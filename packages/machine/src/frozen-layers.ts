/**
 * States of a chunked store, kept while the store goes on: what it held at each moment it was frozen. Nothing is copied at that moment; a
 * chunk is copied when it is next asked for.
 *
 * A layer holds the chunks that the store had in memory when it was frozen. Of a chunk that had been in no layer before, what it was (its
 * image's content, or zeros) is put into the newest layer when the store first asks for it; so whatever no layer knows has never changed.
 */
import { CHUNK_SIZE } from './hardware.js';
import type { ImageBacking } from './image-backing.js';

/** A chunk's bytes, or null for zeros. */
type Saved = Uint8Array | null;

export interface FrozenLayers {
  readonly isEmpty: boolean;
  /** Chunks that some layer holds. */
  keys(): Set<number>;
  /** Take over the chunks of the store, which has none in memory then. Returns the layer's number. */
  freeze(chunks: ReadonlyMap<number, Uint8Array>): number;
  /** What the store holds at chunk `k`, if it is in a layer: to be copied before use. */
  latest(k: number): Saved | undefined;
  /** The store is about to use chunk `k`, which no layer has: this is what it was. Does nothing if nothing was ever frozen. */
  keepOriginal(k: number, bytes: Saved): void;
  /** What chunk `k` held when layer `layer` was made; undefined if it has not changed since, and the image or zeros tell. */
  at(layer: number, k: number): Saved | undefined;
}

export function createFrozenLayers(): FrozenLayers {
  const layers: Map<number, Saved>[] = [];
  return {
    get isEmpty() {
      return layers.length === 0;
    },
    keys: () => new Set(layers.flatMap((layer) => [...layer.keys()])),
    freeze(chunks) {
      layers.push(new Map(chunks));
      return layers.length - 1;
    },
    latest: (k) => layers.findLast((layer) => layer.has(k))?.get(k),
    keepOriginal(k, bytes) {
      if (layers.length > 0 && !layers.some((layer) => layer.has(k))) layers.at(-1)!.set(k, bytes);
    },
    at(layer, k) {
      const before = layers.slice(0, layer + 1).findLast((each) => each.has(k));
      return (before ?? layers.slice(layer + 1).find((each) => each.has(k)))?.get(k);
    },
  };
}

/**
 * Frozen layer `layer` as an image that can be read. `phase` is the distance of its first byte from the grid of chunks, and `backing` is
 * where chunks are that no layer knows.
 */
export function frozenImage(layers: FrozenLayers, layer: number, { sizeBytes, phase, backing }: { sizeBytes: number; phase: number; backing: ImageBacking | undefined }): ImageBacking {
  const eachPiece = (offset: number, length: number, use: (saved: Saved | undefined, within: number, at: number, count: number) => void): void => {
    for (let done = 0; done < length; ) {
      const at = offset + done + phase;
      const k = Math.floor(at / CHUNK_SIZE);
      const count = Math.min(length - done, (k + 1) * CHUNK_SIZE - at);
      use(layers.at(layer, k), at - k * CHUNK_SIZE, offset + done, count);
      done += count;
    }
  };
  return {
    sizeBytes,
    isKnownZero(offset, length) {
      let zero = true;
      eachPiece(offset, length, (saved, _within, at, count) => {
        if (saved === undefined ? backing !== undefined && !backing.isKnownZero(at, count) : saved !== null) zero = false;
      });
      return zero;
    },
    read(offset, target, targetOffset, length) {
      eachPiece(offset, length, (saved, within, at, count) => {
        const to = targetOffset + at - offset;
        if (saved) target.set(saved.subarray(within, within + count), to);
        else if (saved === undefined && backing) backing.read(at, target, to, count);
        else target.fill(0, to, to + count);
      });
    },
    write() {
      throw new TypeError('a frozen image cannot be written');
    },
  };
}
