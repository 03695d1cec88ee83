/** QEMU as a child process: the guest's consoles as streams, and its monitor. */
import { type ChildProcess, spawn } from 'node:child_process';
import { type Socket, createConnection } from 'node:net';
import { join } from 'node:path';

export interface Qemu {
  /** All that the guest's console showed so far. */
  console(): string;
  /** The second serial port. */
  readonly channel: Socket;
  /** Run a monitor command. @returns what it printed */
  monitor(command: string): Promise<string>;
  /** Ends when the guest powers off or panics, or the time is over; then with false. */
  readonly ended: Promise<boolean>;
  stop(): void;
}

export interface QemuOptions {
  readonly cpu: string;
  /** The machine: as in case.json, with `{B}` replaced. */
  readonly args: readonly string[];
  readonly kernel: string;
  readonly initrd: string;
  readonly cmdline: string;
  /** A folder for sockets; its path must be short. */
  readonly scratch: string;
  readonly timeoutMs: number;
}

const PROMPT = '(qemu) ';
/** The last line of a kernel that dies; a very early one then hangs, whatever `panic=` says. */
const PANICKED = /---\[ end Kernel panic/;
const AFTER_PANIC_MS = 1000;

/** Start the guest; it runs only once its channel has a reader. @throws Error with what QEMU says where it refuses the arguments */
export async function startQemu({ cpu, args, kernel, initrd, cmdline, scratch, timeoutMs }: QemuOptions): Promise<Qemu> {
  const [channelPath, monitorPath] = [join(scratch, 'channel'), join(scratch, 'monitor')];
  const hasCpus = args.includes('-smp');
  const child = spawn('qemu-system-x86_64', [
    '-accel', 'tcg,thread=multi', '-cpu', cpu, '-nodefaults', '-no-user-config', '-display', 'none', '-vga', 'none', '-no-reboot',
    ...(hasCpus ? [] : ['-smp', '1']), ...args, '-kernel', kernel, '-initrd', initrd, '-append', cmdline,
    '-serial', 'stdio', '-serial', `unix:${channelPath},server=on,wait=on`, '-monitor', `unix:${monitorPath},server=on,wait=off`,
  ], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, complaints] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString('latin1');
    if (PANICKED.test(output.slice(-data.length - 200))) setTimeout(() => child.kill('SIGKILL'), AFTER_PANIC_MS);
  });
  child.stderr.on('data', (data: Buffer) => (complaints += data.toString()));
  const ended = end(child, timeoutMs);
  const channel = await connect(channelPath, child, () => complaints);
  const monitor = await connect(monitorPath, child, () => complaints);
  return { console: () => output.replaceAll('\r', ''), channel, monitor: monitorOf(monitor), ended, stop: () => void child.kill('SIGKILL') };
}

function end(child: ChildProcess, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    let inTime = true;
    const timer = setTimeout(() => {
      inTime = false;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('close', () => {
      clearTimeout(timer);
      resolve(inTime);
    });
  });
}

/** Until QEMU has made the socket. */
async function connect(path: string, child: ChildProcess, complaints: () => string): Promise<Socket> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`qemu ended: ${complaints().trim()}`);
    const socket = await new Promise<Socket | undefined>((resolve) => {
      const attempt = createConnection(path, () => resolve(attempt));
      attempt.on('error', () => resolve(undefined)); // also later, when QEMU goes away: `ended` tells that
    });
    if (socket) return socket;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The monitor echoes what is typed, with the codes of a terminal; then comes the answer, then the prompt. */
function monitorOf(socket: Socket): Qemu['monitor'] {
  let text = '';
  let wake: (() => void) | undefined;
  socket.on('data', (data) => {
    text += data.toString();
    if (text.endsWith(PROMPT)) wake?.();
  });
  const answer = async (): Promise<string> => {
    if (!text.endsWith(PROMPT)) await new Promise<void>((resolve) => (wake = resolve));
    const all = text;
    text = '';
    return all;
  };
  let greeted = false;
  return async (command) => {
    if (!greeted) await answer();
    greeted = true;
    socket.write(`${command}\n`);
    const lines = (await answer()).split(/\r?\n/);
    return lines.slice(1, -1).join('\n');
  };
}
