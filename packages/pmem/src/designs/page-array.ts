/**
 * An array of struct pages in RAM that is no part of the vmemmap: what a design lends, or counts units with. Each is the 64 bytes of Linux's
 * layout (page.ts of @holdfast/mm), in frames that the page allocator gave.
 *
 * Invariant: a struct page that was never asked for says what its initialiser would have written. Its bytes are made, 64 struct pages at a
 * time, when the first of them is, so that 12 GiB of them cost the host nothing; virtual time is charged for all of them at once.
 */
import { KernelError, MAX_PAGE_ORDER, NUMA_NO_NODE, PAGE_SIZE, STRUCT_PAGE_SIZE, nodeId, physToPfn } from '@holdfast/lib';
import type { NodeId, PhysAddr } from '@holdfast/lib';
import type { BlockRun } from '@holdfast/memory-hotplug';
import {
  DIRECT_MAP_BASE_L4, NEW_PAGE_FLAGS_LO, PAGE_FLAGS, PAGE_FLAGS_HI, PAGE_INDEX, PAGE_MAPCOUNT, PAGE_PGMAP, PAGE_REFCOUNT, PAGE_UNMAPPED, PG, WORDS_PER_PAGE,
  ZONE_DEVICE, pageLinks, writeWord64,
} from '@holdfast/mm';
import type { PageHost } from '../page-design.js';
import { binarySize } from './binary-size.js';

const PER_FRAME = PAGE_SIZE / STRUCT_PAGE_SIZE;

export interface PageArray {
  readonly count: number;
  /** Whole frames of RAM. */
  readonly ramBytes: number;
  /** The words that hold a struct page; it starts at {@link wordOf}. The same object at each call. */
  words(index: number): Int32Array;
  /** Where a struct page lies. */
  phys(index: number): PhysAddr;
  /** Give the RAM back. */
  free(): void;
}

/** The word at which a struct page starts in its {@link PageArray.words}. */
export function wordOf(index: number): number {
  return (index % PER_FRAME) * WORDS_PER_PAGE;
}

/**
 * Take RAM for `count` struct pages.
 * @param init writes what a struct page starts with, at word `at`, all zeros before
 * @throws KernelError ENOMEM
 */
export function allocPageArray(
  { frames, memory, chargeStores }: Pick<PageHost, 'frames' | 'memory' | 'chargeStores'>,
  owner: string,
  nid: NodeId,
  count: number,
  init: (words: Int32Array, at: number, index: number, array: PhysAddr) => void,
): PageArray {
  const nrFrames = Math.ceil(count / PER_FRAME);
  const taken = takeFrames(frames, owner, nid, nrFrames);
  const { runs } = taken;
  for (const run of runs) chargeStores?.(run.start, run.count * PAGE_SIZE, 'WB');
  /** The first frame of the array that lies in each run. */
  const firsts: number[] = [];
  let covered = 0;
  for (const run of runs) {
    firsts.push(covered);
    covered += run.count;
  }
  const made = new Map<number, Int32Array>();

  const framePhys = (frame: number): number => {
    let [low, high] = [0, runs.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (firsts[middle]! <= frame) low = middle;
      else high = middle - 1;
    }
    return runs[low]!.start + (frame - firsts[low]!) * PAGE_SIZE;
  };
  const make = (frame: number): Int32Array => {
    const bytes = memory.frame(physToPfn(framePhys(frame) as PhysAddr));
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE / 4);
    words.fill(0);
    const last = Math.min(count, (frame + 1) * PER_FRAME);
    for (let index = frame * PER_FRAME; index < last; index++) init(words, wordOf(index), index, runs[0]!.start);
    made.set(frame, words);
    return words;
  };

  return {
    count,
    ramBytes: nrFrames * PAGE_SIZE,
    words: (index) => made.get(Math.floor(index / PER_FRAME)) ?? make(Math.floor(index / PER_FRAME)),
    phys: (index) => (framePhys(Math.floor(index / PER_FRAME)) + (index % PER_FRAME) * STRUCT_PAGE_SIZE) as PhysAddr,
    free: () => taken.free(),
  };
}

/** RAM of an array: the largest blocks first, so that gigabytes are taken in few steps; whole frames in all. */
interface TakenFrames {
  readonly runs: readonly { readonly start: PhysAddr; readonly count: number }[];
  free(): void;
}

function takeFrames(frames: PageHost['frames'], owner: string, nid: NodeId, nrFrames: number): TakenFrames {
  const taken: { readonly order: number; readonly runs: readonly BlockRun[] }[] = [];
  const free = (): void => {
    for (const { order, runs } of taken) frames.freeBlocks(order, runs);
  };
  let left = nrFrames;
  try {
    for (const order of [MAX_PAGE_ORDER, 0]) {
      const count = Math.floor(left / 2 ** order);
      if (count === 0) continue;
      taken.push({ order, runs: frames.allocBlocks(nid === NUMA_NO_NODE ? nodeId(0) : nid, order, count) });
      left -= count * 2 ** order;
    }
  } catch (error) {
    free();
    if (!(error instanceof KernelError)) throw error;
    throw new KernelError(error.code, `${owner}: its struct pages take ${binarySize(nrFrames * PAGE_SIZE)} of RAM: ${error.message}`, { cause: error });
  }
  return { runs: taken.flatMap(({ order, runs }) => runs.map(({ start, count }) => ({ start, count: count * 2 ** order }))), free };
}

/**
 * Write a struct page of device memory: in ZONE_DEVICE, reserved, mapped by nobody.
 * @param array stands in for the dev_pagemap that `pgmap` points to
 * @param frame counted from the start of the device
 */
export function initDevicePage(
  words: Int32Array,
  at: number,
  { array, nid, frame, refcount }: { array: PhysAddr; nid: NodeId; frame: number; refcount: number },
): void {
  words[at + PAGE_FLAGS] = NEW_PAGE_FLAGS_LO | (1 << PG.reserved);
  words[at + PAGE_FLAGS_HI] = pageLinks(Math.max(0, nid), ZONE_DEVICE);
  writeWord64(words, at + PAGE_PGMAP, DIRECT_MAP_BASE_L4 + BigInt(array));
  writeWord64(words, at + PAGE_INDEX, BigInt(frame));
  words[at + PAGE_MAPCOUNT] = PAGE_UNMAPPED;
  words[at + PAGE_REFCOUNT] = refcount;
}
