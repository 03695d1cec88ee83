/**
 * What a console command is, and what it may touch: the tree of files, the log, and the power button.
 * A command knows nothing of the shell that runs it, nor of Node.
 */
import type { Kernel, VfsDir } from '@holdfast/kernel';
import type { KernelError } from '@holdfast/lib';
import type { System } from '../system.js';
import type { Explanation } from './explain.js';

export interface CommandIo {
  /** Without the command's own name. */
  readonly args: readonly string[];
  readonly system: System;
  readonly kernel: Kernel;
  /** The kernel's tree, with what user space adds: /dev/null and /dev/zero. */
  readonly root: VfsDir;
  /** A path as the command got it, made absolute by the working directory. */
  readonly resolve: (path: string) => string;
  /** All of standard input; empty where none is piped or redirected. */
  readonly stdin: () => Uint8Array;
  readonly out: (data: string | Uint8Array) => void;
  /** One line on standard error; the newline is added. */
  readonly err: (line: string) => void;
  /** Why something was refused, for who asked for explanations; what the command prints stays as it is. */
  readonly explain: (why: Explanation) => void;
  /** The same of what the kernel answered to this very command. */
  readonly explainError: (error: KernelError) => void;
  /** What was asked was not done, although the status is 0. */
  readonly refused: () => void;
}

export interface Command {
  /** The line `Usage: …` of --help, without `Usage: `. */
  readonly usage: string;
  /** More of --help: the options, a line each. */
  readonly help?: string;
  /** `--help` is the command's own affair, as where each of its subcommands has a manual. */
  readonly helpsItself?: boolean;
  /** The exit status, 0 if nothing is returned. @throws UsageError for a wrong call, KernelError where the kernel refuses. */
  run(io: CommandIo): number | void;
}
