/**
 * The console's shell: runs commands on a system, and tells what came of it.
 * Messages and statuses are those of busybox's sh, which the golden captures were made with.
 */
import { type VfsDir, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { System } from '../system.js';
import { COMMANDS } from '../commands/table.js';
import { evaluateArithmetic } from './arithmetic.js';
import type { CommandIo } from './command.js';
import { type Explanation, type RequestForm, explanationOf } from './explain.js';
import { UsageError } from './getopt.js';
import { expandGlob } from './glob.js';
import { type OpenFile, openFile, readWhole, toBytes } from './open-file.js';
import { type Expander, expandText, expandWord } from './shell-expand.js';
import { type Redirection, type ShellCommand, type ShellList, type SimpleCommand, parseShell } from './shell-parse.js';
import { type Sink, SinkError, type Streams, closeSink, fileSink, pipeSink } from './shell-streams.js';
import { ShellSyntaxError } from './shell-words.js';
import { testCommand } from './test-command.js';

/** A command of who made the shell, before all others. `evaluate` runs a text in the same shell. */
export type ShellBuiltin = (args: readonly string[], evaluate: (text: string) => Promise<number>) => Promise<number> | number;

export interface ShellOptions {
  readonly system: System;
  readonly out: (data: Uint8Array) => void;
  readonly err: (text: string) => void;
  /** Told why commands were refused. */
  readonly explain?: (why: Explanation) => void;
  /** Told when a command did not do what it was asked, whatever its status. */
  readonly refused?: () => void;
  readonly builtins?: Readonly<Record<string, ShellBuiltin>>;
}

export interface Shell {
  /** Status of the last command, `$?`. */
  readonly status: number;
  /** Set by `exit`: the console is to be left. */
  readonly exited: boolean;
  readonly cwd: string;
  setVariable(name: string, value: string): void;
  /** Run a line, or several; resolves to the status of the last command. Never rejects for what a user typed. */
  run(text: string): Promise<number>;
}

/** Functions that call each other go no deeper. */
const MAX_CALLS = 100;

/** How a loop or a function is left early. */
class Leave extends Error {
  readonly how: 'break' | 'continue' | 'return';
  constructor(how: Leave['how']) {
    super(how);
    this.how = how;
  }
}

export function createShell({ system, out, err, explain = () => {}, refused = () => {}, builtins: extra = {} }: ShellOptions): Shell {
  let status = 0;
  let exited = false;
  let cwd = '/';
  let positional: readonly string[] = [];
  let calls = 0;
  let loops = 0;
  const variables = new Map<string, string>();
  const functions = new Map<string, ShellCommand>();
  /** Files that `exec` opened, by descriptor, and the machine's tree they belong to. */
  const kept = new Map<number, { readonly root: VfsDir; readonly file: OpenFile }>();

  const resolve = (path: string): string => normalize(path.startsWith('/') ? path : `${cwd}/${path}`);
  const variable = (name: string): string => (name === '?' ? String(status) : name === 'PWD' ? cwd : (variables.get(name) ?? ''));
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
    exec: () => 0, // only its redirections are of use
    break: () => leave('break', loops),
    continue: () => leave('continue', loops),
    return(args) {
      if (args[0] !== undefined) status = Number(args[0]) & 255;
      return leave('return', calls);
    },
    test: (args) => testCommand(args, (path) => isThere(system.root, resolve(path))),
    '['(args) {
      if (args.at(-1) !== ']') throw new UsageError('missing ]');
      return testCommand(args.slice(0, -1), (path) => isThere(system.root, resolve(path)));
    },
  };

  function expander(streams: Streams): Expander {
    return {
      variable,
      positional: () => positional,
      glob: (pattern) => expandGlob(system.root, cwd, pattern),
      arithmetic: (expression) => evaluateArithmetic(expression, variable),
      async command(text) {
        const collected = pipeSink();
        await runList(parseShell(text), { ...streams, out: collected });
        return new TextDecoder().decode(collected.content()).replace(/\n+$/, '');
      },
    };
  }

  async function runList(list: ShellList, streams: Streams): Promise<number> {
    for (const { when, pipeline } of list) {
      if ((when === '&&' && status !== 0) || (when === '||' && status === 0)) continue;
      status = await runPipeline(pipeline, streams);
      if (exited) break;
    }
    return status;
  }

  async function runPipeline(pipeline: readonly ShellCommand[], streams: Streams): Promise<number> {
    let input = streams.in;
    for (const command of pipeline.slice(0, -1)) {
      const pipe = pipeSink();
      await runCommand(command, { ...streams, in: input, out: pipe });
      input = pipe.content();
    }
    return runCommand(pipeline.at(-1)!, { ...streams, in: input });
  }

  async function runCommand(command: ShellCommand, streams: Streams): Promise<number> {
    switch (command.kind) {
      case 'simple':
        return runSimple(command, streams);
      case 'group':
        return runList(command.body, streams);
      case 'function':
        functions.set(command.name, command.body);
        return 0;
      case 'if':
        for (const { condition, body } of command.branches) {
          if ((await runList(condition, streams)) === 0) return runBranch(body, streams);
        }
        return runBranch(command.otherwise, streams);
      case 'for':
        return runLoop(command, streams);
    }
  }

  async function runBranch(body: ShellList, streams: Streams): Promise<number> {
    status = 0;
    return runList(body, streams);
  }

  async function runLoop({ name, words, body }: ShellCommand & { kind: 'for' }, streams: Streams): Promise<number> {
    const values: string[] = [];
    for (const word of words) values.push(...(await expandWord(word, expander(streams))));
    let result = 0;
    loops++;
    try {
      for (const value of values) {
        variables.set(name, value);
        try {
          result = await runList(body, streams);
        } catch (error) {
          if (!(error instanceof Leave) || error.how === 'return') throw error;
          result = 0;
          if (error.how === 'break') break;
        }
        if (exited) break;
      }
    } finally {
      loops--;
    }
    return result;
  }

  async function runSimple(command: SimpleCommand, given: Streams): Promise<number> {
    const words: string[] = [];
    for (const word of command.words) words.push(...(await expandWord(word, expander(given))));
    const [name, ...args] = words;
    const before = await assign(command, given);
    const streams = { ...given };
    const opened: OpenedSink[] = [];
    try {
      for (const redirection of command.redirections) await redirect(redirection, streams, opened, name === 'exec');
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      errors.write(`sh: ${error.message}\n`);
      if (error.cause instanceof KernelError) explain(explanationOf(error.cause, { again: words.join(' ') }));
      if (name === 'exec') throw new LineEnd(); // a special builtin takes the shell with it
      return 1;
    }
    let result = 0;
    try {
      if (name !== undefined) result = await runNamed(name, args, streams);
      else if (command.assignments.length > 0) result = status; // that of a command in a value
    } finally {
      // Set for this command only, if there is one.
      if (name !== undefined) for (const [variableName, value] of before) restore(variableName, value);
      for (const { sink, path } of opened) result = closeSink(sink, name, streams.err, (error) => explain(explanationOf(error, formOf(words, path)))) ?? result;
    }
    return result;
  }

  /** Set a command's variables; returns what they were. */
  async function assign({ assignments, words }: SimpleCommand, streams: Streams): Promise<Map<string, string | undefined>> {
    const before = new Map<string, string | undefined>();
    if (words.length === 0) status = 0;
    for (const { name, value } of assignments) {
      const text = await expandText(value, expander(streams));
      before.set(name, variables.get(name));
      variables.set(name, text);
    }
    return before;
  }

  function restore(name: string, value: string | undefined): void {
    if (value === undefined) variables.delete(name);
    else variables.set(name, value);
  }

  /** With `keep`, as `exec` has it, what gets a descriptor above 2 stays open until `exec N>&-`. */
  async function redirect({ fd, op, target }: Redirection, streams: Streams, opened: OpenedSink[], keep: boolean): Promise<void> {
    const path = await expandText(target, expander(streams));
    if (op === '>&' && path === '-') return closeKept(fd);
    if (op === '>&') {
      if (path !== '1' && path !== '2') throw new RedirectError(`${path}: bad file descriptor`);
      const from = path === '1' ? streams.out : streams.err;
      if (fd === 1) streams.out = from;
      else streams.err = from;
      return;
    }
    const reading = op === '<' || op === '<>';
    try {
      if (reading) {
        // For `<>` the file is made if it is missing.
        const file = openFile(system.root, resolve(path), { write: op === '<>' && fd !== 0 });
        if (fd === 0) streams.in = readWhole(file);
        else if (keep) keepOpen(fd, file);
        else file.close();
        return;
      }
      const sink = fileSink(openFile(system.root, resolve(path), { write: true, truncate: op === '>' }), op === '>>');
      opened.push({ sink, path });
      if (fd === 2) streams.err = sink;
      else streams.out = sink;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new RedirectError(redirectMessage(error, path, op === '<'), { cause: error });
    }
  }

  function keepOpen(fd: number, file: OpenFile): void {
    closeKept(fd);
    kept.set(fd, { root: system.root, file });
  }

  /** A machine that was booted since knows nothing of its predecessor's files. */
  function closeKept(fd: number): void {
    const { root, file } = kept.get(fd) ?? {};
    if (root === system.root) file?.close();
    kept.delete(fd);
  }

  async function runNamed(name: string, args: readonly string[], streams: Streams): Promise<number> {
    const say = (line: string): void => streams.err.write(`${line}\n`);
    try {
      if (name === 'command' && args[0] !== undefined) return await runEntry(args[0], args.slice(1), streams, say);
      if (Object.hasOwn(extra, name)) return await extra[name]!(args, (text) => evaluate(text, streams));
      const body = functions.get(name);
      if (body) return await callFunction(body, args, streams);
      if (Object.hasOwn(builtins, name)) return builtins[name]!(args);
      return await runEntry(name, args, streams, say);
    } catch (error) {
      if (error instanceof UsageError) {
        say(`${name}: ${error.message}`);
        say(`Try '${name} --help' for more information.`);
        return 1;
      }
      if (error instanceof KernelError) {
        const inShell = Object.hasOwn(builtins, name) || name === 'echo';
        say(`${inShell ? 'sh' : name}: ${error instanceof SinkError ? 'write error: ' : ''}${strerror(error.code)}`);
        explain(explanationOf(error, { again: [name, ...args].join(' ') }));
        return 1;
      }
      throw error;
    }
  }

  /** Run a command of the table. */
  async function runEntry(name: string, args: readonly string[], streams: Streams, say: (line: string) => void): Promise<number> {
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
    if (args.includes('--help') && !command.helpsItself) {
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
      explainError: (error) => explain(explanationOf(error, { again: [name, ...args].join(' ') })),
      refused,
    };
    return command.run(io) ?? 0;
  }

  async function callFunction(body: ShellCommand, args: readonly string[], streams: Streams): Promise<number> {
    if (calls >= MAX_CALLS) throw new ShellSyntaxError(`functions call each other more than ${MAX_CALLS} deep`);
    const before = positional;
    positional = args;
    calls++;
    try {
      return await runCommand(body, streams);
    } catch (error) {
      if (error instanceof Leave && error.how === 'return') return status;
      throw error;
    } finally {
      positional = before;
      calls--;
    }
  }

  /** Run a text; what is wrong with it is told, and ends it. */
  async function evaluate(text: string, streams: Streams): Promise<number> {
    try {
      return await runList(parseShell(text), streams);
    } catch (error) {
      if (error instanceof LineEnd) return (status = 1);
      if (!(error instanceof ShellSyntaxError)) throw error;
      streams.err.write(`sh: ${error.message}\n`);
      status = 2;
      return status;
    }
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
    setVariable: (name, value) => void variables.set(name, value),
    run: (text) => evaluate(text, { in: undefined, out: terminal, err: errors }),
  };
}

