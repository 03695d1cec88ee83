/**
 * The bytes of a regular file: through the page cache, or where they are with DAX. Mirrors fs/iomap/buffered-io.c, fs/ext4/inode.c: ext4_readahead,
 * ext4_writepages, ext4_page_mkwrite, and fs/ext4/file.c: ext4_dax_read_iter, ext4_dax_write_iter.
 *
 * Invariant: a block that was allocated and never written reads as zeros, whatever is on the medium: it is in `fresh` until it is written, or
 * with DAX it is zeroed when it is allocated.
 * Differs from Linux: blocks are allocated when a file is written, not when its pages are (no delayed allocation).
 */
import {
  BIO_MAX_VECS, type Bio, type BlockDevice, REQ, REQ_OP, allocBio, bdevSizeBytes, bioAddPage, blkStatusToErrno, resetBio, submitBioWait,
} from '@holdfast/block';
import { type DaxDevice, type DaxMapping, createDaxMapping, daxFile, daxPartOffset, daxZeroPageRange } from '@holdfast/dax';
import { type ErrnoName, KernelError, PAGE_SIZE, SECTOR_SIZE, createRangeSet, sector } from '@holdfast/lib';
import {
  type AddressSpace, type FileMapping, type Folio, type MmapFile, type PageCache,
  createMapping, destroyMapping, fileWriteAndWait, filemapFdatawrite, filemapFile, filemapRead, filemapWrite, filemapWriteAndWait, folioBytes,
  folioEndRead, folioEndWriteback,
  invalidateInodePages2, openMapping, truncateInodePages,
} from '@holdfast/mm';
import type { DirectPiece } from './inode.js';

/** Blocks of a file that lie together on the device, from `start` on; a hole has no place. */
export interface FileRun {
  readonly start: number | undefined;
  readonly count: number;
  /** What is on the medium is not the file's: it was allocated by this call, or was never written. */
  readonly isNew?: boolean;
}

/** What a file system tells, and does, of one file's blocks, which are no larger than a page. */
export interface FileBlocks {
  readonly blockSize: number;
  sizeBytes: number;
  /** At least one block, at most `most`. */
  find(block: number, most: number): FileRun;
  /** The same with blocks behind it. @throws KernelError ENOSPC, EFBIG */
  allocate(block: number, most: number): FileRun;
  /** Give back blocks from there on. */
  truncateBlocks(block: number): void;
  /** Its times change, and its size if it is said. */
  touch(sizeBytes?: number): void;
  /** Metadata that a crash would lose. */
  readonly isMetadataDirty: boolean;
  syncMetadata(): void;
}

export interface FileDataSpec {
  readonly name: string;
  readonly bdev: BlockDevice;
  readonly cache: PageCache;
  /** With it, the file is a DAX file. */
  readonly dax: DaxDevice | undefined;
  readonly blocks: FileBlocks;
}

export interface FileData {
  readonly isDax: boolean;
  pread(target: Uint8Array, offset: number, file: FileMapping | undefined): number;
  pwrite(source: Uint8Array, offset: number, file: FileMapping | undefined): number;
  truncate(sizeBytes: number): void;
  /** Write what is dirty, data before metadata; nothing is flushed yet. @throws KernelError EIO */
  write(file?: FileMapping): void;
  direct(offset: number, length: number, write: boolean): readonly DirectPiece[];
  /** For one who opens the file; undefined with DAX. */
  openMapping(): FileMapping | undefined;
  mmapFile(access: { readonly readable: boolean; readonly writable: boolean }, fsync: () => void): MmapFile;
  /** The file is gone: forget its pages, dirty or not. */
  forget(): void;
}

/** The largest file: 16 TiB, that is 2^32 pages. */
const MAX_BYTES = 2 ** 44;

export function createFileData(spec: FileDataSpec): FileData {
  return spec.dax ? createDaxData(spec, spec.dax) : createCachedData(spec);
}

function checkRange(offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new KernelError('EINVAL', `offset ${offset}: expected a whole number from 0 on`);
  if (offset + length > MAX_BYTES) throw new KernelError('EFBIG', `a file of ${offset + length} bytes`);
}

/** Allocate whatever of `[offset, offset + length)` has no blocks, and call `use` for each run; returns how far it got. */
function allocateRange(blocks: FileBlocks, offset: number, length: number, use: (block: number, run: FileRun) => void): number {
  const { blockSize } = blocks;
  const end = Math.ceil((offset + length) / blockSize);
  let block = Math.floor(offset / blockSize);
  try {
    while (block < end) {
      const run = blocks.allocate(block, end - block);
      use(block, run);
      block += run.count;
    }
  } catch (error) {
    if (!(error instanceof KernelError) || block * blockSize <= offset) throw error;
  }
  return Math.min(offset + length, block * blockSize) - offset;
}

