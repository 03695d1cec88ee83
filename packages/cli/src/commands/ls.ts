/** ls(1), one name a line: `-l` long, `-a` with dots, `-d` directories themselves, `-R` recursive, `-1`. */
import { type VfsDir, type VfsNode, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';

const SHORT = { l: 'long', a: 'all', A: 'almost-all', d: 'directory', R: 'recursive', '1': 'one', h: 'human' };

export const ls: Command = {
  usage: 'ls [-laAdR1] [PATH]…',
  run({ args, root, resolve, out, err }) {
    const { has, operands } = getopt(args, { short: SHORT, long: Object.fromEntries(Object.values(SHORT).map((name) => [name, false])) });
    const show = (shown: string, node: VfsNode, path: string): void => out(`${has('long') ? longLine(node, path) : ''}${shown}${has('long') && node.kind === 'link' ? ` -> ${node.target}` : ''}\n`);
    const found: { operand: string; node: VfsNode; path: string }[] = [];
    let status = 0;
    for (const operand of operands.length > 0 ? operands : ['.']) {
      try {
        // A link that is named is listed itself with -l or -d, and followed otherwise.
        const stay = has('long') || has('directory');
        found.push({ operand, ...resolvePath(root, resolve(operand), { follow: !stay || operand.endsWith('/') }) });
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        err(`ls: ${operand}: ${strerror(error.code)}`);
        status = 1;
      }
    }
    const isListed = ({ node }: { node: VfsNode }): boolean => node.kind === 'dir' && !has('directory');
    for (const { operand, node, path } of found.filter((entry) => !isListed(entry))) show(operand, node, path);
    const list = (title: string, dir: VfsDir, path: string, needsTitle: boolean, isFirst: boolean): void => {
      if (needsTitle) out(`${isFirst ? '' : '\n'}${title}:\n`);
      const names = [...dir.list()].sort().filter((name) => has('all') || has('almost-all') || !name.startsWith('.'));
      const children = names.flatMap((name) => {
        const child = dir.lookup(name);
        return child ? [{ name, child, path: `${path === '/' ? '' : path}/${name}` }] : [];
      });
      if (has('long')) out(`total ${Math.floor(children.reduce((sum, { child }) => sum + blocksOf(child), 0) / 2)}\n`);
      if (has('all')) for (const dots of ['.', '..']) show(dots, dir, path);
      for (const { name, child, path: childPath } of children) show(name, child, childPath);
      if (!has('recursive')) return;
      for (const { name, child, path: childPath } of children) {
        if (child.kind === 'dir') list(`${title === '/' ? '' : title}/${name}`, child, childPath, true, false);
      }
    };
    const dirs = found.filter(isListed);
    for (const [index, { operand, node, path }] of dirs.entries()) {
      list(operand, node as VfsDir, path, found.length > 1 || has('recursive'), index === 0 && dirs.length === found.length);
    }
    return status;
  },
};

const TYPE = { dir: 'd', file: '-', regular: '-', link: 'l', block: 'b', char: 'c' } as const;

/** `-r--r--r--    1 root     root          4096 Jan  1  1970 `; virtual machines have no calendar. */
function longLine(node: VfsNode, path: string): string {
  const isDevice = node.kind === 'block' || node.kind === 'char';
  const mode = modeOf(node);
  const size = isDevice ? `${node.major},${String(node.minor).padStart(4)}` : String(sizeOf(node, path));
  const links = node.kind === 'dir' || node.kind === 'regular' ? (node.stat?.().nlink ?? 1) : 1;
  return `${TYPE[node.kind]}${permissions(mode)} ${String(links).padStart(4)} root     root     ${size.padStart(9)} Jan  1  1970 `;
}

function modeOf(node: VfsNode): number {
  if (node.kind === 'file' || node.kind === 'char') return node.mode;
  if (node.kind === 'dir' || node.kind === 'regular') return (node.stat?.().mode ?? 0o755) & 0o7777;
  return node.kind === 'link' ? 0o777 : 0o660;
}

function permissions(mode: number): string {
  return Array.from('rwxrwxrwx', (letter, index) => (mode & (0o400 >> index) ? letter : '-')).join('');
}

/** Of 512 bytes: what lies in no file system has none. */
function blocksOf(node: VfsNode): number {
  return node.kind === 'dir' || node.kind === 'regular' ? (node.stat?.().blocks ?? 0) : 0;
}

/** sysfs shows a page for every attribute, procfs nothing. */
function sizeOf(node: VfsNode, path: string): number {
  if (node.kind === 'link') return path.startsWith('/sys') ? 0 : node.target.length;
  if (node.kind === 'regular') return node.stat().sizeBytes;
  if (node.kind === 'dir') return node.stat?.().sizeBytes ?? 0;
  return node.kind === 'file' && path.startsWith('/sys') ? 4096 : 0;
}
