/**
 * The tree a user sees: /proc, /sys and /dev as directories, files, links and devices.
 * Mirrors what fs/namei.c, fs/kernfs and fs/proc show to user space, without inodes: a node answers by asking its subsystem,
 * so nothing here is a copy that could go stale.
 */
import { type Attribute, KernelError } from '@holdfast/lib';
import type { BlockDevice, BlockDeviceFile, BlockOpenOptions } from '@holdfast/block';
import type { FsFile, Kstat } from '@holdfast/fs';
import type { MmapFile } from '@holdfast/mm';
import type { ConfigArea, NdBusControl } from '@holdfast/nvdimm';

export interface VfsDir {
  readonly kind: 'dir';
  /** Names in the order that Linux lists them is not promised: sort to print. */
  list(): Iterable<string>;
  lookup(name: string): VfsNode | undefined;
  /** Of a file system, and so are the others: what is not there cannot be done. */
  stat?(): Kstat;
  /** An empty file. @throws KernelError EEXIST, ENOSPC, EROFS … */
  create?(name: string, mode: number): VfsRegular;
  mkdir?(name: string, mode: number): void;
  /** @throws KernelError ENOENT, EISDIR, EROFS … */
  unlink?(name: string): void;
  /** @throws KernelError ENOENT, ENOTDIR, ENOTEMPTY, EROFS … */
  rmdir?(name: string): void;
  setDaxFlag?(on: boolean): void;
}

/** A regular file of a file system. */
export interface VfsRegular {
  readonly kind: 'regular';
  stat(): Kstat;
  /** Whoever opens it has to close it. @throws KernelError EROFS, EIO … */
  open(options?: { readonly write?: boolean }): FsFile;
  setDaxFlag?(on: boolean): void;
}

export interface VfsFile {
  readonly kind: 'file';
  /** Permission bits, such as 0o444. */
  readonly mode: number;
  /** The whole content: text, or bytes for binary files. @throws KernelError */
  read?(): string | Uint8Array;
  /** One write(2) of the whole text. @throws KernelError */
  write?(text: string): void;
}

export interface VfsLink {
  readonly kind: 'link';
  /** As readlink(2) shows it: relative to the link's directory, or absolute. */
  readonly target: string;
}

/** A block special file in /dev. */
export interface VfsBlockDevice {
  readonly kind: 'block';
  readonly major: number;
  readonly minor: number;
  readonly bdev: BlockDevice;
  /** Whoever opens it has to close it: the last close writes what is dirty. @throws KernelError ENXIO, EBUSY if it is to be exclusive */
  open(options?: BlockOpenOptions): BlockFile;
}

/** A character special file in /dev. */
export interface VfsCharDevice {
  readonly kind: 'char';
  readonly major: number;
  readonly minor: number;
  /** Permission bits, such as 0o600. */
  readonly mode: number;
  /** Of a DIMM: the label area, as its ioctls read and write it. @throws KernelError ENOTTY if it has none */
  openConfigArea?(): ConfigArea;
  /** Of an nvdimm bus: the commands of its ioctls. @throws KernelError ENOTTY if it takes none */
  openBusControl?(): NdBusControl;
  /** Of device-dax: open for a process of that name, to be mapped. */
  openMmap?(opener: { readonly comm: string; readonly writable: boolean }): MmapFile;
}

/** A block device, open: what every user of one calls. */
export type BlockFile = BlockDeviceFile;

export type VfsNode = VfsDir | VfsRegular | VfsFile | VfsLink | VfsBlockDevice | VfsCharDevice;

/** A directory whose entries are fixed, or computed at each look by `entries`. */
export function vfsDir(entries: Record<string, VfsNode> | (() => Record<string, VfsNode>)): VfsDir {
  const now = typeof entries === 'function' ? entries : (): Record<string, VfsNode> => entries;
  return {
    kind: 'dir',
    list: () => Object.keys(now()),
    lookup(name) {
      const all = now();
      return Object.hasOwn(all, name) ? all[name] : undefined;
    },
  };
}

/** A directory of several parts, of different names each: one is computed only where those before it will not do. */
export function vfsParts(parts: readonly (() => Record<string, VfsNode>)[]): VfsDir {
  return {
    kind: 'dir',
    list: () => parts.flatMap((part) => Object.keys(part())),
    lookup(name) {
      for (const part of parts) {
        const entries = part();
        if (Object.hasOwn(entries, name)) return entries[name];
      }
      return undefined;
    },
  };
}

