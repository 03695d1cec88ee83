/**
 * A block device as user space has it open: byte offsets, short counts and errnos. Mirrors block/fops.c and block/ioctl.c.
 *
 * Buffered I/O works on the page cache; what a write left there reaches the device by fsync, by the flusher, or at the last close. Direct I/O
 * goes to the device at once, and both see each other's data.
 *
 * Invariant: direct I/O first writes what the cache holds of its range, and a direct write leaves nothing of it in the cache.
 * Differs from Linux: direct I/O goes through bounce pages, for the caller's bytes lie outside of the simulated memory. A kernel without a page
 * cache (BlockNeeds.pageCache) does buffered I/O in the same way, and reads a block first that is written in part.
 */
import { type ErrnoName, KernelError, PAGE_SIZE, SECTOR_SIZE, isAligned, pfnAdd, roundDown, roundUp, sector } from '@holdfast/lib';
import type { Pfn } from '@holdfast/lib';
import {
  type FileMapping, fileWriteAndWait, filemapRead, filemapWrite, filemapWriteAndWait, invalidateInodePages2, openMapping, truncateInodePages,
} from '@holdfast/mm';
import { SWAP_HOLDER, blkdevGet, blkdevPut, invalidateBdev, syncBlockdev } from './bdev.js';
import { BIO_MAX_VECS, allocBio, bioAddPage, resetBio } from './bio.js';
import { BLK_STS, blkStatusToErrno } from './blk-status.js';
import type { BlkStatus } from './blk-status.js';
import { REQ, REQ_OP } from './blk-types.js';
import type { Bio, BlockDevice } from './blk-types.js';
import { bdevReadOnly, bdevSizeBytes } from './block-device.js';
import { rereadPartitions } from './partition-scan.js';
import { submitBioWait } from './submit.js';

/** Offsets and lengths are bytes. */
export interface BlockDeviceFile {
  readonly sizeBytes: number;
  readonly logicalBlockSize: number;
  readonly physicalBlockSize: number;
  /** BLKROGET and BLKROSET. A disk that is read-only as such stays so. */
  readOnly: boolean;
  /** Read up to `target.length` bytes; returns how many: 0 at or after the end. @throws KernelError EIO, EINVAL */
  pread(target: Uint8Array, offset: number): number;
  /** Write; returns how many bytes fitted. @throws KernelError ENOSPC at or after the end, EPERM if read-only, ETXTBSY if swapped to, EIO, EINVAL */
  pwrite(source: Uint8Array, offset: number): number;
  /** All writes that returned are durable when this returns, as far as the device can promise. @throws KernelError EIO, once for each error */
  fsync(): void;
  /** BLKFLSBUF: write what is dirty, and forget what is cached. */
  flushBuffers(): void;
  /** BLKRRPART: look for partitions anew. @throws KernelError EINVAL for a partition; EBUSY if one is open, or somebody holds the disk */
  rereadPartitions(): void;
  /** BLKDISCARD. @throws KernelError EOPNOTSUPP where the device cannot, EINVAL for anything but whole sectors of it, EPERM if read-only */
  discard(offset: number, length: number): void;
  /** BLKZEROOUT, by writing zeros. @throws KernelError EINVAL for anything but whole blocks of the device, EPERM, EIO */
  zeroout(offset: number, length: number): void;
  /** The last close of a device writes what is dirty. The file is of no use afterwards. */
  close(): void;
}

export interface BlockOpenOptions {
  /** O_DIRECT: offsets and lengths must be multiples of the logical block. */
  readonly direct?: boolean;
  /** O_EXCL: claim the device in this name, until close. */
  readonly exclusive?: string;
}

/** Bounce pages of one bio: 2^5, that is 128 KiB. */
const MAX_BOUNCE_ORDER = 5;

