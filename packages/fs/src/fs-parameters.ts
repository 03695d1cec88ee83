/**
 * Options of a mount as a file system declares them. Mirrors fs/fs_parser.c: fs_parse, fs_param_is_enum, fs_param_is_u32.
 */
import { KERN, KernelError, type Printk } from '@holdfast/lib';
import type { FsParameter } from './super-block.js';

/** `flag` has no value, and `enum` one of a list; `optional` may have one. A name with `no` before it is a name of its own. */
export interface ParameterSpec {
  readonly kind: 'flag' | 'number' | 'string' | 'enum' | 'optional-number';
  readonly values?: readonly string[];
}

export type ParameterSpecs = Readonly<Record<string, ParameterSpec | readonly ParameterSpec[]>>;

/** Read options such as `dax=always,data=ordered`; empty ones are passed over. */
export function splitParameters(text: string): FsParameter[] {
  return text.split(',').filter((part) => part !== '').map((part) => {
    const at = part.indexOf('=');
    return at < 0 ? { key: part, value: undefined } : { key: part.slice(0, at), value: part.slice(at + 1) };
  });
}

/**
 * Check options against what the type takes. The log gets the first that it does not.
 * @throws KernelError EINVAL
 */
export function checkParameters(type: string, parameters: readonly FsParameter[], specs: ParameterSpecs, printk: Printk): void {
  for (const { key, value } of parameters) {
    const refuse = (text: string): never => {
      printk(`${type}: ${text}`, KERN.err);
      throw new KernelError('EINVAL', `mount option ${key}${value === undefined ? '' : `=${value}`}: ${text}`);
    };
    const found = Object.hasOwn(specs, key) ? specs[key]! : refuse(`Unknown parameter '${key}'`);
    const candidates = Array.isArray(found) ? (found as readonly ParameterSpec[]) : [found as ParameterSpec];
    if (!candidates.some((spec) => takes(spec, value))) refuse(`Bad value for '${key}'`);
  }
}

function takes({ kind, values = [] }: ParameterSpec, value: string | undefined): boolean {
  switch (kind) {
    case 'flag':
      return value === undefined;
    case 'number':
      return value !== undefined && /^\d+$/.test(value);
    case 'optional-number':
      return value === undefined || /^\d+$/.test(value);
    case 'string':
      return value !== undefined && value !== '';
    case 'enum':
      return value !== undefined && values.includes(value);
  }
}
