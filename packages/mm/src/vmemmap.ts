/**
 * vmemmap: the struct pages of all frames at one virtual base, section by section where their bytes really lie.
 * Mirrors mm/sparse-vmemmap.c and the memory model of include/asm-generic/memory_model.h.
 *
 * Invariant: a section's struct pages are the 2 MiB of physical memory that `memmapPhys` names, and nothing else. Until one of them is
 * first written they are described by runs of defaults (page-init.ts), and every reader here sees what the bytes would be.
 * Differs from Linux: the two list pointers of a page in the buddy's free lists are kept by the list's owner and written into the bytes
 * by {@link Vmemmap.sync}, {@link Vmemmap.readPage} and {@link Vmemmap.copySection}; all other fields are always in the bytes.
 */
import { KernelError, PAGES_PER_SECTION, PAGE_SIZE, type Pfn, SECTION_MEMMAP_SIZE, STRUCT_PAGE_SIZE, bugOn, type PhysAddr } from '@holdfast/lib';
import { CHUNK_SIZE, type PhysicalMemory } from '@holdfast/machine';
import { flagsNode, flagsZone } from './page-flags.js';
import { type PristineRun, type PristineState, pristineWithin, setPristine, writePristine } from './page-init.js';
import {
  PAGE_FLAGS_HI, PAGE_LRU_NEXT, PAGE_TYPE, PAGE_TYPE_BUDDY, VMEMMAP_BASE_L4, WORDS_PER_MEMMAP, WORDS_PER_PAGE, type PageRecord, decodePage, pageToPfn,
  pfnToPage,
} from './page.js';

const STRUCT_PAGES_PER_PAGE = PAGE_SIZE / STRUCT_PAGE_SIZE;

/** What the vmemmap asks of those who place struct pages. */
export interface VmemmapNeeds {
  readonly memory: Pick<PhysicalMemory, 'chunk'>;
  /** Where a section's 2 MiB of struct pages lie, a multiple of 2 MiB; undefined if it has none. */
  readonly memmapPhys: (sectionNr: number) => PhysAddr | undefined;
  /** Where one frame's struct page lies: for sections whose struct pages are not all there, or not in one piece. */
  readonly structPagePhys?: (pfn: Pfn) => PhysAddr | undefined;
  /** vmemmap_base; 4-level paging's if left out. Its low 21 bits are zero. */
  readonly base?: bigint;
}

/** Who knows what became of pages that were handed over as free: the buddy allocator of a zone. */
export interface FreeListOwner {
  /**
   * Bring the struct pages of `[startPfn, endPfn)`, just written as whole free blocks from word `at` on, to what has become of them.
   */
  describe(startPfn: number, endPfn: number, words: Int32Array, at: number): void;
  /** A section's bytes have been made: keep them true from now on. */
  adopt(sectionNr: number, words: Int32Array): void;
  /** Write the two list pointers of a listed block into its struct page, at word `at`; do nothing if the frame is in none of the lists. */
  writeLinks(pfn: number, words: Int32Array, at: number): void;
}

