/** Backslash escapes, as echo -e and printf know them. */
import { toBytes } from './open-file.js';

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', '\\': '\\', e: '\x1b' };

/** How octal numbers are written: `\0101` behind echo -e and %b, `\101` in the format of printf. */
export type OctalForm = 'zero' | 'bare';

const FORMS: Readonly<Record<OctalForm, RegExp>> = {
  zero: /\\x([0-9a-fA-F]{1,2})|\\0([0-7]{1,3})|\\([ntrabfve\\])|([^])/gu,
  bare: /\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\([ntrabfve\\])|([^])/gu,
};

/** Bytes, because `\xff` is one byte and no character. */
export function unescape(text: string, form: OctalForm = 'zero'): Uint8Array {
  const bytes: number[] = [];
  for (const match of text.matchAll(FORMS[form])) {
    const [whole, hexDigits, octal, letter] = match;
    if (hexDigits) bytes.push(parseInt(hexDigits, 16));
    else if (octal) bytes.push(parseInt(octal, 8) & 255);
    else bytes.push(...toBytes(letter ? ESCAPES[letter]! : whole));
  }
  return new Uint8Array(bytes);
}
