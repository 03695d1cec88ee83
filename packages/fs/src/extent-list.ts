/**
 * Where the blocks of one file are, in memory: extents in the file's order. What is on the medium, a tree or lists of pointers, is the file
 * system's business.
 *
 * Invariant: extents are ascending, disjoint, never empty, and joined where they follow each other in the file and on the device alike.
 */
import { firstIndexWhere } from '@holdfast/lib';
import type { FileRun } from './file-data.js';

/** Blocks `[block, block + length)` of a file are blocks of the device from `start` on. */
export interface Extent {
  readonly block: number;
  readonly length: number;
  readonly start: number;
  /** Allocated, and reads as zeros. */
  readonly isUnwritten: boolean;
}

export interface ExtentList {
  readonly extents: readonly Extent[];
  /** The extent that holds a block, or undefined in a hole. */
  at(block: number): Extent | undefined;
  /** The last extent that begins before a block. */
  before(block: number): Extent | undefined;
  /** How many blocks from `block` on are a hole, at most `most`. */
  holeAt(block: number, most: number): number;
  /** Put an extent in place of whatever was there. */
  set(extent: Extent): void;
  /** Cut off everything from a block on; returns what was cut. */
  cut(block: number): Extent[];
}

/** Where a file's blocks from `block` on are, as far as they lie in one extent or one hole: at least one, at most `most`. */
export function runAt(list: ExtentList, block: number, most: number): FileRun {
  const extent = list.at(block);
  if (!extent) return { start: undefined, count: Math.max(1, list.holeAt(block, most)) };
  const into = block - extent.block;
  return { start: extent.start + into, count: Math.min(most, extent.length - into), ...(extent.isUnwritten ? { isNew: true } : {}) };
}

export function createExtentList(initial: readonly Extent[] = []): ExtentList {
  let extents: Extent[] = [...initial];
  /** Index of the first extent that ends behind `block`. */
  const indexAt = (block: number): number => firstIndexWhere(extents.length, (i) => extents[i]!.block + extents[i]!.length > block);
  return {
    get extents() {
      return extents;
    },
    at(block) {
      const extent = extents[indexAt(block)];
      return extent && extent.block <= block ? extent : undefined;
    },
    before(block) {
      const index = indexAt(block);
      const extent = extents[index];
      return extent && extent.block < block ? extent : extents[index - 1];
    },
    holeAt(block, most) {
      const next = extents[indexAt(block)];
      return next ? Math.max(0, Math.min(most, next.block - block)) : most;
    },
    set(extent) {
      const end = extent.block + extent.length;
      const from = indexAt(extent.block);
      let to = from;
      while (to < extents.length && extents[to]!.block < end) to++;
      const pieces = [
        ...extents.slice(from, to).flatMap((old) => part(old, old.block, extent.block)),
        extent,
        ...extents.slice(from, to).flatMap((old) => part(old, end, old.block + old.length)),
      ];
      const neighbours = [...extents.slice(Math.max(0, from - 1), from), ...pieces, ...extents.slice(to, to + 1)];
      extents.splice(Math.max(0, from - 1), Math.min(from, 1) + (to - from) + (to < extents.length ? 1 : 0), ...joined(neighbours));
    },
    cut(block) {
      const gone = extents.flatMap((old) => part(old, block, old.block + old.length));
      extents = extents.flatMap((old) => part(old, old.block, block));
      return gone;
    },
  };
}

/** What of an extent is in `[from, to)`. */
function part(extent: Extent, from: number, to: number): Extent[] {
  const first = Math.max(extent.block, from);
  const end = Math.min(extent.block + extent.length, to);
  return first < end ? [{ ...extent, block: first, length: end - first, start: extent.start + first - extent.block }] : [];
}

function joined(extents: readonly Extent[]): Extent[] {
  const result: Extent[] = [];
  for (const extent of extents) {
    const last = result.at(-1);
    const follows = last && last.block + last.length === extent.block && last.start + last.length === extent.start && last.isUnwritten === extent.isUnwritten;
    if (follows) result[result.length - 1] = { ...last, length: last.length + extent.length };
    else result.push(extent);
  }
  return result;
}
