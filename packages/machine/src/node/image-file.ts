/**
 * An image in a file: raw bytes, sparse where nothing was written, the same as QEMU's `mem-path`.
 *
 * Invariant: `write` returns when the host's kernel has the bytes, so that the death of this process loses none of them. (A crash of
 * the host may, unless `datasync` was called since.)
 */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, realpathSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KernelError } from '@holdfast/lib';
import type { ImageBacking } from '../image-backing.js';
import { hostErrno, hostError } from './host-error.js';
import { lockImage } from './lock-file.js';

export interface ImageFileOptions {
  /** The size the image must have, and gets if it is missing. */
  readonly sizeBytes?: number;
}

export interface ImageFile extends ImageBacking {
  readonly path: string;
  /** Returns when all that was written would survive a crash of the host. @throws KernelError EIO, ENOSPC */
  datasync(): void;
  /** Close the file and let others open it. Power the machine off first: what it still holds back would be lost. */
  close(): void;
}

/** Grain in which a new file's holes are remembered. */
const HOLE_GRAIN = 2 * 1024 * 1024;

/**
 * Open an image file, or create it (sparse) if it is missing and a size is given.
 * @throws KernelError ENOENT if it is missing and no size is given, EINVAL if it has another size or is no regular file, EISDIR, EBUSY
 * while somebody else has it open, and what the host says: EACCES, EROFS, ENOSPC, EFBIG…
 */
export function openImageFile(path: string, { sizeBytes }: ImageFileOptions = {}): ImageFile {
  if (sizeBytes !== undefined && !(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
    throw new KernelError('EINVAL', `image ${path}: size ${sizeBytes}, expected a whole number of bytes above 0`);
  }
  const real = realPath(path);
  const unlock = lockImage(real);
  try {
    const { fd, created } = openOrCreate(path, real, sizeBytes);
    try {
      return imageFile(path, fd, checkedSize(path, fd, sizeBytes), created, unlock);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  } catch (error) {
    unlock();
    throw hostError(path, 'opening it', error);
  }
}

function imageFile(path: string, fd: number, sizeBytes: number, created: boolean, unlock: () => void): ImageFile {
  // Of a file made here all is known: what was not written is a hole. Of another one nothing is, without reading it.
  const written = created ? new Set<number>() : undefined;
  let open = true;
  return {
    path,
    sizeBytes,
    isKnownZero(offset, length) {
      if (written === undefined) return false;
      for (let grain = Math.floor(offset / HOLE_GRAIN); grain * HOLE_GRAIN < offset + length; grain++) if (written.has(grain)) return false;
      return true;
    },
    read(offset, target, targetOffset, length) {
      transfer(path, 'reading', offset, length, (done) => readSync(fd, target, targetOffset + done, length - done, offset + done));
    },
    write(offset, source, sourceOffset, length) {
      if (written !== undefined) for (let grain = Math.floor(offset / HOLE_GRAIN); grain * HOLE_GRAIN < offset + length; grain++) written.add(grain);
      transfer(path, 'writing', offset, length, (done) => writeSync(fd, source, sourceOffset + done, length - done, offset + done));
    },
    datasync() {
      try {
        fdatasyncSync(fd);
      } catch (error) {
        throw hostError(path, 'syncing it', error);
      }
    },
    close() {
      if (!open) return;
      open = false;
      closeSync(fd);
      unlock();
    },
  };
}

/** Repeat a system call that may do a part of the work until all is done. */
function transfer(path: string, doing: string, offset: number, length: number, call: (done: number) => number): void {
  for (let done = 0; done < length; ) {
    let n: number;
    try {
      n = call(done);
    } catch (error) {
      throw hostError(path, `${doing} ${length} bytes at ${offset}`, error);
    }
    if (n === 0) throw new KernelError('EIO', `image ${path}: the file ends at ${offset + done} while ${doing} ${length} bytes at ${offset}`);
    done += n;
  }
}

/** The path without symbolic links, so that two names of one file share a lock; the file itself need not exist. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (hostErrno(error) !== 'ENOENT') throw hostError(path, 'looking it up', error);
  }
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch (error) {
    throw hostError(path, 'looking up its directory', error);
  }
}

function openOrCreate(path: string, real: string, sizeBytes: number | undefined): { fd: number; created: boolean } {
  try {
    return { fd: openSync(real, 'r+'), created: false };
  } catch (error) {
    if (hostErrno(error) !== 'ENOENT') throw error;
  }
  if (sizeBytes === undefined) throw new KernelError('ENOENT', `image ${path}: no such file, and no size to make it with`);
  const fd = openSync(real, 'wx+');
  try {
    ftruncateSync(fd, sizeBytes);
    return { fd, created: true };
  } catch (error) {
    closeSync(fd);
    rmSync(real, { force: true });
    throw hostError(path, `making it ${sizeBytes} bytes long`, error);
  }
}

function checkedSize(path: string, fd: number, expected: number | undefined): number {
  const stat = fstatSync(fd);
  if (!stat.isFile()) throw new KernelError('EINVAL', `image ${path}: not a regular file`);
  if (expected !== undefined && stat.size !== expected) {
    throw new KernelError('EINVAL', `image ${path}: it has ${stat.size} bytes, expected ${expected}`);
  }
  if (stat.size === 0) throw new KernelError('EINVAL', `image ${path}: it is empty, expected at least one byte`);
  return stat.size;
}
