/**
 * What a process has open: a block device, a device-dax, or a file of /proc, /sys or whatever else the tree holds.
 * Mirrors block/fops.c: blkdev_open, blkdev_read_iter, blkdev_write_iter, blkdev_mmap; and, for DAX of block devices, fs/block_dev.c of 4.4:
 * bd_may_dax, blkdev_dax_fault.
 *
 * Invariant: one DAX mapping a block device, whoever opens it.
 */
import { type BlockDevice, bdevReadOnly, bdevSizeBytes, issueFlush } from '@holdfast/block';
import { type DaxHosts, type DaxMapping, createDaxMapping, daxFile, daxPartOffset } from '@holdfast/dax';
import { type FsFile, checkDirect } from '@holdfast/fs';
import { KernelError, type KernelRelease, PAGE_SIZE, isAligned, releaseAtLeast, roundUp } from '@holdfast/lib';
import { type MmStruct, type MmapFile, VM, filemapFile, filemapWriteAndWait, invalidateInodePages2 } from '@holdfast/mm';
import { type DirectIo, blkdevDirectIo } from './direct-io.js';
import { type BlockFile, type VfsBlockDevice, type VfsDir, resolveOrCreate, resolvePath } from './vfs.js';

export interface OpenOptions {
  /** Default true. */
  readonly read?: boolean;
  readonly write?: boolean;
  /** O_DIRECT. */
  readonly direct?: boolean;
  /** O_CREAT and O_TRUNC: of files of file systems. */
  readonly create?: boolean;
  readonly truncate?: boolean;
  /** Ours, for block devices: their memory itself, past the page cache (S_DAX of a block device in 4.4). */
  readonly dax?: boolean;
}

/** Where bytes of a call come from or go to: memory of a process. */
export interface UserBuffer {
  readonly mm: MmStruct;
  readonly address: number;
  readonly length: number;
  /** copy_to_user, copy_from_user. @throws KernelError EFAULT */
  copyTo(source: Uint8Array): void;
  copyFrom(target: Uint8Array): void;
  /** Of the same memory, `length` bytes from `offset` on. */
  part(offset: number, length: number): UserBuffer;
}

export interface OpenFile {
  readonly path: string;
  /** Bytes; 0 of what has no end. */
  readonly sizeBytes: number;
  readonly mmapFile: MmapFile | undefined;
  /** @throws KernelError */
  read(buffer: UserBuffer, offset: number): number;
  write(buffer: UserBuffer, offset: number): number;
  fsync(): void;
  /** The last close of a block device writes what is dirty in its page cache. */
  close(): void;
}

export interface OpenFileNeeds {
  readonly root: VfsDir;
  readonly daxHosts: DaxHosts;
  readonly release: KernelRelease;
}

/** Opens paths for processes of one kernel. */
export interface FileOpener {
  /** @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES, EINVAL for DAX of what has none */
  open(path: string, options: OpenOptions, comm: string): OpenFile;
}

