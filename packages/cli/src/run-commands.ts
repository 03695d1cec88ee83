/**
 * Runs command lines in order and keeps what each did: status, output, and the kernel messages it caused.
 * Beside the shell's commands it knows those of the golden captures' guest scripts: `cap NAME` takes a full capture,
 * `lite` a small one, and `kpf NAME` is taken as said.
 */
import { type Shell, createShell } from './console/shell.js';
import { type Capture, captureFacts } from './facts/capture.js';
import { type LiteState, liteDifference, liteState } from './facts/lite.js';
import type { System } from './system.js';

export interface CommandRecord {
  /** Counts what the guest did, from 1; 0 for what was done to the machine. */
  readonly n: number;
  readonly cmd: string;
  readonly rc: number;
  /** Without the last newline. */
  readonly stdout: string;
  readonly stderr: string[];
  /** Kernel messages that the command caused. */
  readonly dmesg: string[];
}

export interface LiteRecord {
  readonly n: number;
  readonly cmd: 'lite';
  readonly state: Partial<LiteState>;
}

export interface CommandRunner {
  readonly records: readonly (CommandRecord | LiteRecord)[];
  readonly captures: Readonly<Record<string, Capture>>;
  /** Status of the last command. */
  readonly status: number;
  /** Set when `exit` ran: what comes behind it is not run. */
  readonly exited: boolean;
  readonly run: (line: string) => Promise<void>;
}

export interface Output {
  out(data: Uint8Array): void;
  err(text: string): void;
}

/** `output` sees everything at once, while the records are being made; leave it out to have the records only. */
export function createCommandRunner(system: System, output?: Output): CommandRunner {
  const records: (CommandRecord | LiteRecord)[] = [];
  const captures: Record<string, Capture> = {};
  let before: LiteState | undefined;
  let stdout: Uint8Array[] = [];
  let stderr = '';
  let count = 0;
  const shell: Shell = createShell({
    system,
    out: (data) => {
      if (output) output.out(data);
      else stdout.push(data.slice());
    },
    err: (text) => {
      stderr += text;
      output?.err(text);
    },
  });
  return {
    records,
    captures,
    get status() {
      return shell.status;
    },
    get exited() {
      return shell.exited;
    },
    async run(line) {
      const special = /^\s*(?:(cap|kpf)\s+([\w.-]+)|(lite))\s*$/.exec(line);
      if (special && system.kernel) {
        if (special[1] === 'cap') captures[special[2]!] = captureFacts(system.root);
        if (special[3]) {
          const now = liteState(system.root);
          records.push({ n: ++count, cmd: 'lite', state: liteDifference(now, before) });
          before = now;
        }
        return;
      }
      [stdout, stderr] = [[], ''];
      const { log } = system;
      const from = log.lines.length;
      const rc = await shell.run(line);
      const { lines } = system.log;
      const messages = system.log === log ? lines.slice(from) : lines; // another boot has a log of its own
      records.push({
        n: /^\s*host\b/.test(line) ? 0 : ++count,
        cmd: line,
        rc,
        stdout: decode(stdout).replace(/\n$/, ''),
        stderr: stderr === '' ? [] : stderr.replace(/\n$/, '').split('\n'),
        dmesg: messages.map(({ text }) => text),
      });
    },
  };
}

function decode(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join('') + decoder.decode();
}
