/**
 * Sections: the 128 MiB grain in which struct pages come and go, and the 2 MiB sub-sections in which memory does.
 * Mirrors mm/sparse.c and mm/sparse-vmemmap.c: memory_present, sparse_init_nid, sparse_add_section; include/linux/mmzone.h: pfn_valid.
 *
 * Invariant: a section that boot memory touches is early: it has struct pages for all of its frames, holes included. Any other frame has
 * a struct page exactly while its sub-section was added. Sub-sections of RAM and of devices never overlap.
 * Differs from Linux: runs in place of bitmaps and section words, so that the cost is in ranges and not in terabytes; and adding a range
 * takes effect as a whole or not at all.
 */
import {
  KernelError, PAGE_SIZE, PAGES_PER_SECTION, PAGES_PER_SUBSECTION, SECTION_MEMMAP_SIZE, STRUCT_PAGE_SIZE,
  bugOn, hex, isAligned, pfnToSectionNr, physAdd, roundDown, roundUp,
} from '@holdfast/lib';
import type { NodeId, Pfn, PhysAddr, Range } from '@holdfast/lib';
import { createRunSet, firstEndingAfter, runHolding } from './run-set.js';
import { compoundPieces } from './vmemmap-dedup.js';
import type { VmemAltmap } from './vmem-altmap.js';

/** Frames `[start, end)` of boot memory on one node. */
export interface MemoryRange extends Range<Pfn> {
  readonly nid: NodeId;
}

/** Takes boot memory on a node, in bytes: memblock. Never fails softly: without room for its memmap a kernel panics. */
export type BootAllocator = (nid: NodeId, sizeBytes: number, align: number) => PhysAddr;

/** Sections `[start, end)` of one node whose struct pages lie in one piece. */
export interface SectionRun extends Range {
  readonly nid: NodeId;
  /** Address of the struct page of the first frame. */
  readonly memmap: PhysAddr;
}

/** Adjacent blocks of 2^order pages. */
export interface BlockRun {
  readonly start: PhysAddr;
  readonly count: number;
}

/** Where struct pages come from after boot: the buddy allocator. */
export interface PageSource {
  /** Take `count` blocks of 2^order pages near a node, as runs in any order. @throws KernelError ENOMEM, having taken nothing. */
  allocBlocks(nid: NodeId, order: number, count: number): readonly BlockRun[];
  freeBlocks(order: number, runs: readonly BlockRun[]): void;
}

/** Passes the time of storing so many bytes of struct pages at an address, where somebody keeps a clock. */
export type ChargeStores = (start: PhysAddr, sizeBytes: number) => void;

export interface Sections {
  /** What boot made, sorted. */
  readonly early: readonly SectionRun[];
  /** Does the frame have a struct page? (pfn_valid) */
  pfnValid(frame: Pfn): boolean;
  /** Does the frame have a struct page that RAM's owner may look at? (pfn_to_online_page) */
  pfnIsOnline(frame: Pfn): boolean;
  /** Where the 2 MiB of struct pages of a section lie; undefined if there are none, or not for all of it in one piece. */
  memmapPhys(sectionNr: number): PhysAddr | undefined;
  /** Where the struct page of a frame lies; undefined unless {@link pfnValid}. */
  structPagePhys(frame: Pfn): PhysAddr | undefined;
  /**
   * Give struct pages to frames `[start, end)`, both multiples of a sub-section. An early section lends its own;
   * whole sections take a 2 MiB block each, pieces take single pages.
   * @throws KernelError EINVAL if misaligned, EEXIST if a sub-section has memory already, ENOMEM.
   */
  addRange(range: Range<Pfn>, nid: NodeId, source: PageSource, options?: AddOptions): void;
  /** Undo {@link addRange} of that same range. */
  removeRange(range: Range<Pfn>, source: PageSource): void;
  /** Memory blocks went online or offline: whole sections `[start, end)` of RAM (online_mem_sections, offline_mem_sections). */
  setOnline(range: Range<Pfn>, online: boolean): void;
}

