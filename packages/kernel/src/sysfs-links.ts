/** Links as sysfs writes them: relative, from the directory that holds them. Mirrors fs/sysfs/symlink.c. */
import type { VfsLink } from './vfs.js';

/** A relative link from the directory `from` to the absolute path `to`. Worked out when somebody reads it. */
export function relativeLink(from: string, to: string): VfsLink {
  return {
    kind: 'link',
    get target() {
      return relativePath(from, to);
    },
  };
}

function relativePath(from: string, to: string): string {
  const source = from.split('/').filter((part) => part !== '');
  const target = to.split('/').filter((part) => part !== '');
  let common = 0;
  while (common < source.length && source[common] === target[common]) common++;
  return [...source.slice(common).map(() => '..'), ...target.slice(common)].join('/');
}
