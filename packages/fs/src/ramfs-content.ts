/**
 * The bytes of a file in memory: pages that are there once somebody wrote to them, within the room of all files of the tree.
 * Mirrors mm/shmem.c: shmem_get_folio, shmem_inode_acct_block, shmem_undo_range.
 *
 * Differs from Linux: a file that is removed while it is open gives its pages back at once.
 */
import { KernelError, PAGE_SIZE } from '@holdfast/lib';
import type { FsFile } from './inode.js';

/** What all files of a tree share. */
export interface ContentRoom {
  freePages: number;
}

/** A file, open for whoever has it; it keeps nothing of its openers. */
export interface RamfsContent extends FsFile {
  readonly nrPages: number;
}

/** Holds a page that was written with zeros, as most are that fill a disk: it costs the host nothing. */
const ZERO_PAGE = new Uint8Array(PAGE_SIZE);

export function createContent(room: ContentRoom): RamfsContent {
  const pages = new Map<number, Uint8Array>();
  let sizeBytes = 0;

  /** Write within one page. @throws KernelError ENOSPC */
  const writePage = (index: number, at: number, part: Uint8Array): void => {
    let page = pages.get(index);
    if (!page) {
      if (room.freePages === 0) throw new KernelError('ENOSPC', 'files in memory have half of it, and all of that is taken');
      room.freePages--;
      pages.set(index, (page = ZERO_PAGE));
    }
    if (page === ZERO_PAGE) {
      if (part.every((byte) => byte === 0)) return;
      pages.set(index, (page = new Uint8Array(PAGE_SIZE)));
    }
    page.set(part, at);
  };

  return {
    get sizeBytes() {
      return sizeBytes;
    },
    get nrPages() {
      return pages.size;
    },
    isDax: false,
    bdev: undefined,
    pread(target, offset) {
      const length = Math.max(0, Math.min(target.length, sizeBytes - offset));
      for (let done = 0; done < length; ) {
        const [index, at] = [Math.floor((offset + done) / PAGE_SIZE), (offset + done) % PAGE_SIZE];
        const part = target.subarray(done, Math.min(done + PAGE_SIZE - at, length));
        const page = pages.get(index);
        if (page) part.set(page.subarray(at, at + part.length));
        else part.fill(0);
        done += part.length;
      }
      return length;
    },
    pwrite(source, offset) {
      let done = 0;
      try {
        while (done < source.length) {
          const [index, at] = [Math.floor((offset + done) / PAGE_SIZE), (offset + done) % PAGE_SIZE];
          const part = source.subarray(done, done + PAGE_SIZE - at);
          writePage(index, at, part);
          done += part.length;
          sizeBytes = Math.max(sizeBytes, offset + done);
        }
      } catch (error) {
        // As generic_perform_write: what there was room for is written.
        if (done === 0) throw error;
      }
      return done;
    },
    truncate(size) {
      for (const index of pages.keys()) {
        if (index * PAGE_SIZE < size) continue;
        pages.delete(index);
        room.freePages++;
      }
      const last = pages.get(Math.floor(size / PAGE_SIZE));
      if (last && last !== ZERO_PAGE) last.fill(0, size % PAGE_SIZE);
      sizeBytes = size;
    },
    fsync: () => {},
    mmapFile: () => undefined,
    direct() {
      throw new KernelError('EINVAL', 'a file in memory takes no direct I/O');
    },
    close: () => {},
  };
}
