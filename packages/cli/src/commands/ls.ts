/** ls(1), one name a line: `-l` long, `-a` with dots, `-d` directories themselves, `-R` recursive, `-1`. */
import { type VfsDir, type VfsNode, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { fileStat, formatMode, linkCount } from '../console/file-stat.js';
import { getopt } from '../console/getopt.js';

const SHORT = { l: 'long', a: 'all', A: 'almost-all', d: 'directory', R: 'recursive', '1': 'one', h: 'human' };

export const ls: Command = {
  usage: 'ls [-laAdR1] [PATH]…',
  run({ args, root, resolve, out, err }) {
    const { has, operands } = getopt(args, { short: SHORT, long: Object.fromEntries(Object.values(SHORT).map((name) => [name, false])) });
    const show = (shown: string, node: VfsNode, path: string): void =>
      out(`${has('long') ? longLine(node, path) : ''}${shown}${has('long') && node.kind === 'link' ? ` -> ${node.target}` : ''}\n`);
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
    found.sort((a, b) => (a.operand < b.operand ? -1 : a.operand > b.operand ? 1 : 0));
    const isListed = ({ node }: { node: VfsNode }): boolean => node.kind === 'dir' && !has('directory');
    for (const { operand, node, path } of found.filter((entry) => !isListed(entry))) show(operand, node, path);
    const list = (title: string, dir: VfsDir, path: string, needsTitle: boolean, isFirst: boolean): void => {
      if (needsTitle) out(`${isFirst ? '' : '\n'}${title}:\n`);
      const names = [...dir.list()].sort().filter((name) => has('all') || has('almost-all') || !name.startsWith('.'));
      const children = names.flatMap((name) => {
        const child = dir.lookup(name);
        return child ? [{ name, child, path: `${path === '/' ? '' : path}/${name}` }] : [];
      });
      if (has('long')) out(`total ${Math.floor(children.reduce((sum, { child, path: at }) => sum + fileStat(child, at).blocks, 0) / 2)}\n`);
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

/** `-r--r--r--    1 0        0             4096 Jan  1  1970 `: there is no /etc/passwd to name users by, and no calendar. */
function longLine(node: VfsNode, path: string): string {
  const { mode, size, uid, gid, device } = fileStat(node, path);
  const shown = device ? `${device.major},${String(device.minor).padStart(4)}` : String(size);
  return `${formatMode(mode)} ${String(linkCount(node)).padStart(4)} ${String(uid).padEnd(8)} ${String(gid).padEnd(8)} ${shown.padStart(9)} Jan  1  1970 `;
}
