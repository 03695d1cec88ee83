/**
 * Media: what holds the bytes behind the physical address space, in chunks made on first write.
 *
 * Invariant: a chunk that is absent reads as zeros (or as noise, after a volatile medium lost power with it present), and costs
 * nothing. Chunks lie on the grid of *physical* chunks, so that a chunk of the address space is a chunk of its medium: `phase` is the
 * distance of the medium's first byte from the grid, and "grid offset" below means `phase + offset in the medium`.
 */
import { BugError, KernelError, PAGE_SIZE, bugOn, createRangeSet, seededRandom } from '@holdfast/lib';
import { Chunk } from './chunk.js';
import { DirtyRanges } from './dirty-ranges.js';
import { mediumFigures } from './costs.js';
import { createFrozenLayers, frozenImage } from './frozen-layers.js';
import { CHUNK_SIZE, type MediaWear, type Medium, type MediumKind } from './hardware.js';
import type { FrozenImage, ImageBacking } from './image-backing.js';
import { MediaController } from './media-controller.js';

/** Ranges an image may lag behind by; past it they are written early, which the model allows: lines may be evicted at any time. */
const MAX_DIRTY_RANGES = 4096;

/** RAM: zeros when new, noise after any power cycle (where it had been written), gone when pulled out. */
export function createDram(sizeBytes: number): Medium {
  return new MediumStore('dram', sizeBytes, true, undefined);
}

/** What a non-volatile medium is made of: its size, or the image that keeps its bytes, or both if they agree. */
export interface NonVolatileSpec {
  readonly sizeBytes?: number;
  readonly backing?: ImageBacking;
}

export interface NvdimmSpec extends NonVolatileSpec {
  /** Modules that addresses are spread over. Default 1. */
  readonly interleave?: number;
}

/** An Optane-like NVDIMM, or an interleaved set of them. @throws KernelError EINVAL if the image has another size. */
export function createNvdimm(spec: NvdimmSpec): Medium {
  return new MediumStore('nvdimm', sizeOf(spec), false, spec.backing, spec.interleave);
}

/** An NVDIMM-N: DRAM that a battery and flash keep; usually of 8 to 32 GiB. @throws KernelError EINVAL if the image has another size. */
export function createNvdimmN(spec: NvdimmSpec): Medium {
  return new MediumStore('nvdimm-n', sizeOf(spec), false, spec.backing, spec.interleave);
}

/** Non-volatile memory on a PCI card, seen through a BAR. @throws KernelError EINVAL if the image has another size. */
export function createPciMemory(spec: NonVolatileSpec): Medium {
  return new MediumStore('pci', sizeOf(spec), false, spec.backing);
}

/** A file of the host, mapped into the guest as memory: what the device virtio-pmem shows. @throws KernelError EINVAL if the image has another size. */
export function createHostedFile(spec: NonVolatileSpec): Medium {
  return new MediumStore('hosted', sizeOf(spec), false, spec.backing);
}

function sizeOf({ sizeBytes, backing }: NonVolatileSpec): number {
  const size = sizeBytes ?? backing?.sizeBytes;
  if (size === undefined) throw new KernelError('EINVAL', 'medium: give a size or an image');
  if (backing !== undefined && backing.sizeBytes !== size) {
    throw new KernelError('EINVAL', `medium: the image has ${backing.sizeBytes} bytes, expected ${size}`);
  }
  return size;
}

/** The one implementation of {@link Medium}; the rest of this package works with it. */
export class MediumStore implements Medium {
  readonly kind: MediumKind;
  readonly sizeBytes: number;
  readonly volatile: boolean;
  readonly backing: ImageBacking | undefined;
  /** Offsets in the medium of lines that are lost; see {@link MediaPoison}. */
  readonly poison = createRangeSet();
  readonly controller: MediaController;
  /** Plugged into a machine. */
  attached = false;

