/**
 * The journal of a file system that is being mounted. Mirrors fs/jbd2/journal.c: journal_get_superblock, as far as it tells whether there is
 * anything to replay.
 */
import { KernelError } from '@holdfast/lib';
import { openBlockMap } from './block-map.js';
import { decodeJournalSuper } from './jbd2.js';
import { type Ext4Volume, readInode } from './volume.js';

/** @throws KernelError EINVAL, EIO, EOPNOTSUPP for a journal that is not in the file system */
export function isJournalEmpty(volume: Ext4Volume): boolean {
  const { sb, buffers, blockSize } = volume;
  if (sb.journalInum === 0) throw new KernelError('EOPNOTSUPP', 'the journal is on another device');
  const inode = readInode(volume, sb.journalInum);
  const first = openBlockMap(volume, sb.journalInum, inode).list.at(0);
  if (!first) throw new KernelError('EINVAL', 'the journal has no first block');
  const { start = 0 } = decodeJournalSuper(buffers.read(first.start * blockSize, blockSize));
  return start === 0;
}