export interface Vmemmap {
  readonly base: bigint;
  /**
   * A section's struct pages for reading and writing: {@link WORDS_PER_PAGE} words a page; the same object at each call.
   * Makes the bytes if they are still defaults. @throws KernelError EFAULT if the section has no memmap.
   */
  memmap(sectionNr: number): Int32Array;
  /**
   * One frame's struct page for reading and writing: {@link WORDS_PER_PAGE} words, wherever they lie.
   * @throws KernelError EFAULT if it has none.
   */
  pageWords(pfn: Pfn): Int32Array;
  /** Have a section's bytes been made? */
  isMaterialised(sectionNr: number): boolean;
  /** Sections whose bytes have been made. */
  readonly nrMaterialised: number;
  /** Initialise `[startPfn, endPfn)`: links to its node and zone, and what the state says (memmap_init_range); `order` is that of `blocks`. */
  initRange(startPfn: number, endPfn: number, nid: number, zoneIndex: number, state: PristineState, order?: number): void;
  /** Forget `[startPfn, endPfn)`, which was removed: its struct pages are poison until they are initialised again. */
  removeRange(startPfn: number, endPfn: number): void;
  /** The ranges of `[startPfn, endPfn)` that are still defaults, ascending. */
  pristineRuns(startPfn: number, endPfn: number): PristineRun[];
  /** Sections whose bytes have been made and that touch `[startPfn, endPfn)`, ascending. */
  madeSections(startPfn: number, endPfn: number): number[];
  /** The node and zone that a frame's struct page names (page_to_nid, page_zonenum); undefined if it was never initialised. */
  zoneOf(pfn: number): { readonly nid: number; readonly zoneIndex: number } | undefined;
  pfnToPage(pfn: number): bigint;
  /** @throws KernelError EFAULT if no struct page can be there. */
  pageToPfn(page: bigint): number;
  /** One struct page, decoded; undefined if the frame has none. Makes nothing. */
  readPage(pfn: number): PageRecord | undefined;
  /** The bytes of a section's struct pages, copied. Makes nothing. @throws KernelError EFAULT if it has none. */
  copySection(sectionNr: number): Int32Array;
  /** Bring the list pointers in the bytes of all made sections up to date, before somebody reads them as plain memory. */
  sync(): void;
  /** Ask this owner about the free pages of a zone. */
  addFreeListOwner(nid: number, zoneIndex: number, owner: FreeListOwner): void;
}

