/**
 * The initcalls of a boot: one list, in Linux's levels and in the order in which they run. Mirrors include/linux/init.h, and of
 * init/main.c initcall_blacklist.
 *
 * A call is a name and a function that was given what it needs; nothing registers itself.
 */
import { KernelError, type KernelParam } from '@holdfast/lib';

export const INITCALL_LEVELS = ['early', 'core', 'postcore', 'arch', 'subsys', 'fs', 'rootfs', 'device', 'late'] as const;
export type InitcallLevel = (typeof INITCALL_LEVELS)[number];

export interface Initcall {
  readonly level: InitcallLevel;
  /** The name of Linux's function. */
  readonly name: string;
  /** What it returns is undone at shutdown, last first. */
  readonly run: () => (() => void) | void;
}

/** The calls that `initcall_blacklist=NAME,…` keeps from running, as if a driver had not been built. Linux says so in debug messages only. */
export function initcallBlacklist(params: readonly KernelParam[]): ReadonlySet<string> {
  return new Set(params.filter(({ name }) => name === 'initcall_blacklist').flatMap(({ value }) => value?.split(',') ?? []));
}

/**
 * Run all calls, level by level, and within a level in the order of the list. Returns the undo of all, last first, for when the machine goes
 * down: Linux unbinds nothing then, so what refuses to go, as memory in use does, stays as it is and is in nobody's way.
 */
export function runInitcalls(calls: readonly Initcall[], blacklist: ReadonlySet<string> = new Set()): () => void {
  const undos: (() => void)[] = [];
  for (const level of INITCALL_LEVELS) {
    for (const call of calls) {
      if (call.level !== level || blacklist.has(call.name)) continue;
      const undo = call.run();
      if (undo) undos.push(undo);
    }
  }
  return () => {
    for (let undo = undos.pop(); undo; undo = undos.pop()) {
      try {
        undo();
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
      }
    }
  };
}
