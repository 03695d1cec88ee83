/**
 * The data path of both drivers: bytes between page frames and a mapping. Mirrors drivers/nvdimm/pmem.c: pmem_submit_bio, pmem_do_read,
 * pmem_do_write, and v4.1's drivers/block/pmem.c: pmem_make_request.
 *
 * Invariant: a bio is carried out and ended before submitBio returns. Nothing is allocated on the way.
 * Differs from Linux: while a device has no bad blocks, a bio's entries are copied whole instead of page by page. Nobody can tell: a
 * copy cannot fail half way then.
 */
import { PAGE_SIZE, SECTOR_SIZE } from '@holdfast/lib';
import type { Pfn, PhysAddr, Sector } from '@holdfast/lib';
import {
  BLK_STS, REQ, VEC, bioEndWith, createBvecIter, nextBvec, nextSegment, opIsWrite, startIter,
  type Badblocks, type Bio, type BlkStatus, type BlockDeviceOperations, type IoLayer,
} from '@holdfast/block';
import { CHUNK_SIZE, type Mapping, type PhysicalMemory } from '@holdfast/machine';
import { pmemLbaStatus } from './lba-status.js';

/** How stores are made: v4.1 copies plainly, later drivers past the caches (memcpy_flushcache). */
type StoreName = 'write' | 'writeFlushCache';

/** A device, ready for I/O. */
export interface PmemDevice {
  readonly memory: Pick<PhysicalMemory, 'frames' | 'chunk' | 'mayHold'>;
  /** Over the whole device. */
  readonly mapping: Mapping;
  /** Bytes from the start of the mapping to sector 0. */
  readonly dataOffset: number;
  /** Bytes of the data area, for those who come without a bio. */
  readonly dataSize: number;
  /** In sectors of the data area. */
  readonly badblocks: Badblocks;
  /** Order and complete what was stored before. */
  flush(): BlkStatus;
  /** Heal `[start, start + length)` of the physical range for a write; returns how many bytes, from the start on, are good now. */
  clearPoison(start: PhysAddr, length: number): number;
  /** Was the device there all along? Asked after each transfer of one that can be pulled. */
  readonly verify?: () => BlkStatus;
  /** 4.2 to 4.7 advertised no write cache, and completed each write only when it was durable (wmb_pmem). */
  readonly flushEachWrite: boolean;
}

/** Both drivers copy by frame number: one of the few that the RFC of 2015 converted, and it needed little. */
export const PMEM_IO_LAYERS: readonly IoLayer[] = [{ name: 'pmem', takesPageless: true, does: 'copies by frame number' }];

/** What today's driver does with bios and single pages. */
export function pmemOperations(pmem: PmemDevice): BlockDeviceOperations {
  // One iterator serves: the block layer never calls a driver while its submitBio runs.
  const iter = createBvecIter();

  function transfer(bio: Bio): BlkStatus {
    const write = opIsWrite(bio.opf);
    if (!isOnePiece(bio, pmem.badblocks)) return transferPieces(bio, write);
    const vec = bio.idx * VEC.WORDS;
    return movePiece(pmem, write, bio.sector, bio.vecs[vec + VEC.PFN] as Pfn, bio.vecs[vec + VEC.OFFSET]!, bio.sizeBytes);
  }

  function transferPieces(bio: Bio, write: boolean): BlkStatus {
    const next = pmem.badblocks.count > 0 ? nextSegment : nextBvec;
    startIter(iter, bio);
    while (next(iter, bio)) {
      const status = movePiece(pmem, write, iter.sector, iter.pfn, iter.offset, iter.len);
      if (status !== BLK_STS.OK) return status;
    }
    return BLK_STS.OK;
  }

  return {
    submitBio(bio) {
      let flushed: BlkStatus = BLK_STS.OK;
      if ((bio.opf & REQ.PREFLUSH) !== 0) flushed = pmem.flush();
      let status = transfer(bio);
      if (pmem.verify !== undefined && status === BLK_STS.OK && bio.sizeBytes > 0) status = pmem.verify();
      // As in Linux: FUA flushes even if the data failed, and a flush's outcome, the last one's, is reported before the data's.
      if ((bio.opf & REQ.FUA) !== 0 || (pmem.flushEachWrite && opIsWrite(bio.opf))) flushed = pmem.flush();
      if (flushed !== BLK_STS.OK) status = flushed;
      bioEndWith(bio, status);
    },
    rwPage(_bdev, sector, pfn, op) {
      const status = movePiece(pmem, opIsWrite(op), sector, pfn, 0, PAGE_SIZE);
      return pmem.verify !== undefined && status === BLK_STS.OK ? pmem.verify() : status;
    },
    lbaStatus: pmemLbaStatus(pmem),
  };
}

/** What v4.1's driver does: plain copies, no flush, no bad blocks, and its own check of the end. */
export function pmem41Operations(pmem: PmemDevice): BlockDeviceOperations {
  const iter = createBvecIter();

  return {
    submitBio(bio) {
      if (bio.sector * SECTOR_SIZE + bio.sizeBytes > pmem.dataSize) return bioEndWith(bio, BLK_STS.IOERR);
      const write = opIsWrite(bio.opf);
      startIter(iter, bio);
      while (nextBvec(iter, bio)) {
        const at = iter.sector * SECTOR_SIZE;
        if (write) copyIn(pmem, 'write', at, iter.pfn, iter.offset, iter.len);
        else copyOut41(pmem, at, iter.pfn, iter.offset, iter.len);
      }
      bioEndWith(bio, BLK_STS.OK);
    },
    rwPage(_bdev, sector, pfn, op) {
      if (opIsWrite(op)) copyIn(pmem, 'write', sector * SECTOR_SIZE, pfn, 0, PAGE_SIZE);
      else copyOut41(pmem, sector * SECTOR_SIZE, pfn, 0, PAGE_SIZE);
      return BLK_STS.OK;
    },
    lbaStatus: pmemLbaStatus(pmem),
  };
}

