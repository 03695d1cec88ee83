/** Media errors as sysfs tells them: runs of 512-byte blocks that cannot be read. Mirrors ndctl's json.c: dev_badblocks_to_json. */
import type { NdctlContext } from './context.js';
import type { JsonObject } from './json-text.js';
import { readAttr, readNumber } from './sysfs-access.js';
import { type Namespace, type Region, mappings } from './topology.js';

/** Blocks of 512 bytes from the start of its device. */
export interface BadBlock {
  readonly offset: number;
  readonly length: number;
}

const BLOCK = 512;

export function badBlocksOf(ctx: NdctlContext, path: string): BadBlock[] {
  const lines = (readAttr(ctx, path, 'badblocks') ?? '').split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [offset, length] = line.trim().split(/\s+/).map(Number);
    return { offset: offset!, length: length! };
  });
}

/** The bad blocks of a region that lie in `[begin, begin + size)` bytes, counted from `begin`. */
export function badBlocksWithin(ctx: NdctlContext, region: Region, begin: number, size: number): BadBlock[] {
  const start = readNumber(ctx, region.path, 'resource');
  if (start === undefined) return [];
  return badBlocksOf(ctx, region.path).flatMap(({ offset, length }) => {
    const first = Math.max(begin, start + offset * BLOCK);
    const end = Math.min(begin + size, start + (offset + length) * BLOCK);
    return first < end ? [{ offset: Math.floor((first - begin) / BLOCK), length: Math.floor((end - first) / BLOCK) }] : [];
  });
}

/** As JSON, with the DIMMs where the region has but one to name. */
export function badBlocksJson(ctx: NdctlContext, region: Region, blocks: readonly BadBlock[]): JsonObject[] {
  const names = [...new Set(mappings(ctx, region).map(({ dimm }) => dimm))];
  return blocks.map(({ offset, length }) => ({ offset, length, ...(names.length === 1 ? { dimms: names } : {}) }));
}

export function countBlocks(blocks: readonly BadBlock[]): number {
  return blocks.reduce((sum, { length }) => sum + length, 0);
}

/** A namespace's own list, where it has one. */
export function namespaceBadBlocks(ctx: NdctlContext, ns: Namespace): BadBlock[] {
  return badBlocksOf(ctx, ns.path);
}
