/**
 * The shell's grammar: a part of POSIX sh that loops, branches and has functions, and no more.
 *
 *   list     = pipeline { (';' | '&&' | '||' | newline) pipeline }
 *   pipeline = command { '|' command }
 *   command  = { assignment } { word | redirection }
 *            | 'for' name 'in' { word } ';' 'do' list 'done' | 'if' list 'then' list { 'elif' … } [ 'else' list ] 'fi'
 *            | '{' list '}' | name '(' ')' command
 */
import { ShellIncompleteError, ShellSyntaxError, type Token, type Word, type WordToken, tokenize } from './shell-words.js';

export interface Redirection {
  readonly fd: number;
  /** `>&1` duplicates; the others open the target. */
  readonly op: '<' | '>' | '>>' | '>&' | '<>';
  readonly target: Word;
}

export interface SimpleCommand {
  readonly kind: 'simple';
  /** Variables that are set before: for good if there is no command. */
  readonly assignments: readonly { readonly name: string; readonly value: Word }[];
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
}

export type ShellCommand =
  | SimpleCommand
  | { readonly kind: 'for'; readonly name: string; readonly words: readonly Word[]; readonly body: ShellList }
  | { readonly kind: 'if'; readonly branches: readonly { readonly condition: ShellList; readonly body: ShellList }[]; readonly otherwise: ShellList }
  | { readonly kind: 'group'; readonly body: ShellList }
  | { readonly kind: 'function'; readonly name: string; readonly body: ShellCommand };

export interface ListItem {
  /** When it runs: always, or only by the status before. */
  readonly when: ';' | '&&' | '||';
  readonly pipeline: readonly ShellCommand[];
}
export type ShellList = readonly ListItem[];

/** @throws ShellSyntaxError, of which ShellIncompleteError says that the text stops too early */
export function parseShell(text: string): ShellList {
  const parser = createParser(tokenize(text));
  const list = parser.list([]);
  parser.expectEnd();
  return list;
}

const MAX_NESTING = 100;
const ASSIGNMENT = /^([A-Za-z_]\w*)=/;
const NAME = /^[A-Za-z_]\w*$/;
/** Words that end a list where a command could begin. */
const CLOSING = ['do', 'done', 'then', 'elif', 'else', 'fi', '}'];

interface Parser {
  list(closing: readonly string[]): ShellList;
  expectEnd(): void;
}

