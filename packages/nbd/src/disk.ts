/**
 * What an export's commands act on: a block device of the simulated kernel, reached by bios.
 *
 * Memory of an I/O is a {@link Slab}: frames of the simulated RAM that follow each other, so that a bio can name them and a socket can read
 * into them or write from them. Nothing is copied on the way but by the driver itself, and nothing is allocated per I/O. The exception is a
 * layer that takes whole blocks only (BTT): a payload lies where the client's headers left it, and goes through a slab of its own then.
 */
import { KernelError, PAGE_SIZE, SECTOR_SIZE, type Pfn, type Sector } from '@holdfast/lib';
import {
  type Bio, type BlkStatus, type BlockDevice, type PageSource,
  BLK_STS, REQ, REQ_OP, allocBio, bdevReadOnly, bdevSizeBytes, bioAddPage, opIsWrite, resetBio, submitBio,
} from '@holdfast/block';
import { CHUNK_SIZE, type PhysicalMemory } from '@holdfast/machine';
import { NBD, type NbdError, STATE_HOLE, STATE_ZERO } from './protocol.js';

/** Bytes of a slab: one chunk of physical memory. */
export const SLAB_BYTES = CHUNK_SIZE;
const SLAB_ORDER = Math.log2(SLAB_BYTES / PAGE_SIZE);
/** Zeros are written from a piece of this size. */
const ZERO_BYTES = 256 * 1024;

/** Simulated RAM for I/O: {@link SLAB_BYTES} that follow each other. */
export interface Slab {
  readonly bytes: Uint8Array;
  readonly first: Pfn;
  free(): void;
}

export interface NbdDisk {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly rotational: boolean;
  /** The disk has a volatile cache: flush and FUA mean something. Without one every write is durable when it is answered. */
  readonly writeCache: boolean;
  readonly canTrim: boolean;
  /** Zeros cost less than writing them. */
  readonly fastZero: boolean;
  /** Smallest and preferred request, bytes. */
  readonly minBlock: number;
  readonly preferredBlock: number;
  /** @throws KernelError ENOMEM */
  allocSlab(): Slab;
  read(slab: Slab, at: number, offset: number, length: number): NbdError;
  write(slab: Slab, at: number, offset: number, length: number, fua: boolean): NbdError;
  flush(): NbdError;
  trim(offset: number, length: number, fua: boolean): NbdError;
  writeZeroes(offset: number, length: number, fua: boolean, noHole: boolean): NbdError;
  /** How long a request waits before it is carried out, in milliseconds of the host; without it, none does. */
  delayMs?(op: 'read' | 'write' | 'flush' | 'trim' | 'zero', offset: number, length: number): number;
  /** Where `[offset, …)` stops being of one kind, at most `length` bytes further: STATE_HOLE and STATE_ZERO, or 0 for data. */
  extent(offset: number, length: number): Extent;
}

export interface Extent {
  readonly length: number;
  readonly state: number;
}

export interface DiskNeeds {
  readonly bdev: BlockDevice;
  readonly memory: Pick<PhysicalMemory, 'chunk'>;
  readonly pages: PageSource;
  /** Called when a flush or FUA is done in the machine, before it is answered: make the machine's files survive a crash of the host. May throw. */
  readonly persist?: (() => void) | undefined;
  /** What is known of a range that was never written; by default the driver tells, or else all is data. */
  readonly extent?: (offset: number, length: number) => Extent;
}

