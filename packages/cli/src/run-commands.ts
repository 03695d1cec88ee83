/**
 * Runs command lines in order and keeps what each did: status, output, and the kernel messages it caused.
 * Beside the shell's commands it knows those of the golden captures' guest scripts: `run COMMAND` runs and records one, and sets `$RC`;
 * `cap NAME` takes a full capture, `lite` a small one, and `kpf NAME` is taken as said.
 */
import { type Explanation, formatExplanation } from './console/explain.js';
import { type Shell, type ShellBuiltin, createShell } from './console/shell.js';
import { type Capture, captureFacts } from './facts/capture.js';
import { type LiteState, liteDifference, liteState } from './facts/lite.js';
import type { System } from './system.js';

export interface CommandRecord {
  /** Counts what the guest did, from 1; 0 for what was done to the machine. */
  readonly n: number;
  readonly cmd: string;
  readonly rc: number;
  /** Text without its last newline, or what it says if it is a JSON object or list. */
  readonly stdout: string | object;
  readonly stderr: string[];
  /** Kernel messages that the command caused. */
  readonly dmesg: string[];
  /** Of a command that was refused: which rules did so, and what would do. */
  readonly why?: readonly Explanation[];
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
  /** Run a line and record it; one that is of a guest script's words is recorded by these. */
  readonly run: (line: string) => Promise<void>;
  /** Run a guest script: only what its words record is recorded. */
  readonly runScript: (text: string) => Promise<void>;
}

export interface Output {
  out(data: Uint8Array): void;
  err(text: string): void;
}

export interface RunnerOptions {
  /** Sees everything at once, while the records are being made; leave it out to have the records only. */
  readonly output?: Output;
  /** Print behind each refusal why. */
  readonly explain?: boolean;
  /** Told of each command before it runs; what it throws comes out of `runScript`, and the command leaves no record. */
  readonly before?: (cmd: string) => void;
}

export function createCommandRunner(system: System, { output, explain = false, before: onCommand }: RunnerOptions = {}): CommandRunner {
  const records: (CommandRecord | LiteRecord)[] = [];
  const captures: Record<string, Capture> = {};
  let before: LiteState | undefined;
  let stdout: Uint8Array[] = [];
  let stderr = '';
  let why: Explanation[] = [];
  let wasRefused = false;
  let count = 0;
  let scripted = false; // a word of guest scripts ran

  const word = (act: ShellBuiltin): ShellBuiltin => (args, evaluate) => {
    scripted = true;
    return act(args, evaluate);
  };
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
    explain: (explanation) => void why.push(explanation),
    refused: () => void (wasRefused = true),
    builtins: {
      run: word((args, evaluate) => runWord(args.join(' '), evaluate)),
      host: word((args, evaluate) => record(`host ${args.join(' ')}`, () => evaluate(`command host ${args.join(' ')}`))),
      lite: word(() => takeLite()),
      cap: word(([name]) => {
        if (name !== undefined && system.kernel) captures[name] = captureFacts(system.root);
        return 0;
      }),
      kpf: word(() => 0),
    },
  });

  function takeLite(): number {
    if (!system.kernel) return 1;
    const now = liteState(system.root);
    records.push({ n: ++count, cmd: 'lite', state: liteDifference(now, before) });
    before = now;
    return 0;
  }

  async function runWord(cmd: string, evaluate: (text: string) => Promise<number>): Promise<number> {
    if (cmd.trim() === 'lite') return takeLite();
    onCommand?.(cmd);
    const rc = await record(cmd, () => evaluate(cmd));
    shell.setVariable('RC', String(rc));
    return rc;
  }

  async function record(cmd: string, run: () => Promise<number>): Promise<number> {
    [stdout, stderr, why, wasRefused] = [[], '', [], false];
    const { log } = system;
    const from = log.lines.length;
    const rc = await run();
    const { lines } = system.log;
    const messages = system.log === log ? lines.slice(from) : lines; // another boot has a log of its own
    const reasons = rc === 0 && !wasRefused ? [] : distinct(why);
    if (explain && reasons.length > 0) output?.err(reasons.map(formatExplanation).join(''));
    records.push({
      n: /^\s*host\b/.test(cmd) ? 0 : ++count,
      cmd,
      rc,
      stdout: parseOutput(decode(stdout).replace(/\n+$/, '')),
      stderr: /^\s*$/.test(stderr) ? [] : stderr.replace(/\n+$/, '').split('\n'),
      dmesg: messages.map(({ text }) => text),
      ...(reasons.length > 0 ? { why: reasons } : {}),
    });
    return rc;
  }

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
      scripted = false;
      if (/^\s*(?:run|host|lite|cap|kpf)\b/.test(line)) {
        await shell.run(line);
        if (scripted) return;
      }
      await record(line, () => shell.run(line));
    },
    async runScript(text) {
      await shell.run(text);
    },
  };
}

/** What a tool prints as JSON, as what it says. */
function parseOutput(text: string): string | object {
  if (!/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text) as object;
  } catch {
    return text;
  }
}

function distinct(why: readonly Explanation[]): Explanation[] {
  return [...new Map(why.map((explanation) => [explanation.rule, explanation])).values()];
}

function decode(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join('') + decoder.decode();
}
