/**
 * States of a chunked store, kept while the store goes on: what it held at each moment it was frozen. Nothing is copied at that moment; a
 * chunk is copied when it is next asked for.
 *
 * A layer holds the chunks that the store had in memory when it was frozen. Of a chunk that had been in no layer before, what it was (its
 * image's content, or zeros) is put into the newest layer when the store first asks for it; so whatever no layer knows has never changed.
 *
 * Invariant: the newest layer stays, let go of or not: the store itself reads from it.
 */
import { CHUNK_SIZE } from './hardware.js';
import type { FrozenImage, ImageBacking } from './image-backing.js';

/** A chunk's bytes, or null for zeros. */
type Saved = Uint8Array | null;

export interface FrozenLayers {
  readonly isEmpty: boolean;
  /** Chunks that some layer holds. */
  keys(): Set<number>;
  /** Take over the chunks of the store, which has none in memory then. */
  freeze(chunks: ReadonlyMap<number, Uint8Array>): FrozenLayer;
  /** What the store holds at chunk `k`, if it is in a layer: to be copied before use. */
  latest(k: number): Saved | undefined;
  /** The store is about to use chunk `k`, which no layer has: this is what it was. Does nothing if nothing was ever frozen. */
  keepOriginal(k: number, bytes: Saved): void;
  /** What chunk `k` held when layer `layer` was made; undefined if it has not changed since, and the image or zeros tell. */
  at(layer: FrozenLayer, k: number): Saved | undefined;
  /** Nobody reads `layer` any more: chunks that no other one needs go. */
  release(layer: FrozenLayer): void;
}

/** One of the states, to be named to the layers that made it. */
export interface FrozenLayer {
  readonly chunks: Map<number, Saved>;
}

export function createFrozenLayers(): FrozenLayers {
  const layers: FrozenLayer[] = [];
  const released = new Set<FrozenLayer>();
  const has = (k: number): ((layer: FrozenLayer) => boolean) => ({ chunks }) => chunks.has(k);

  /** Take layer `index`, not the newest, out. What others read through it goes to a neighbour. */
  const remove = (index: number): void => {
    const before = layers.slice(0, index);
    const next = layers[index + 1]!.chunks;
    for (const [k, bytes] of layers[index]!.chunks) {
      // The first layer that knows a chunk speaks for those before it; any other one for those behind it.
      const heir = before.length > 0 && !before.some(has(k)) ? before.at(-1)!.chunks : next;
      if (!heir.has(k)) heir.set(k, bytes);
    }
    layers.splice(index, 1);
  };
  const removeReleased = (): void => {
    for (const layer of released) {
      if (layer === layers.at(-1)) continue;
      remove(layers.indexOf(layer));
      released.delete(layer);
    }
  };

  return {
    get isEmpty() {
      return layers.length === 0;
    },
    keys: () => new Set(layers.flatMap(({ chunks }) => [...chunks.keys()])),
    freeze(chunks) {
      const layer = { chunks: new Map<number, Saved>(chunks) };
      layers.push(layer);
      removeReleased();
      return layer;
    },
    latest: (k) => layers.findLast(has(k))?.chunks.get(k),
    keepOriginal(k, bytes) {
      if (layers.length > 0 && !layers.some(has(k))) layers.at(-1)!.chunks.set(k, bytes);
    },
    at(layer, k) {
      const index = layers.indexOf(layer);
      const known = layers.slice(0, index + 1).findLast(has(k)) ?? layers.slice(index + 1).find(has(k));
      return known?.chunks.get(k);
    },
    release(layer) {
      released.add(layer);
      removeReleased();
    },
  };
}

/**
 * Frozen layer `layer` as an image that can be read. `phase` is the distance of its first byte from the grid of chunks, and `backing` is
 * where chunks are that no layer knows.
 */
export function frozenImage(
  layers: FrozenLayers,
  layer: FrozenLayer,
  { sizeBytes, phase, backing }: { sizeBytes: number; phase: number; backing: ImageBacking | undefined },
): FrozenImage {
  const eachPiece = (offset: number, length: number, use: (saved: Saved | undefined, within: number, at: number, count: number) => void): void => {
    for (let done = 0; done < length;) {
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
    release: () => layers.release(layer),
  };
}
