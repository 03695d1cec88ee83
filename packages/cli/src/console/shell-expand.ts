/** What becomes of a word before a command gets it: replaced, split at blanks, and completed where it is a pattern. POSIX sh, 2.6. */
import { type Word, tokenize } from './shell-words.js';

export interface Expander {
  /** A variable's value; '' if it is not set. */
  readonly variable: (name: string) => string;
  /** `$*` and `$@`. */
  readonly positional: () => readonly string[];
  /** What a command prints, without its last newlines. */
  readonly command: (text: string) => Promise<string>;
  readonly glob: (pattern: string) => string[];
  /** @throws ShellSyntaxError */
  readonly arithmetic: (expression: string) => number;
}

/** A word under construction. */
interface FieldText {
  text: string;
  /** The same with what was quoted escaped. */
  pattern: string;
  isPattern: boolean;
}

/** The words that a word becomes. */
export async function expandWord(word: Word, expander: Expander): Promise<string[]> {
  const fields: FieldText[] = [];
  let open: FieldText | undefined; // what the next text joins
  const add = (text: string, quoted: boolean): void => {
    if (!open) fields.push((open = { text: '', pattern: '', isPattern: false }));
    open.text += text;
    open.pattern += quoted ? text.replace(/[*?[\]\\]/g, '\\$&') : text;
    open.isPattern ||= !quoted && /[*?[]/.test(text);
  };
  const addSplit = (value: string): void => {
    const parts = value.split(/[ \t\n]+/);
    for (const [index, part] of parts.entries()) {
      if (index > 0) open = undefined;
      if (part !== '') add(part, false);
    }
  };
  for (const part of word) {
    if ('text' in part) {
      add(part.text, part.quoted);
    } else if ('variable' in part && part.variable === '@' && part.quoted) {
      for (const [index, argument] of expander.positional().entries()) {
        if (index > 0) open = undefined;
        add(argument, true);
      }
    } else {
      const value = await valueOf(part, expander);
      if (part.quoted) add(value, true);
      else addSplit(value);
    }
  }
  // A word that is nothing but "$@" is no word where there are no arguments.
  const onlyArguments =
    word.length > 1 && word.every((part) => part.quoted && ('variable' in part ? part.variable === '@' : 'text' in part && part.text === ''));
  if (onlyArguments && expander.positional().length === 0) return [];
  return fields.flatMap(({ text, pattern, isPattern }) => {
    const names = isPattern ? expander.glob(pattern) : [];
    return names.length > 0 ? names : [text];
  });
}

/** A word as one text, neither split nor completed: the value of an assignment, the target of a redirection. */
export async function expandText(word: Word, expander: Expander): Promise<string> {
  let text = '';
  for (const part of word) text += 'text' in part ? part.text : await valueOf(part, expander);
  return text;
}

async function valueOf(part: Exclude<Word[number], { text: string }>, expander: Expander): Promise<string> {
  if ('command' in part) return expander.command(part.command);
  if ('arithmetic' in part) {
    const words = await expandArithmetic(part.arithmetic, expander);
    return String(expander.arithmetic(words));
  }
  if (part.variable === '@' || part.variable === '*') return expander.positional().join(' ');
  if (part.variable === '#') return String(expander.positional().length);
  if (/^[1-9]$/.test(part.variable)) return expander.positional()[Number(part.variable) - 1] ?? '';
  return expander.variable(part.variable);
}

/** An expression is like a double-quoted text: variables and commands first. */
async function expandArithmetic(expression: string, expander: Expander): Promise<string> {
  const token = tokenize(`"${expression.replaceAll('"', '')}"`)[0];
  return token && 'word' in token ? expandText(token.word, expander) : '';
}
