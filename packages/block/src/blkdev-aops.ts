/**
 * How pages of a block device's cache get from and to the device. Mirrors def_blk_aops of block/fops.c: blkdev_read_folio, blkdev_readahead,
 * blkdev_writepage; and fs/buffer.c: buffer_io_error.
 *
 * Invariant: each folio is ended exactly once, with its own error: a page that fails takes no other with it.
 * Differs from Linux: a page is read and written as a whole, up to the end of the device, whatever the block size; where Linux keeps a state
 * for each block of a page, and the block size is below 4096, it may leave out some of them.
 */
import { PAGE_SIZE, SECTOR_SIZE, roundUp, sector } from '@holdfast/lib';
import { type AddressSpaceOperations, type Folio, folioBytes, folioEndRead, folioEndWriteback, folioLength } from '@holdfast/mm';
import { BIO_MAX_VECS, allocBio, bioAddPage, resetBio } from './bio.js';
import { blkStatusToErrno } from './blk-status.js';
import { REQ, REQ_OP } from './blk-types.js';
import type { Bio, BlockDevice } from './blk-types.js';
import { submitBioWait } from './submit.js';

export function createBlkdevAops(bdev: BlockDevice): AddressSpaceOperations {
  const bio = allocBio(bdev, BIO_MAX_VECS, REQ_OP.READ);
  return {
    readFolio(folio) {
      const error = run(bio, bdev, REQ_OP.READ, [folio]);
      if (error !== undefined) complain(bdev, folio, 'async page read');
      folioEndRead(folio, error);
    },
    readahead(folios) {
      for (let from = 0; from < folios.length; from += BIO_MAX_VECS) {
        const part = folios.slice(from, from + BIO_MAX_VECS);
        const error = run(bio, bdev, REQ_OP.READ, part);
        for (const folio of part) folioEndRead(folio, error);
      }
    },
    writepages(folios, sync) {
      for (const folio of folios) {
        const error = run(bio, bdev, REQ_OP.WRITE | (sync ? REQ.SYNC : 0), [folio]);
        if (error !== undefined) complain(bdev, folio, 'lost async page write');
        folioEndWriteback(folio, error && 'EIO'); // whatever the device said, as fs/buffer.c has it
      }
    },
  };
}

/** One bio for folios that follow each other; undefined, or the errno of what went wrong. */
function run(bio: Bio, bdev: BlockDevice, opf: number, folios: readonly Folio[]): ReturnType<typeof blkStatusToErrno> {
  resetBio(bio, bdev, opf);
  bio.sector = sector((folios[0]!.index * PAGE_SIZE) / SECTOR_SIZE);
  for (const folio of folios) {
    const length = roundUp(folioLength(folio), SECTOR_SIZE);
    // Behind the end of the device a page reads as zeros.
    if (length < PAGE_SIZE && opf === REQ_OP.READ) folioBytes(folio).fill(0, length);
    bioAddPage(bio, folio.pfn, length, 0);
  }
  return blkStatusToErrno(submitBioWait(bio));
}

function complain(bdev: BlockDevice, { index }: Folio, what: string): void {
  bdev.disk.block.printkBufferError([`Buffer I/O error on dev ${bdev.name}, logical block ${index}, ${what}`]);
}
