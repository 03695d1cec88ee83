/**
 * Processes that do not outlive this one, however it ends: the kernel kills them when their parent is gone, kill -9 included
 * (prctl PR_SET_PDEATHSIG, which util-linux' setpriv sets).
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

export const SETPRIV = '/usr/bin/setpriv';

/** As child_process.spawn does; the process that is returned becomes the program. */
export function spawnOwned(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn(SETPRIV, ['--pdeathsig', 'KILL', program, ...args], options);
}
