/**
 * printf(1), as ash has it: a format that is used again until all arguments are. Numbers are of 64 bits.
 */
import type { Command } from '../console/command.js';
import { unescape } from '../console/escapes.js';
import { concat, toBytes } from '../console/open-file.js';

interface Directive {
  readonly flags: string;
  readonly width: string;
  readonly precision: string | undefined;
  readonly conversion: string;
}

/** What an argument that is no number is taken for; it is told, and the status is 1. */
type ToNumber = (text: string) => bigint;

export const printf: Command = {
  usage: 'printf FORMAT [ARGUMENT]…',
  help: 'FORMAT: text with escapes (\\n, \\t, \\x41, \\101, …) and %d %i %u %o %x %X %e %f %g %c %s, %b for text with escapes, %%',
  run({ args, out, err }) {
    const operands = args[0] === '--' ? args.slice(1) : args;
    const [format, ...words] = operands;
    if (format === undefined) {
      err('sh: usage: printf FORMAT [ARGUMENT...]');
      return 2;
    }
    const printer = createPrinter(words, (line) => err(`sh: ${line}`));
    const { bytes, status } = printer.print(format);
    out(bytes);
    return status;
  },
};

interface Printed {
  readonly bytes: Uint8Array;
  readonly status: number;
}

function createPrinter(words: readonly string[], say: (line: string) => void): { print(format: string): Printed } {
  let next = 0;
  let status = 0;
  const take = (): string => words[next++] ?? '';
  const refuse = (text: string): void => {
    say(`invalid number '${text}'`);
    status = 1;
  };
  const toInteger: ToNumber = (text) => {
    const value = parseInteger(text);
    if (value === undefined) refuse(text);
    return value ?? 0n;
  };
  const toReal = (text: string): number => {
    if (/^['"]./u.test(text)) return text.codePointAt(1)!;
    const value = /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN;
    if (Number.isNaN(value)) refuse(text);
    return Number.isNaN(value) ? 0 : value;
  };
  /** One pass over the format; false if it ends the whole. */
  const pass = (format: string, parts: Uint8Array[]): boolean => {
    for (let rest = format; rest !== '';) {
      const text = /^(?:[^%\\]|%%|\\(?:x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[^]|$))+/u.exec(rest)?.[0];
      if (text !== undefined) {
        parts.push(unescape(text.replaceAll('%%', '%'), 'bare'));
        rest = rest.slice(text.length);
        continue;
      }
      const match = /^%([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?(?:hh|h|ll|l|z|j|t|L)?([diouxXeEfgGcsb])/.exec(rest);
      if (!match) {
        say(`${rest.startsWith('%z') ? '%' : rest}: invalid format`);
        status = 1;
        return false;
      }
      rest = rest.slice(match[0].length);
      const [, flags = '', width = '', precision, conversion = ''] = match;
      const star = (field: string | undefined): string | undefined => (field === '*' ? String(toInteger(take() || '0')) : field);
      const wide = star(width) ?? '';
      const directive = { flags: wide.startsWith('-') ? `${flags}-` : flags, width: wide.replace('-', ''), precision: star(precision), conversion };
      if (conversion === 'b') {
        const [shown = '', cut] = take().split('\\c');
        parts.push(unescape(shown));
        if (cut !== undefined) return false;
      } else parts.push(toBytes(convert(directive, next < words.length ? take() : undefined, toInteger, toReal)));
    }
    return true;
  };
  return {
    print(format) {
      const parts: Uint8Array[] = [];
      let before = -1;
      // Arguments that no directive takes would go round for ever.
      while (before < next) {
        before = next;
        if (!pass(format, parts) || next >= words.length) break;
      }
      return { bytes: concat(parts), status };
    },
  };
}

/** Decimal, `0x…`, `0…`, or the code of the character behind a quote. */
function parseInteger(text: string): bigint | undefined {
  if (/^['"]./u.test(text)) return BigInt(text.codePointAt(1)!);
  const match = /^\s*([-+]?)(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.exec(text);
  if (!match) return undefined;
  const digits = /^0[0-7]+$/.test(match[2]!) ? `0o${match[2]!.slice(1)}` : match[2]!;
  const value = match[1] === '-' ? -BigInt(digits) : BigInt(digits);
  return value < 2n ** 64n && value >= -(2n ** 63n) ? value : undefined;
}

/** An argument that is not there is 0 or nothing, and is not told. */
function convert(directive: Directive, word: string | undefined, toInteger: ToNumber, toReal: (text: string) => number): string {
  const { flags, precision, conversion } = directive;
  const digits = precision === undefined ? undefined : Number(precision);
  if (conversion === 's') return pad([...(word ?? '')].slice(0, digits ?? Infinity).join(''), directive, false);
  if (conversion === 'c') return pad([...(word ?? '')][0] ?? '', directive, false);
  if ('eEfgG'.includes(conversion)) {
    const value = word === undefined ? 0 : toReal(word);
    return pad(`${signOf(value < 0, flags)}${formatReal(Math.abs(value), conversion, digits ?? 6)}`, directive, true);
  }
  const value = word === undefined ? 0n : toInteger(word);
  const isSigned = conversion === 'd' || conversion === 'i';
  const shown = isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
  const base = conversion === 'o' ? 8 : conversion === 'x' || conversion === 'X' ? 16 : 10;
  const magnitude = (shown < 0n ? -shown : shown).toString(base).padStart(digits ?? 1, '0');
  const prefix = !flags.includes('#') || shown === 0n ? '' : base === 16 ? '0x' : base === 8 && !magnitude.startsWith('0') ? '0' : '';
  const text = `${isSigned ? signOf(shown < 0n, flags) : ''}${prefix}${magnitude}`;
  return pad(conversion === 'X' ? text.toUpperCase() : text, directive, digits === undefined);
}

function signOf(isNegative: boolean, flags: string): string {
  return isNegative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
}

function formatReal(value: number, conversion: string, digits: number): string {
  const lower = conversion.toLowerCase();
  const exponential = (text: string): string => text.replace(/e([-+])(\d)$/, 'e$10$2');
  if (lower === 'f') return value.toFixed(digits);
  if (lower === 'e') return sized(exponential(value.toExponential(digits)), conversion);
  const precision = Math.max(1, digits);
  const exponent = value === 0 ? 0 : Number(value.toExponential(precision - 1).split('e')[1]);
  const isSmall = exponent >= -4 && exponent < precision;
  const text = isSmall ? value.toFixed(precision - 1 - exponent) : value.toExponential(precision - 1);
  return sized(exponential(text.includes('.') ? text.replace(/\.?0+(?=e|$)/, '') : text), conversion);
}

function sized(text: string, conversion: string): string {
  return conversion === conversion.toUpperCase() ? text.toUpperCase() : text;
}

/** @param zeros whether the flag 0 counts: not for text, nor for integers with a precision */
function pad(text: string, { flags, width }: Directive, zeros: boolean): string {
  const columns = Number(width);
  if (flags.includes('-')) return text.padEnd(columns);
  if (!zeros || !flags.includes('0')) return text.padStart(columns);
  const { 1: sign = '', 2: digits = '' } = /^([-+ ]?(?:0[xX])?)(.*)$/.exec(text)!;
  return sign + digits.padStart(columns - sign.length, '0');
}
