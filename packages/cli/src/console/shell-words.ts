/**
 * The shell's tokens: operators, and words with which of their parts were quoted or are to be replaced by something.
 */

/** A piece of a word. Quoted text is not a pattern, is not split, and does not vanish when empty. */
export type WordPart =
  | { readonly text: string; readonly quoted: boolean }
  | { readonly variable: string; readonly quoted: boolean }
  /** `$(…)`: what a command prints. */
  | { readonly command: string; readonly quoted: boolean }
  /** `$((…))` */
  | { readonly arithmetic: string; readonly quoted: boolean };
export type Word = readonly WordPart[];

export type Token = WordToken | { readonly op: string; readonly fd?: number };
export interface WordToken {
  readonly word: Word;
  /** As it was typed. */
  readonly bare: string;
}

/** The message is what sh prints behind `sh: `. */
export class ShellSyntaxError extends Error {}

/** The text stops in the middle of something: more of it may make it whole. */
export class ShellIncompleteError extends ShellSyntaxError {
  constructor(expecting = '') {
    super(`syntax error: unexpected end of file${expecting === '' ? '' : ` (expecting "${expecting}")`}`);
  }
}

/** Cut the text at blanks and operators. @throws ShellSyntaxError */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const blank = /^(?:[ \t\r]|\\\n)+/.exec(rest);
    const comment = /^#[^\n]*/.exec(rest);
    const operator = /^(\d?)(>>|>&|<>|<|>)|^(&&|\|\||[;|\n()])/.exec(rest);
    if (blank || comment) {
      at += (blank ?? comment)![0].length;
    } else if (operator) {
      const fd = operator[1] ? { fd: Number(operator[1]) } : {};
      tokens.push({ op: operator[2] ?? operator[3]!, ...fd });
      at += operator[0].length;
    } else if (rest.startsWith('&')) {
      throw new ShellSyntaxError('syntax error: unexpected "&"');
    } else {
      const { word, length } = readWord(rest);
      tokens.push({ word, bare: rest.slice(0, length) });
      at += length;
    }
  }
  return tokens;
}

const NAME = String.raw`[A-Za-z_]\w*`;
const VARIABLE = new RegExp(String.raw`^\$(?:(${NAME}|[?#*@$\d])|\{(${NAME}|[?#*@\d])\})`);

function readWord(text: string): { word: Word; length: number } {
  const parts: WordPart[] = [];
  let at = 0;
  while (at < text.length && !/[\s;|&<>()]/.test(text[at]!)) {
    const rest = text.slice(at);
    const single = /^'([^']*)'/.exec(rest);
    const escaped = /^\\([^])/.exec(rest);
    const plain = /^[^\s;|&<>()'"\\$]+/.exec(rest);
    const dollar = rest.startsWith('$') ? readDollar(rest, false) : undefined;
    let length = 1;
    if (single) parts.push({ text: single[1]!, quoted: true });
    else if (rest.startsWith('"')) length = readDoubleQuotes(rest, parts);
    else if (escaped) parts.push({ text: escaped[1]!, quoted: true });
    else if (dollar) parts.push(dollar.part);
    else if (plain) parts.push({ text: plain[0], quoted: false });
    else if (rest.startsWith('\\')) parts.push({ text: '', quoted: true });
    else throw new ShellSyntaxError('syntax error: unterminated quoted string');
    at += dollar?.length ?? (single ?? escaped ?? plain)?.[0].length ?? length;
  }
  return { word: parts, length: at };
}

/** What a `$` begins; a lone one is itself. */
function readDollar(text: string, quoted: boolean): { part: WordPart; length: number } {
  if (text.startsWith('$((')) {
    const inner = untilClosed(text, 3);
    if (text[3 + inner.length + 1] !== ')') throw new ShellSyntaxError('syntax error: missing "))"');
    return { part: { arithmetic: inner, quoted }, length: inner.length + 5 };
  }
  if (text.startsWith('$(')) {
    const inner = untilClosed(text, 2);
    return { part: { command: inner, quoted }, length: inner.length + 3 };
  }
  const variable = VARIABLE.exec(text);
  if (variable) return { part: { variable: (variable[1] ?? variable[2])!, quoted }, length: variable[0].length };
  return { part: { text: '$', quoted: true }, length: 1 };
}

/** From `from` to the parenthesis that closes what began before it; quotes hide parentheses. */
function untilClosed(text: string, from: number): string {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    const quoted = /^(?:'[^']*'|\\[^])/.exec(text.slice(at));
    if (quoted) at += quoted[0].length - 1;
    else if (text[at] === '(') depth++;
    else if (text[at] === ')' && --depth === 0) return text.slice(from, at);
  }
  throw new ShellIncompleteError(')');
}

/** Add the parts of a double-quoted string; returns its length. */
function readDoubleQuotes(text: string, parts: WordPart[]): number {
  parts.push({ text: '', quoted: true }); // so that "" is a word
  let at = 1;
  while (at < text.length) {
    const rest = text.slice(at);
    if (rest.startsWith('"')) return at + 1;
    const escaped = /^\\([$`"\\\n])/.exec(rest);
    const plain = /^(?:[^"\\$]|\\(?![$`"\\\n]))+/.exec(rest);
    const dollar = rest.startsWith('$') ? readDollar(rest, true) : undefined;
    if (dollar) parts.push(dollar.part);
    else parts.push({ text: escaped ? escaped[1]!.replace('\n', '') : plain![0], quoted: true });
    at += dollar?.length ?? (escaped ?? plain)![0].length;
  }
  throw new ShellSyntaxError('syntax error: unterminated quoted string');
}
