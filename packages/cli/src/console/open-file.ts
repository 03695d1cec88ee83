/**
 * A file, open for reading or writing at offsets, whatever stands behind it: a block device, an attribute, /dev/zero or a file of a file system.
 * Mirrors what open(2), pread(2), pwrite(2) and close(2) do for each of them.
 *
 * An attribute takes one write: what is written is collected, and handed over at `close`, where its error is thrown.
 */
import { directRead, directWrite } from '@holdfast/fs';
import { type VfsDir, type VfsFile, type VfsRegular, resolveOrCreate, resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { DEV_ZERO } from './user-root.js';

export interface OpenFile {
  /** The unit of O_DIRECT; undefined for what is no block device. */
  readonly logicalBlockSize: number | undefined;
  /** Of a file of a file system. */
  readonly sizeBytes?: number;
  /** Of a block device: where it ends, and no offset goes past. */
  readonly deviceBytes?: number;
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
  /** O_DIRECT. */
  readonly direct?: boolean;
  readonly write?: boolean;
  readonly truncate?: boolean;
}

/**
 * Open a path for reading, or for writing, where a missing file is made.
 * @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES
 */
export function openFile(root: VfsDir, path: string, { write = false, truncate = false, direct = false }: OpenMode = {}): OpenFile {
  const node = write ? resolveOrCreate(root, path) : resolvePath(root, path).node;
  if (node.kind === 'dir') throw new KernelError('EISDIR', `${path} is a directory`);
  if (node.kind === 'link') throw new KernelError('ENOENT', `${path} leads nowhere`);
  if (node.kind === 'char') return openCharDevice(path, direct);
  if (node.kind === 'block') {
    const disk = node.open({ direct });
    return {
      logicalBlockSize: disk.logicalBlockSize,
      deviceBytes: disk.sizeBytes,
      pread: disk.pread.bind(disk),
      pwrite: disk.pwrite.bind(disk),
      fsync: disk.fsync.bind(disk),
      close: disk.close.bind(disk),
    };
  }
  if (node.kind === 'regular') return openRegular(node, { write, truncate, direct });
  return write ? openForWriting(node, path) : openForReading(node, path);
}

/** What device-dax knows is mmap alone: not even an open with O_DIRECT. */
function openCharDevice(path: string, direct: boolean): OpenFile {
  if (direct) throw new KernelError('EINVAL', `${path} does no direct I/O`);
  const refuse = (): never => {
    throw new KernelError('EINVAL', `${path} takes no read, write or fsync: it can only be mapped`);
  };
  return { logicalBlockSize: undefined, pread: refuse, pwrite: refuse, fsync: refuse, close: () => {} };
}

function openForReading(node: VfsFile, path: string): OpenFile {
  if (!node.read) throw new KernelError('EACCES', `${path} cannot be read`);
  const endless = node === DEV_ZERO;
  let content: Uint8Array | undefined;
  return {
    logicalBlockSize: undefined,
    pread(target, offset) {
      if (endless) return target.fill(0).length;
      // What an attribute refuses, it refuses to the first read, and not to open(2).
      content ??= toBytes(node.read!());
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

function openRegular(node: VfsRegular, { write, truncate, direct }: Required<OpenMode>): OpenFile {
  const file = node.open({ write });
  if (truncate) file.truncate(0);
  return {
    logicalBlockSize: undefined,
    sizeBytes: file.sizeBytes,
    pread: (target, offset) => (direct ? directRead(file, target, offset) : file.pread(target, offset)),
    pwrite: (source, offset) => (direct ? directWrite(file, source, offset) : file.pwrite(source, offset)),
    fsync: () => file.fsync(),
    close: () => file.close(),
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

/** All bytes of an open file, which is closed then. */
export function readWhole(file: OpenFile): Uint8Array {
  return concat([...readPieces(file)].map((piece) => piece.slice()));
}

/** At most the first `length` bytes of a file, which may have no end and is closed then. */
export function readUpTo(file: OpenFile, length: number): Uint8Array {
  return concat([...readPieces(file, 0, length)].map((piece) => piece.slice()));
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