export function createFileOpener({ root, daxHosts, release }: OpenFileNeeds): FileOpener {
  const daxMappings = new WeakMap<BlockDevice, DaxMapping>();
  const rules = releaseAtLeast(release, 4, 5) ? 'iomap' : 'v4.1';

  /** bd_may_dax: the driver has direct access, and the device's ends are on pages. */
  const daxOf = (bdev: BlockDevice): DaxMapping => {
    const device = daxHosts.of(bdev.disk);
    const addr = daxPartOffset(bdev);
    const sizeBytes = bdevSizeBytes(bdev);
    if (!device) throw new KernelError('EOPNOTSUPP', `${bdev.name} has no direct access`);
    if (!isAligned(addr, PAGE_SIZE) || !isAligned(sizeBytes, PAGE_SIZE)) throw new KernelError('EINVAL', `${bdev.name} does not start and end on a page`);
    let mapping = daxMappings.get(bdev);
    if (mapping?.device !== device) {
      mapping = createDaxMapping(device, { sizeBytes, extentAt: () => ({ type: 'mapped', start: 0, length: sizeBytes, addr }) });
      daxMappings.set(bdev, mapping);
    }
    return mapping;
  };

  return {
    open(path, options, comm) {
      const { read = true, write = false, direct = false, dax = false } = options;
      const { node } = options.create ? { node: resolveOrCreate(root, path) } : resolvePath(root, path);
      switch (node.kind) {
        case 'dir':
          throw new KernelError('EISDIR', `${path} is a directory`);
        case 'block': {
          if (dax) return openDax(path, node, daxOf(node.bdev), { read, write, rules });
          return openBlock(path, node, { read, write, direct });
        }
        case 'regular': {
          const file = node.open({ write });
          if (options.truncate) file.truncate(0);
          return openRegular(path, file, { read, write, direct });
        }
        case 'char':
          if (direct) throw new KernelError('EINVAL', `${path} does no direct I/O`); // do_dentry_open
          return { ...plainFile(path), mmapFile: node.openMmap?.({ comm, writable: write }) };
        case 'file':
          return openText(path, node);
        case 'link':
          throw new KernelError('ENOENT', `${path} leads nowhere`);
      }
    },
  };
}

function openDax(
  path: string,
  { bdev }: VfsBlockDevice,
  mapping: DaxMapping,
  { read, write, rules }: { read: boolean; write: boolean; rules: 'iomap' | 'v4.1' },
): OpenFile {
  const fsync = (start = 0, end = Infinity): void => {
    mapping.writeback(start, end);
    issueFlush(bdev);
  };
  return {
    path,
    sizeBytes: bdevSizeBytes(bdev),
    mmapFile: { ...daxFile(mapping, { name: path, readable: read, writable: write, rules }), fsync },
    read: (buffer, offset) => readThrough(buffer, (target) => mapping.read(offset, target)),
    write(buffer, offset) {
      const length = roomFor(bdev, buffer.length, offset);
      return writeThrough(buffer, length, (source) => mapping.write(offset, source));
    },
    fsync,
    close: () => {},
  };
}

/** A read-only device is never shared by what could write to it (generic_file_readonly_mmap). */
function blockMmapFile(file: MmapFile, device: BlockFile): MmapFile {
  return {
    ...file,
    mmap(vma) {
      const couldWrite = (vma.flags & VM.SHARED) !== 0 && (vma.flags & VM.MAYWRITE) !== 0;
      if (couldWrite && device.readOnly) throw new KernelError('EINVAL', `${file.name} is read-only, and open for writing: it can be mapped private alone`);
      file.mmap(vma);
    },
    fsync: () => device.fsync(),
  };
}

function openBlock(path: string, node: VfsBlockDevice, { read, write, direct }: { read: boolean; write: boolean; direct: boolean }): OpenFile {
  const { bdev } = node;
  const file: BlockFile = node.open({ direct });
  /** Direct I/O goes below the page cache: first it is brought up to date, and what a write is about to change leaves it. */
  const directIo = (io: DirectIo, mm: MmStruct): number => {
    if (io.length === 0) return 0; // before anybody asks how it is aligned
    const { mapping } = bdev;
    const end = io.offset + io.length;
    if (mapping) {
      const error = filemapWriteAndWait(mapping, io.offset, end);
      if (error !== undefined) throw new KernelError(error, `${bdev.name}: writeback failed`);
      if (io.write) invalidateInodePages2(mapping, io.offset, end);
    }
    return blkdevDirectIo(bdev, mm, io);
  };
  return {
    path,
    sizeBytes: file.sizeBytes,
    mmapFile: bdev.mapping && blockMmapFile(filemapFile(bdev.mapping, { name: path, readable: read, writable: write }), file),
    read(buffer, offset) {
      if (!direct) return readThrough(buffer, (target) => file.pread(target, offset));
      return offset >= file.sizeBytes ? 0 : directIo({ write: false, address: buffer.address, length: buffer.length, offset }, buffer.mm);
    },
    write(buffer, offset) {
      const length = roomFor(bdev, buffer.length, offset);
      if (direct) return directIo({ write: true, address: buffer.address, length, offset }, buffer.mm);
      return writeThrough(buffer, length, (source) => file.pwrite(source, offset));
    },
    fsync: () => file.fsync(),
    close: () => file.close(),
  };
}