/** `break` and the like, where there is something to leave; elsewhere they do nothing. */
function leave(how: Leave['how'], depth: number): number {
  if (depth > 0) throw new Leave(how);
  return 0;
}

/** A file that a redirection opened for writing, and what the user calls it. */
interface OpenedSink {
  readonly sink: Sink;
  readonly path: string;
}

/** A command whose output a file refused, said again. */
function formOf(words: readonly string[], path: string): RequestForm {
  return { again: `${words.join(' ')} > ${path}`, withValue: (value) => `echo ${value} > ${path}` };
}

class RedirectError extends Error {}

/** The rest of a line is not run. */
class LineEnd extends Error {}

/** What ash says when it cannot open a redirection's file. */
function redirectMessage(error: KernelError, path: string, reading: boolean): string {
  if (reading) return `can't open ${path}: ${error.code === 'ENOENT' ? 'no such file' : strerror(error.code)}`;
  return `can't create ${path}: ${error.code === 'ENOENT' ? 'nonexistent directory' : strerror(error.code)}`;
}

/** An absolute path without `.` and empty parts; `..` stays for the walk, since links make it more than text. */
function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) if (part !== '' && part !== '.') parts.push(part);
  return `/${parts.join('/')}`;
}

function isThere(root: VfsDir, path: string): 'dir' | 'other' | undefined {
  try {
    return resolvePath(root, path).node.kind === 'dir' ? 'dir' : 'other';
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
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
