/** What a command reads that takes files, or standard input where `-` or no file is named. */
import type { CommandIo } from './command.js';
import { openFile, readWhole } from './open-file.js';

/** @throws KernelError ENOENT, EISDIR, EACCES … */
export function readInput({ root, resolve, stdin }: Pick<CommandIo, 'root' | 'resolve' | 'stdin'>, path: string): Uint8Array {
  return path === '-' ? stdin() : readWhole(openFile(root, resolve(path)));
}

/** Lines without their newlines; what follows the last newline is a line if there is anything. */
export function splitLines(bytes: Uint8Array): string[] {
  const lines = new TextDecoder().decode(bytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
