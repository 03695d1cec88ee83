/**
 * The console for a person at a terminal: a prompt with history and completion, and the kernel's messages as they come.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { formatLogLine } from '@holdfast/kernel';
import { complete } from './console/completion.js';
import { createShell } from './console/shell.js';
import type { System } from './system.js';

const HISTORY_LINES = 1000;

/** Runs until Ctrl-D, `exit` or `poweroff`. @returns the status of the last command */
export async function runConsole(system: System): Promise<number> {
  const history = historyFile();
  const shell = createShell({ system, out: (data) => process.stdout.write(data), err: (text) => process.stderr.write(text) });
  const readline = createInterface({
    input: process.stdin,
    output: process.stdout,
    history: readHistory(history),
    historySize: HISTORY_LINES,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(system.root, shell.cwd, line),
  });
  process.stdout.write(`Type help for the commands, powercut to pull the plug; Ctrl-D leaves.\n`);
  const prompt = (): void => {
    readline.setPrompt(`holdfast:${shell.cwd}# `);
    readline.prompt();
  };
  readline.on('SIGINT', () => {
    process.stdout.write('^C\n');
    readline.write(null, { ctrl: true, name: 'u' });
    prompt();
  });
  prompt();
  for await (const line of readline) {
    const { log } = system;
    const seen = log.lines.length;
    if (line.trim() !== '') remember(history, line);
    await shell.run(line);
    if (system.log === log) for (const message of log.lines.slice(seen)) process.stdout.write(`${formatLogLine(message)}\n`);
    if (shell.exited || !system.poweredOn) break;
    prompt();
  }
  readline.close();
  if (!shell.exited && system.poweredOn) process.stdout.write('\n');
  return shell.status;
}

/** $XDG_STATE_HOME/holdfast/history, or ~/.local/state/holdfast/history. */
function historyFile(): string {
  const state = process.env['XDG_STATE_HOME'];
  return join(state !== undefined && state !== '' ? state : join(homedir(), '.local/state'), 'holdfast/history');
}

/** Newest first, as readline wants it. A history that cannot be read or written is no reason to stop. */
function readHistory(path: string): string[] {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter((line) => line !== '').slice(-HISTORY_LINES).reverse() : [];
  } catch {
    return [];
  }
}

function remember(path: string, line: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    appendFileSync(path, `${line}\n`);
  } catch {
    // as above
  }
}
