/**
 * Reading a tree of files by path, without errors for what is not there: a file that is missing is no fact.
 */
import { type VfsDir, type VfsNode, readFile, resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';

/** The node at a path, or undefined if nothing is there. */
export function nodeAt(root: VfsDir, path: string, options?: { follow?: boolean }): VfsNode | undefined {
  try {
    return resolvePath(root, path, options).node;
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

export function dirAt(root: VfsDir, path: string): VfsDir | undefined {
  const node = nodeAt(root, path);
  return node?.kind === 'dir' ? node : undefined;
}

/** A file's text without its last newline, or undefined if it cannot be read. */
export function textAt(root: VfsDir, path: string): string | undefined {
  return textOf(() => readFile(root, path));
}

/** The same of a node that is at hand: the way to it is not walked again. */
export function textOfFile(node: VfsNode | undefined): string | undefined {
  return node?.kind === 'file' && node.read ? textOf(() => node.read!()) : undefined;
}

function textOf(read: () => string | Uint8Array): string | undefined {
  try {
    const content = read();
    return (typeof content === 'string' ? content : new TextDecoder('latin1').decode(content)).replace(/\n$/, '');
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** `memory9` before `memory10`. */
export function naturalOrder(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
