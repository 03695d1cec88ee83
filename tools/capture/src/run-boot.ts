/** One boot of a case: the guest's script runs, and all that it sent is kept. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import type { CaseDescription } from './describe-case.js';
import { type GuestItem, createItemReader } from './guest-channel.js';
import { guestScript } from './guest-words.js';
import { buildInitramfs } from './initramfs.js';
import type { InstalledLinux } from './installed-linux.js';
import { messagesIn, saidBy } from './noise.js';
import { type Qemu, startQemu } from './qemu.js';

/** The texts of a state: `iomem`, `zoneinfo`, `memory-blocks`, `nd-sysfs`, `dax-sysfs`, `block`, `ndctl`, `daxctl`. */
export type StateTexts = Readonly<Record<string, string>>;

/** What the guest, or the host for it, did: as in `commands.json`, but for `lite`, whose texts are as read. */
export type Step =
  | {
      readonly n: number;
      readonly cmd: string;
      readonly rc: number;
      readonly stdout: string;
      readonly stderr: readonly string[];
      readonly dmesg: readonly string[];
    }
  | { readonly n: number; readonly cmd: 'lite'; readonly texts: StateTexts };

export interface BootRecord {
  /** False if the guest did not come to the end of its script. */
  readonly finished: boolean;
  readonly console: string;
  /** The kernel's log; of a guest that did not finish, what its console showed. */
  readonly log: readonly string[];
  readonly steps: readonly Step[];
  readonly captures: ReadonlyMap<string, StateTexts>;
  /** ACPI tables by name. */
  readonly tables: ReadonlyMap<string, Buffer>;
  readonly memmap: string;
}

export interface BootOptions {
  readonly linux: InstalledLinux;
  /** The folder of the backing files. */
  readonly backing: string;
  readonly timeoutMs: number;
  /** Programs for the guest, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** `host dump LABEL`: what lies on the media now; `log` is the kernel's so far. */
  readonly dump: (label: string, log: readonly string[]) => void;
}

export async function runBoot(description: CaseDescription, { linux, backing, timeoutMs, files, dump }: BootOptions): Promise<BootRecord> {
  const scratch = mkdtempSync(join(tmpdir(), 'capture-'));
  try {
    const initrd = join(scratch, 'initrd.gz');
    writeFileSync(initrd, buildInitramfs(linux, { script: guestScript(description.guest), files }));
    const args = description.qemu.map((arg) => arg.replaceAll('{B}', backing));
    const qemu = await startQemu({ cpu: description.cpu, args, kernel: linux.kernel, initrd, cmdline: description.cmdline, scratch, timeoutMs });
    return await listen(qemu, dump);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Take what the guest sends until it ends, and do what it asks for. */
async function listen(qemu: Qemu, dump: BootOptions['dump']): Promise<BootRecord> {
  const notes = new Notes(qemu, dump);
  await readAll(qemu.channel, (item) => notes.take(item));
  await qemu.ended;
  const console = qemu.console();
  return { ...notes.record(), console, log: notes.log ?? messagesIn(console) };
}

/** In their order, one at a time. @throws Error what `take` throws */
async function readAll(channel: Socket, take: (item: GuestItem) => Promise<void>): Promise<void> {
  const reader = createItemReader();
  channel.setEncoding('latin1');
  for await (const chunk of channel) for (const item of reader.push(chunk as string)) await take(item);
}

class Notes {
  log: string[] | undefined;
  private finished = false;
  private memmap = '';
  private readonly steps: Step[] = [];
  private readonly captures = new Map<string, StateTexts>();
  private readonly tables = new Map<string, Buffer>();
  /** What a `run`, `lite` or `cap` has sent so far. */
  private open: { name: string; parts: Record<string, string> } | undefined;

  private readonly qemu: Qemu;
  private readonly dump: BootOptions['dump'];

  constructor(qemu: Qemu, dump: BootOptions['dump']) {
    this.qemu = qemu;
    this.dump = dump;
  }

  record(): Omit<BootRecord, 'console' | 'log'> {
    return { finished: this.finished, steps: this.steps, captures: this.captures, tables: this.tables, memmap: this.memmap };
  }

  async take({ name, bytes }: GuestItem): Promise<void> {
    const text = bytes.toString();
    const [word = '', ...args] = name.split(' ');
    if (word === 'table') this.tables.set(args[0]!, bytes);
    else if (word === 'memmap') this.memmap = text;
    else if (word === 'log') this.log = messagesIn(text);
    else if (word === 'end') this.finished = true;
    else if (word === 'host') await this.askHost(text);
    else if (word === 'heard') this.hear(messagesIn(text));
    else if (word === 'taken') this.close();
    else if (['run', 'lite', 'cap'].includes(word)) this.open = { name, parts: { command: text } };
    else if (this.open) {
      this.open.parts[word] = text;
      if (word === 'messages') this.close();
    }
  }

  private close(): void {
    if (!this.open) return;
    const { name, parts } = this.open;
    const [word, first = '', rc] = name.split(' ');
    if (word === 'cap') this.captures.set(first, parts);
    else if (word === 'lite') this.steps.push({ n: Number(first), cmd: 'lite', texts: parts });
    else {
      const { command = '', stdout = '', stderr = '', messages = '' } = parts;
      this.steps.push({
        n: Number(first),
        cmd: command,
        rc: Number(rc),
        stdout: trimEnd(stdout),
        stderr: linesOf(saidBy(stderr)),
        dmesg: messagesIn(messages),
      });
    }
    this.open = undefined;
  }

  private async askHost(command: string): Promise<void> {
    const [word, ...rest] = command.split(' ');
    let answer = 'ok';
    if (word === 'monitor') answer = (await this.qemu.monitor(rest.join(' '))).trim() || 'ok';
    else if (word === 'dump') this.dump(rest.join(' '), messagesIn(this.qemu.console()));
    else answer = `Error: unknown word '${word}'`;
    const refused = /^Error: /m.test(answer);
    const heard = refused ? { rc: 1, stdout: '', stderr: linesOf(answer) } : { rc: 0, stdout: answer, stderr: [] };
    this.steps.push({ n: 0, cmd: `host ${command}`, ...heard, dmesg: [] });
    this.qemu.channel.write(`${heard.rc}\n`);
  }

  /** What the kernel said to what the host did. */
  private hear(dmesg: readonly string[]): void {
    const step = this.steps.pop();
    if (step) this.steps.push({ ...step, dmesg });
  }
}

function trimEnd(text: string): string {
  return text.replace(/\n+$/, '');
}

function linesOf(text: string): string[] {
  return /^\s*$/.test(text) ? [] : trimEnd(text).split('\n');
}
