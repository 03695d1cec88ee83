/**
 * The blocks of boot memory, as boot left them: their nodes and their zone.
 * Mirrors drivers/base/memory.c: early_node_zone_for_memory_block, memory_block_add_nid; drivers/base/node.c: register_mem_block_under_node_early.
 *
 * Invariant: what is told here never changes, however zones grow and shrink later.
 */
import type { NodeId } from '@holdfast/lib';
import type { PageRun } from './memory-block.js';
import type { MemoryGroup } from './memory-group.js';
import type { ZoneId, ZoneView } from './memory-onliner.js';
import { firstEndingAfter } from './run-set.js';

/** Where a block comes from: boot, or memory that was added since. */
export const EARLY = 'early';

export interface MemoryBlock {
  readonly origin: typeof EARLY | 'added';
  readonly state: 'online' | 'going-offline' | 'offline';
  readonly nid: NodeId;
  /** The zone that all of it is in; undefined while it is offline, or if boot put it into several. */
  readonly zone: (ZoneId & { readonly name: string }) | undefined;
  readonly group: MemoryGroup | undefined;
  /** Frames at its start that hold its own struct pages. */
  readonly nrVmemmap: number;
  /** Frames at its end that were set aside when it was added, for struct pages of its neighbours too, and are never free. */
  readonly nrKept: number;
}

export interface EarlyBlocks {
  block(nr: number): MemoryBlock;
  /** The nodes that any frame of the block was initialised for, ascending. */
  nodes(nr: number): readonly NodeId[];
}

/** @param zones as boot laid them out; copied */
export function earlyBlocks(pageRuns: readonly PageRun[], zones: readonly ZoneView[], pagesPerBlock: number): EarlyBlocks {
  const populated = zones
    .filter(({ present }) => present !== 0)
    .map(({ nid, index, name, startPfn, spanned }) => ({ nid, index, name, start: startPfn, end: startPfn + spanned }));

  function nodes(nr: number): NodeId[] {
    const [start, end] = [nr * pagesPerBlock, (nr + 1) * pagesPerBlock];
    const found = new Set<NodeId>();
    for (let at = firstEndingAfter(pageRuns, start); at < pageRuns.length && pageRuns[at]!.start < end; at++) found.add(pageRuns[at]!.nid);
    return [...found].sort((a, b) => a - b);
  }

  return {
    nodes,
    block(nr) {
      const own = nodes(nr);
      const nid = own.at(-1) ?? (0 as NodeId);
      const [start, end] = [nr * pagesPerBlock, (nr + 1) * pagesPerBlock];
      const touching = own.length === 1 ? populated.filter((zone) => zone.nid === nid && zone.start < end && zone.end > start) : [];
      const zone = touching.length === 1 ? touching[0] : undefined;
      return { origin: EARLY, state: 'online', nid, zone, group: undefined, nrVmemmap: 0, nrKept: 0 };
    },
  };
}
