/**
 * O_DIRECT of files for who has bytes outside of the simulated memory. Mirrors fs/iomap/direct-io.c: iomap_dio_bio_iter, as to what is refused.
 *
 * A DAX file has no page cache to go past: there O_DIRECT changes nothing, and asks for no alignment.
 */
import { readDirect, writeDirect } from '@holdfast/block';
import { KernelError, isAligned, roundUp } from '@holdfast/lib';
import type { FsFile } from './inode.js';

/** @throws KernelError EINVAL unless offset, length and whatever else is given are multiples of the device's logical block */
export function checkDirect({ bdev }: FsFile, ...numbers: readonly number[]): void {
  if (!bdev) throw new KernelError('EINVAL', 'a file in memory takes no direct I/O');
  const { logicalBlockSize } = bdev.disk.queue.limits;
  if (numbers.every((number) => isAligned(number, logicalBlockSize))) return;
  throw new KernelError('EINVAL', `${bdev.name}: direct I/O at ${numbers.join(', ')}: expected multiples of ${logicalBlockSize}`);
}

/** @throws KernelError EINVAL, EIO */
export function directRead(file: FsFile, target: Uint8Array, offset: number): number {
  if (file.isDax) return file.pread(target, offset);
  checkDirect(file, offset, target.length);
  const { logicalBlockSize } = file.bdev!.disk.queue.limits;
  let done = 0;
  for (const { length, at } of file.direct(offset, target.length, false)) {
    if (at === undefined) target.fill(0, done, done + length);
    else {
      const whole = new Uint8Array(roundUp(length, logicalBlockSize));
      readDirect(file.bdev!, whole, at, whole.length);
      target.set(whole.subarray(0, length), done);
    }
    done += length;
  }
  return done;
}

/** @throws KernelError EINVAL, ENOSPC, EIO */
export function directWrite(file: FsFile, source: Uint8Array, offset: number): number {
  if (file.isDax) return file.pwrite(source, offset);
  checkDirect(file, offset, source.length);
  let done = 0;
  for (const { length, at } of file.direct(offset, source.length, true)) {
    writeDirect(file.bdev!, source.subarray(done, done + length), at!, length);
    done += length;
  }
  return done;
}
