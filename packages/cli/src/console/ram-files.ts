/**
 * What user space adds to the kernel's tree: /dev/null, /dev/zero and a /tmp in memory.
 * A power cut forgets /tmp, since each boot makes a new one.
 */
import { type VfsDir, type VfsFile, type VfsNode, vfsDir } from '@holdfast/kernel';

/** A file of /tmp: bytes that grow. */
export interface RamFile extends VfsFile {
  content: Uint8Array;
}

export const DEV_NULL: VfsFile = { kind: 'file', mode: 0o666, read: () => '', write: () => {} };
/** Reads as endless zeros, which `read` of a whole file cannot give: whoever opens it knows it by identity. */
export const DEV_ZERO: VfsFile = { kind: 'file', mode: 0o666, read: () => '', write: () => {} };

export interface RamDir extends VfsDir {
  create(name: string): RamFile;
  remove(name: string): boolean;
}

export function createRamDir(): RamDir {
  const files = new Map<string, RamFile>();
  return {
    kind: 'dir',
    list: () => files.keys(),
    lookup: (name) => files.get(name),
    create(name) {
      const file: RamFile = {
        kind: 'file',
        mode: 0o644,
        content: new Uint8Array(0),
        read: () => file.content,
        write: (text) => void (file.content = new TextEncoder().encode(text)),
      };
      files.set(name, file);
      return file;
    },
    remove: (name) => files.delete(name),
  };
}

export function isRamFile(node: VfsNode): node is RamFile {
  return node.kind === 'file' && 'content' in node;
}

export function isRamDir(node: VfsNode): node is RamDir {
  return node.kind === 'dir' && 'create' in node;
}

/** The kernel's tree with these files laid over it. */
export function userRoot(kernelRoot: VfsDir): VfsDir {
  const kernelDev = kernelRoot.lookup('dev');
  const dev = overlay(kernelDev?.kind === 'dir' ? kernelDev : vfsDir({}), { null: DEV_NULL, zero: DEV_ZERO });
  return overlay(kernelRoot, { dev, tmp: createRamDir() });
}

function overlay(base: VfsDir, extra: Readonly<Record<string, VfsNode>>): VfsDir {
  return {
    kind: 'dir',
    list: () => new Set([...base.list(), ...Object.keys(extra)]),
    lookup: (name) => (Object.hasOwn(extra, name) ? extra[name] : base.lookup(name)),
  };
}