function createParser(tokens: readonly Token[]): Parser {
  let at = 0;
  let depth = 0;

  const peek = (): Token | undefined => tokens[at];
  const opAt = (index: number): string | undefined => {
    const token = tokens[index];
    return token && 'op' in token ? token.op : undefined;
  };
  const isWord = (text: string): boolean => {
    const token = peek();
    return token !== undefined && 'word' in token && token.bare === text;
  };
  const skipNewlines = (): void => {
    while (opAt(at) === '\n') at++;
  };
  const expectWord = (text: string): void => {
    if (!isWord(text)) throw unexpected(peek(), text);
    at++;
  };
  const takeWord = (expecting: string): WordToken => {
    const token = tokens[at++];
    if (!token || !('word' in token)) throw unexpected(token, expecting);
    return token;
  };

  /** Commands up to one of the words, which stays; at the top level, up to the end. */
  function list(closing: readonly string[]): ShellList {
    const items: ListItem[] = [];
    let when: ListItem['when'] = ';';
    skipNewlines();
    while (at < tokens.length && !closing.some(isWord)) {
      items.push({ when, pipeline: pipeline() });
      when = ';';
      const op = opAt(at);
      if (op === '&&' || op === '||') {
        when = op;
        at++;
        skipNewlines();
        if (at >= tokens.length) throw new ShellIncompleteError();
        continue;
      }
      if (op === ';') at++;
      else if (op !== '\n' && at < tokens.length && !closing.some(isWord)) throw unexpected(peek());
      skipNewlines();
    }
    if (closing.length > 0 && at >= tokens.length) throw new ShellIncompleteError(closing.at(-1));
    return items;
  }

  function pipeline(): ShellCommand[] {
    const commands = [command()];
    while (opAt(at) === '|') {
      at++;
      skipNewlines();
      if (at >= tokens.length) throw new ShellIncompleteError();
      commands.push(command());
    }
    return commands;
  }

  function command(): ShellCommand {
    const token = peek();
    if (!token || !('word' in token)) {
      if (token && 'op' in token && /^[<>]/.test(token.op)) return simple();
      throw unexpected(token);
    }
    if (++depth > MAX_NESTING) throw new ShellSyntaxError('syntax error: nested too deeply');
    try {
      if (CLOSING.includes(token.bare)) throw unexpected(token);
      if (token.bare === 'for') return forLoop();
      if (token.bare === 'if') return conditional();
      if (token.bare === '{') return group();
      if (opAt(at + 1) === '(') return functionDefinition(token);
      return simple();
    } finally {
      depth--;
    }
  }

  function forLoop(): ShellCommand {
    at++;
    const { bare: name } = takeWord('name');
    if (!NAME.test(name)) throw new ShellSyntaxError('syntax error: bad for loop variable');
    skipNewlines();
    expectWord('in');
    const words: Word[] = [];
    while (peek() && 'word' in peek()!) words.push(takeWord('word').word);
    if (opAt(at) !== ';' && opAt(at) !== '\n') throw unexpected(peek(), 'do');
    at++;
    skipNewlines();
    expectWord('do');
    const body = list(['done']);
    expectWord('done');
    return { kind: 'for', name, words, body };
  }

  function conditional(): ShellCommand {
    const branches: { condition: ShellList; body: ShellList }[] = [];
    do {
      at++;
      const condition = list(['then']);
      expectWord('then');
      branches.push({ condition, body: list(['elif', 'else', 'fi']) });
    } while (isWord('elif'));
    let otherwise: ShellList = [];
    if (isWord('else')) {
      at++;
      otherwise = list(['fi']);
    }
    expectWord('fi');
    return { kind: 'if', branches, otherwise };
  }

  function group(): ShellCommand {
    at++;
    const body = list(['}']);
    expectWord('}');
    return { kind: 'group', body };
  }

  function functionDefinition({ bare: name }: WordToken): ShellCommand {
    at += 2;
    if (opAt(at) !== ')') throw unexpected(peek(), ')');
    if (!NAME.test(name)) throw new ShellSyntaxError('syntax error: bad function name');
    at++;
    skipNewlines();
    return { kind: 'function', name, body: command() };
  }

  function simple(): SimpleCommand {
    const assignments: { name: string; value: Word }[] = [];
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (let token = peek(); token; token = tokens[++at]) {
      if ('word' in token) {
        const name = words.length === 0 ? ASSIGNMENT.exec(token.bare)?.[1] : undefined;
        if (name === undefined) words.push(token.word);
        else assignments.push({ name, value: withoutHead(token.word, name.length + 1) });
      } else if (/^[<>]/.test(token.op)) {
        const target = tokens[++at];
        if (!target || !('word' in target)) throw unexpected(target);
        redirections.push({ fd: token.fd ?? (token.op.startsWith('<') ? 0 : 1), op: token.op as Redirection['op'], target: target.word });
      } else {
        break;
      }
    }
    return { kind: 'simple', assignments, words, redirections };
  }

  return {
    list,
    expectEnd() {
      if (at < tokens.length) throw unexpected(peek());
    },
  };
}

/** The value of an assignment: the word without `name=`, which is unquoted text. */
function withoutHead([first, ...rest]: Word, length: number): Word {
  return first && 'text' in first ? [{ text: first.text.slice(length), quoted: false }, ...rest] : rest;
}

function unexpected(token: Token | undefined, expecting = ''): ShellSyntaxError {
  if (!token) return new ShellIncompleteError(expecting);
  const shown = 'word' in token ? token.bare : token.op === '\n' ? 'newline' : token.op;
  return new ShellSyntaxError(`syntax error: unexpected "${shown}"${expecting === '' ? '' : ` (expecting "${expecting}")`}`);
}
