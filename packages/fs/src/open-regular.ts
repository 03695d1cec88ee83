/** A regular file that is open, on whatever file system: who may do what to it, and who counts it. Mirrors fs/open.c: do_dentry_open, fs/file_table.c: __fput. */
import type { BlockDevice } from '@holdfast/block';
import { KernelError } from '@holdfast/lib';
import type { FileData } from './file-data.js';
import type { FsFile } from './inode.js';

/** What of a mount its open files touch. */
export interface OpenFilesOf {
  readonly bdev: BlockDevice;
  readonly isReadOnly: () => boolean;
  /** Each write is to be durable. */
  readonly isSynchronous: () => boolean;
  /** All dirty metadata is durable. */
  readonly sync: () => void;
  /** How many files are open, and how many of them for writing. */
  openFiles: number;
  openForWriting: number;
}

export interface OpenInode {
  openers: number;
  readonly data: FileData;
  readonly sizeBytes: () => number;
  /** The last close of a file that has no name any more takes the file away. */
  readonly closed: () => void;
}

/** @throws KernelError EROFS */
export function openRegular(mount: OpenFilesOf, inode: OpenInode, forWrite: boolean): FsFile {
  const { bdev } = mount;
  const { data } = inode;
  const checkWritable = (): void => {
    if (mount.isReadOnly()) throw new KernelError('EROFS', `${bdev.name} is mounted read-only`);
  };
  if (forWrite) checkWritable();
  const pages = data.openMapping();
  const { traffic } = bdev.disk;
  let isOpen = true;
  inode.openers++;
  mount.openFiles++;
  if (forWrite) mount.openForWriting++;
  const fsync = (): void => {
    data.write(pages);
    mount.sync();
  };
  return {
    get sizeBytes() {
      return inode.sizeBytes();
    },
    isDax: data.isDax,
    bdev,
    pread(target, offset) {
      const count = data.pread(target, offset, pages);
      traffic.userRead += count;
      return count;
    },
    pwrite(source, offset) {
      checkWritable();
      const count = data.pwrite(source, offset, pages);
      traffic.userWritten += count;
      if (mount.isSynchronous()) fsync(); // generic_write_sync
      return count;
    },
    truncate(sizeBytes) {
      checkWritable();
      data.truncate(sizeBytes);
    },
    fsync,
    mmapFile: (access) => data.mmapFile(access, fsync),
    direct(offset, length, write) {
      if (write) checkWritable();
      return data.direct(offset, length, write);
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      inode.openers--;
      mount.openFiles--;
      if (forWrite) mount.openForWriting--;
      inode.closed();
    },
  };
}
