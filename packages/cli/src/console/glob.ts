/**
 * Pathname expansion: `*`, `?` and `[…]`, one directory after the other, in the order of the locale C.
 * Mirrors glob(7); a leading dot must be written.
 */
import type { VfsDir } from '@holdfast/kernel';
import { dirAt, nodeAt } from '../facts/sysfs.js';

/** The paths that a pattern names, sorted, or none. A backslash takes the next character as it is. */
export function expandGlob(root: VfsDir, cwd: string, pattern: string): string[] {
  const absolute = pattern.startsWith('/');
  let found = [absolute ? '/' : ''];
  const parts = pattern.split('/').filter((part) => part !== '');
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    const at = (path: string): string => (path.startsWith('/') ? path : `${cwd}/${path}`);
    const join = (path: string, name: string): string => (path === '' || path.endsWith('/') ? path + name : `${path}/${name}`);
    if (!/(?:^|[^\\])[*?[]/.test(part)) {
      const name = part.replace(/\\([^])/g, '$1');
      found = found.map((path) => join(path, name)).filter((path) => nodeAt(root, at(path)) !== undefined);
      continue;
    }
    const matches = globPattern(part);
    found = found.flatMap((path) => {
      const names = [...(dirAt(root, at(path))?.list() ?? [])].filter((name) => matches.test(name));
      return names.sort().map((name) => join(path, name)).filter((child) => last || dirAt(root, at(child)));
    });
  }
  // Behind a slash at the end only directories match, and keep it.
  return pattern.endsWith('/') && parts.length > 0
    ? found.filter((path) => dirAt(root, path.startsWith('/') ? path : `${cwd}/${path}`)).map((path) => `${path}/`)
    : found;
}

/** What a part of a pattern matches, whole; a leading dot must be written. */
export function globPattern(part: string): RegExp {
  const dot = part.startsWith('.') ? '' : '(?!\\.)';
  const body = part.replace(/\\([^])|\[(!?)([^\]]+)\]|([*?])|([^])/g, (_, escaped: string, not: string, set: string, wild: string, plain: string) => {
    if (wild !== undefined) return wild === '*' ? '[^]*' : '[^]';
    if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\^]/g, '\\$&')}]`;
    return (escaped ?? plain).replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  });
  try {
    return new RegExp(`^${dot}${body}$`);
  } catch {
    return /(?!)/; // a range such as [z-a] matches nothing
  }
}
