/**
 * Options of a console command, as getopt_long(3) takes them: `-l`, `-la`, `-o VALUE`, `-oVALUE`, `--long`, `--long=VALUE`, `--`.
 */

/** A command was called wrongly; the message is for the user, and the command's name goes before it. */
export class UsageError extends Error {}

export interface OptionSpec {
  /** Long names and whether a value follows: `{ all: false, output: true, summary: 'optional' }`. */
  readonly long?: Readonly<Record<string, boolean | 'optional'>>;
  /** Short letters, each standing for a long name: `{ a: 'all' }`. */
  readonly short?: Readonly<Record<string, string>>;
}

export interface Options {
  readonly has: (name: string) => boolean;
  /** The last value given; `''` for an optional value that was left out. */
  readonly value: (name: string) => string | undefined;
  /** All values given, in order. */
  readonly values: (name: string) => readonly string[];
  readonly operands: readonly string[];
}

/** @throws UsageError in the words of getopt. */
export function getopt(args: readonly string[], { long = {}, short = {} }: OptionSpec): Options {
  const found = new Map<string, string[]>();
  const add = (name: string, value: string): void => void found.set(name, [...(found.get(name) ?? []), value]);
  const operands: string[] = [];
  const queue = [...args];
  const valueFor = (shown: string): string => {
    const next = queue.shift();
    if (next === undefined) throw new UsageError(`option ${shown} requires an argument`);
    return next;
  };
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === '--') {
      operands.push(...queue.splice(0));
    } else if (arg.startsWith('--')) {
      const { 1: typed, 2: given } = /^--([^=]*)(?:=([^]*))?$/.exec(arg)!;
      const name = longName(typed!, long);
      if (long[name] === false && given !== undefined) throw new UsageError(`option '--${name}' doesn't allow an argument`);
      add(name, given ?? (long[name] === true ? valueFor(`'--${name}'`) : ''));
    } else if (arg.startsWith('-') && arg !== '-') {
      for (let at = 1; at < arg.length; at++) {
        const letter = arg[at]!;
        const name = Object.hasOwn(short, letter) ? short[letter]! : undefined;
        if (name === undefined) throw new UsageError(`invalid option -- '${letter}'`);
        const rest = arg.slice(at + 1);
        const takes = long[name] === true;
        add(name, takes ? rest || valueFor(`-- '${letter}'`) : '');
        if (takes) break;
      }
    } else {
      operands.push(arg);
    }
  }
  return { has: (name) => found.has(name), value: (name) => found.get(name)?.at(-1), values: (name) => found.get(name) ?? [], operands };
}

/** A long name may be cut short while it stays unambiguous. */
function longName(typed: string, long: Readonly<Record<string, unknown>>): string {
  if (Object.hasOwn(long, typed)) return typed;
  const matches = Object.keys(long).filter((name) => name.startsWith(typed));
  if (typed === '' || matches.length === 0) throw new UsageError(`unrecognized option '--${typed}'`);
  if (matches.length > 1) throw new UsageError(`option '--${typed}' is ambiguous`);
  return matches[0]!;
}
