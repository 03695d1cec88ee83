/** Cutting a script into commands: a line each, and several where a loop or a function goes over them. */
import { parseShell } from './shell-parse.js';
import { ShellIncompleteError, ShellSyntaxError } from './shell-words.js';

/** The commands of a script, without blank lines and comments; what stays incomplete is the last one. */
export function scriptCommands(text: string): string[] {
  const commands: string[] = [];
  let open: string[] = [];
  for (const line of text.split('\n')) {
    if (open.length === 0 && (line.trim() === '' || line.trimStart().startsWith('#'))) continue;
    open.push(line);
    if (isIncomplete(open.join('\n'))) continue;
    commands.push(open.join('\n'));
    open = [];
  }
  return open.length > 0 ? [...commands, open.join('\n')] : commands;
}

/** A script in the words of the golden captures' guests, of which only `run COMMAND` and the like leave records. */
export function isGuestScript(text: string): boolean {
  return /(?:^|[;&|]|\bdo|\bthen)[ \t]*run[ \t]/m.test(text);
}

function isIncomplete(text: string): boolean {
  try {
    parseShell(text);
    return false;
  } catch (error) {
    if (error instanceof ShellSyntaxError) return error instanceof ShellIncompleteError;
    throw error;
  }
}