export function createVmemmap({ memory, memmapPhys, structPagePhys, base = VMEMMAP_BASE_L4 }: VmemmapNeeds): Vmemmap {
  bugOn(base % BigInt(CHUNK_SIZE) !== 0n, `vmemmap base 0x${base.toString(16)}: expected a multiple of 2 MiB`);
  const made = new Map<number, Int32Array>();
  /** Pages of struct pages that have been made, of sections that have no whole memmap: by pfn / {@link STRUCT_PAGES_PER_PAGE}. */
  const madePieces = new Map<number, Int32Array>();
  const runs: PristineRun[] = [];
  const owners: { readonly nid: number; readonly zoneIndex: number; readonly owner: FreeListOwner }[] = [];
  const ownersOf = (zone: { readonly nid: number; readonly zoneIndex: number }): FreeListOwner[] =>
    owners.filter(({ nid, zoneIndex }) => nid === zone.nid && zoneIndex === zone.zoneIndex).map(({ owner }) => owner);

  const placeOf = (sectionNr: number): PhysAddr => {
    const phys = memmapPhys(sectionNr);
    if (phys === undefined) throw new KernelError('EFAULT', `section ${sectionNr} has no memmap`);
    bugOn(phys % SECTION_MEMMAP_SIZE !== 0, `memmap of section ${sectionNr} at 0x${phys.toString(16)}: expected a multiple of 2 MiB`);
    return phys;
  };

  /** Write the defaults of frames of one section into `words`, whose word 0 belongs to `startPfn`. */
  const render = (words: Int32Array, startPfn: number, endPfn: number): void => {
    words.fill(-1, 0, (endPfn - startPfn) * WORDS_PER_PAGE);
    for (const run of pristineWithin(runs, startPfn, endPfn)) {
      const at = (run.startPfn - startPfn) * WORDS_PER_PAGE;
      const lru = pfnToPage(base, run.startPfn) + BigInt(PAGE_LRU_NEXT * 4);
      writePristine(words, at, run, Number(BigInt.asIntN(32, lru >> 32n)), Number(BigInt.asIntN(32, lru)));
      if (run.state === 'free' || run.state === 'blocks') for (const owner of ownersOf(run)) owner.describe(run.startPfn, run.endPfn, words, at);
    }
  };

  const make = (sectionNr: number): Int32Array => {
    const chunk = memory.chunk(placeOf(sectionNr) / CHUNK_SIZE);
    const words = new Int32Array(chunk.buffer, chunk.byteOffset, WORDS_PER_MEMMAP);
    render(words, sectionNr * PAGES_PER_SECTION, (sectionNr + 1) * PAGES_PER_SECTION);
    made.set(sectionNr, words);
    for (const { owner } of owners) owner.adopt(sectionNr, words);
    return words;
  };

  const makePiece = (nr: number): Int32Array => {
    const firstPfn = nr * STRUCT_PAGES_PER_PAGE;
    const phys = structPagePhys?.(firstPfn as Pfn);
    if (phys === undefined) throw new KernelError('EFAULT', `pfn 0x${firstPfn.toString(16)} has no struct page`);
    const chunk = memory.chunk(Math.floor(phys / CHUNK_SIZE));
    const words = new Int32Array(chunk.buffer, chunk.byteOffset + (phys % CHUNK_SIZE), STRUCT_PAGES_PER_PAGE * WORDS_PER_PAGE);
    render(words, firstPfn, firstPfn + STRUCT_PAGES_PER_PAGE);
    madePieces.set(nr, words);
    return words;
  };
  /** The made words that hold a frame's struct page, and the first word of it. */
  const madeWords = (pfn: number): { readonly words: Int32Array; readonly at: number } | undefined => {
    const section = made.get(Math.floor(pfn / PAGES_PER_SECTION));
    if (section) return { words: section, at: (pfn % PAGES_PER_SECTION) * WORDS_PER_PAGE };
    const piece = madePieces.get(Math.floor(pfn / STRUCT_PAGES_PER_PAGE));
    return piece && { words: piece, at: (pfn % STRUCT_PAGES_PER_PAGE) * WORDS_PER_PAGE };
  };
  const piecesWithin = (startPfn: number, endPfn: number): [number, Int32Array][] =>
    [...madePieces].filter(([nr]) => nr * STRUCT_PAGES_PER_PAGE < endPfn && (nr + 1) * STRUCT_PAGES_PER_PAGE > startPfn);

  const writeLinks = (pfn: number, words: Int32Array, at: number): void => {
    if (words[at + PAGE_TYPE] !== PAGE_TYPE_BUDDY) return;
    const flagsHi = words[at + PAGE_FLAGS_HI]!;
    for (const owner of ownersOf({ nid: flagsNode(flagsHi), zoneIndex: flagsZone(flagsHi) })) owner.writeLinks(pfn, words, at);
  };

  const writeAllLinks = (sectionNr: number, words: Int32Array): void => {
    const startPfn = sectionNr * PAGES_PER_SECTION;
    for (let page = 0; page < PAGES_PER_SECTION; page++) writeLinks(startPfn + page, words, page * WORDS_PER_PAGE);
  };

  return {
    base,
    memmap: (sectionNr) => made.get(sectionNr) ?? make(sectionNr),
    pageWords(pfn) {
      const sectionNr = Math.floor(pfn / PAGES_PER_SECTION);
      const whole = memmapPhys(sectionNr) !== undefined;
      const words = whole
        ? (made.get(sectionNr) ?? make(sectionNr))
        : (madePieces.get(Math.floor(pfn / STRUCT_PAGES_PER_PAGE)) ?? makePiece(Math.floor(pfn / STRUCT_PAGES_PER_PAGE)));
      const at = (pfn % (whole ? PAGES_PER_SECTION : STRUCT_PAGES_PER_PAGE)) * WORDS_PER_PAGE;
      return words.subarray(at, at + WORDS_PER_PAGE);
    },
    isMaterialised: (sectionNr) => made.has(sectionNr),
    get nrMaterialised() {
      return made.size;
    },
    initRange(startPfn, endPfn, nid, zoneIndex, state, order) {
      setPristine(runs, { startPfn, endPfn, nid, zoneIndex, state, ...(order !== undefined && { order }) });
      for (const [sectionNr, words] of sectionsWithin(made, startPfn, endPfn)) {
        const from = Math.max(startPfn, sectionNr * PAGES_PER_SECTION);
        const to = Math.min(endPfn, (sectionNr + 1) * PAGES_PER_SECTION);
        const first = (from - sectionNr * PAGES_PER_SECTION) * WORDS_PER_PAGE;
        render(words.subarray(first), from, to);
      }
      for (const [nr, words] of piecesWithin(startPfn, endPfn)) render(words, nr * STRUCT_PAGES_PER_PAGE, (nr + 1) * STRUCT_PAGES_PER_PAGE);
    },
    removeRange(startPfn, endPfn) {
      setPristine(runs, { startPfn, endPfn, nid: 0, zoneIndex: 0, state: undefined });
      for (const [sectionNr, words] of sectionsWithin(made, startPfn, endPfn)) {
        const sectionPfn = sectionNr * PAGES_PER_SECTION;
        words.fill(-1, Math.max(0, startPfn - sectionPfn) * WORDS_PER_PAGE, Math.min(PAGES_PER_SECTION, endPfn - sectionPfn) * WORDS_PER_PAGE);
        if (sectionPfn >= startPfn && sectionPfn + PAGES_PER_SECTION <= endPfn) made.delete(sectionNr);
      }
      // Sub-sections come and go whole, and so do pages of struct pages.
      for (const [nr, words] of piecesWithin(startPfn, endPfn)) {
        words.fill(-1);
        madePieces.delete(nr);
      }
    },
    pristineRuns(startPfn, endPfn) {
      const parts: PristineRun[] = [];
      let from = startPfn;
      for (const [sectionNr] of sectionsWithin(made, startPfn, endPfn)) {
        parts.push(...pristineWithin(runs, from, sectionNr * PAGES_PER_SECTION));
        from = (sectionNr + 1) * PAGES_PER_SECTION;
      }
      return [...parts, ...pristineWithin(runs, from, endPfn)];
    },
    madeSections: (startPfn, endPfn) => sectionsWithin(made, startPfn, endPfn).map(([sectionNr]) => sectionNr),
    zoneOf(pfn) {
      const page = madeWords(pfn);
      if (page === undefined) return pristineWithin(runs, pfn, pfn + 1)[0];
      const flagsHi = page.words[page.at + PAGE_FLAGS_HI]!;
      return flagsHi === -1 ? undefined : { nid: flagsNode(flagsHi), zoneIndex: flagsZone(flagsHi) };
    },
    pfnToPage: (pfn) => pfnToPage(base, pfn),
    pageToPfn: (page) => pageToPfn(base, page),
    readPage(pfn) {
      const sectionNr = Math.floor(pfn / PAGES_PER_SECTION);
      if (memmapPhys(sectionNr) === undefined && pristineWithin(runs, pfn, pfn + 1).length === 0) return undefined;
      const words = new Int32Array(WORDS_PER_PAGE);
      const page = madeWords(pfn);
      if (page !== undefined) words.set(page.words.subarray(page.at, page.at + WORDS_PER_PAGE));
      else render(words, pfn, pfn + 1);
      writeLinks(pfn, words, 0);
      return decodePage(words, 0, pfn);
    },
    copySection(sectionNr) {
      placeOf(sectionNr);
      const words = made.get(sectionNr)?.slice() ?? new Int32Array(WORDS_PER_MEMMAP);
      if (!made.has(sectionNr)) render(words, sectionNr * PAGES_PER_SECTION, (sectionNr + 1) * PAGES_PER_SECTION);
      writeAllLinks(sectionNr, words);
      return words;
    },
    sync() {
      for (const [sectionNr, words] of made) writeAllLinks(sectionNr, words);
    },
    addFreeListOwner: (nid, zoneIndex, owner) => void owners.push({ nid, zoneIndex, owner }),
  };
}

/** The made sections that touch `[startPfn, endPfn)`, ascending: found from the shorter side. */
function sectionsWithin(made: ReadonlyMap<number, Int32Array>, startPfn: number, endPfn: number): [number, Int32Array][] {
  const first = Math.floor(startPfn / PAGES_PER_SECTION);
  const end = Math.ceil(endPfn / PAGES_PER_SECTION);
  const found: [number, Int32Array][] = [];
  if (end - first < made.size) {
    for (let nr = first; nr < end; nr++) {
      const words = made.get(nr);
      if (words !== undefined) found.push([nr, words]);
    }
    return found;
  }
  for (const entry of made) if (entry[0] >= first && entry[0] < end) found.push(entry);
  return found.sort(([a], [b]) => a - b);
}
