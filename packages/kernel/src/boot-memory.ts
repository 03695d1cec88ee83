/**
 * Handing boot's memory to the page allocator, but for what the kernel takes of each node before anybody else does.
 * Mirrors mm/slub.c: early_kmem_cache_node_alloc, which needs a page on each node at once, and gets the first of the highest zone that is not
 * movable: the allocator's lists are in the order of addresses then. The page stays, and so the memory block that it is in never goes offline.
 *
 * Differs from Linux: what else boot allocates is not modelled; on the node that the kernel lies on, most of it is where nothing goes offline.
 */
import { PAGE_SIZE, type Pfn, type PhysAddr, type Range, bugOn, intersectRanges, pfnToPhys, physToPfn, physToPfnUp } from '@holdfast/lib';
import { GFP_KERNEL, type Mm, type Pgdat, ZONE_NORMAL, __GFP_MEMALLOC, __GFP_THISNODE, isPopulated } from '@holdfast/mm';

/** Free these ranges, in bytes and ascending, and set the watermarks. */
export function freeBootMemory(mm: Mm, free: readonly Range<PhysAddr>[]): void {
  const firsts = [...mm.nodes.values()].flatMap((node) => {
    const frame = firstKernelFrame(node, free);
    return frame === undefined ? [] : [{ nid: node.nid, frame }];
  });
  mm.freeAll(firsts.map(({ frame }) => ({ start: pfnToPhys(frame), end: pfnToPhys((frame + 1) as Pfn) })));
  for (const { nid, frame } of firsts) {
    const taken = mm.allocPages(GFP_KERNEL | __GFP_THISNODE | __GFP_MEMALLOC, 0, nid);
    bugOn(taken !== frame, `node ${nid} has frame ${frame} alone, and gave ${taken}`);
  }
  mm.freeAll(firsts.reduce((ranges, { frame }) => ranges.flatMap((range) => without(range, pfnToPhys(frame))), free));
}

/** The first free frame of a node's highest zone that the kernel allocates from; undefined if it has none. */
function firstKernelFrame({ zones }: Pgdat, free: readonly Range<PhysAddr>[]): Pfn | undefined {
  const zone = zones.filter((candidate) => candidate.index <= ZONE_NORMAL && isPopulated(candidate)).at(-1);
  for (const { start, end } of zone?.ranges ?? []) {
    for (const range of free) {
      const part = intersectRanges({ start, end }, { start: physToPfnUp(range.start), end: physToPfn(range.end) });
      if (part) return part.start;
    }
  }
  return undefined;
}

function without(range: Range<PhysAddr>, page: PhysAddr): Range<PhysAddr>[] {
  const end = (page + PAGE_SIZE) as PhysAddr;
  if (page < range.start || end > range.end) return [range];
  return [{ start: range.start, end: page }, { start: end, end: range.end }].filter((part) => part.start < part.end);
}
