/**
 * What every file system shows of its files, directories and links. Mirrors struct inode_operations and file_operations of
 * include/linux/fs.h, and struct kstat.
 */
import type { BlockDevice } from '@holdfast/block';
import type { MmapFile } from '@holdfast/mm';

/** st_mode: the kind of a file (include/uapi/linux/stat.h). */
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** What stat(2) and statx(2) tell. */
export interface Kstat {
  readonly ino: number;
  /** Type and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  readonly blockSize: number;
  /** Seconds since 1970. */
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
  readonly btime: number;
  /** STATX_ATTR bits that are set, and those that the file system knows of. */
  readonly attributes: number;
  readonly attributesMask: number;
}

export const STATX_ATTR = {
  COMPRESSED: 0x4, IMMUTABLE: 0x10, APPEND: 0x20, NODUMP: 0x40, ENCRYPTED: 0x800, AUTOMOUNT: 0x1000, MOUNT_ROOT: 0x2000, VERITY: 0x100000,
  DAX: 0x200000,
} as const;

export type FsNode = FsDirectory | FsRegular | FsSymlink;

export interface FsDirectory {
  readonly kind: 'dir';
  stat(): Kstat;
  /** Names in the order of the medium, without `.` and `..`. @throws KernelError EIO */
  list(): readonly string[];
  /** @throws KernelError EIO */
  lookup(name: string): FsNode | undefined;
  /** Make an empty file. @throws KernelError EEXIST, ENOSPC, EROFS, ENAMETOOLONG, EIO */
  create(name: string, mode: number): FsRegular;
  mkdir(name: string, mode: number): FsDirectory;
  /** Take a file's or link's name away; the file goes when nobody has it open. @throws KernelError ENOENT, EISDIR, EROFS, EIO */
  unlink(name: string): void;
  /** @throws KernelError ENOENT, ENOTDIR, ENOTEMPTY, EROFS, EIO */
  rmdir(name: string): void;
  /** FS_XFLAG_DAX, which what is made in it inherits. @throws KernelError EROFS */
  setDaxFlag?(on: boolean): void;
}

export interface FsSymlink {
  readonly kind: 'symlink';
  stat(): Kstat;
  readonly target: string;
}

export interface FsRegular {
  readonly kind: 'regular';
  stat(): Kstat;
  /** Whoever opens it has to close it. @throws KernelError EROFS, EIO, EOPNOTSUPP for contents that are kept in a way that is not read here */
  open(options?: { readonly write?: boolean }): FsFile;
  /** FS_XFLAG_DAX: with dax=inode it counts once the inode is read anew, at the next mount. @throws KernelError EROFS */
  setDaxFlag?(on: boolean): void;
}

/** A piece of a file for direct I/O: bytes of the device, or a hole. */
export interface DirectPiece {
  readonly length: number;
  /** Byte of the device; undefined in a hole. */
  readonly at: number | undefined;
}

/** A regular file, open. Offsets and lengths are bytes. */
export interface FsFile {
  readonly sizeBytes: number;
  /** Loads and stores reach the device's memory; there is no page cache (IS_DAX). */
  readonly isDax: boolean;
  /** Undefined for a file that is in memory alone. */
  readonly bdev: BlockDevice | undefined;
  /** @throws KernelError EIO */
  pread(target: Uint8Array, offset: number): number;
  /** Write, and grow if need be; returns how many bytes there was room for. @throws KernelError ENOSPC, EFBIG, EIO, EROFS */
  pwrite(source: Uint8Array, offset: number): number;
  /** Cut, or grow with zeros. @throws KernelError EIO, EBUSY where pages of a DAX file are held by somebody */
  truncate(sizeBytes: number): void;
  /** Data and metadata are durable when it returns. @throws KernelError EIO, once for each error */
  fsync(): void;
  /** Undefined for a file that cannot be mapped. */
  mmapFile(access: { readonly readable: boolean; readonly writable: boolean }): MmapFile | undefined;
  /**
   * Ready a range for direct I/O past the page cache, and say where it is; a write allocates, and grows the file.
   * @throws KernelError ENOSPC, EIO
   */
  direct(offset: number, length: number, write: boolean): readonly DirectPiece[];
  close(): void;
}

/** The inodes of a mounted file system. */
export interface MountedInodes {
  readonly root: FsDirectory;
  /** Write the dirty pages of all files. @throws KernelError EIO */
  writeAll(): void;
  /** Forget all files, at the end. */
  forgetAll(): void;
}