export interface AddOptions {
  /** What is added; `device` if left out. RAM is offline at first. */
  readonly kind?: 'device' | 'ram';
  /** Where whole sections take their struct pages from; pieces take ordinary memory all the same, as on x86. */
  readonly altmap?: VmemAltmap | undefined;
  /** The owner of the altmap's memory may store to it in another way than to memory. */
  readonly chargeAltmap?: ChargeStores | undefined;
  /** Frames of a compound page whose tail struct pages are shared (vmemmap dedup); not together with an altmap. */
  readonly compoundFrames?: number | undefined;
}

/** Struct pages of frames `[start, end)`, in one piece. */
export interface MemmapPiece extends Range {
  readonly phys: PhysAddr;
  /** If set, so many frames share two pages of struct pages: the first 64 frames the first one, all behind them the second. */
  readonly compoundFrames?: number;
  /** Whom to tell that they are stored, if not everybody's. */
  readonly charge?: ChargeStores | undefined;
}

interface TakenBlocks {
  readonly order: number;
  readonly runs: readonly BlockRun[];
}

/** What one added range took, and of whom. */
interface Added {
  readonly end: number;
  readonly kind: 'device' | 'ram';
  readonly blocks: readonly TakenBlocks[];
  readonly altmap: VmemAltmap | undefined;
  readonly altmapFrames: number;
}

const MEMMAP_ORDER = Math.log2(SECTION_MEMMAP_SIZE / PAGE_SIZE);
const STRUCT_PAGES_PER_PAGE = PAGE_SIZE / STRUCT_PAGE_SIZE;

/**
 * Make sections of all boot memory. Consecutive sections of one node get one buffer for their struct pages, aligned to 2 MiB.
 * @param memory sorted and disjoint; where two nodes share a section, it belongs to the lower one.
 * @param charge is told of all struct pages that are made later, wherever they lie
 */
export function sparseInit(memory: readonly MemoryRange[], alloc: BootAllocator, charge?: ChargeStores): Sections {
  const ram = createRunSet();
  for (const { start, end } of memory) ram.add(Math.floor(start / PAGES_PER_SUBSECTION), Math.ceil(end / PAGES_PER_SUBSECTION));
  return createSections(earlySections(memory, alloc), ram.runs, charge);
}

function earlySections(memory: readonly MemoryRange[], alloc: BootAllocator): SectionRun[] {
  const groups: { start: number; end: number; nid: NodeId }[] = [];
  for (const { start, end, nid } of memory) {
    if (start >= end) continue;
    const last = groups.at(-1);
    const from = Math.max(pfnToSectionNr(start), last?.end ?? 0);
    const to = pfnToSectionNr((end - 1) as Pfn) + 1;
    if (from >= to) continue;
    // A gap of absent sections does not part the buffer of a node; a section of another node does.
    groups.push({ start: from, end: to, nid });
  }
  return allocateByNode(groups, alloc);
}

function allocateByNode(groups: readonly Omit<SectionRun, 'memmap'>[], alloc: BootAllocator): SectionRun[] {
  const runs: SectionRun[] = [];
  for (let first = 0; first < groups.length; ) {
    const { nid } = groups[first]!;
    let next = first;
    while (groups[next]?.nid === nid) next++;
    const mine = groups.slice(first, next);
    const nrSections = mine.reduce((sum, { start, end }) => sum + end - start, 0);
    let memmap = alloc(nid, nrSections * SECTION_MEMMAP_SIZE, SECTION_MEMMAP_SIZE);
    for (const { start, end } of mine) {
      appendRun(runs, { start, end, nid, memmap });
      memmap = physAdd(memmap, (end - start) * SECTION_MEMMAP_SIZE);
    }
    first = next;
  }
  return runs;
}