function createCachedData({ name, bdev, cache, blocks }: FileDataSpec): FileData {
  const { blockSize } = blocks;
  /** Blocks of the file, allocated and not written since. */
  const fresh = createRangeSet();
  const bio = allocBio(bdev, BIO_MAX_VECS, REQ_OP.READ);
  const isFresh = (block: number): boolean => fresh.count > 0 && fresh.within(block, block + 1).length > 0;

  /** One folio, run by run of its blocks. */
  const transfer = (folio: Folio, op: number, end: number): ErrnoName | undefined => {
    const first = (folio.index * PAGE_SIZE) / blockSize;
    for (let at = 0; at < end;) {
      const block = first + Math.floor(at / blockSize);
      const most = Math.ceil((end - at) / blockSize);
      const run = blocks.find(block, Math.max(1, most));
      const count = Math.min(run.count, most) * blockSize;
      if (op === REQ_OP.READ && (run.start === undefined || run.isNew === true || isFresh(block))) {
        const length = run.start === undefined ? count : Math.min(count, blockSize);
        folioBytes(folio).fill(0, at, at + length);
        at += length;
        continue;
      }
      if (run.start !== undefined) {
        const length = op === REQ_OP.READ && fresh.count > 0 ? Math.min(count, blockSize) : count;
        const error = runBio(bio, bdev, op, folio, at, run.start * blockSize, length);
        if (error !== undefined) return error;
        if (op !== REQ_OP.READ && fresh.count > 0) fresh.remove(block, block + Math.ceil(length / blockSize));
        at += length;
      } else at += count;
    }
    return undefined;
  };
  const readFolio = (folio: Folio): void => {
    const inFile = Math.max(0, Math.min(PAGE_SIZE, blocks.sizeBytes - folio.index * PAGE_SIZE));
    const end = Math.min(PAGE_SIZE, Math.ceil(inFile / blockSize) * blockSize);
    const error = transfer(folio, REQ_OP.READ, end);
    folioBytes(folio).fill(0, inFile);
    folioEndRead(folio, error);
  };
  const mapping: AddressSpace = createMapping(cache, {
    name,
    ops: {
      readFolio,
      readahead: (folios) => folios.forEach(readFolio),
      writepages(folios, sync) {
        for (const folio of folios) {
          const inFile = Math.max(0, Math.min(PAGE_SIZE, blocks.sizeBytes - folio.index * PAGE_SIZE));
          folioBytes(folio).fill(0, inFile);
          const end = Math.min(PAGE_SIZE, Math.ceil(inFile / blockSize) * blockSize);
          const error = transfer(folio, REQ_OP.WRITE | (sync ? REQ.SYNC : 0), end);
          folioEndWriteback(folio, error && 'EIO');
        }
      },
    },
    isBlockDevice: false,
    sizeBytes: () => blocks.sizeBytes,
    raPages: () => Math.floor(bdev.disk.queue.readAheadKb / 4),
  });
  const allocate = (offset: number, length: number): number => allocateRange(blocks, offset, length, (block, { isNew, count }) => {
    if (isNew === true) fresh.add(block, block + count);
  });
  const own = openMapping(mapping);

  return {
    isDax: false,
    openMapping: () => openMapping(mapping),
    pread: (target, offset, file) => filemapRead(file ?? own, target, offset),
    pwrite(source, offset, file) {
      checkRange(offset, source.length);
      const room = allocate(offset, source.length);
      const count = filemapWrite(file ?? own, source.subarray(0, room), offset);
      blocks.touch(Math.max(blocks.sizeBytes, offset + count));
      return count;
    },
    truncate(sizeBytes) {
      checkRange(sizeBytes, 0);
      const before = blocks.sizeBytes;
      if (sizeBytes < before) {
        const tail = sizeBytes % blockSize;
        if (tail > 0 && blocks.find(Math.floor(sizeBytes / blockSize), 1).start !== undefined) filemapWrite(own, new Uint8Array(blockSize - tail), sizeBytes);
        truncateInodePages(mapping, Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE);
        blocks.truncateBlocks(Math.ceil(sizeBytes / blockSize));
        fresh.remove(Math.ceil(sizeBytes / blockSize), Infinity);
        const page = mapping.folios.get(Math.floor(sizeBytes / PAGE_SIZE));
        if (page) folioBytes(page).fill(0, sizeBytes % PAGE_SIZE);
      }
      blocks.touch(sizeBytes);
    },
    write(file) {
      if (file) throwIf(fileWriteAndWait(file), name);
      else throwIf(filemapWriteAndWait(mapping), name);
    },
    direct(offset, length, write) {
      checkRange(offset, length);
      throwIf(filemapWriteAndWait(mapping, offset, offset + length), name);
      const end = write ? offset + allocate(offset, length) : Math.min(offset + length, blocks.sizeBytes);
      if (write) {
        writeFreshEdges(offset, end);
        invalidateInodePages2(mapping, offset, end);
      }
      const pieces: DirectPiece[] = [];
      for (let at = offset; at < end;) {
        const block = Math.floor(at / blockSize);
        const run = blocks.find(block, Math.ceil(end / blockSize) - block);
        const count = Math.min(end, (block + run.count) * blockSize) - at;
        const isHole = run.start === undefined || (!write && (run.isNew === true || isFresh(block)));
        pieces.push({ length: count, at: isHole ? undefined : run.start * blockSize + (at % blockSize) });
        at += count;
      }
      if (write) {
        fresh.remove(Math.floor(offset / blockSize), Math.ceil(end / blockSize));
        blocks.touch(Math.max(blocks.sizeBytes, end));
      }
      return pieces;
    },
    mmapFile(access, fsync) {
      const inner = filemapFile(mapping, { name, ...access });
      return {
        ...inner,
        fsync,
        mmap(vma) {
          inner.mmap(vma);
          const { ops } = vma;
          vma.ops = {
            ...ops!,
            // A store to a page that was a hole, or whose block is not there yet.
            pageMkwrite(fault) {
              try {
                const start = fault.pgoff * PAGE_SIZE;
                const length = Math.min(PAGE_SIZE, blocks.sizeBytes - start);
                if (length <= 0 || allocate(start, length) < length) return 'sigbus';
                blocks.touch();
              } catch (error) {
                if (error instanceof KernelError) return 'sigbus';
                throw error;
              }
              return ops!.pageMkwrite!(fault);
            },
          };
        },
      };
    },
    forget: () => destroyMapping(mapping),
  };

  /** A direct write that covers a new block in part: the rest of it is zeros on the medium, too. */
  function writeFreshEdges(offset: number, end: number): void {
    for (const at of [offset, end]) {
      const block = Math.floor(at / blockSize);
      if (at % blockSize === 0 || !isFresh(block)) continue;
      filemapWrite(own, new Uint8Array(blockSize), block * blockSize);
      filemapFdatawrite(mapping, block * blockSize, (block + 1) * blockSize);
    }
  }
}