/** Open a device. @throws KernelError ENXIO if it is gone, EBUSY if it is to be exclusive, and somebody holds it */
export function openBlockDevice(bdev: BlockDevice, { direct = false, exclusive }: BlockOpenOptions = {}): BlockDeviceFile {
  const { queue: { limits }, traffic } = bdev.disk;
  blkdevGet(bdev, exclusive);
  const buffered = bdev.mapping && openMapping(bdev.mapping);
  let open = true;
  /** undefined if the device has gone since. */
  const cached = (): FileMapping | undefined => (buffered && bdev.mapping === buffered.mapping ? buffered : undefined);
  const checkDirect = (offset: number, length: number): void => {
    if (direct && !(isAligned(offset, limits.logicalBlockSize) && isAligned(length, limits.logicalBlockSize))) {
      throw new KernelError('EINVAL', `${bdev.name}: direct I/O of ${length} bytes at ${offset}: expected multiples of ${limits.logicalBlockSize}`);
    }
  };
  const readAt = (target: Uint8Array, offset: number, length: number): number => {
    const file = cached();
    if (file && !direct) return filemapRead(file, target.subarray(0, length), offset);
    if (file) throwIf(filemapWriteAndWait(file.mapping, offset, offset + length), bdev, 'writeback');
    checkDirect(offset, length);
    return readDirect(bdev, target, offset, length);
  };
  const writeAt = (source: Uint8Array, offset: number, length: number): number => {
    const file = cached();
    if (file && !direct) return filemapWrite(file, source.subarray(0, length), offset);
    if (file) throwIf(dropFromCache(file, offset, length), bdev, 'writeback');
    checkDirect(offset, length);
    return writeDirect(bdev, source, offset, length);
  };
  return {
    get sizeBytes() {
      return bdevSizeBytes(bdev);
    },
    get logicalBlockSize() {
      return limits.logicalBlockSize;
    },
    get physicalBlockSize() {
      return limits.physicalBlockSize;
    },
    get readOnly() {
      return bdevReadOnly(bdev);
    },
    set readOnly(value) {
      bdev.readOnly = value;
    },
    pread(target, offset) {
      checkOffset(bdev, offset);
      const length = Math.min(target.length, bdevSizeBytes(bdev) - offset);
      if (length <= 0) return 0;
      const count = readAt(target, offset, length);
      traffic.userRead += count;
      return count;
    },
    pwrite(source, offset) {
      checkOffset(bdev, offset);
      if (bdevReadOnly(bdev)) throw new KernelError('EPERM', `${bdev.name} is read-only`);
      if (bdev.holder === SWAP_HOLDER) throw new KernelError('ETXTBSY', `${bdev.name} is swapped to`);
      if (source.length === 0) return 0;
      const length = Math.min(source.length, bdevSizeBytes(bdev) - offset);
      if (length <= 0) throw new KernelError('ENOSPC', `${bdev.name}: a write at ${offset}, and the device ends at ${bdevSizeBytes(bdev)}`);
      const count = writeAt(source, offset, length);
      traffic.userWritten += count;
      return count;
    },
    fsync() {
      const file = cached();
      if (file) throwIf(fileWriteAndWait(file), bdev, 'writeback');
      issueFlush(bdev);
    },
    flushBuffers() {
      syncBlockdev(bdev);
      invalidateBdev(bdev);
    },
    rereadPartitions: () => rereadPartitions(bdev, exclusive !== undefined),
    discard(offset, length) {
      if (limits.maxDiscardSectors === 0) throw new KernelError('EOPNOTSUPP', `${bdev.name} does not support discard`);
      checkDiscard(bdev, offset, length);
      const file = cached();
      if (file) truncateInodePages(file.mapping, offset, offset + length);
      const bio = allocBio(bdev, 0, REQ_OP.DISCARD);
      bio.sector = sector(offset / SECTOR_SIZE);
      bio.sizeBytes = length;
      checkStatus(bdev, submitBioWait(bio), 'discard');
    },
    zeroout(offset, length) {
      checkZeroout(bdev, offset, length);
      const file = cached();
      if (file) throwIf(dropFromCache(file, offset, length), bdev, 'writeback');
      issueZeroout(bdev, offset, length);
    },
    close() {
      if (open) blkdevPut(bdev, exclusive);
      open = false;
    },
  };
}