/** Append, or extend the last run if both its sections and its struct pages go on without a gap. */
function appendRun(runs: SectionRun[], run: SectionRun): void {
  const last = runs.at(-1);
  const goesOn = last?.end === run.start && last.nid === run.nid && last.memmap + (last.end - last.start) * SECTION_MEMMAP_SIZE === run.memmap;
  if (last && goesOn) runs[runs.length - 1] = { ...last, end: run.end };
  else runs.push(run);
}

function createSections(early: readonly SectionRun[], ramSubsections: readonly Range[], charge?: ChargeStores): Sections {
  const ram = createRunSet();
  for (const { start, end } of ramSubsections) ram.add(start, end);
  const device = createRunSet();
  /** Sections whose RAM is online. */
  const online = createRunSet();
  for (const { start, end } of early) online.add(start, end);
  const pieces: MemmapPiece[] = [];
  /** By first frame. */
  const ranges = new Map<number, Added>();

  const subsection = (frame: number): number => Math.floor(frame / PAGES_PER_SUBSECTION);
  const isEarly = (sectionNr: number): boolean => runHolding(early, sectionNr) !== undefined;

  function memmapPhys(sectionNr: number): PhysAddr | undefined {
    const run = runHolding(early, sectionNr);
    if (run) return physAdd(run.memmap, (sectionNr - run.start) * SECTION_MEMMAP_SIZE);
    const first = sectionNr * PAGES_PER_SECTION;
    const piece = runHolding(pieces, first);
    return piece && piece.compoundFrames === undefined && piece.end >= first + PAGES_PER_SECTION ? structPage(piece, first) : undefined;
  }

  function structPagePhys(frame: Pfn): PhysAddr | undefined {
    const sectionNr = pfnToSectionNr(frame);
    if (isEarly(sectionNr)) return physAdd(memmapPhys(sectionNr)!, (frame - sectionNr * PAGES_PER_SECTION) * STRUCT_PAGE_SIZE);
    const piece = runHolding(pieces, frame);
    return piece && structPage(piece, frame);
  }

  function addRange(
    { start, end }: Range<Pfn>,
    nid: NodeId,
    source: PageSource,
    { kind = 'device', altmap, chargeAltmap, compoundFrames }: AddOptions = {},
  ): void {
    if (start >= end || !isAligned(start, PAGES_PER_SUBSECTION) || !isAligned(end, PAGES_PER_SUBSECTION)) {
      throw new KernelError('EINVAL', `frames ${hex(start)}-${hex(end - 1)}: expected both ends at multiples of ${PAGES_PER_SUBSECTION}`);
    }
    const units = [subsection(start), subsection(end)] as const;
    if (ram.intersects(...units) || device.intersects(...units)) {
      throw new KernelError('EEXIST', `frames ${hex(start)}-${hex(end - 1)}: there is memory in a 2 MiB unit of them already`);
    }
    const blocks: TakenBlocks[] = [];
    const before = altmap?.alloc ?? 0;
    const added: MemmapPiece[] = [];
    const take = (order: number, count: number): readonly BlockRun[] => {
      const runs = source.allocBlocks(nid, order, count);
      blocks.push({ order, runs });
      return runs;
    };
    try {
      for (const part of sectionParts(start, end)) {
        const whole = isAligned(part.start, PAGES_PER_SECTION) && isAligned(part.end, PAGES_PER_SECTION);
        if (!whole && isEarly(pfnToSectionNr(part.start))) continue;
        const nrSections = (part.end - part.start) / PAGES_PER_SECTION;
        if (compoundFrames !== undefined) added.push(...compoundPieces(part, start, compoundFrames, (count) => take(1, count)));
        else if (altmap && whole) added.push({ ...part, phys: altmap.take(SECTION_MEMMAP_SIZE / PAGE_SIZE, nrSections), charge: chargeAltmap });
        else {
          const order = whole ? MEMMAP_ORDER : 0;
          const perBlock = 2 ** order * STRUCT_PAGES_PER_PAGE;
          added.push(...memmapPieces(part, take(order, (part.end - part.start) / perBlock), perBlock));
        }
      }
    } catch (error) {
      giveBack(blocks, source);
      altmap?.giveBack(altmap.alloc - before);
      throw error;
    }
    for (const piece of added) (piece.charge ?? charge)?.(piece.phys, bytesOf(piece));
    pieces.splice(firstEndingAfter(pieces, start), 0, ...added);
    (kind === 'ram' ? ram : device).add(...units);
    ranges.set(start, { end, kind, blocks, altmap, altmapFrames: (altmap?.alloc ?? 0) - before });
  }

  return {
    early,
    pfnValid: (frame) => isEarly(pfnToSectionNr(frame)) || device.has(subsection(frame)) || ram.has(subsection(frame)),
    pfnIsOnline: (frame) => ram.has(subsection(frame)) && online.has(pfnToSectionNr(frame)),
    memmapPhys,
    structPagePhys,
    addRange,
    removeRange({ start, end }, source) {
      const range = ranges.get(start);
      bugOn(range?.end !== end, `frames ${hex(start)}-${hex(end - 1)} were never added as one range`);
      ranges.delete(start);
      (range!.kind === 'ram' ? ram : device).remove(subsection(start), subsection(end));
      const first = firstEndingAfter(pieces, start);
      let next = first;
      while (next < pieces.length && pieces[next]!.start < end) next++;
      pieces.splice(first, next - first);
      giveBack(range!.blocks, source);
      range!.altmap?.giveBack(range!.altmapFrames);
    },
    setOnline({ start, end }, isOnline) {
      if (isOnline) online.add(start / PAGES_PER_SECTION, end / PAGES_PER_SECTION);
      else online.remove(start / PAGES_PER_SECTION, end / PAGES_PER_SECTION);
    },
  };
}

