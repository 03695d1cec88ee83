/** What stat(2) tells of any node of the tree: of a file system's own words where it has them, of the kind and place of a node elsewhere. */
import type { Kstat } from '@holdfast/fs';
import { type VfsNode } from '@holdfast/kernel';

export interface FileStat {
  /** Type and permission bits, as st_mode. */
  readonly mode: number;
  readonly size: number;
  /** Of 512 bytes: what lies in no file system has none. */
  readonly blocks: number;
  readonly blockSize: number;
  readonly uid: number;
  readonly gid: number;
  /** Numbers of a device's node. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** What only a file system knows: without one, 0. */
  readonly ino: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

const TYPE_BITS: Readonly<Record<VfsNode['kind'], number>> = {
  dir: 0o040000,
  file: 0o100000,
  regular: 0o100000,
  link: 0o120000,
  block: 0o060000,
  char: 0o020000,
};

/** @param path where the node is, absolute and without links */
export function fileStat(node: VfsNode, path: string): FileStat {
  const known = kstatOf(node);
  return {
    mode: known?.mode ?? TYPE_BITS[node.kind] + permissionsOf(node, path),
    size: known?.sizeBytes ?? sizeOf(node, path),
    blocks: known?.blocks ?? 0,
    blockSize: known?.blockSize ?? (isIn(path, '/proc') ? 1024 : 4096),
    uid: known?.uid ?? 0,
    gid: known?.gid ?? 0,
    ino: known?.ino ?? 0,
    atime: known?.atime ?? 0,
    mtime: known?.mtime ?? 0,
    ctime: known?.ctime ?? 0,
    ...(node.kind === 'block' || node.kind === 'char' ? { device: { major: node.major, minor: node.minor } } : {}),
  };
}

/** How many names a node has: a directory of sysfs, procfs and devtmpfs has one in each of its own. */
export function linkCount(node: VfsNode): number {
  const known = kstatOf(node);
  if (known) return known.nlink;
  if (node.kind !== 'dir') return 1;
  return 2 + [...node.list()].filter((name) => node.lookup(name)?.kind === 'dir').length;
}

function kstatOf(node: VfsNode): Kstat | undefined {
  return node.kind === 'dir' || node.kind === 'regular' ? node.stat?.() : undefined;
}

function permissionsOf(node: VfsNode, path: string): number {
  if (node.kind === 'file' || node.kind === 'char') return node.mode;
  if (node.kind === 'link') return 0o777;
  if (node.kind === 'block') return 0o600; // devtmpfs asks nobody
  return path === '/sys' || isIn(path, '/proc') ? 0o555 : 0o755;
}

/** sysfs shows a page for every attribute, procfs nothing. */
function sizeOf(node: VfsNode, path: string): number {
  if (node.kind === 'link') return isIn(path, '/sys') ? 0 : node.target.length;
  return node.kind === 'file' && isIn(path, '/sys') ? 4096 : 0;
}

function isIn(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}

/** `drwxr-xr-x`. */
export function formatMode(mode: number): string {
  const types: Readonly<Record<number, string>> = { 0o040000: 'd', 0o100000: '-', 0o120000: 'l', 0o060000: 'b', 0o020000: 'c' };
  return types[mode & 0o170000]! + Array.from('rwxrwxrwx', (letter, index) => (mode & (0o400 >> index) ? letter : '-')).join('');
}