/** Before the device is changed below the cache: neighbours in the same pages are written, and the pages forgotten. */
function dropFromCache({ mapping }: FileMapping, offset: number, length: number): ErrnoName | undefined {
  const error = filemapWriteAndWait(mapping, offset, offset + length);
  if (error === undefined) invalidateInodePages2(mapping, offset, offset + length);
  return error;
}

/** Read past the page cache, which must hold nothing newer. @throws KernelError EIO */
export function readDirect(bdev: BlockDevice, target: Uint8Array, offset: number, length: number): number {
  return transfer(bdev, offset, length, (bounce, from, to, done) => {
    const status = bounce.run(REQ_OP.READ, from, to);
    if (status === BLK_STS.OK) bounce.copyOut(offset + done - from, target, done, Math.min(to, offset + length) - offset - done);
    return status;
  });
}

/** Write past the page cache, which must hold nothing of this. @throws KernelError EIO */
export function writeDirect(bdev: BlockDevice, source: Uint8Array, offset: number, length: number): number {
  return transfer(bdev, offset, length, (bounce, from, to, done) => {
    const count = Math.min(to, offset + length) - offset - done;
    const whole = offset + done === from && offset + done + count === to;
    const status = whole ? BLK_STS.OK : bounce.run(REQ_OP.READ, from, to);
    if (status !== BLK_STS.OK) return status;
    bounce.copyIn(offset + done - from, source, done, count);
    return bounce.run(REQ_OP.WRITE, from, to);
  });
}

/** Make all writes that have ended durable, as fsync does (blkdev_issue_flush). @throws KernelError EIO */
export function issueFlush(bdev: BlockDevice): void {
  const status = submitBioWait(allocBio(bdev, 0, REQ_OP.WRITE | REQ.PREFLUSH | REQ.SYNC));
  if (status !== BLK_STS.NOTSUPP) checkStatus(bdev, status, 'flush');
}

function checkDiscard(bdev: BlockDevice, offset: number, length: number): void {
  if (!isAligned(offset, SECTOR_SIZE) || !isAligned(length, SECTOR_SIZE) || offset + length > bdevSizeBytes(bdev)) {
    throw new KernelError('EINVAL', `${bdev.name}: discard of ${length} bytes at ${offset}: expected whole sectors inside ${bdevSizeBytes(bdev)}`);
  }
  if (bdevReadOnly(bdev)) throw new KernelError('EPERM', `${bdev.name} is read-only`);
}

function checkZeroout(bdev: BlockDevice, offset: number, length: number): void {
  const { limits } = bdev.disk.queue;
  const grain = Math.max(SECTOR_SIZE, limits.logicalBlockSize);
  const inside = offset >= 0 && length > 0 && offset + length <= bdevSizeBytes(bdev);
  if (!inside || !isAligned(offset, grain) || !isAligned(length, grain)) {
    throw new KernelError('EINVAL', `${bdev.name}: zeroout of ${length} bytes at ${offset}: expected whole blocks of ${grain} inside ${bdevSizeBytes(bdev)}`);
  }
  if (bdevReadOnly(bdev)) throw new KernelError('EPERM', `${bdev.name} is read-only`);
}

function issueZeroout(bdev: BlockDevice, offset: number, length: number): void {
  const { memory, pages } = bdev.disk.block.needs;
  const page = pages.allocPages(0);
  try {
    memory.frame(page).fill(0);
    const bio = allocBio(bdev, BIO_MAX_VECS, REQ_OP.WRITE);
    for (let done = 0; done < length;) {
      resetBio(bio, bdev, REQ_OP.WRITE);
      bio.sector = sector((offset + done) / SECTOR_SIZE);
      // Each entry is the same page: they never join.
      while (done < length && bioAddPage(bio, page, Math.min(PAGE_SIZE, length - done), 0) > 0) done += Math.min(PAGE_SIZE, length - done);
      checkStatus(bdev, submitBioWait(bio), 'zeroout');
    }
  } finally {
    pages.freePages(page, 0);
  }
}