/** @param needs.bdev completes its bios at once, as all that copy memory do */
export function createBdevDisk({ bdev, memory, pages, extent, persist }: DiskNeeds): NbdDisk {
  const { queue } = bdev.disk;
  const { limits } = queue;
  const bio = allocBio(bdev, 1, REQ_OP.READ);

  const grain = queue.ioLayers.some(({ wholeBlocks }) => wholeBlocks === true) ? Math.min(limits.logicalBlockSize, PAGE_SIZE) : 1;
  let bounce: Slab | undefined;

  const run = (opf: number, slab: Slab, at: number, offset: number, length: number): NbdError => {
    if (at % grain === 0) return runInPlace(opf, slab, at, offset, length);
    bounce ??= slabIfAny(disk);
    if (!bounce) return NBD.ENOMEM;
    const isWrite = opIsWrite(opf);
    if (isWrite) bounce.bytes.set(slab.bytes.subarray(at, at + length));
    const error = runInPlace(opf, bounce, 0, offset, length);
    if (!isWrite) slab.bytes.set(bounce.bytes.subarray(0, length), at);
    return error;
  };
  const runInPlace = (opf: number, slab: Slab, at: number, offset: number, length: number): NbdError => {
    resetBio(bio, bdev, opf);
    bio.sector = (offset / SECTOR_SIZE) as Sector;
    bioAddPage(bio, slab.first, length, at);
    return submitted(bio);
  };
  const runEmpty = (opf: number, offset: number, length: number): NbdError => {
    resetBio(bio, bdev, opf);
    bio.sector = (offset / SECTOR_SIZE) as Sector;
    bio.sizeBytes = length;
    return submitted(bio);
  };
  /** A command that was durable in the machine is so on the host. */
  const persisted = (error: NbdError): NbdError => {
    if (!persist || error !== NBD.OK) return error;
    try {
      persist();
      return NBD.OK;
    } catch {
      return NBD.EIO;
    }
  };
  const flush = (): NbdError => persisted(runEmpty(REQ_OP.WRITE | REQ.PREFLUSH, 0, 0));
  let zeros: Slab | undefined;

  const disk: NbdDisk = {
    sizeBytes: bdevSizeBytes(bdev),
    readOnly: bdevReadOnly(bdev),
    rotational: queue.rotational,
    get writeCache() {
      return queue.writeCache;
    },
    canTrim: limits.maxDiscardSectors > 0,
    fastZero: limits.maxWriteZeroesSectors > 0,
    minBlock: limits.logicalBlockSize,
    preferredBlock: Math.max(limits.logicalBlockSize, PAGE_SIZE),
    allocSlab() {
      const first = pages.allocPages(SLAB_ORDER);
      return { bytes: memory.chunk((first * PAGE_SIZE) / SLAB_BYTES), first, free: () => pages.freePages(first, SLAB_ORDER) };
    },
    read: (slab, at, offset, length) => run(REQ_OP.READ, slab, at, offset, length),
    write: (slab, at, offset, length, fua) =>
      fua ? persisted(run(REQ_OP.WRITE | REQ.FUA, slab, at, offset, length)) : run(REQ_OP.WRITE, slab, at, offset, length),
    flush,
    trim(offset, length, fua) {
      const error = inPieces(offset, length, limits.maxDiscardSectors * SECTOR_SIZE, (at, count) => runEmpty(REQ_OP.DISCARD, at, count));
      return error === NBD.OK && fua ? flush() : error;
    },
    writeZeroes(offset, length, fua, noHole) {
      let error: NbdError;
      if (disk.fastZero && !noHole) {
        error = inPieces(offset, length, limits.maxWriteZeroesSectors * SECTOR_SIZE, (at, count) => runEmpty(REQ_OP.WRITE_ZEROES, at, count));
      } else {
        zeros ??= slabIfAny(disk);
        const source = zeros;
        if (!source) return NBD.ENOMEM;
        source.bytes.fill(0, 0, Math.min(length, ZERO_BYTES));
        error = inPieces(offset, length, ZERO_BYTES, (at, count) => {
          // What was never written is zeros already, and stays a hole unless it must not.
          if (!noHole && isHole(disk.extent(at, count), count)) return NBD.OK;
          return run(REQ_OP.WRITE, source, 0, at, count);
        });
      }
      return error === NBD.OK && fua ? flush() : error;
    },
    extent: extent ?? ((offset, length) => lbaStatus(bdev, offset, length)),
  };
  return disk;
}

function slabIfAny(disk: NbdDisk): Slab | undefined {
  try {
    return disk.allocSlab();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** The driver's word on what was ever written. */
function lbaStatus({ disk, startSector }: BlockDevice, offset: number, length: number): Extent {
  if (!disk.ops.lbaStatus) return { length, state: 0 };
  const run = disk.ops.lbaStatus((startSector + offset / SECTOR_SIZE) as Sector, length / SECTOR_SIZE);
  return { length: Math.abs(run) * SECTOR_SIZE, state: run < 0 ? STATE_HOLE | STATE_ZERO : 0 };
}

export function isHole({ length, state }: Extent, wanted: number): boolean {
  return state === (STATE_HOLE | STATE_ZERO) && length >= wanted;
}

function inPieces(offset: number, length: number, most: number, run: (at: number, count: number) => NbdError): NbdError {
  for (let done = 0; done < length; ) {
    const count = Math.min(most, length - done);
    const error = run(offset + done, count);
    if (error !== NBD.OK) return error;
    done += count;
  }
  return NBD.OK;
}

/** One for all I/O: the bio ends before submitBio returns. */
function submitted(bio: Bio): NbdError {
  submitBio(bio);
  return bio.status === BLK_STS.OK ? NBD.OK : nbdErrorOf(bio.status);
}

/** The errors that the protocol has a number for; any other failure of a device is an I/O error. */
export function nbdErrorOf(status: BlkStatus): NbdError {
  switch (status) {
    case BLK_STS.NOSPC:
      return NBD.ENOSPC;
    case BLK_STS.NOTSUPP:
      return NBD.ENOTSUP;
    case BLK_STS.RESOURCE:
      return NBD.ENOMEM;
    default:
      return NBD.EIO;
  }
}
