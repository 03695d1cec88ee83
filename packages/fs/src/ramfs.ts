/**
 * Files in memory alone: what a kernel starts with as its root. Mirrors fs/ramfs and, as far as it is empty, init/initramfs.c.
 *
 * Differs from Linux: the bytes lie outside of the simulated memory, so that files can neither be mapped nor take room from anybody.
 */
import { KernelError } from '@holdfast/lib';
import type { FsDirectory, FsFile, FsNode, FsRegular, Kstat } from './inode.js';

interface Content {
  bytes: Uint8Array;
  size: number;
}

/** An empty tree. */
export function createRamfs(now: () => number = () => 0): FsDirectory {
  let lastIno = 0;
  const statOf = (ino: number, mode: number, sizeBytes: number, nlink: number, born: number): Kstat => ({
    ino, mode, nlink, uid: 0, gid: 0, sizeBytes, blocks: Math.ceil(sizeBytes / 4096) * 8, blockSize: 4096, atime: born, mtime: born, ctime: born, btime: born, attributes: 0, attributesMask: 0,
  });
  const regular = (mode: number): FsRegular => {
    const ino = ++lastIno;
    const born = now();
    const content: Content = { bytes: new Uint8Array(0), size: 0 };
    return { kind: 'regular', stat: () => statOf(ino, 0o100000 | mode, content.size, 1, born), open: () => openContent(content) };
  };
  const directory = (mode: number): FsDirectory => {
    const ino = ++lastIno;
    const born = now();
    const nodes = new Map<string, FsNode>();
    const add = <T extends FsNode>(name: string, make: () => T): T => {
      if (nodes.has(name)) throw new KernelError('EEXIST', `there is a ${name} already`);
      const node = make();
      nodes.set(name, node);
      return node;
    };
    const existing = (name: string): FsNode => {
      const node = nodes.get(name);
      if (!node) throw new KernelError('ENOENT', `there is no ${name}`);
      return node;
    };
    return {
      kind: 'dir',
      stat: () => statOf(ino, 0o040000 | mode, 0, 2, born),
      list: () => [...nodes.keys()],
      lookup: (name) => nodes.get(name),
      create: (name, fileMode) => add(name, () => regular(fileMode)),
      mkdir: (name, dirMode) => add(name, () => directory(dirMode)),
      unlink(name) {
        if (existing(name).kind === 'dir') throw new KernelError('EISDIR', `${name} is a directory`);
        nodes.delete(name);
      },
      rmdir(name) {
        const node = existing(name);
        if (node.kind !== 'dir') throw new KernelError('ENOTDIR', `${name} is no directory`);
        if (node.list().length > 0) throw new KernelError('ENOTEMPTY', `${name} has entries`);
        nodes.delete(name);
      },
    };
  };
  return directory(0o755);
}

function openContent(content: Content): FsFile {
  const resize = (size: number): void => {
    if (size > content.bytes.length) {
      const grown = new Uint8Array(Math.max(size, content.bytes.length * 2));
      grown.set(content.bytes);
      content.bytes = grown;
    }
    if (size < content.size) content.bytes.fill(0, size, content.size);
    content.size = size;
  };
  return {
    get sizeBytes() {
      return content.size;
    },
    isDax: false,
    bdev: undefined,
    pread(target, offset) {
      const part = content.bytes.subarray(Math.min(offset, content.size), Math.min(offset + target.length, content.size));
      target.set(part);
      return part.length;
    },
    pwrite(source, offset) {
      if (offset + source.length > content.size) resize(offset + source.length);
      content.bytes.set(source, offset);
      return source.length;
    },
    truncate: resize,
    fsync: () => {},
    mmapFile: () => undefined,
    direct() {
      throw new KernelError('EINVAL', 'a file in memory takes no direct I/O');
    },
    close: () => {},
  };
}
