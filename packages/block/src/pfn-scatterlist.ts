/**
 * Scatterlists by pfn_t, as they lie in memory: what a device that walks them itself is given. A sibling of scatterlist.ts, whose flat
 * tables they are written from; after Matthew Wilcox's page-less scatterlists in the RFC of 2015, with include/linux/pfn_t.h's flags.
 *
 *   byte 0      8        12       16            24           28
 *   ┌──────────┬────────┬────────┬─────────────┬────────────┬───────┐
 *   │ pfn_t    │ offset │ length │ DMA address │ DMA length │ 0     │  32 bytes an entry, 128 in a page
 *   └──────────┴────────┴────────┴─────────────┴────────────┴───────┘
 *
 * The last entry of a full page has SG_CHAIN and the frame of the next page; the last one in use has SG_LAST. With page links the two were
 * the low bits of a pointer.
 *
 * Invariant: reading what was written gives the same runs with the same flags.
 * Differs from Linux: a chain entry holds the frame of the next page, not its virtual address; DMA addresses are physical ones (no IOMMU).
 */
import { KernelError, PAGE_SIZE, bugOn, hex } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import { PFN, decodePfnT, encodePfnT } from './pfn-t.js';
import { SG_ENTRY_SIZE, SG_MAX_SINGLE_ALLOC, sgAllocTable, sgPhys } from './scatterlist.js';
import type { SgTable } from './scatterlist.js';

interface FrameMemory {
  frame(pfn: Pfn): Uint8Array;
}

interface Entry {
  readonly pfn: Pfn;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
}

/** Write a table into frames, one for each of its `links`; the list starts at the first. */
export function writePfnSg(memory: FrameMemory, table: SgTable, frames: readonly Pfn[]): void {
  const pages = Math.max(1, Math.ceil((table.nents - 1) / (SG_MAX_SINGLE_ALLOC - 1)));
  bugOn(table.nents === 0 || frames.length < pages, `a scatterlist of ${table.nents} entries in ${frames.length} frames: expected ${pages}`);
  for (let i = 0, page = 0, slot = 0; i < table.nents; i++, slot++) {
    const last = i === table.nents - 1;
    if (slot === SG_MAX_SINGLE_ALLOC - 1 && !last) {
      writeChain(viewOf(memory, frames[page]!), slot, frames[page + 1]!);
      page++;
      slot = 0;
    }
    writeEntry(viewOf(memory, frames[page]!), slot, table, i, last ? PFN.SG_LAST : 0);
  }
}

/**
 * Read a list that starts in a frame, its DMA fields left aside.
 * @throws KernelError EINVAL for a list that is none: unknown bits, an entry of no bytes, both ends at once, a chain that bites its tail
 */
export function readPfnSg(memory: FrameMemory, first: Pfn): SgTable {
  const entries: Entry[] = [];
  const seen = new Set<Pfn>();
  for (let page: Pfn | undefined = first; page !== undefined; page = readPage(memory, page, entries)) {
    if (seen.has(page)) throw new KernelError('EINVAL', `the scatterlist at pfn ${hex(first)} comes back to pfn ${hex(page)}`);
    seen.add(page);
  }
  return tableOf(entries);
}

/** Read the entries of one page; returns the frame of the next, or undefined behind the last entry. */
function readPage(memory: FrameMemory, page: Pfn, entries: Entry[]): Pfn | undefined {
  const view = viewOf(memory, page);
  for (let slot = 0; slot < SG_MAX_SINGLE_ALLOC; slot++) {
    const at = slot * SG_ENTRY_SIZE;
    const { pfn, flags } = decodePfnT(view.getBigUint64(at, true));
    const length = view.getUint32(at + 12, true);
    const ends = flags & (PFN.SG_CHAIN | PFN.SG_LAST);
    if (ends === PFN.SG_CHAIN) return pfn;
    if (ends === (PFN.SG_CHAIN | PFN.SG_LAST) || length === 0) {
      throw new KernelError('EINVAL', `entry ${slot} of the scatterlist in pfn ${hex(page)}: ${length} bytes, flags ${hex(flags)}`);
    }
    entries.push({ pfn, flags: flags & ~PFN.SG_LAST, offset: view.getUint32(at + 8, true), length });
    if (ends === PFN.SG_LAST) return undefined;
  }
  throw new KernelError('EINVAL', `the scatterlist in pfn ${hex(page)} goes on behind its page without a chain entry`);
}

function tableOf(entries: readonly Entry[]): SgTable {
  const table = sgAllocTable(entries.length);
  for (const [i, { pfn, flags, offset, length }] of entries.entries()) {
    table.pfn[i] = pfn;
    table.flags[i] = flags;
    table.offset[i] = offset;
    table.length[i] = length;
  }
  return table;
}

function writeEntry(view: DataView, slot: number, table: SgTable, index: number, end: number): void {
  const at = slot * SG_ENTRY_SIZE;
  view.setBigUint64(at, encodePfnT(table.pfn[index]! as Pfn, table.flags[index]! | end), true);
  view.setUint32(at + 8, table.offset[index]!, true);
  view.setUint32(at + 12, table.length[index]!, true);
  view.setBigUint64(at + 16, BigInt(sgPhys(table, index)), true);
  view.setUint32(at + 24, table.length[index]!, true);
  view.setUint32(at + 28, 0, true);
}

function writeChain(view: DataView, slot: number, next: Pfn): void {
  const at = slot * SG_ENTRY_SIZE;
  new Uint8Array(view.buffer, view.byteOffset + at, SG_ENTRY_SIZE).fill(0);
  view.setBigUint64(at, encodePfnT(next, PFN.SG_CHAIN), true);
}

function viewOf(memory: FrameMemory, pfn: Pfn): DataView {
  const bytes = memory.frame(pfn);
  return new DataView(bytes.buffer, bytes.byteOffset, PAGE_SIZE);
}