/** A read-only file whose text is made at each read. */
export function vfsText(read: () => string, mode = 0o444): VfsFile {
  return { kind: 'file', mode, read };
}

export function vfsLink(target: string): VfsLink {
  return { kind: 'link', target };
}

/** The files of a subsystem's attributes, by name. */
export function vfsAttributes(attributes: Iterable<Attribute>): Record<string, VfsNode> {
  const files: Record<string, VfsNode> = {};
  for (const attribute of attributes) {
    files[attribute.name] = {
      kind: 'file',
      mode: attribute.mode,
      ...(attribute.show ? { read: () => attribute.show!() } : {}),
      ...(attribute.store ? { write: (text: string) => attribute.store!(text) } : {}),
    };
  }
  return files;
}

/** What a path leads to, with its canonical path. `follow` says whether a link at the very end is followed. */
export interface Resolved {
  readonly node: VfsNode;
  readonly path: string;
}

const MAX_LINKS = 40;

/**
 * Walk an absolute path.
 * @throws KernelError ENOENT, ENOTDIR, or ELOOP after 40 links.
 */
export function resolvePath(root: VfsDir, path: string, { follow = true } = {}): Resolved {
  let links = 0;
  const walk = (parts: string[], stack: { name: string; node: VfsNode }[]): Resolved => {
    const here = (): VfsNode => stack.at(-1)?.node ?? root;
    const pathHere = (): string => `/${stack.map(({ name }) => name).join('/')}`;
    for (const [index, part] of parts.entries()) {
      if (part === '' || part === '.') continue;
      const dir = here();
      if (dir.kind !== 'dir') throw new KernelError('ENOTDIR', `${path}: ${pathHere()} is not a directory`);
      if (part === '..') {
        stack.pop();
        continue;
      }
      const node = dir.lookup(part);
      if (!node) throw new KernelError('ENOENT', `${path}: there is no ${part} in ${pathHere()}`);
      const rest = parts.slice(index + 1);
      if (node.kind === 'link' && (follow || rest.some((name) => name !== ''))) {
        if (++links > MAX_LINKS) throw new KernelError('ELOOP', `${path}: more than ${MAX_LINKS} links`);
        const base = node.target.startsWith('/') ? [] : stack;
        return walk([...node.target.split('/'), ...rest], [...base]);
      }
      stack.push({ name: part, node });
    }
    return { node: here(), path: pathHere() };
  };
  return walk(path.split('/'), []);
}

/** The text or bytes of a file. @throws KernelError ENOENT, ENOTDIR, EISDIR, EACCES if it has no read, or the file's own. */
export function readFile(root: VfsDir, path: string): string | Uint8Array {
  const { node } = resolvePath(root, path);
  if (node.kind === 'dir') throw new KernelError('EISDIR', `${path} is a directory`);
  if (node.kind !== 'file' || !node.read) throw new KernelError('EIO', `${path} cannot be read as a file`);
  return node.read();
}

/** Write a file's text. @throws KernelError as {@link readFile}, EACCES if it has no write. */
export function writeFile(root: VfsDir, path: string, text: string): void {
  const { node } = resolvePath(root, path);
  if (node.kind === 'dir') throw new KernelError('EISDIR', `${path} is a directory`);
  if (node.kind !== 'file' || !node.write) throw new KernelError('EACCES', `${path} cannot be written`);
  node.write(text);
}

/** A path's node; a file that is missing is made where its directory can make files. @throws KernelError as {@link resolvePath}, and the directory's */
export function resolveOrCreate(root: VfsDir, path: string, mode = 0o644): VfsNode {
  const { parent, name } = resolveParent(root, path);
  if (name === '' || parent.lookup(name)) return resolvePath(root, path).node;
  // sysfs and procfs take no new files.
  if (!parent.create) throw new KernelError('EACCES', `${path}: no file can be made there`);
  return parent.create(name, mode);
}

/** The directory that a path's last part is in, and that part. @throws KernelError ENOENT, ENOTDIR */
export function resolveParent(root: VfsDir, path: string): { readonly parent: VfsDir; readonly name: string } {
  const trimmed = path.replace(/\/+$/, '');
  const at = trimmed.lastIndexOf('/');
  const { node } = resolvePath(root, trimmed.slice(0, at) || '/');
  if (node.kind !== 'dir') throw new KernelError('ENOTDIR', `${path}: ${trimmed.slice(0, at)} is not a directory`);
  return { parent: node, name: trimmed.slice(at + 1) };
}
