/** echo(1): words with blanks between, `-n` without the newline, `-e` with backslash escapes. */
import type { Command } from '../console/command.js';
import { toBytes } from '../console/open-file.js';

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', '\\': '\\', e: '\x1b' };

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

/** Bytes, because `\xff` is one byte and no character. */
function unescape(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const match of text.matchAll(/\\x([0-9a-fA-F]{1,2})|\\0([0-7]{1,3})|\\([ntrabfve\\])|([^])/gu)) {
    const [whole, hexDigits, octal, letter] = match;
    if (hexDigits) bytes.push(parseInt(hexDigits, 16));
    else if (octal) bytes.push(parseInt(octal, 8) & 255);
    else bytes.push(...toBytes(letter ? ESCAPES[letter]! : whole));
  }
  return new Uint8Array(bytes);
}