/** Is all that is left of the bio one piece, at the start of an entry? Most are, and need no walk: 25 ns of a 4 KiB I/O. */
function isOnePiece({ vecs, idx, bvecDone, sizeBytes, vcnt }: Bio, badblocks: Badblocks): boolean {
  if (idx >= vcnt || bvecDone !== 0 || sizeBytes === 0) return false;
  const vec = idx * VEC.WORDS;
  // Among bad blocks a piece is no more than a page.
  return vecs[vec + VEC.LEN]! >= sizeBytes && (badblocks.count === 0 || vecs[vec + VEC.OFFSET]! + sizeBytes <= PAGE_SIZE);
}

function movePiece(pmem: PmemDevice, write: boolean, sector: Sector, pfn: Pfn, offset: number, length: number): BlkStatus {
  return write ? writePiece(pmem, sector, pfn, offset, length) : readPiece(pmem, sector, pfn, offset, length);
}

function readPiece(pmem: PmemDevice, sector: Sector, pfn: Pfn, offset: number, length: number): BlkStatus {
  if (pmem.badblocks.count > 0 && pmem.badblocks.check(sector, length / SECTOR_SIZE)) return BLK_STS.IOERR;
  return copyOut(pmem, pmem.dataOffset + sector * SECTOR_SIZE, pfn, offset, length) ? BLK_STS.OK : BLK_STS.IOERR;
}

function writePiece(pmem: PmemDevice, sector: Sector, pfn: Pfn, offset: number, length: number): BlkStatus {
  const at = pmem.dataOffset + sector * SECTOR_SIZE;
  if (pmem.badblocks.count > 0 && !healForWrite(pmem, sector, at, length)) return BLK_STS.IOERR;
  copyIn(pmem, 'writeFlushCache', at, pfn, offset, length);
  return BLK_STS.OK;
}

/** Clear the poison under a write, if there is any; false if not all of it went. */
export function healForWrite(pmem: PmemDevice, sector: Sector, at: number, length: number): boolean {
  if (!pmem.badblocks.check(sector, length / SECTOR_SIZE)) return true;
  const cleared = pmem.clearPoison((pmem.mapping.start + at) as PhysAddr, length);
  const nrSectors = Math.floor(cleared / SECTOR_SIZE);
  if (nrSectors > 0) pmem.badblocks.clear(sector, nrSectors);
  return cleared >= length;
}

/** From byte `offset` of frame `pfn` on into the mapping at `at`. */
function copyIn(pmem: PmemDevice, store: StoreName, at: number, pfn: Pfn, offset: number, length: number): void {
  // Whole frames are the common case, and views of them are kept: nothing is allocated, here or below.
  const whole = offset === 0 ? pmem.memory.frames(pfn, length) : undefined;
  if (whole === undefined) copyInParts(pmem, store, at, pfn, offset, length);
  else if (store === 'write') pmem.mapping.write(at, whole, 0, length);
  else pmem.mapping.writeFlushCache(at, whole, 0, length);
}

function copyInParts({ memory, mapping }: PmemDevice, store: StoreName, at: number, pfn: Pfn, offset: number, length: number): void {
  const addr = pfn * PAGE_SIZE + offset;
  for (let done = 0; done < length;) {
    const nr = Math.floor((addr + done) / CHUNK_SIZE);
    const within = addr + done - nr * CHUNK_SIZE;
    const count = Math.min(CHUNK_SIZE - within, length - done);
    if (store === 'write') mapping.write(at + done, memory.chunk(nr), within, count);
    else mapping.writeFlushCache(at + done, memory.chunk(nr), within, count);
    done += count;
  }
}

/** From the mapping at `at` to byte `offset` of frame `pfn` and on; false if poison was in the way (copy_mc_to_kernel). */
function copyOut(pmem: PmemDevice, at: number, pfn: Pfn, offset: number, length: number): boolean {
  const whole = offset === 0 ? pmem.memory.frames(pfn, length) : undefined;
  return whole === undefined ? copyOutParts(pmem, at, pfn, offset, length) : pmem.mapping.readRecoverable(at, whole, 0, length) === 0;
}

function copyOutParts({ memory, mapping }: PmemDevice, at: number, pfn: Pfn, offset: number, length: number): boolean {
  const addr = pfn * PAGE_SIZE + offset;
  for (let done = 0; done < length;) {
    const nr = Math.floor((addr + done) / CHUNK_SIZE); // not %: on doubles that is a call, of 10 to 20 ns
    const within = addr + done - nr * CHUNK_SIZE;
    const count = Math.min(CHUNK_SIZE - within, length - done);
    if (mapping.readRecoverable(at + done, memory.chunk(nr), within, count) > 0) return false;
    done += count;
  }
  return true;
}

/** The same before anybody thought of poison: it ends the kernel. */
function copyOut41(pmem: PmemDevice, at: number, pfn: Pfn, offset: number, length: number): void {
  const addr = pfn * PAGE_SIZE + offset;
  for (let done = 0; done < length;) {
    const within = (addr + done) % CHUNK_SIZE;
    const count = Math.min(CHUNK_SIZE - within, length - done);
    pmem.mapping.read(at + done, pmem.memory.chunk((addr + done - within) / CHUNK_SIZE), within, count);
    done += count;
  }
}