function checkOffset(bdev: BlockDevice, offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new KernelError('EINVAL', `${bdev.name}: offset ${offset}: expected a whole number from 0 on`);
}

function throwIf(error: ErrnoName | undefined, bdev: BlockDevice, what: string): void {
  if (error !== undefined) throw new KernelError(error, `${bdev.name}: ${what} failed`);
}

function checkStatus(bdev: BlockDevice, status: BlkStatus, what: string): void {
  throwIf(blkStatusToErrno(status), bdev, what);
}

/** Move the whole blocks `[from, to)`, of which `done` bytes of the caller's range are behind us. */
type MoveBlocks = (bounce: Bounce, from: number, to: number, done: number) => BlkStatus;

/** Go through `[offset, offset + length)` in windows of whole blocks. Returns the bytes done; throws if the first window failed. */
function transfer(bdev: BlockDevice, offset: number, length: number, move: MoveBlocks): number {
  const grain = bdev.disk.queue.limits.logicalBlockSize;
  const end = Math.min(roundUp(offset + length, grain), bdevSizeBytes(bdev));
  const begin = roundDown(offset, grain);
  return withBounce(bdev, end - begin, (bounce) => {
    for (let from = begin; from < end; from += bounce.sizeBytes) {
      const done = Math.max(0, from - offset);
      const status = move(bounce, from, Math.min(from + bounce.sizeBytes, end), done);
      if (status === BLK_STS.OK) continue;
      if (done === 0) checkStatus(bdev, status, `I/O at ${offset}`);
      return done;
    }
    return length;
  });
}

/** Pages between a caller's bytes, which lie outside of the simulated memory, and the device. */
interface Bounce {
  readonly sizeBytes: number;
  /** Read or write the device's bytes `[from, to)` to or from the start of the pages. */
  run(op: number, from: number, to: number): BlkStatus;
  copyIn(at: number, source: Uint8Array, sourceOffset: number, length: number): void;
  copyOut(at: number, target: Uint8Array, targetOffset: number, length: number): void;
}

function withBounce<T>(bdev: BlockDevice, sizeBytes: number, use: (bounce: Bounce) => T): T {
  const { memory, pages } = bdev.disk.block.needs;
  const order = Math.min(Math.ceil(Math.log2(Math.ceil(sizeBytes / PAGE_SIZE))), MAX_BOUNCE_ORDER);
  const first = pages.allocPages(order);
  const bio = allocBio(bdev, 1, REQ_OP.READ);
  /** For each page that `[at, at + length)` touches: its bytes there, and where they are in the caller's. */
  const eachPage = (at: number, length: number, copy: (part: Uint8Array, done: number) => void): void => {
    for (let done = 0; done < length;) {
      const offset = (at + done) % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - offset, length - done);
      copy(memory.frame(pfnAdd(first, Math.floor((at + done) / PAGE_SIZE))).subarray(offset, offset + count), done);
      done += count;
    }
  };
  try {
    return use({
      sizeBytes: PAGE_SIZE * 2 ** order,
      run: (op, from, to) => runBounce(bio, bdev, op, first, from, to),
      copyIn: (at, source, from, length) => eachPage(at, length, (part, done) => part.set(source.subarray(from + done, from + done + part.length))),
      copyOut: (at, target, to, length) => eachPage(at, length, (part, done) => target.set(part, to + done)),
    });
  } finally {
    pages.freePages(first, order);
  }
}

function runBounce(bio: Bio, bdev: BlockDevice, op: number, first: Pfn, from: number, to: number): BlkStatus {
  resetBio(bio, bdev, op);
  bio.sector = sector(from / SECTOR_SIZE);
  bioAddPage(bio, first, to - from, 0);
  return submitBioWait(bio);
}