function openRegular(path: string, file: FsFile, { read, write, direct }: { read: boolean; write: boolean; direct: boolean }): OpenFile {
  const isPastCache = direct && !file.isDax;
  const move = (buffer: UserBuffer, offset: number, isWrite: boolean): number => {
    if (buffer.length === 0) return 0;
    checkDirect(file, offset, buffer.length, buffer.address);
    let done = 0;
    for (const { length, at } of file.direct(offset, buffer.length, isWrite)) {
      const part = buffer.part(done, length);
      // The device moves whole blocks: what of the last is behind the file's end comes along, and does not count.
      const whole = roundUp(length, file.bdev!.disk.queue.limits.logicalBlockSize);
      if (at === undefined) part.copyTo(new Uint8Array(length));
      else blkdevDirectIo(file.bdev!, buffer.mm, { write: isWrite, address: part.address, length: whole, offset: at });
      done += length;
    }
    return done;
  };
  return {
    path,
    get sizeBytes() {
      return file.sizeBytes;
    },
    mmapFile: file.mmapFile({ readable: read, writable: write }),
    read: (buffer, offset) => (isPastCache ? move(buffer, offset, false) : readThrough(buffer, (target) => file.pread(target, offset))),
    write: (buffer, offset) => (isPastCache ? move(buffer, offset, true) : writeThrough(buffer, buffer.length, (source) => file.pwrite(source, offset))),
    fsync: () => file.fsync(),
    close: () => file.close(),
  };
}

/** How many bytes of a write fit. @throws KernelError EPERM, ENOSPC */
function roomFor(bdev: BlockDevice, length: number, offset: number): number {
  if (bdevReadOnly(bdev)) throw new KernelError('EPERM', `${bdev.name} is read-only`);
  const room = bdevSizeBytes(bdev) - offset;
  if (length === 0) return 0;
  if (room <= 0) throw new KernelError('ENOSPC', `${bdev.name}: a write at ${offset}, and the device ends at ${bdevSizeBytes(bdev)}`);
  return Math.min(length, room);
}

/** A file of /proc or /sys, whose text is ASCII. */
function openText(path: string, node: { read?(): string | Uint8Array; write?(text: string): void }): OpenFile {
  return {
    ...plainFile(path),
    read(buffer, offset) {
      const content = node.read?.();
      if (content === undefined) throw new KernelError('EBADF', `${path} cannot be read`);
      const bytes = typeof content === 'string' ? Uint8Array.from(content, (char) => char.charCodeAt(0)) : content;
      const part = bytes.subarray(offset, offset + buffer.length);
      buffer.copyTo(part);
      return part.length;
    },
    write(buffer) {
      if (!node.write) throw new KernelError('EBADF', `${path} cannot be written`);
      const text = new Uint8Array(buffer.length);
      buffer.copyFrom(text);
      node.write(String.fromCharCode(...text));
      return text.length;
    },
    fsync: () => {},
  };
}

/** Of a character device: it takes mmap alone. */
function plainFile(path: string): OpenFile {
  const refuse = (): never => {
    throw new KernelError('EINVAL', `${path} takes no read, write or fsync: it can only be mapped`);
  };
  return { path, sizeBytes: 0, mmapFile: undefined, read: refuse, write: refuse, fsync: refuse, close: () => {} };
}


function readThrough(buffer: UserBuffer, read: (target: Uint8Array) => number): number {
  const bytes = new Uint8Array(buffer.length);
  const count = read(bytes);
  buffer.copyTo(bytes.subarray(0, count));
  return count;
}

function writeThrough(buffer: UserBuffer, length: number, write: (source: Uint8Array) => number): number {
  const bytes = new Uint8Array(length);
  buffer.copyFrom(bytes);
  return write(bytes);
}
