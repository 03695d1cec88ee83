/**
 * Reading and writing through the page cache. Mirrors mm/filemap.c: filemap_read, generic_perform_write, file_write_and_wait_range.
 *
 * Offsets and lengths are bytes. Bytes outside of the simulated machine come and go by copies to and from the pages' frames.
 */
import { type ErrnoName, KernelError, PAGE_SIZE } from '@holdfast/lib';
import {
  type AddressSpace, type Folio, folioBytes, folioClear, folioGet, folioLength, folioLoad, folioPut, folioSet, folioStore, folioTest,
} from './address-space.js';
import { errseqCheckAndAdvance, errseqSample } from './errseq.js';
import { filemapAddFolio } from './filemap-folio.js';
import { folioMarkAccessed } from './lru.js';
import { PG } from './page-flags.js';
import { balanceDirtyPages, filemapFdatawrite, folioMarkDirty, runFlusher } from './page-writeback.js';
import { type FileRaState, PG_READAHEAD, createRaState, pageCacheAsyncRa, pageCacheSyncRa } from './readahead.js';

/** One open file, as the page cache sees it. */
export interface FileMapping {
  readonly mapping: AddressSpace;
  readonly ra: FileRaState;
  /** Errors of writeback up to here were reported to this file, or came before it was opened. */
  wbErrSince: number;
}

export function openMapping(mapping: AddressSpace): FileMapping {
  return { mapping, ra: createRaState(), wbErrSince: errseqSample(mapping.wbErr) };
}

/**
 * Read; returns how many bytes: fewer at the end of the file, and before a page that cannot be read.
 * @throws KernelError EIO, ENOMEM if not even the first byte could be
 */
export function filemapRead(file: FileMapping, target: Uint8Array, offset: number): number {
  const { mapping, ra } = file;
  runFlusher(mapping.cache);
  const end = Math.min(offset + target.length, mapping.sizeBytes());
  let at = offset;
  while (at < end) {
    const index = Math.floor(at / PAGE_SIZE);
    const folio = getUptodateFolio(file, index, Math.ceil(end / PAGE_SIZE));
    if (typeof folio === 'string') {
      if (at > offset) break;
      throw new KernelError(folio, `${mapping.name}: page ${index} cannot be read`);
    }
    const from = at - index * PAGE_SIZE;
    const count = Math.min(PAGE_SIZE - from, end - at);
    const loaded = folioLoad(folio, from, target.subarray(at - offset, at - offset + count));
    if (loaded === 0 && at === offset) throw new KernelError('EIO', `${mapping.name}: page ${index} cannot be read`);
    if (Math.floor((ra.prevPos - 1) / PAGE_SIZE) !== index || ra.prevPos < 0) folioMarkAccessed(folio);
    at += loaded;
    ra.prevPos = at;
    if (loaded < count) break;
  }
  return Math.max(0, at - offset);
}

/**
 * Write into the cache, and mark pages dirty. Returns how many bytes: fewer if a page could not be had.
 * @throws KernelError EIO, ENOMEM if not even the first byte could be; the caller has checked the end of the file
 */
export function filemapWrite(file: FileMapping, source: Uint8Array, offset: number): number {
  const { mapping } = file;
  runFlusher(mapping.cache);
  const end = offset + source.length;
  let at = offset;
  while (at < end) {
    const index = Math.floor(at / PAGE_SIZE);
    const from = at - index * PAGE_SIZE;
    const count = Math.min(PAGE_SIZE - from, end - at);
    const folio = writeBegin(mapping, index, from, count);
    if (typeof folio === 'string') {
      if (at > offset) break;
      throw new KernelError(folio, `${mapping.name}: page ${index} cannot be prepared for writing`);
    }
    if (!folioStore(folio, from, source.subarray(at - offset, at - offset + count))) {
      folioClear(folio, PG.locked);
      if (at > offset) break;
      throw new KernelError('EIO', `${mapping.name}: page ${index} cannot be written`);
    }
    folioSet(folio, PG.uptodate);
    folioClear(folio, PG.locked);
    folioMarkDirty(folio);
    at += count;
    balanceDirtyPages(mapping.cache);
  }
  return at - offset;
}

/**
 * Write what is dirty in `[start, end)`, and return the error of any writeback that this file has not been told of.
 * Durability is the caller's business: the device may hold the data in a cache of its own.
 */
export function fileWriteAndWait(file: FileMapping, start = 0, end = Infinity): ErrnoName | undefined {
  filemapFdatawrite(file.mapping, start, end);
  const { error, since } = errseqCheckAndAdvance(file.mapping.wbErr, file.wbErrSince);
  file.wbErrSince = since;
  return error;
}

/** The page at `index`, read if it has to be, and what comes behind it started on the way. */
export function getUptodateFolio({ mapping, ra }: FileMapping, index: number, lastIndex: number): Folio | ErrnoName {
  let folio = mapping.folios.get(index);
  if (folio === undefined) {
    pageCacheSyncRa(mapping, ra, index, lastIndex - index);
    folio = mapping.folios.get(index) ?? filemapAddFolio(mapping, index);
    if (folio === undefined) return 'ENOMEM';
  }
  if (folioTest(folio, PG_READAHEAD)) {
    folioClear(folio, PG_READAHEAD);
    folioGet(folio); // reading ahead may have to take pages back
    pageCacheAsyncRa(mapping, ra, index, lastIndex - index);
    folioPut(folio);
  }
  return readIfNeeded(folio) ?? folio;
}

/** A page to write `[from, from + count)` of it: what the write leaves of the page is there already. */
function writeBegin(mapping: AddressSpace, index: number, from: number, count: number): Folio | ErrnoName {
  const folio = mapping.folios.get(index) ?? filemapAddFolio(mapping, index);
  if (folio === undefined) return 'ENOMEM';
  const whole = from === 0 && count >= folioLength(folio);
  const error = whole ? undefined : readIfNeeded(folio);
  if (error !== undefined) return error;
  if (whole && count < PAGE_SIZE && !mapping.direct) folioBytes(folio).fill(0, count);
  folioSet(folio, PG.locked);
  return folio;
}

function readIfNeeded(folio: Folio): ErrnoName | undefined {
  if (folioTest(folio, PG.uptodate)) return undefined;
  folioSet(folio, PG.locked);
  folio.mapping.ops.readFolio(folio);
  return folioTest(folio, PG.uptodate) ? undefined : 'EIO';
}
