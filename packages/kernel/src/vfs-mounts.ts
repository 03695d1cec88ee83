/**
 * The tree with file systems in it: their files and directories as nodes, and mounts that cover directories.
 * Mirrors fs/namei.c: handle_mounts, and fs/namespace.c: path_mount, path_umount, as to paths.
 */
import type { BlockDevice } from '@holdfast/block';
import type { FsDirectory, FsNode, Kstatfs, MountCall, Mounts } from '@holdfast/fs';
import { KernelError } from '@holdfast/lib';
import type { OwnMount } from './own-mounts.js';
import { type VfsDir, type VfsNode, type VfsRegular, resolvePath } from './vfs.js';

export function vfsOfFs(node: FsNode): VfsNode {
  switch (node.kind) {
    case 'dir':
      return vfsOfDirectory(node);
    case 'regular':
      return node;
    case 'symlink':
      return { kind: 'link', target: node.target };
  }
}

function vfsOfDirectory(directory: FsDirectory): VfsDir {
  return {
    kind: 'dir',
    stat: () => directory.stat(),
    list: () => directory.list(),
    lookup(name) {
      const node = directory.lookup(name);
      return node && vfsOfFs(node);
    },
    create: (name, mode): VfsRegular => directory.create(name, mode),
    mkdir: (name, mode) => void directory.mkdir(name, mode),
    unlink: (name) => directory.unlink(name),
    rmdir: (name) => directory.rmdir(name),
    ...(directory.setDaxFlag ? { setDaxFlag: (on: boolean) => directory.setDaxFlag!(on) } : {}),
  };
}

/** A tree in which whoever walks into a directory that is covered comes out in what is mounted there. */
export function withMounts(dir: VfsDir, mounts: Mounts, path = '/'): VfsDir {
  return {
    ...dir,
    lookup(name) {
      const child = dir.lookup(name);
      if (child?.kind !== 'dir') return child;
      const childPath = `${path === '/' ? '' : path}/${name}`;
      const mount = mounts.at(childPath);
      const shown = mount ? vfsOfDirectory(mount.sb.root) : child;
      return mounts.hasBelow(childPath) ? withMounts(shown, mounts, childPath) : shown;
    },
  };
}

/** The file system that a path is in. */
export interface MountedAt {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  /** What st_dev shows. */
  readonly major: number;
  readonly minor: number;
  statfs(): Kstatfs;
}

/** mount(2), umount(2) and statfs(2), with paths. */
export interface MountCalls {
  /** @throws KernelError ENOENT, ENOTBLK for a source that is no block device, ENOTDIR, and {@link Mounts}' */
  mount(call: Omit<MountCall, 'lookup'>): void;
  remount(target: string, options: Parameters<Mounts['remount']>[1]): void;
  umount(target: string): void;
  /** @param path as {@link resolvePath} gives it: absolute, without links */
  mountOf(path: string): MountedAt;
}

export function createMountCalls(root: VfsDir, mounts: Mounts, own: readonly OwnMount[]): MountCalls {
  const directoryAt = (target: string): string => {
    const { node, path } = resolvePath(root, target);
    if (node.kind !== 'dir') throw new KernelError('ENOTDIR', `${target} is not a directory`);
    return path;
  };
  const deviceAt = (source: string): BlockDevice => {
    const { node } = resolvePath(root, source);
    if (node.kind !== 'block') throw new KernelError('ENOTBLK', `${source} is no block device`);
    return node.bdev;
  };
  return {
    mount(call) {
      const target = directoryAt(call.target);
      mounts.mount({ ...call, target, lookup: () => deviceAt(call.source) });
    },
    remount: (target, options) => mounts.remount(directoryAt(target), options),
    umount: (target) => mounts.umount(directoryAt(target)),
    mountOf(path) {
      const covers = ({ target }: { readonly target: string }): boolean => path === target || path.startsWith(`${target === '/' ? '' : target}/`);
      const deepest = <T extends { readonly target: string }>(all: readonly T[]): T | undefined =>
        all
          .filter(covers)
          .sort((a, b) => a.target.length - b.target.length)
          .at(-1);
      const mount = deepest(mounts.list);
      const ours = deepest(own)!; // one of them covers /
      if (!mount || mount.target.length < ours.target.length) return { ...ours, major: 0 };
      const { source, target, type, sb } = mount;
      return { source, target, type, major: sb.bdev.major, minor: sb.bdev.minor, statfs: () => sb.statfs() };
    },
  };
}