  #bytesWritten = 0;
  #phase = 0;
  readonly #chunks = new Map<number, Chunk>();
  /** Volatile: chunks that read as noise of this seed until they are made. */
  readonly #noisy = new Map<number, number>();
  /** Image: chunks that were read and found to be zeros. */
  readonly #knownZero = new Set<number>();
  /** Image: what the cache model says must follow, and chunks handed out for raw stores, which follow at power-off. */
  readonly #dirty = new DirtyRanges();
  readonly #raw = new Set<number>();
  readonly #frozen = createFrozenLayers();

  constructor(kind: MediumKind, sizeBytes: number, isVolatile: boolean, backing: ImageBacking | undefined, interleave?: number) {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
      throw new KernelError('EINVAL', `medium: size ${sizeBytes}, expected a whole number of bytes above 0`);
    }
    if (interleave !== undefined && !(Number.isInteger(interleave) && interleave > 0)) {
      throw new KernelError('EINVAL', `medium: interleaved over ${interleave} modules, expected 1 or more`);
    }
    this.kind = kind;
    this.sizeBytes = sizeBytes;
    this.volatile = isVolatile;
    this.backing = backing;
    this.controller = new MediaController(mediumFigures(kind, interleave));
  }

  get bytesWritten(): number {
    this.controller.ledger?.settle();
    return this.#bytesWritten;
  }

  countWritten(length: number): void {
    this.#bytesWritten += length;
  }

  get wear(): MediaWear {
    return this.controller;
  }

  /** Chunks made so far: what the medium costs the host. */
  get chunkCount(): number {
    return this.#chunks.size;
  }

  /** Take a place at `phase` bytes past a chunk boundary; what the medium holds moves to the new grid. */
  place(phase: number): void {
    if (phase === this.#phase) return;
    bugOn(!this.#frozen.isEmpty, 'medium: frozen states keep it at its place in a chunk');
    const oldPhase = this.#phase;
    const kept = this.backing === undefined ? [...this.#chunks] : []; // what has an image is loaded again
    this.#chunks.clear();
    this.#knownZero.clear();
    this.#phase = phase;
    for (const [k, chunk] of kept) {
      const from = Math.max(k * CHUNK_SIZE, oldPhase);
      const to = Math.min((k + 1) * CHUNK_SIZE, oldPhase + this.sizeBytes);
      this.#copyIn(from - oldPhase + phase, chunk.bytes.subarray(from - k * CHUNK_SIZE, to - k * CHUNK_SIZE));
    }
  }

  /** The chunk `k` of the grid if it holds anything but zeros, loaded from the image if need be. */
  peek(k: number): Chunk | undefined {
    const chunk = this.#chunks.get(k);
    if (chunk !== undefined) return chunk;
    const seed = this.#noisy.get(k);
    if (seed !== undefined) {
      this.#noisy.delete(k);
      return this.#fillNoise(this.make(k), seed + k);
    }
    const saved = this.#frozen.isEmpty ? undefined : this.#frozen.latest(k);
    if (saved) return this.#thaw(k, saved);
    return this.backing === undefined || saved === null ? undefined : this.#load(this.backing, k);
  }

  /** The chunk `k` of the grid, made if need be. */
  make(k: number): Chunk {
    const present = this.#chunks.get(k) ?? (this.#noisy.has(k) || this.backing !== undefined || !this.#frozen.isEmpty ? this.peek(k) : undefined);
    if (present !== undefined) return present;
    this.#frozen.keepOriginal(k, null);
    const chunk = new Chunk();
    this.#chunks.set(k, chunk);
    return chunk;
  }

  /** Use `chunk`, shared with a neighbour in the same physical chunk and holding this medium's bytes already. */
  adopt(k: number, chunk: Chunk): void {
    this.#noisy.delete(k);
    this.#chunks.set(k, chunk);
  }

  /** May chunk `k` of the grid hold anything but zeros? */
  mayHold(k: number): boolean {
    if (this.#chunks.has(k) || this.#noisy.has(k)) return true;
    const saved = this.#frozen.isEmpty ? undefined : this.#frozen.latest(k);
    if (saved !== undefined) return saved !== null;
    if (this.backing === undefined || this.#knownZero.has(k)) return false;
    const { from, to } = this.#span(k);
    return !this.backing.isKnownZero(this.#offset(k, from), to - from);
  }

  /** Chunks from `first` to `last` of the grid that may hold anything but zeros; of an image, all that it does not know to be holes. */
  present(first: number, last: number): number[] {
    const known = [...new Set([...this.#chunks.keys(), ...this.#noisy.keys(), ...this.#frozen.keys()])].filter((k) => k >= first && k <= last);
    const { backing } = this;
    if (backing === undefined) return known;
    const held = new Set(known);
    return [...range(first, last + 1)].filter((k) => {
      const { from, to } = this.#span(k);
      return held.has(k) || !backing.isKnownZero(this.#offset(k, from), to - from);
    });
  }

  /** Make `[start, end)` of the grid zeros. */
  clear(start: number, end: number): void {
    const first = Math.floor(start / CHUNK_SIZE);
    const last = Math.floor((end - 1) / CHUNK_SIZE);
    for (const k of this.present(first, last)) {
      const from = Math.max(start - k * CHUNK_SIZE, 0);
      const to = Math.min(end - k * CHUNK_SIZE, CHUNK_SIZE);
      if (from === 0 && to === CHUNK_SIZE && this.#noisy.delete(k)) continue;
      const chunk = this.peek(k);
      if (chunk === undefined) continue;
      chunk.bytes.fill(0, from, to);
      this.touchRaw(k);
    }
  }

  // Power.

  /** A volatile medium loses its charge; a non-volatile one brings its image up to date. */
  powerLoss(seed: number): void {
    this.controller.settle();
    if (!this.volatile) return this.syncAll();
    for (const k of this.#chunks.keys()) this.#noisy.set(k, seed);
    this.#chunks.clear();
  }

  freeze(): FrozenImage {
    bugOn(this.volatile, 'medium: what forgets cannot be frozen');
    this.syncAll();
    const layer = this.#frozen.freeze(new Map([...this.#chunks].map(([k, chunk]) => [k, chunk.bytes])));
    this.#chunks.clear();
    return frozenImage(this.#frozen, layer, { sizeBytes: this.sizeBytes, phase: this.#phase, backing: this.backing });
  }

  /** Pulled out of the machine. */
  unplug(): void {
    this.attached = false;
    this.controller.settle();
    if (!this.volatile) return this.syncAll();
    this.#chunks.clear();
    this.#noisy.clear();
  }

  // The image.

  /** `[start, end)` of the grid was stored to, and must reach the image by the next {@link sync}. */
  touch(start: number, end: number): void {
    this.#dirty.add(start, end);
    if (this.#dirty.length > MAX_DIRTY_RANGES) this.sync();
  }

  /** Chunk `k` was handed out for stores that nobody sees. */
  touchRaw(k: number): void {
    if (this.backing !== undefined) this.#raw.add(k);
  }

  /** Write `[start, end)` of the grid to the image now, in ascending order, its cache lines whole. */
  writeThrough(start: number, end: number): void {
    const line = new DirtyRanges();
    line.add(start, end);
    for (const piece of line.merged()) this.#writeRange(piece.start, piece.end);
  }

  /** Bring the image up to everything that was {@link touch}ed. What fails to be written stays dirty. */
  sync(): void {
    if (this.#dirty.length === 0) return;
    for (const { start, end } of this.#dirty.merged()) this.#writeRange(start, end);
    this.#dirty.clear();
  }

  /** {@link sync}, and the chunks with raw stores, of which only the pages that changed are written: the file stays sparse. */
  syncAll(): void {
    this.sync();
    if (this.backing === undefined) return;
    for (const k of this.#raw) this.#writeChanges(this.backing, k);
    this.#raw.clear();
  }

  #writeRange(start: number, end: number): void {
    const to = Math.min(end, this.#phase + this.sizeBytes);
    for (let at = Math.max(start, this.#phase); at < to; ) {
      const k = Math.floor(at / CHUNK_SIZE);
      const length = Math.min(to, (k + 1) * CHUNK_SIZE) - at;
      this.backing?.write(at - this.#phase, this.#existing(k).bytes, at - k * CHUNK_SIZE, length);
      at += length;
    }
  }

  #writeChanges(backing: ImageBacking, k: number): void {
    const { from, to } = this.#span(k);
    const now = this.#existing(k).bytes;
    const then = new Uint8Array(CHUNK_SIZE);
    if (!backing.isKnownZero(this.#offset(k, from), to - from)) backing.read(this.#offset(k, from), then, from, to - from);
    for (let at = from; at < to; at += PAGE_SIZE) {
      const end = Math.min(at + PAGE_SIZE, to);
      if (!sameBytes(now, then, at, end)) backing.write(this.#offset(k, at), now, at, end - at);
    }
  }

  #load(backing: ImageBacking, k: number): Chunk | undefined {
    if (this.#knownZero.has(k)) return undefined;
    const { from, to } = this.#span(k);
    if (backing.isKnownZero(this.#offset(k, from), to - from)) return undefined;
    const chunk = new Chunk();
    backing.read(this.#offset(k, from), chunk.bytes, from, to - from);
    if (isZero(chunk.bytes)) {
      this.#knownZero.add(k);
      return undefined;
    }
    this.#frozen.keepOriginal(k, this.#frozen.isEmpty ? null : chunk.bytes.slice());
    this.#chunks.set(k, chunk);
    return chunk;
  }

  #thaw(k: number, saved: Uint8Array): Chunk {
    const chunk = new Chunk();
    chunk.bytes.set(saved);
    this.#chunks.set(k, chunk);
    return chunk;
  }

  /** The part of chunk `k` that is this medium's, as offsets in the chunk. */
  #span(k: number): { from: number; to: number } {
    const start = k * CHUNK_SIZE;
    return { from: Math.max(this.#phase - start, 0), to: Math.min(this.#phase + this.sizeBytes - start, CHUNK_SIZE) };
  }

  /** Offset in the medium of byte `within` of chunk `k`. */
  #offset(k: number, within: number): number {
    return k * CHUNK_SIZE + within - this.#phase;
  }

  #existing(k: number): Chunk {
    const chunk = this.#chunks.get(k);
    if (chunk === undefined) throw new BugError(`medium: chunk ${k} is dirty and absent`);
    return chunk;
  }

  #copyIn(gridOffset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      const at = gridOffset + done;
      const k = Math.floor(at / CHUNK_SIZE);
      const length = Math.min(source.length - done, (k + 1) * CHUNK_SIZE - at);
      this.make(k).bytes.set(source.subarray(done, done + length), at - k * CHUNK_SIZE);
      done += length;
    }
  }

  /** One page of noise, repeated: as useless as real noise, and quick to make. */
  #fillNoise(chunk: Chunk, seed: number): Chunk {
    const page = chunk.bytes.subarray(0, PAGE_SIZE);
    seededRandom(seed).fill(page);
    for (let at = PAGE_SIZE; at < CHUNK_SIZE; at += PAGE_SIZE) chunk.bytes.set(page, at);
    return chunk;
  }
}

function* range(start: number, end: number): Generator<number> {
  for (let i = start; i < end; i++) yield i;
}

function isZero(bytes: Uint8Array): boolean {
  return new Int32Array(bytes.buffer).every((word) => word === 0);
}

function sameBytes(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false;
  return true;
}