function runBio(bio: Bio, bdev: BlockDevice, op: number, folio: Folio, from: number, at: number, length: number): ErrnoName | undefined {
  if (at + length > bdevSizeBytes(bdev)) return 'EIO';
  resetBio(bio, bdev, op);
  bio.sector = sector(at / SECTOR_SIZE);
  bioAddPage(bio, folio.pfn, length, from);
  return blkStatusToErrno(submitBioWait(bio));
}

function throwIf(error: ErrnoName | undefined, name: string): void {
  if (error !== undefined) throw new KernelError(error, `${name}: writeback failed`);
}

/** Blocks are pages: a mount with other blocks has no DAX. */
function createDaxData({ name, bdev, blocks }: FileDataSpec, device: DaxDevice): FileData {
  const { blockSize } = blocks;
  const base = daxPartOffset(bdev);
  const zeroNew = ({ start, count, isNew }: FileRun): void => {
    if (isNew === true) daxZeroPageRange(device, (base + start! * blockSize) / PAGE_SIZE, count);
  };
  const mapping: DaxMapping = createDaxMapping(device, {
    get sizeBytes() {
      return blocks.sizeBytes;
    },
    extentAt(start, length, forWrite) {
      const block = Math.floor(start / blockSize);
      const most = Math.max(1, Math.ceil((start + length) / blockSize) - block);
      const run = forWrite ? blocks.allocate(block, most) : blocks.find(block, most);
      if (forWrite) zeroNew(run);
      const isHole = run.start === undefined || (!forWrite && run.isNew === true);
      return {
        type: isHole ? 'hole' : 'mapped',
        start: block * blockSize,
        length: run.count * blockSize,
        addr: isHole ? 0 : base + run.start * blockSize,
        isNew: run.isNew === true,
        isDirty: blocks.isMetadataDirty,
      };
    },
    syncMetadata: () => blocks.syncMetadata(),
  });
  return {
    isDax: true,
    openMapping: () => undefined,
    pread: (target, offset) => mapping.read(offset, target),
    pwrite(source, offset) {
      checkRange(offset, source.length);
      if (source.length === 0) return 0;
      const before = blocks.sizeBytes;
      // Between the old end and what is written, pages that have blocks are zeros already: they were so when they were allocated, or cut.
      const count = mapping.write(offset, source);
      blocks.touch(Math.max(before, offset + count));
      return count;
    },
    truncate(sizeBytes) {
      checkRange(sizeBytes, 0);
      if (sizeBytes < blocks.sizeBytes) {
        const first = Math.ceil(sizeBytes / PAGE_SIZE);
        mapping.invalidate(first, Math.ceil(blocks.sizeBytes / PAGE_SIZE) - first);
        const tail = sizeBytes % blockSize;
        if (tail > 0 && blocks.find(Math.floor(sizeBytes / blockSize), 1).start !== undefined) mapping.write(sizeBytes, new Uint8Array(blockSize - tail));
        blocks.truncateBlocks(first);
      }
      blocks.touch(sizeBytes);
    },
    write: () => mapping.writeback(0, Infinity),
    direct: () => [],
    mmapFile: ({ readable, writable }, fsync) => ({ ...daxFile(mapping, { name, readable, writable }), fsync }),
    forget: () => mapping.invalidate(0, Infinity),
  };
}
