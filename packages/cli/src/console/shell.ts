/**
 * The console's shell: runs a line of commands on a system, and tells what came of it.
 * Messages and statuses are those of busybox's sh, which the golden captures were made with.
 */
import { type VfsDir, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { System } from '../system.js';
import { COMMANDS } from '../commands/table.js';
import type { CommandIo } from './command.js';
import type { Explanation } from './explain.js';
import { UsageError } from './getopt.js';
import { expandGlob } from './glob.js';
import { type OpenFile, concat, openFile, readPieces, toBytes } from './open-file.js';
import { type Redirection, type SimpleCommand, ShellSyntaxError, type Word, parseShell } from './shell-parse.js';

export interface ShellOptions {
  readonly system: System;
  readonly out: (data: Uint8Array) => void;
  readonly err: (text: string) => void;
  /** Told why commands were refused. */
  readonly explain?: (why: Explanation) => void;
}

export interface Shell {
  /** Status of the last command, `$?`. */
  readonly status: number;
  /** Set by `exit`: the console is to be left. */
  readonly exited: boolean;
  readonly cwd: string;
  /** Run a line, or several; resolves to the status of the last command. Never rejects for what a user typed. */
  run(text: string): Promise<number>;
}

/** A command's output goes here; `close` hands over what was collected, and throws what the file says to it. */
interface Sink {
  write(data: string | Uint8Array): void;
  close(): void;
}

/** A pipe holds at most so much: what is before it runs to its end first. */
const PIPE_LIMIT = 256 * 1024 * 1024;

export function createShell({ system, out, err, explain = () => {} }: ShellOptions): Shell {
  let status = 0;
  let exited = false;
  let cwd = '/';

  const resolve = (path: string): string => normalize(path.startsWith('/') ? path : `${cwd}/${path}`);
  const variables = (name: string): string => (name === '?' ? String(status) : name === 'PWD' ? cwd : '');
  const terminal: Sink = { write: (data) => out(toBytes(data)), close: () => {} };
  const errors: Sink = { write: (data) => err(typeof data === 'string' ? data : new TextDecoder().decode(data)), close: () => {} };

  const builtins: Record<string, (args: readonly string[]) => number> = {
    cd(args) {
      const path = resolve(args[0] ?? '/');
      if (resolvePath(system.root, path).node.kind !== 'dir') throw new KernelError('ENOTDIR', `${path} is not a directory`);
      cwd = path;
      return 0;
    },
    exit(args) {
      exited = true;
      return args[0] === undefined ? status : Number(args[0]) & 255;
    },
    ':': () => 0,
    true: () => 0,
    false: () => 1,
  };

  async function runSimple(command: SimpleCommand, input: Uint8Array | undefined, stdout: Sink): Promise<number> {
    const words = command.words.flatMap((word) => expandWord(word, variables, (pattern) => expandGlob(system.root, cwd, pattern)));
    const [name, ...args] = words;
    const streams = { in: input, out: stdout, err: errors };
    const opened: Sink[] = [];
    try {
      for (const redirection of command.redirections) redirect(redirection, streams, opened);
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      err(`sh: ${error.message}\n`);
      return 1;
    }
    let result = 0;
    if (name !== undefined) {
      result = await runNamed(name, args, streams);
    }
    for (const sink of opened) result = closeSink(sink, name, streams.err) ?? result;
    return result;
  }

  function redirect({ fd, op, target }: Redirection, streams: { in: Uint8Array | undefined; out: Sink; err: Sink }, opened: Sink[]): void {
    const path = expandWord(target, variables, (pattern) => [pattern]).join(' ');
    if (op === '>&') {
      if (path !== '1' && path !== '2') throw new RedirectError(`${path}: bad file descriptor`);
      const from = path === '1' ? streams.out : streams.err;
      if (fd === 1) streams.out = from;
      else streams.err = from;
      return;
    }
    try {
      if (op === '<') {
        streams.in = concat([...readPieces(openFile(system.root, resolve(path)))].map((piece) => piece.slice()));
        return;
      }
      const sink = fileSink(openFile(system.root, resolve(path), { write: true, truncate: op === '>' }), op === '>>');
      opened.push(sink);
      if (fd === 2) streams.err = sink;
      else streams.out = sink;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new RedirectError(redirectMessage(error, path, op === '<'));
    }
  }

  async function runNamed(name: string, args: readonly string[], streams: { in: Uint8Array | undefined; out: Sink; err: Sink }): Promise<number> {
    const say = (line: string): void => streams.err.write(`${line}\n`);
    try {
      if (Object.hasOwn(builtins, name)) return builtins[name]!(args);
      const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
      if (!entry) {
        say(`sh: ${name}: not found`);
        return 127;
      }
      if (!system.kernel && !entry.withoutKernel) {
        say(`sh: ${name}: ${system.panic === undefined ? 'the machine is off' : 'the kernel has panicked'}; only reboot, powercut, dmesg and help answer`);
        return 1;
      }
      const command = await entry.load();
      if (args.includes('--help')) {
        streams.out.write(`Usage: ${command.usage}\n${command.help ? `\n${command.help}\n` : ''}`);
        return 0;
      }
      const io: CommandIo = {
        args,
        system,
        root: system.root,
        get kernel() {
          return system.kernel!;
        },
        resolve,
        stdin: () => streams.in ?? new Uint8Array(0),
        out: (data) => streams.out.write(data),
        err: say,
        explain,
      };
      return command.run(io) ?? 0;
    } catch (error) {
      if (error instanceof UsageError) {
        say(`${name}: ${error.message}`);
        say(`Try '${name} --help' for more information.`);
        return 1;
      }
      if (error instanceof KernelError) {
        const inShell = Object.hasOwn(builtins, name) || name === 'echo';
        say(`${inShell ? 'sh' : name}: ${error instanceof SinkError ? 'write error: ' : ''}${strerror(error.code)}`);
        return 1;
      }
      throw error;
    }
  }

  async function runPipeline(pipeline: readonly SimpleCommand[]): Promise<number> {
    let input: Uint8Array | undefined;
    let result = 0;
    for (const [index, command] of pipeline.entries()) {
      if (index === pipeline.length - 1) return runSimple(command, input, terminal);
      const pipe = pipeSink();
      result = await runSimple(command, input, pipe);
      input = pipe.content();
    }
    return result;
  }

  return {
    get status() {
      return status;
    },
    get exited() {
      return exited;
    },
    get cwd() {
      return cwd;
    },
    async run(text) {
      try {
        for (const { when, pipeline } of parseShell(text)) {
          if ((when === '&&' && status !== 0) || (when === '||' && status === 0)) continue;
          status = await runPipeline(pipeline);
          if (exited) break;
        }
      } catch (error) {
        if (!(error instanceof ShellSyntaxError)) throw error;
        err(`sh: ${error.message}\n`);
        status = 2;
      }
      return status;
    },
  };
}

class RedirectError extends Error {}

/** A KernelError that came of writing the output, not of the command's own work. */
class SinkError extends KernelError {}

/** What ash says when it cannot open a redirection's file. */
function redirectMessage(error: KernelError, path: string, reading: boolean): string {
  if (reading) return `can't open ${path}: ${error.code === 'ENOENT' ? 'no such file' : strerror(error.code)}`;
  return `can't create ${path}: ${error.code === 'ENOENT' ? 'nonexistent directory' : strerror(error.code)}`;
}

function fileSink(file: OpenFile, append: boolean): Sink {
  const parts: Uint8Array[] = [];
  let at = append && file.logicalBlockSize === undefined ? [...readPieces(file)].reduce((sum, piece) => sum + piece.length, 0) : 0;
  return {
    write(data) {
      const bytes = toBytes(data);
      if (file.logicalBlockSize === undefined) {
        parts.push(bytes.slice());
        return;
      }
      for (let done = 0; done < bytes.length; ) done += pwriteSome(file, bytes.subarray(done), at + done);
      at += bytes.length;
    },
    close() {
      if (parts.length > 0) pwriteSome(file, concat(parts), at);
      file.close();
    },
  };
}

function pwriteSome(file: OpenFile, bytes: Uint8Array, offset: number): number {
  try {
    return file.pwrite(bytes, offset);
  } catch (error) {
    if (error instanceof KernelError) throw new SinkError(error.code, error.message, { cause: error });
    throw error;
  }
}

/** Close a redirected output; a file that refuses what was written makes the command fail with status 1. */
function closeSink(sink: Sink, name: string | undefined, errors: Sink): number | undefined {
  try {
    sink.close();
    return undefined;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    errors.write(`${name === undefined || name === 'echo' ? 'sh' : name}: write error: ${strerror(error.code)}\n`);
    return 1;
  }
}

function pipeSink(): Sink & { content(): Uint8Array } {
  const parts: Uint8Array[] = [];
  let length = 0;
  return {
    write(data) {
      const bytes = toBytes(data);
      length += bytes.length;
      if (length > PIPE_LIMIT) throw new SinkError('ENOMEM', `a pipe of this shell holds at most ${PIPE_LIMIT} bytes`);
      parts.push(bytes.slice());
    },
    close: () => {},
    content: () => concat(parts),
  };
}

/** A word's text: variables put in, and, where it is a pattern that matches something, the names. */
function expandWord(word: Word, variable: (name: string) => string, glob: (pattern: string) => string[]): string[] {
  let text = '';
  let pattern = '';
  let isPattern = false;
  let keep = false;
  for (const part of word) {
    const value = 'variable' in part ? variable(part.variable) : part.text;
    text += value;
    keep ||= part.quoted || value !== '';
    if (part.quoted) {
      pattern += value.replace(/[*?[\]\\]/g, '\\$&');
    } else {
      isPattern ||= /[*?[]/.test(value);
      pattern += value;
    }
  }
  if (!keep) return [];
  const names = isPattern ? glob(pattern) : [];
  return names.length > 0 ? names : [text];
}

/** An absolute path without `.` and empty parts; `..` stays for the walk, since links make it more than text. */
function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) if (part !== '' && part !== '.') parts.push(part);
  return `/${parts.join('/')}`;
}

/** The directory that a path names, for callers that list it. */
export function directoryAt(root: VfsDir, path: string): VfsDir | undefined {
  try {
    const { node } = resolvePath(root, path);
    return node.kind === 'dir' ? node : undefined;
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
