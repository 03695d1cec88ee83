/** A `holdfast nbd` of its own process, as users start it, and the commands around it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const HOLDFAST = fileURLToPath(new URL('../../../packages/cli/bin/holdfast.js', import.meta.url));
const run = promisify(execFile);

export interface NbdProcess {
  readonly socket: string;
  /** What `holdfast nbd ctl` prints with --json. @throws Error with what it says otherwise */
  ctl(...args: string[]): Promise<unknown>;
  stop(): Promise<void>;
}

/** @throws Error if it ends before it serves */
export async function startNbd(socket: string, args: readonly string[]): Promise<NbdProcess> {
  const child: ChildProcess = spawn(process.execPath, [HOLDFAST, 'nbd', '--socket', socket, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const first = createInterface({ input: child.stdout! })[Symbol.asyncIterator]().next();
  if ((await Promise.race([first, exited.then(() => ({ done: true }))])).done) throw new Error('holdfast nbd did not start');
  return {
    socket,
    async ctl(...words) {
      const { stdout } = await run(process.execPath, [HOLDFAST, 'nbd', 'ctl', `${socket}.ctl`, ...words, '--json'], { maxBuffer: 2 ** 28 });
      return JSON.parse(stdout) as unknown;
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** @returns whether `holdfast nbd replay` found the cuts of the trace again */
export async function replays(trace: string): Promise<boolean> {
  const { stdout } = await run(process.execPath, [HOLDFAST, 'nbd', 'replay', trace, '--json']);
  const { cuts } = JSON.parse(stdout) as { cuts: { digest: string; recorded: string }[] };
  return cuts.length > 0 && cuts.every(({ digest, recorded }) => digest === recorded);
}

/** The way of a simulator's client to an export. */
export function uriOf(socket: string, name: string): string {
  return `nbd+unix:///${encodeURIComponent(name)}?socket=${socket}`;
}
