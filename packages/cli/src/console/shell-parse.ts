/**
 * The shell's grammar: words, quotes, `$?`, redirections, pipes, `;`, `&&`, `||`, comments. A small part of POSIX sh, and no more.
 *
 *   list     = pipeline { (';' | '&&' | '||' | newline) pipeline }
 *   pipeline = simple { '|' simple }
 *   simple   = { word | redirection }
 */

/** A piece of a word. Quoted text is not a pattern and does not vanish when empty. */
export type WordPart = { readonly text: string; readonly quoted: boolean } | { readonly variable: string; readonly quoted: boolean };
export type Word = readonly WordPart[];

export interface Redirection {
  readonly fd: 0 | 1 | 2;
  /** `>&1` duplicates; the others open the target. */
  readonly op: '<' | '>' | '>>' | '>&';
  readonly target: Word;
}

export interface SimpleCommand {
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
}

export interface ListItem {
  /** When it runs: always, or only by the status before. */
  readonly when: ';' | '&&' | '||';
  readonly pipeline: readonly SimpleCommand[];
}

/** The message is what sh prints behind `sh: `. */
export class ShellSyntaxError extends Error {}

type Token = { readonly word: Word; readonly bare: string } | { readonly op: string; readonly fd?: 0 | 1 | 2 };

/** @throws ShellSyntaxError */
export function parseShell(text: string): ListItem[] {
  const tokens = tokenize(text);
  const list: ListItem[] = [];
  let at = 0;
  let when: ListItem['when'] = ';';
  let needed = false; // behind && or ||, a command must follow
  while (at < tokens.length) {
    const token = tokens[at]!;
    if ('op' in token && (token.op === ';' || token.op === '\n')) {
      if (needed && token.op === ';') throw unexpected(token);
      if (token.op === ';' && (at === 0 || endsList(tokens[at - 1]!))) throw unexpected(token);
      at++;
      continue;
    }
    const { pipeline, next } = parsePipeline(tokens, at);
    list.push({ when, pipeline });
    at = next;
    needed = false;
    when = ';';
    const behind = tokens[at];
    if (behind && 'op' in behind && (behind.op === '&&' || behind.op === '||')) {
      when = behind.op;
      needed = true;
      at++;
    } else if (behind && !('op' in behind && (behind.op === ';' || behind.op === '\n'))) {
      throw unexpected(behind);
    }
  }
  if (needed) throw new ShellSyntaxError('syntax error: unexpected end of file');
  return list;
}

function endsList(token: Token): boolean {
  return 'op' in token && (token.op === ';' || token.op === '\n');
}

function parsePipeline(tokens: readonly Token[], from: number): { pipeline: SimpleCommand[]; next: number } {
  const pipeline: SimpleCommand[] = [];
  let at = from;
  for (;;) {
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (let token = tokens[at]; token; token = tokens[++at]) {
      if ('word' in token) {
        words.push(token.word);
      } else if (/^(?:<|>>?|>&)$/.test(token.op)) {
        const target = tokens[++at];
        if (!target || !('word' in target)) throw unexpected(target);
        redirections.push({ fd: token.fd ?? (token.op === '<' ? 0 : 1), op: token.op as Redirection['op'], target: target.word });
      } else {
        break;
      }
    }
    if (words.length === 0 && redirections.length === 0) throw unexpected(tokens[at]);
    pipeline.push({ words, redirections });
    const bar = tokens[at];
    if (!bar || !('op' in bar) || bar.op !== '|') return { pipeline, next: at };
    at++;
  }
}

function unexpected(token: Token | undefined): ShellSyntaxError {
  if (!token) return new ShellSyntaxError('syntax error: unexpected end of file');
  const shown = 'word' in token ? token.bare : token.op === '\n' ? 'newline' : token.op;
  return new ShellSyntaxError(`syntax error: unexpected "${shown}"`);
}

/** Cut the text at blanks and operators; a word keeps which of its parts were quoted. */
function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const blank = /^(?:[ \t\r]|\\\n)+/.exec(rest);
    const comment = /^#[^\n]*/.exec(rest);
    const operator = /^([012]?)(>>|>&|<|>)|^(&&|\|\||[;|\n])/.exec(rest);
    if (blank || comment) {
      at += (blank ?? comment)![0].length;
    } else if (operator) {
      const fd = operator[1] ? { fd: Number(operator[1]) as 0 | 1 | 2 } : {};
      tokens.push({ op: operator[2] ?? operator[3]!, ...fd });
      at += operator[0].length;
    } else if (/^[&()]/.test(rest)) {
      throw new ShellSyntaxError(`syntax error: unexpected "${rest[0]}"`);
    } else {
      const { word, length } = readWord(rest);
      tokens.push({ word, bare: rest.slice(0, length) });
      at += length;
    }
  }
  return tokens;
}

function readWord(text: string): { word: Word; length: number } {
  const parts: WordPart[] = [];
  let at = 0;
  while (at < text.length && !/[\s;|&<>()]/.test(text[at]!)) {
    const rest = text.slice(at);
    const single = /^'([^']*)'/.exec(rest);
    const double = /^"((?:[^"\\]|\\[^])*)"/.exec(rest);
    const escaped = /^\\([^])/.exec(rest);
    const plain = /^[^\s;|&<>()'"\\$]+/.exec(rest);
    const variable = /^\$(?:([A-Za-z_]\w*|[?#$])|\{([A-Za-z_]\w*|\?)\})/.exec(rest);
    if (single) parts.push({ text: single[1]!, quoted: true });
    else if (double) parts.push(...insideDoubleQuotes(double[1]!));
    else if (escaped) parts.push({ text: escaped[1]!, quoted: true });
    else if (variable) parts.push({ variable: (variable[1] ?? variable[2])!, quoted: false });
    else if (plain) parts.push({ text: plain[0], quoted: false });
    else if (rest[0] === '$') parts.push({ text: '$', quoted: true });
    else if (rest[0] === '\\') parts.push({ text: '', quoted: true });
    else throw new ShellSyntaxError('syntax error: unterminated quoted string');
    at += (single ?? double ?? escaped ?? variable ?? plain)?.[0].length ?? 1;
  }
  return { word: parts, length: at };
}

function insideDoubleQuotes(text: string): WordPart[] {
  const parts: WordPart[] = [{ text: '', quoted: true }]; // so that "" is a word
  for (const match of text.matchAll(/\$(?:([A-Za-z_]\w*|\?)|\{([A-Za-z_]\w*|\?)\})|\\([$`"\\\n])|[^]/g)) {
    const variable = match[1] ?? match[2];
    parts.push(variable ? { variable, quoted: true } : { text: (match[3] ?? match[0]).replace(/^\n$/, match[3] ? '' : '\n'), quoted: true });
  }
  return parts;
}
