/**
 * Module parameters: `module.param=value` on the kernel command line, /sys/module/M/parameters afterwards.
 * Mirrors kernel/params.c: parse_one, param_ops_bool, param_ops_int, param_ops_uint, param_ops_charp.
 *
 * Invariant: a parameter always holds a value of its type; text that does not parse changes nothing.
 */
import type { Attribute } from './attribute.js';
import type { KernelParam } from './cmdline.js';
import { sameParamName } from './cmdline.js';
import { KernelError } from './kernel-error.js';
import { parseBool, parseInteger } from './kstrtox.js';
import type { Printk } from './printk.js';
import { KERN } from './printk.js';

/** The type of a parameter, its default, and who may see or write it. */
export interface ParamSpec<T> {
  readonly initial: T;
  /** Permission bits of its file; 0 for no file. */
  readonly mode: number;
  /** May the command line give its name alone? */
  readonly noArgument: boolean;
  /** @throws KernelError EINVAL, ERANGE or ENOSPC */
  parse(text: string): T;
  format(value: T): string;
}

/** Shown as Y or N; its name alone means Y. */
export function boolParam(initial: boolean, mode: number): ParamSpec<boolean> {
  return { initial, mode, noArgument: true, parse: parseBool, format: (value) => (value ? 'Y' : 'N') };
}

export function intParam(initial: number, mode: number): ParamSpec<number> {
  return { initial, mode, noArgument: false, parse: (text) => parseInteger(text, -(2 ** 31), 2 ** 31 - 1), format: String };
}

export function uintParam(initial: number, mode: number): ParamSpec<number> {
  return { initial, mode, noArgument: false, parse: (text) => parseInteger(text, 0, 2 ** 32 - 1), format: String };
}

/** Longest string a parameter takes, in characters. */
const MAX_STRING = 1024;

/** Kept as it was written, a newline at its end included, as in Linux. */
export function stringParam(initial: string, mode: number): ParamSpec<string> {
  const parse = (text: string): string => {
    if (text.length > MAX_STRING) throw new KernelError('ENOSPC', `string of ${text.length} characters: expected at most ${MAX_STRING}`);
    return text;
  };
  return { initial, mode, noArgument: false, parse, format: (value) => value };
}

/** One word of a list. */
export function wordParam<Word extends string>(words: readonly Word[], initial: Word, mode: number): ParamSpec<Word> {
  const parse = (text: string): Word => {
    const word = words.find((each) => each === text.replace(/\n$/, ''));
    if (word === undefined) throw new KernelError('EINVAL', `'${text.trimEnd()}': expected one of ${words.join(', ')}`);
    return word;
  };
  return { initial, mode, noArgument: false, parse, format: (value) => value };
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each name has a type of its own
type ParamSpecs = Readonly<Record<string, ParamSpec<any>>>;
type ParamValue<Spec> = Spec extends ParamSpec<infer T> ? T : never;

export interface ModuleParams<Specs> {
  /** The current values, by name. */
  readonly values: { readonly [Name in keyof Specs]: ParamValue<Specs[Name]> };
  /** The files of /sys/module/M/parameters. */
  readonly attributes: readonly Attribute[];
}

/**
 * Declare the parameters of a module and read them from the command line, in order, so that the last one wins.
 * A value that does not parse is logged as Linux logs it, and the parameter keeps what it had.
 */
export function moduleParams<Specs extends ParamSpecs>(module: string, specs: Specs, cmdline: readonly KernelParam[], printk: Printk): ModuleParams<Specs> {
  const params = new Map(Object.entries(specs).map(([name, spec]) => [name, createParam(name, spec as ParamSpec<unknown>)]));
  for (const { name, value } of cmdline) {
    const param = [...params].find(([own]) => sameParamName(name, `${module}.${own}`))?.[1];
    if (!param) continue;
    try {
      if (value === undefined && !param.spec.noArgument) throw new KernelError('EINVAL', `${name} needs a value`);
      param.set(value ?? '1');
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      const what = error.code === 'ENOSPC' ? 'too large' : 'invalid';
      printk(`Booting kernel: \`${value ?? ''}' ${what} for parameter \`${name}'`, KERN.err);
    }
  }
  const values = {} as ModuleParams<Specs>['values'];
  for (const [name, param] of params) Object.defineProperty(values, name, { enumerable: true, get: param.get });
  return { values, attributes: [...params.values()].filter(({ spec }) => spec.mode !== 0).map((param) => param.attribute) };
}

function createParam<T>(name: string, spec: ParamSpec<T>): { spec: ParamSpec<T>; attribute: Attribute; get: () => T; set: (text: string) => void } {
  let value = spec.initial;
  const get = (): T => value;
  const set = (text: string): void => {
    value = spec.parse(text);
  };
  const show = (): string => `${spec.format(value)}\n`;
  const attribute: Attribute = { name, mode: spec.mode, show, ...((spec.mode & 0o222) === 0 ? {} : { store: set }) };
  return { spec, attribute, get, set };
}
