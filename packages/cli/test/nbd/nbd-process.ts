/**
 * A real `holdfast nbd` in a process of its own, on a Unix socket in a folder of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HOLDFAST = fileURLToPath(new URL('../../bin/holdfast.js', import.meta.url));

export interface NbdProcess {
  readonly folder: string;
  readonly socket: string;
  readonly child: ChildProcess;
  /** What it printed: URIs. */
  readonly uris: readonly string[];
  /** The URI of an export. */
  uri(name?: string): string;
  /** Its exit status, or the signal that ended it. */
  readonly exit: Promise<number | string>;
  /** Send a signal, and wait for the end. @returns {@link exit} */
  kill(signal: NodeJS.Signals): Promise<number | string>;
  /** An orderly stop; the folder goes too. @throws if its end was not orderly */
  stop(): Promise<void>;
}

export interface NbdProcessOptions {
  /** Where socket and images are; made anew if left out. */
  readonly folder?: string;
  /** How the socket is shown in its name: `nbds` with TLS. */
  readonly scheme?: 'nbd' | 'nbds';
  /** Listen on a free port of the loopback interface instead; the URIs tell which. */
  readonly overTcp?: boolean;
  /** A command that runs the server and becomes it, such as a tracer. */
  readonly under?: readonly string[];
  /** Called as soon as anything is printed. */
  readonly onOutput?: (child: ChildProcess) => void;
}

/** Servers that have not ended. */
const running = new Set<ChildProcess>();

/** After a test: none is to outlive it, whichever assertion failed. */
export function killNbds(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Starts, and waits until `nrExports` URIs are printed. */
export async function startNbd(args: readonly string[], nrExports = 1, { folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-')), scheme = 'nbd', overTcp = false, under = [], onOutput }: NbdProcessOptions = {}): Promise<NbdProcess> {
  const socket = join(folder, 'socket');
  const [program, ...words] = [...under, process.execPath, HOLDFAST, 'nbd', ...(overTcp ? ['--port', '0', '--control', `${socket}.ctl`] : ['--socket', socket]), ...args];
  const child = spawn(program!, words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  running.add(child);
  const exit = new Promise<number | string>((resolve) =>
    child.once('exit', (status, signal) => {
      running.delete(child);
      resolve(signal ?? status ?? -1);
    }),
  );
  const urisOf = (): string[] => out.split('\n').filter((line) => /^nbds?(\+unix)?:/.test(line));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    onOutput?.(child);
  });
  while (urisOf().length < nrExports && child.exitCode === null && child.signalCode === null) {
    await Promise.race([once(child.stdout, 'data'), exit]);
  }
  if (urisOf().length < nrExports && !onOutput) throw new Error(`holdfast nbd ${args.join(' ')} ended: ${err}${out}`);
  return {
    folder,
    socket,
    child,
    exit,
    uris: urisOf(),
    uri: (name = '') => `${scheme}+unix:///${name}?socket=${socket}`,
    async kill(signal) {
      child.kill(signal);
      return exit;
    },
    async stop() {
      child.kill('SIGTERM');
      const status = await exit;
      rmSync(folder, { recursive: true });
      if (status !== 0) throw new Error(`holdfast nbd ended with ${status}: ${err}`);
    },
  };
}
