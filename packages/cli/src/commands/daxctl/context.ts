/**
 * What a run of daxctl works with: the tree of files, and where output goes. Messages are worded as ndctl 76's util/log.c words them.
 */
import { type VfsDir, readFile, writeFile } from '@holdfast/kernel';
import { type ErrnoName, KernelError, strerror } from '@holdfast/lib';
import { type Explanation, explanationOf } from '../../console/explain.js';
import type { Again } from '../ndctl/parse-options.js';

export interface DaxctlContext {
  readonly root: VfsDir;
  readonly out: (text: string) => void;
  /** One line on standard error; the newline is added. */
  readonly line: (text: string) => void;
  /** Why a request was refused, beside what daxctl prints of it. */
  readonly explain: (why: Explanation) => void;
  /** The call as it was typed; changed, where another one would do. */
  again: Again;
  /** A path as the user gave it, made absolute. */
  readonly resolve: (path: string) => string;
  /** `-v`: the library tells what it does. */
  verbose: boolean;
}

/** What something that acts on a device gives back: done, nothing to do (exit status 1 from some commands), or an errno. */
export type Outcome = 'done' | 'nothing' | ErrnoName;

/** A message of libdaxctl that is always shown. */
export function libraryError({ line }: DaxctlContext, from: string, text: string): void {
  line(`libdaxctl: ${from}: ${text}`);
}

/** One that -v shows. */
export function dbg({ line, verbose }: DaxctlContext, from: string, text: string): void {
  if (verbose) line(`libdaxctl: ${from}: ${text}`);
}

/** Write an attribute. Returns the kernel's refusal, if it refuses. */
export function writeAttr(ctx: DaxctlContext, path: string, text: string, { quiet = false } = {}): KernelError | undefined {
  try {
    writeFile(ctx.root, path, text);
    return undefined;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (!quiet) dbg(ctx, 'write_attr', `failed to write ${text.trimEnd()} to ${path}: ${strerror(error.code)}`);
    return error;
  }
}

/**
 * Keep a refusal's sentence, and what would do, as an explanation. Returns its errno.
 * @param sizeToo the size that must be given with an alignment, without which daxctl fails when all is done
 */
export function explained(
  { explain, again }: DaxctlContext,
  refusal: KernelError,
  option?: 'size' | 'align',
  sizeToo: { readonly size?: string } = {},
): ErrnoName {
  explain(
    explanationOf(refusal, {
      again: again(sizeToo),
      withValue: (value) => (option === undefined ? undefined : again({ ...sizeToo, [option]: value })),
    }),
  );
  return refusal.code;
}

/** Whether a file can be read; for its text see textAt. Returns the errno of a refusal. */
export function readError({ root }: DaxctlContext, path: string): ErrnoName | undefined {
  try {
    readFile(root, path);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}
