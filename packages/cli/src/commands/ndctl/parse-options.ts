/**
 * Options as ndctl and daxctl take them, and the usage they print for a wrong one. Mirrors ndctl's util/parse-options.c:
 * `-x VALUE`, `-xVALUE`, `--long VALUE`, `--long=VALUE`, `--no-long`, unambiguous beginnings, operands anywhere.
 */
import { NdctlExit } from './context.js';

export interface OptionSpec {
  /** A letter, or '' for none. */
  readonly short: string;
  /** A word, or '' for none: then there is a letter. */
  readonly long: string;
  /** What usage calls the value; an option without one is a switch. */
  readonly value?: string;
  /** The value is a number. */
  readonly numeric?: boolean;
  /** What is wrong with a value, as the command words it; undefined if nothing is. */
  readonly check?: (value: string) => string | undefined;
  readonly help: string;
}

export interface ParsedOptions {
  readonly has: (long: string) => boolean;
  /** How often a switch was given. */
  readonly count: (long: string) => number;
  /** A switch's last word: true, false by `--no-…`, or undefined if it was not given. */
  readonly flag: (long: string) => boolean | undefined;
  readonly value: (long: string) => string | undefined;
  /** All values that were given, in their order. */
  readonly values: (long: string) => readonly string[];
  readonly operands: readonly string[];
}

interface Tell {
  readonly line: (text: string) => void;
  /** Set to the call that was parsed. */
  again: Again;
}

/** The call as it was typed, with these options changed: to a value, or given (true), or left out (false). */
export type Again = (changes?: Readonly<Record<string, string | boolean>>) => string;

const STATUS_USAGE = 129;
const STATUS_LISTED = 130;

/** Print the usage on stderr, and end. */
export function exitWithUsage(tell: Pick<Tell, 'line'>, usage: string, options: readonly OptionSpec[]): never {
  for (const line of [...usageLines(usage, options), '']) tell.line(line);
  throw new NdctlExit(STATUS_USAGE);
}

/** The same of one option, which leaves no blank line behind. */
function exitWithUsageOf(tell: Pick<Tell, 'line'>, usage: string, option: OptionSpec): never {
  for (const line of usageLines(usage, [option])) tell.line(line);
  throw new NdctlExit(STATUS_USAGE);
}

const HELP_COLUMN = 26;

function usageLines(usage: string, options: readonly OptionSpec[]): string[] {
  return [
    '',
    ` usage: ${usage}`,
    '',
    ...options.flatMap(({ short, long, value, help }) => {
      const names = [...(short === '' ? [] : [`-${short}`]), ...(long === '' ? [] : [`--${long}`])];
      const head = `    ${short === '' ? '    ' : ''}${names.join(', ')}${value === undefined ? '' : ` <${value}>`}`;
      return head.length <= HELP_COLUMN - 2 ? [`${head.padEnd(HELP_COLUMN)}${help}`] : [head, `${' '.repeat(HELP_COLUMN)}${help}`];
    }),
  ];
}

/** @param usage begins with the two words of the command @throws NdctlExit with 129 after a wrong option or `-h`, and 130 after `--list-opts` */
export function parseOptions(args: readonly string[], options: readonly OptionSpec[], usage: string, tell: Tell, out: (text: string) => void): ParsedOptions {
  const values = new Map<string, string>();
  const lists = new Map<string, string[]>();
  const counts = new Map<string, number>();
  const flags = new Map<string, boolean>();
  const operands: string[] = [];
  const queue = [...args];
  const fail = (message: string, option?: OptionSpec): never => {
    tell.line(`  Error: ${message}`);
    return option ? exitWithUsageOf(tell, usage, option) : exitWithUsage(tell, usage, options);
  };
  const take = (spec: OptionSpec, attached: string | undefined, shown: string): void => {
    if (spec.value === undefined) {
      counts.set(spec.long, (counts.get(spec.long) ?? 0) + 1);
      flags.set(spec.long, true);
      return;
    }
    const value = attached ?? queue.shift();
    if (value === undefined) fail(`${shown} requires a value`, spec);
    if (spec.numeric && !/^\s*[-+]?(?:0x[\da-f]+|\d+)$/i.test(value!)) fail(`${shown} expects a numerical value`, spec);
    const wrong = spec.check?.(value!);
    if (wrong !== undefined) fail(wrong, spec);
    values.set(spec.long, value!);
    lists.set(spec.long, [...(lists.get(spec.long) ?? []), value!]);
  };
  const takeLetters = (letters: string): void => {
    for (let at = 0; at < letters.length; at++) {
      const letter = letters[at]!;
      if (letter === 'h') exitWithUsage(tell, usage, options);
      const spec = options.find(({ short }) => short === letter) ?? fail(`unknown switch \`${letter}'`);
      const rest = letters.slice(at + 1);
      take(spec, spec.value !== undefined && rest !== '' ? rest : undefined, `switch \`${letter}'`);
      if (spec.value !== undefined) return;
    }
  };
  const takeLong = (text: string): void => {
    const [typed = '', ...rest] = text.split('=');
    const attached = text.includes('=') ? rest.join('=') : undefined;
    if (typed === 'help' || typed === 'help-all') exitWithUsage(tell, usage, options);
    if (typed === 'list-opts') {
      out(options.filter(({ long }) => long !== '').map(({ long }) => `--${long} `).join(''));
      throw new NdctlExit(STATUS_LISTED);
    }
    const negated = options.find(({ long, value }) => value === undefined && typed === `no-${long}`);
    if (negated) {
      flags.set(negated.long, false);
      return;
    }
    const named = options.filter(({ long }) => long !== '');
    const exact = named.filter(({ long }) => long === typed);
    const found = exact.length > 0 ? exact : named.filter(({ long }) => long.startsWith(typed));
    if (found.length > 1) fail(`Ambiguous option: ${typed} (could be --${found[0]!.long} or --${found[1]!.long})`);
    const spec = found[0] ?? fail(`unknown option \`${text}'`);
    if (spec.value === undefined && attached !== undefined) fail(`option \`${spec.long}' takes no value`, spec);
    take(spec, attached, `option \`${spec.long}'`);
  };
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === '--') operands.push(...queue.splice(0));
    else if (arg.startsWith('--')) takeLong(arg.slice(2));
    else if (arg.startsWith('-') && arg.length > 1) takeLetters(arg.slice(1));
    else operands.push(arg);
  }
  tell.again = (changes = {}) => {
    const negated = [...flags].filter(([, given]) => !given).map(([long]) => `--no-${long}`);
    const given = new Map<string, string | boolean>([...flags, ...values, ...Object.entries(changes)]);
    const words = [...given].filter(([, value]) => value !== false).map(([long, value]) => formatOption(long, value, options));
    return [...usage.split(' ').slice(0, 2), ...operands, ...words, ...negated].join(' ');
  };
  return {
    has: (long) => values.has(long) || flags.get(long) === true,
    count: (long) => counts.get(long) ?? 0,
    flag: (long) => flags.get(long),
    value: (long) => values.get(long),
    values: (long) => lists.get(long) ?? [],
    operands,
  };
}

function formatOption(long: string, value: string | boolean, options: readonly OptionSpec[]): string {
  const { short } = options.find((option) => option.long === long)!;
  if (value === true) return short === '' ? `--${long}` : `-${short}`;
  return short === '' ? `--${long}=${value}` : `-${short} ${value}`;
}
