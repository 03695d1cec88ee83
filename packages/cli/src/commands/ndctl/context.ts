/**
 * What a run of ndctl works with: the tree of files, where output goes, and what it has said so far.
 * Messages are worded and counted as ndctl 76's util/usage.c and util/log.c do: `error` and `dbg`, and `err`, which keeps the last line away.
 */
import type { VfsDir } from '@holdfast/kernel';
import { type ErrnoName, errnoNumber } from '@holdfast/lib';
import type { Explanation } from '../../console/explain.js';
import type { Again } from './parse-options.js';

export interface NdctlContext {
  readonly root: VfsDir;
  readonly out: (data: string | Uint8Array) => void;
  /** One line on standard error; the newline is added. */
  readonly line: (text: string) => void;
  readonly stdin: () => Uint8Array;
  /** A path as the user gave it, made absolute. */
  readonly resolve: (path: string) => string;
  /** Wait so long, in virtual time. */
  readonly sleep: (seconds: number) => void;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** The number of a process of this command. */
  readonly pid: () => number;
  /** A random UUID, in lower case. */
  readonly uuid: () => string;
  /** Why a request was refused, beside what ndctl prints of it. */
  readonly explain: (why: Explanation) => void;
  /** What was asked was not done, although the status is 0. */
  readonly refused: () => void;
  /** The call as it was typed; changed, where another one would do. */
  again: Again;
  /** `-v`: the libraries tell what they do. */
  verbose: boolean;
  /** What `err` puts before its message, such as `create namespace`. */
  commandName: string;
  /** Messages of `err`: with any, the command leaves its last line out. */
  errors: number;
  /** Regions and DIMMs that the library has told of already. */
  readonly announced: Set<string>;
  /** Device-dax regions that libdaxctl knows of by now. */
  readonly daxRegions: Set<string>;
}

/** What a function that changes something gives back: an errno, or undefined if it worked. */
export type Failure = ErrnoName | undefined;

/** Ends a run at once, with an exit status. */
export class NdctlExit extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

/** How a process ends that returns -errno from main. */
export function exitStatus(code: ErrnoName): number {
  return 256 - errnoNumber(code);
}

/** A refusal in ndctl's own words. Most of its messages end in a newline of their own, which leaves a blank line behind them. */
export function error(ctx: NdctlContext, text: string): void {
  ctx.line(`  Error: ${text}`);
}

/** The same, behind the command's name, and counted. */
export function err(ctx: NdctlContext, text: string): void {
  ctx.errors++;
  error(ctx, `${ctx.commandName}: ${text}\n`);
}

/** A message of ndctl/namespace.c that -v shows, with the line of v76 that it comes from. */
export function debug(ctx: NdctlContext, where: string, text: string): void {
  if (ctx.verbose) ctx.line(`${where}: ${text}`);
}

/** A message of a library that -v shows. */
export function dbg(ctx: NdctlContext, from: string, text: string, library = 'libndctl'): void {
  if (ctx.verbose) ctx.line(`${library}: ${from}: ${text}`);
}

/** A message of libndctl that is always shown. */
export function libraryError(ctx: NdctlContext, from: string, text: string): void {
  ctx.line(`libndctl: ${from}: ${text}`);
}
