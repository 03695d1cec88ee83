/**
 * O_DIRECT: bios whose pages are a process's own. Mirrors block/fops.c: blkdev_direct_IO; block/bio.c: bio_iov_iter_get_pages.
 *
 * Invariant: the frames of a bio that have struct pages are held until it has ended. A bio over frames that have none is marked so, and ends
 * with EOPNOTSUPP where a layer on its way needs them.
 */
import {
  BIO_MAX_VECS, BLK_STS, PFN, REQ, REQ_OP, type BlockDevice, allocBio, bdevSizeBytes, bioAddPfn, blkStatusToErrno, resetBio, submitBioWait,
} from '@holdfast/block';
import { KernelError, PAGE_SIZE, SECTOR_SIZE, isAligned, sector } from '@holdfast/lib';
import { type MmStruct, getUserPfns } from '@holdfast/mm';

export interface DirectIo {
  readonly write: boolean;
  /** Virtual. */
  readonly address: number;
  readonly length: number;
  /** Bytes into the device. */
  readonly offset: number;
}

/**
 * Move bytes between a process's memory and a device; returns how many.
 * @throws KernelError EINVAL if not aligned to the logical block, EFAULT if the memory cannot be held for I/O,
 * EOPNOTSUPP if it has no struct pages and the disk's driver needs them, EIO, and getUserPages'
 */
export function blkdevDirectIo(bdev: BlockDevice, mm: MmStruct, { write, address, length, offset }: DirectIo): number {
  const { logicalBlockSize } = bdev.disk.queue.limits;
  const count = Math.min(length, bdevSizeBytes(bdev) - offset);
  if (![address, offset, length].every((number) => isAligned(number, logicalBlockSize))) {
    throw new KernelError('EINVAL', `${bdev.name}: direct I/O of ${length} bytes at ${offset}: expected multiples of ${logicalBlockSize}, the address too`);
  }
  const op = write ? REQ_OP.WRITE | REQ.SYNC : REQ_OP.READ;
  const bio = allocBio(bdev, BIO_MAX_VECS, op);
  let done = 0;
  try {
    while (done < count) {
      const from = address + done;
      const nrPages = Math.min(BIO_MAX_VECS, Math.ceil(((from % PAGE_SIZE) + count - done) / PAGE_SIZE));
      const frames = getUserPfns(mm, from, nrPages, { write: !write, pin: true });
      try {
        resetBio(bio, bdev, op);
        bio.sector = sector((offset + done) / SECTOR_SIZE);
        let inPage = from % PAGE_SIZE;
        for (const [i, pfn] of frames.pfns.entries()) {
          bioAddPfn(bio, pfn, frames.hasPage[i] ? 0 : PFN.DEV, Math.min(PAGE_SIZE - inPage, count - done - bio.sizeBytes), inPage);
          inPage = 0;
        }
        const bytes = bio.sizeBytes;
        const status = submitBioWait(bio);
        if (status !== BLK_STS.OK) throw new KernelError(blkStatusToErrno(status) ?? 'EIO', `${bdev.name}: direct I/O at ${offset + done} failed`);
        done += bytes;
      } finally {
        frames.put();
      }
    }
  } catch (error) {
    if (done === 0 || !(error instanceof KernelError)) throw error;
  }
  return done;
}
