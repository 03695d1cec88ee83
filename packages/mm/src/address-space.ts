/**
 * What is cached of one file or device: its pages in RAM by their number in the file, and which of them are newer than the device.
 * Mirrors struct address_space and struct folio (include/linux/fs.h, mm_types.h), and lib/xarray.c's marks.
 *
 * Invariant: a folio is in its mapping's table exactly as long as it owns its frame. The tags say what the flags in its struct page say:
 * `dirty` is PG_dirty, `writeback` is PG_writeback.
 * Differs from Linux: a folio is always one page; the table is a hash map with sets as tags; the mapping word of struct page stays null, for
 * an address_space has no address here; list pointers of the LRU are kept outside of struct page.
 */
import { type ErrnoName, PAGES_PER_SECTION, PAGE_SIZE, type Pfn } from '@holdfast/lib';
import { type ErrSeq, createErrSeq, errseqSet } from './errseq.js';
import { type FileMmaps, createFileMmaps } from './file-mmaps.js';
import { PG } from './page-flags.js';
import { PAGE_FLAGS, PAGE_INDEX, PAGE_REFCOUNT, WORDS_PER_PAGE, writeWord64 } from './page.js';
import type { PageCache } from './page-cache.js';

/** One cached page. */
export interface Folio {
  readonly mapping: AddressSpace;
  /** Its place in the file, in pages. */
  readonly index: number;
  /** Changes where the page is moved (filemap-migrate.ts), as the two below. */
  pfn: Pfn;
  /** Its struct page: words of its section's memmap, from `at` on. */
  words: Int32Array;
  at: number;
  /** Links in the LRU list it is in. */
  newer: Folio | undefined;
  older: Folio | undefined;
}

/** How pages get from and to the device; errors are reported by folio, never thrown. */
export interface AddressSpaceOperations {
  /** Fill one locked folio, and end it with {@link folioEndRead}, before it returns. */
  readFolio(folio: Folio): void;
  /** The same for locked folios that follow each other in the file; what fails here is tried again one by one when somebody wants it. */
  readahead(folios: readonly Folio[]): void;
  /** Write folios under writeback, ascending, and end each with {@link folioEndWriteback}, before it returns. */
  writepages(folios: readonly Folio[], sync: boolean): void;
}

/**
 * A device whose memory is what is cached of it: an entry of the page cache is the device's own page, and nothing is copied to RAM.
 * "Directly mapped pmem page cache" (Ingo Molnar, May 2015; row 44 of the thread). Offsets are bytes of the file.
 */
export interface DirectPages {
  /** The frame that page `index` is, whose struct page is there from now on. */
  frameOf(index: number): Pfn;
  /** Load; returns how many bytes, fewer before one that cannot be read. */
  load(offset: number, target: Uint8Array): number;
  /** Store through the caches; false if the device cannot take it. */
  store(offset: number, source: Uint8Array): boolean;
}

export interface AddressSpace {
  readonly cache: PageCache;
  /** For people. */
  readonly name: string;
  readonly ops: AddressSpaceOperations;
  /** Pages of block devices are what /proc/meminfo calls Buffers. */
  readonly isBlockDevice: boolean;
  /** Of the file, in bytes: nothing is read or written behind it. */
  readonly sizeBytes: () => number;
  /** The most that readahead reads at once, in pages; 0 turns it off. */
  readonly raPages: () => number;
  /** Its pages are these, and never dirty; else they are copies in RAM. */
  readonly direct: DirectPages | undefined;
  readonly folios: Map<number, Folio>;
  /** Who has it mapped. */
  readonly mmaps: FileMmaps;
  /** Tags: numbers of pages. */
  readonly dirty: Set<number>;
  readonly writeback: Set<number>;
  /** Errors of writeback, for fsync. */
  readonly wbErr: ErrSeq;
  /** The same for callers without a file of their own (AS_EIO, AS_ENOSPC): reported once, to the first who asks. */
  lastError: ErrnoName | undefined;
  /** When the first of the pages that are dirty now became so, virtual nanoseconds. */
  dirtiedWhen: number | undefined;
}

export type MappingSpec = Pick<AddressSpace, 'name' | 'ops' | 'isBlockDevice' | 'sizeBytes' | 'raPages'> & Partial<Pick<AddressSpace, 'direct'>>;