/** What its struct pages take of memory. */
function bytesOf({ start, end, compoundFrames }: MemmapPiece): number {
  return compoundFrames === undefined ? (end - start) * STRUCT_PAGE_SIZE : Math.ceil((end - start) / compoundFrames) * 2 * PAGE_SIZE;
}

function structPage({ start, phys, compoundFrames }: MemmapPiece, frame: number): PhysAddr {
  const offset = frame - start;
  if (compoundFrames === undefined) return physAdd(phys, offset * STRUCT_PAGE_SIZE);
  const inside = offset % compoundFrames;
  const page = Math.floor(offset / compoundFrames) * 2 + (inside < STRUCT_PAGES_PER_PAGE ? 0 : 1);
  return physAdd(phys, page * PAGE_SIZE + (inside % STRUCT_PAGES_PER_PAGE) * STRUCT_PAGE_SIZE);
}

/** Cut frames `[start, end)` into a piece up to the first section boundary, whole sections, and a piece behind the last. */
function sectionParts(start: number, end: number): Range<Pfn>[] {
  const wholeStart = Math.min(roundUp(start, PAGES_PER_SECTION), end);
  const wholeEnd = Math.max(roundDown(end, PAGES_PER_SECTION), wholeStart);
  const parts = [{ start, end: wholeStart }, { start: wholeStart, end: wholeEnd }, { start: wholeEnd, end }];
  return parts.filter((part) => part.start < part.end) as Range<Pfn>[];
}

/** Lay the struct pages of a part into blocks, in the order in which they came. */
function memmapPieces(part: Range, runs: readonly BlockRun[], framesPerBlock: number): MemmapPiece[] {
  let at = part.start;
  return runs.map(({ start: phys, count }) => {
    const piece = { start: at, end: at + count * framesPerBlock, phys };
    at = piece.end;
    return piece;
  });
}

function giveBack(taken: readonly TakenBlocks[], source: PageSource): void {
  for (const { order, runs } of [...taken].reverse()) source.freeBlocks(order, runs);
}
