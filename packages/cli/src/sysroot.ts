/**
 * Writes /proc and /sys as files, directories and links, for tools that take `--sysroot`: lsmem, lsblk.
 * Content is binary-safe; block devices become empty files, since their bytes are not the tree's.
 */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { VfsDir, VfsNode } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { CliError } from './cli-error.js';

export interface SysrootReport {
  readonly directories: number;
  readonly files: number;
  readonly links: number;
  /** Files that answer a read with an error, or take no read; a reader of the real tree would meet the same. */
  readonly unreadable: number;
}

/** Trees of the exported root; /dev is there for names only. */
const TOP = ['proc', 'sys', 'dev'];

/**
 * Write the tree below `target`, which is made if need be. Links stay inside: an absolute one becomes relative.
 * @throws CliError where something is already there that this would replace, and what else node:fs throws
 */
export function exportSysroot(root: VfsDir, target: string): SysrootReport {
  const report = { directories: 0, files: 0, links: 0, unreadable: 0 };
  const write = (node: VfsNode, path: string): void => {
    const here = join(target, path);
    if (node.kind === 'dir') {
      mkdirSync(here, { recursive: true });
      report.directories++;
      for (const name of node.list()) {
        const child = isPlainName(name) ? node.lookup(name) : undefined;
        if (child) write(child, `${path}/${name}`);
      }
    } else if (node.kind === 'link') {
      const inside = node.target.startsWith('/') ? posix.relative(posix.dirname(path), node.target) : node.target;
      replaceLink(inside, here);
      report.links++;
    } else {
      const content = node.kind === 'file' ? readNode(node) : '';
      if (content === undefined) report.unreadable++;
      writeFileSync(here, content ?? '');
      report.files++;
    }
  };
  for (const name of TOP) {
    const node = root.lookup(name);
    if (node) write(node, `/${name}`);
  }
  return report;
}

/** A name that can be a file's name, and stays in its directory. */
function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name);
}

function readNode(node: VfsNode): string | Uint8Array | undefined {
  try {
    return node.kind === 'file' ? node.read?.() : undefined;
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

function replaceLink(to: string, at: string): void {
  try {
    symlinkSync(to, at);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new CliError(`--sysroot: ${at} is already there; expected a new or an empty directory`, { cause: error });
  }
}
