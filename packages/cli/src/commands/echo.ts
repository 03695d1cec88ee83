/** echo(1): words with blanks between, `-n` without the newline, `-e` with backslash escapes. */
import type { Command } from '../console/command.js';
import { unescape } from '../console/escapes.js';

export const echo: Command = {
  usage: 'echo [-n] [-e] [WORD]…',
  run({ args, out }) {
    let at = 0;
    let newline = true;
    let escapes = false;
    for (; /^-[neE]+$/.test(args[at] ?? ''); at++) {
      for (const letter of args[at]!.slice(1)) {
        if (letter === 'n') newline = false;
        else escapes = letter === 'e';
      }
    }
    const text = args.slice(at).join(' ') + (newline ? '\n' : '');
    out(escapes ? unescape(text) : text);
  },
};