export function createMapping(cache: PageCache, spec: MappingSpec): AddressSpace {
  const mapping: AddressSpace = {
    cache,
    direct: undefined,
    ...spec,
    folios: new Map(),
    mmaps: createFileMmaps(),
    dirty: new Set(),
    writeback: new Set(),
    wbErr: createErrSeq(),
    lastError: undefined,
    dirtiedWhen: undefined,
  };
  cache.mappings.add(mapping);
  return mapping;
}

export function folioTest(folio: Folio, flag: number): boolean {
  return (folio.words[folio.at + PAGE_FLAGS]! & (1 << flag)) !== 0;
}

export function folioSet(folio: Folio, flag: number): void {
  folio.words[folio.at + PAGE_FLAGS]! |= 1 << flag;
}

export function folioClear(folio: Folio, flag: number): void {
  folio.words[folio.at + PAGE_FLAGS]! &= ~(1 << flag);
}

/** The page's 4096 bytes in RAM. */
export function folioBytes({ mapping, pfn }: Folio): Uint8Array {
  return mapping.cache.needs.memory.frame(pfn);
}

/** Copy bytes from `from` on out of a page that is up to date; returns how many: all, but for direct pages that cannot be read. */
export function folioLoad(folio: Folio, from: number, target: Uint8Array): number {
  const { mapping, index } = folio;
  if (mapping.direct) return mapping.direct.load(index * PAGE_SIZE + from, target);
  target.set(folioBytes(folio).subarray(from, from + target.length));
  return target.length;
}

/** Copy bytes into a page, from `from` on; false if a direct page cannot take them. */
export function folioStore(folio: Folio, from: number, source: Uint8Array): boolean {
  const { mapping, index } = folio;
  if (mapping.direct) return mapping.direct.store(index * PAGE_SIZE + from, source);
  folioBytes(folio).set(source, from);
  return true;
}

/** How many of them are inside the file. */
export function folioLength({ mapping, index }: Folio): number {
  return Math.min(PAGE_SIZE, mapping.sizeBytes() - index * PAGE_SIZE);
}

/** Does anybody but the cache hold it? */
export function folioIsHeld({ words, at }: Folio): boolean {
  return words[at + PAGE_REFCOUNT]! > 1;
}

/** Hold a page, so that it stays while others are taken back. */
export function folioGet({ words, at }: Folio): void {
  words[at + PAGE_REFCOUNT]! += 1;
}

export function folioPut({ words, at }: Folio): void {
  words[at + PAGE_REFCOUNT]! -= 1;
}

/** Where the struct page of a frame of RAM is: words of its section's memmap, from `at` on. */
export function structPageOf({ needs }: PageCache, frame: Pfn): Pick<Folio, 'words' | 'at'> {
  return { words: needs.memmap(Math.floor(frame / PAGES_PER_SECTION)), at: (frame % PAGES_PER_SECTION) * WORDS_PER_PAGE };
}

/** A struct page of a frame just allocated becomes that of a page of a file: locked, and not uptodate. */
export function initFolio(mapping: AddressSpace, index: number, frame: Pfn): Folio {
  // A device's sections may share their memmap's pages with others.
  const { words, at } = mapping.direct ? { words: mapping.cache.needs.pageWords(frame), at: 0 } : structPageOf(mapping.cache, frame);
  const folio: Folio = { mapping, index, pfn: frame, words, at, newer: undefined, older: undefined };
  writeWord64(words, at + PAGE_INDEX, BigInt(index));
  folioSet(folio, PG.locked);
  return folio;
}

/** For {@link AddressSpaceOperations}: a read has ended. */
export function folioEndRead(folio: Folio, error?: ErrnoName): void {
  if (error === undefined) folioSet(folio, PG.uptodate);
  folioClear(folio, PG.locked);
}

/** For {@link AddressSpaceOperations}: a write has ended. An error is kept for whoever asks by fsync; the page counts as clean. */
export function folioEndWriteback(folio: Folio, error?: ErrnoName): void {
  const { mapping } = folio;
  if (error !== undefined) {
    folioSet(folio, PG.error);
    mappingSetError(mapping, error);
  }
  folioClear(folio, PG.writeback);
  mapping.writeback.delete(folio.index);
  mapping.cache.vmstat.nrWritten++;
}

function mappingSetError(mapping: AddressSpace, error: ErrnoName): void {
  errseqSet(mapping.wbErr, error);
  mapping.lastError = error;
}
