/** help: the commands of this console. */
import type { Command } from '../console/command.js';
import { BUILTINS, COMMANDS } from './table.js';

export const help: Command = {
  usage: 'help',
  run({ out }) {
    const all = [...Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary] as const), ...Object.entries(BUILTINS)];
    for (const [name, summary] of all.sort(([a], [b]) => (a < b ? -1 : 1))) out(`  ${name.padEnd(10)} ${summary}\n`);
    out("\n  COMMAND --help tells more. Lines know quotes, *, $?, >, >>, <, |, ;, && and ||. Ctrl-D leaves.\n");
  },
};
