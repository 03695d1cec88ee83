/**
 * What Tab offers: commands for the first word of a command, names of the kernel's files for the others.
 */
import type { VfsDir } from '@holdfast/kernel';
import { BUILTINS, COMMANDS } from '../commands/table.js';
import { dirAt } from '../facts/sysfs.js';

/** The candidates for the word that ends the line, and that word, as node:readline asks for them. */
export function complete(root: VfsDir, cwd: string, line: string): [string[], string] {
  const word = /[^\s;|&<>='"]*$/.exec(line)![0];
  const before = line.slice(0, line.length - word.length);
  if (/(?:^|[;|&])\s*$/.test(before) && !word.includes('/')) {
    const names = [...Object.keys(COMMANDS), ...Object.keys(BUILTINS)].filter((name) => name.startsWith(word));
    return [names.sort().map((name) => `${name} `), word];
  }
  const at = word.lastIndexOf('/') + 1;
  const folder = word.slice(0, at);
  const path = folder.startsWith('/') ? folder : `${cwd}/${folder}`;
  const names = [...(dirAt(root, path)?.list() ?? [])].filter((name) => name.startsWith(word.slice(at))).sort();
  return [names.map((name) => `${folder}${name}${dirAt(root, `${path}/${name}`) ? '/' : ' '}`), word];
}
