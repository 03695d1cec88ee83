/**
 * What user space adds to the kernel's tree: /dev/null and /dev/zero.
 */
import { type VfsDir, type VfsFile, type VfsNode, vfsDir } from '@holdfast/kernel';

export const DEV_NULL: VfsFile = { kind: 'file', mode: 0o666, read: () => '', write: () => {} };
/** Reads as endless zeros, which `read` of a whole file cannot give: whoever opens it knows it by identity. */
export const DEV_ZERO: VfsFile = { kind: 'file', mode: 0o666, read: () => '', write: () => {} };

/** The kernel's tree with these files laid over it. */
export function userRoot(kernelRoot: VfsDir): VfsDir {
  const kernelDev = kernelRoot.lookup('dev');
  return overlay(kernelRoot, { dev: overlay(kernelDev?.kind === 'dir' ? kernelDev : vfsDir({}), { null: DEV_NULL, zero: DEV_ZERO }) });
}

function overlay(base: VfsDir, extra: Readonly<Record<string, VfsNode>>): VfsDir {
  return {
    ...base,
    list: () => new Set([...base.list(), ...Object.keys(extra)]),
    lookup: (name) => (Object.hasOwn(extra, name) ? extra[name] : base.lookup(name)),
  };
}
