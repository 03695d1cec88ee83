/**
 * Files in memory alone: what a kernel starts with as its root. Mirrors mm/shmem.c and, as far as it is empty, init/initramfs.c.
 *
 * Differs from Linux: the bytes lie outside of the simulated memory, so that files can neither be mapped nor take room from anybody.
 */
import { KernelError } from '@holdfast/lib';
import { type ContentRoom, type RamfsContent, createContent } from './ramfs-content.js';
import type { FsDirectory, FsNode, FsRegular, Kstat } from './inode.js';

export interface RamfsOptions {
  /** Seconds since 1970. */
  readonly now?: () => number;
  /** Pages of 4096 bytes that all files may have together. */
  readonly maxPages?: number;
}

/** An empty tree. */
export function createRamfs({ now = () => 0, maxPages = Infinity }: RamfsOptions = {}): FsDirectory {
  const room: ContentRoom = { freePages: maxPages };
  const contents = new WeakMap<FsNode, RamfsContent>();
  let lastIno = 0;
  const statOf = (ino: number, mode: number, nlink: number, born: number, sizeBytes = 0, pages = 0): Kstat => ({
    ino, mode, nlink, uid: 0, gid: 0, sizeBytes, blocks: pages * 8, blockSize: 4096, atime: born, mtime: born, ctime: born, btime: born,
    attributes: 0, attributesMask: 0,
  });
  const regular = (mode: number): FsRegular => {
    const ino = ++lastIno;
    const born = now();
    const content = createContent(room);
    const node: FsRegular = { kind: 'regular', stat: () => statOf(ino, 0o100000 | mode, 1, born, content.sizeBytes, content.nrPages), open: () => content };
    contents.set(node, content);
    return node;
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
      stat: () => statOf(ino, 0o040000 | mode, 2, born),
      list: () => [...nodes.keys()],
      lookup: (name) => nodes.get(name),
      create: (name, fileMode) => add(name, () => regular(fileMode)),
      mkdir: (name, dirMode) => add(name, () => directory(dirMode)),
      unlink(name) {
        const node = existing(name);
        if (node.kind === 'dir') throw new KernelError('EISDIR', `${name} is a directory`);
        contents.get(node)?.truncate(0);
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
