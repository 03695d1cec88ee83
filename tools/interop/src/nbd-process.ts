/** A `holdfast nbd` of its own process on a loopback port, as users start it, and the commands around it. */
import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { spawnOwned } from './spawn-owned.js';

const HOLDFAST = fileURLToPath(new URL('../../../packages/cli/bin/holdfast.js', import.meta.url));
const run = promisify(execFile);

export interface NbdProcess {
  readonly port: number;
  /** The way of a simulator's client to an export. */
  readonly uriOf: (name: string) => string;
  /** What `holdfast nbd ctl` prints with --json. @throws Error with what it says otherwise */
  ctl(...args: string[]): Promise<unknown>;
  stop(): Promise<void>;
}

/** @param control where its power switch is to be @throws Error if it ends before it serves */
export async function startNbd(control: string, args: readonly string[]): Promise<NbdProcess> {
  const child: ChildProcess = spawnOwned(process.execPath, [HOLDFAST, 'nbd', '--port', '0', '--control', control, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = once(child, 'exit');
  const first = createInterface({ input: child.stdout! })[Symbol.asyncIterator]().next();
  const line = await Promise.race([first, exited.then(() => ({ done: true as const, value: undefined }))]);
  if (line.done) throw new Error(`holdfast nbd did not start: ${said}`);
  const port = Number(new URL(line.value).port);
  return {
    port,
    uriOf: (name) => `nbd://127.0.0.1:${port}/${encodeURIComponent(name)}`,
    async ctl(...words) {
      const { stdout } = await run(process.execPath, [HOLDFAST, 'nbd', 'ctl', control, ...words, '--json'], { maxBuffer: 2 ** 28 });
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
