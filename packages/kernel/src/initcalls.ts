/**
 * The initcalls of a boot: one list, in Linux's levels and in the order in which they run. Mirrors include/linux/init.h.
 *
 * A call is a name and a function that was given what it needs; nothing registers itself.
 */
export const INITCALL_LEVELS = ['early', 'core', 'postcore', 'arch', 'subsys', 'fs', 'device', 'late'] as const;
export type InitcallLevel = (typeof INITCALL_LEVELS)[number];

export interface Initcall {
  readonly level: InitcallLevel;
  /** The name of Linux's function. */
  readonly name: string;
  /** What it returns is undone at shutdown, last first. */
  readonly run: () => (() => void) | void;
}

/** Run all calls, level by level, and within a level in the order of the list. Returns the undo of all, last first. */
export function runInitcalls(calls: readonly Initcall[]): () => void {
  const undos: (() => void)[] = [];
  for (const level of INITCALL_LEVELS) {
    for (const call of calls) {
      if (call.level !== level) continue;
      const undo = call.run();
      if (undo) undos.push(undo);
    }
  }
  return () => {
    for (let undo = undos.pop(); undo; undo = undos.pop()) undo();
  };
}
