/**
 * A file, open for reading or writing at offsets, whatever stands behind it: a block device, an attribute, /dev/zero or /tmp.
 * Mirrors what open(2), pread(2), pwrite(2) and close(2) do for each of them.
 *
 * An attribute takes one write: what is written is collected, and handed over at `close`, where its error is thrown.
 */
import { type VfsDir, type VfsFile, resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { DEV_ZERO, type RamFile, isRamDir, isRamFile } from './ram-files.js';

export interface OpenFile {
  /** The unit of O_DIRECT; undefined for what is no block device. */
  readonly logicalBlockSize: number | undefined;
  /** Bytes from `offset`; how many there were, 0 at the end. @throws KernelError */
  pread(target: Uint8Array, offset: number): number;
  /** @throws KernelError ENOSPC, EPERM, EACCES … */
  pwrite(source: Uint8Array, offset: number): number;
  /** @throws KernelError */
  fsync(): void;
  /** @throws KernelError what an attribute says to the text that was written. */
  close(): void;
}

export interface OpenMode {
  /** O_DIRECT, of a block device. */
  readonly direct?: boolean;
  readonly write?: boolean;
  readonly truncate?: boolean;
}

/**
 * Open a path for reading, or for writing, where a missing file of /tmp is made.
 * @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES
 */
export function openFile(root: VfsDir, path: string, { write = false, truncate = false, direct = false }: OpenMode = {}): OpenFile {
  const node = write ? nodeForWriting(root, path) : resolvePath(root, path).node;
  if (node.kind === 'dir') throw new KernelError('EISDIR', `${path} is a directory`);
  if (node.kind === 'link') throw new KernelError('ENOENT', `${path} leads nowhere`);
  if (node.kind === 'char') return openCharDevice(path);
  if (node.kind === 'block') {
    const disk = node.open({ direct });
    return {
      logicalBlockSize: disk.logicalBlockSize,
      pread: disk.pread.bind(disk),
      pwrite: disk.pwrite.bind(disk),
      fsync: disk.fsync.bind(disk),
      close: disk.close.bind(disk),
    };
  }
  if (isRamFile(node)) return openRamFile(node, truncate);
  return write ? openForWriting(node, path) : openForReading(node, path);
}

/** What device-dax knows is mmap alone. */
function openCharDevice(path: string): OpenFile {
  const refuse = (): never => {
    throw new KernelError('EINVAL', `${path} takes no read, write or fsync: it can only be mapped`);
  };
  return { logicalBlockSize: undefined, pread: refuse, pwrite: refuse, fsync: refuse, close: () => {} };
}

function nodeForWriting(root: VfsDir, path: string): ReturnType<typeof resolvePath>['node'] {
  const at = path.lastIndexOf('/');
  const { node: parent } = resolvePath(root, path.slice(0, at) || '/');
  const name = path.slice(at + 1);
  if (parent.kind === 'dir' && isRamDir(parent) && name !== '' && !parent.lookup(name)) return parent.create(name);
  try {
    return resolvePath(root, path).node;
  } catch (error) {
    // The directory is there, but takes no new files: what sysfs and procfs say to O_CREAT.
    if (error instanceof KernelError && error.code === 'ENOENT') throw new KernelError('EACCES', `${path}: no file can be made there`);
    throw error;
  }
}

function openForReading(node: VfsFile, path: string): OpenFile {
  if (!node.read) throw new KernelError('EACCES', `${path} cannot be read`);
  const endless = node === DEV_ZERO;
  const content = endless ? undefined : toBytes(node.read());
  return {
    logicalBlockSize: undefined,
    pread(target, offset) {
      if (!content) return target.fill(0).length;
      const part = content.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
    pwrite: () => {
      throw new KernelError('EBADF', `${path} is open for reading`);
    },
    fsync: () => {},
    close: () => {},
  };
}

function openForWriting(node: VfsFile, path: string): OpenFile {
  if (!node.write) throw new KernelError('EACCES', `${path} cannot be written`);
  const parts: Uint8Array[] = [];
  return {
    logicalBlockSize: undefined,
    pread: () => 0,
    pwrite(source) {
      parts.push(source.slice());
      return source.length;
    },
    fsync: () => {},
    close() {
      if (parts.length > 0) node.write!(new TextDecoder().decode(concat(parts)));
    },
  };
}

function openRamFile(file: RamFile, truncate: boolean): OpenFile {
  if (truncate) file.content = new Uint8Array(0);
  return {
    logicalBlockSize: undefined,
    pread(target, offset) {
      const part = file.content.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
    pwrite(source, offset) {
      if (offset + source.length > file.content.length) {
        const grown = new Uint8Array(offset + source.length);
        grown.set(file.content);
        file.content = grown;
      }
      file.content.set(source, offset);
      return source.length;
    },
    fsync: () => {},
    close: () => {},
  };
}

const READ_SIZE = 1024 * 1024;

/** All bytes of an open file from `offset` on, in pieces; each piece is used before the next is asked for. Closes the file at the end. */
export function* readPieces(file: OpenFile, offset = 0, length = Infinity): Generator<Uint8Array> {
  try {
    const buffer = new Uint8Array(Math.min(READ_SIZE, length));
    for (let at = offset; at < offset + length; ) {
      const count = file.pread(buffer.subarray(0, Math.min(buffer.length, offset + length - at)), at);
      if (count === 0) return;
      yield buffer.subarray(0, count);
      at += count;
    }
  } finally {
    file.close();
  }
}

export function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : data;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
