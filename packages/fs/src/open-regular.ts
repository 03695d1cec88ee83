/**
 * A regular file that is open, on whatever file system: who may do what to it, and who counts it. Mirrors fs/open.c: do_dentry_open,
 * fs/file_table.c: __fput.
 */
import type { BlockDevice } from '@holdfast/block';
import type { DaxDevice } from '@holdfast/dax';
import { KernelError } from '@holdfast/lib';
import type { PageCache } from '@holdfast/mm';
import type { FileData } from './file-data.js';
import type { FsFile } from './inode.js';
import type { MountState } from './super-block.js';

/** What of a mount its open files touch. */
export interface OpenFilesOf {
  readonly bdev: BlockDevice;
  readonly state: MountState;
  /** All dirty metadata is durable. */
  readonly sync: () => void;
}

/** What of a mount its inodes need. */
export interface MountOfInodes extends OpenFilesOf {
  readonly cache: PageCache;
  /** The device's memory, if files may be mapped to it; and whether all are, or those with the flag, or none. */
  readonly dax: DaxDevice | undefined;
  readonly daxMode: 'always' | 'inode' | 'never';
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
    if (mount.state.readOnly) throw new KernelError('EROFS', `${bdev.name} is mounted read-only`);
  };
  if (forWrite) checkWritable();
  const pages = data.openMapping();
  const { traffic } = bdev.disk;
  let isOpen = true;
  inode.openers++;
  mount.state.openFiles++;
  if (forWrite) mount.state.openForWriting++;
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
      if (mount.state.synchronous) fsync(); // generic_write_sync
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
      mount.state.openFiles--;
      if (forWrite) mount.state.openForWriting--;
      inode.closed();
    },
  };
}
