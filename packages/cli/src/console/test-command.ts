/** test(1) and `[`: strings, whole numbers and files. */
import { UsageError } from './getopt.js';

const BINARY: Readonly<Record<string, (a: string, b: string) => boolean>> = {
  '=': (a, b) => a === b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '-eq': (a, b) => Number(a) === Number(b),
  '-ne': (a, b) => Number(a) !== Number(b),
  '-lt': (a, b) => Number(a) < Number(b),
  '-le': (a, b) => Number(a) <= Number(b),
  '-gt': (a, b) => Number(a) > Number(b),
  '-ge': (a, b) => Number(a) >= Number(b),
};

/** 0 if it is so, 1 if not. @throws UsageError */
export function testCommand(args: readonly string[], kindOf: (path: string) => 'dir' | 'other' | undefined): number {
  return holds(args, kindOf) ? 0 : 1;
}

function holds(args: readonly string[], kindOf: (path: string) => 'dir' | 'other' | undefined): boolean {
  const [first = '', second = '', third = ''] = args;
  if (args.length > 1 && first === '!') return !holds(args.slice(1), kindOf);
  if (args.length <= 1) return first !== '';
  if (args.length === 3 && Object.hasOwn(BINARY, second)) return BINARY[second]!(first, third);
  if (args.length > 3) throw new UsageError('too many arguments');
  if (first === '-n') return second !== '';
  if (first === '-z') return second === '';
  if (first === '-e' || first === '-f') return kindOf(second) !== undefined && (first === '-e' || kindOf(second) === 'other');
  if (first === '-d') return kindOf(second) === 'dir';
  throw new UsageError(`${second}: unknown operand`);
}
