/** find(1) of busybox, with -maxdepth, -mindepth, -name, -type and -print: what it names, then what lies below, in the order of the directory. */
import { type VfsNode, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { globPattern } from '../console/glob.js';

const TYPES: Readonly<Record<string, VfsNode['kind'][]>> = { f: ['file', 'regular'], d: ['dir'], l: ['link'], b: ['block'], c: ['char'] };

interface Wanted {
  readonly deepest: number;
  readonly shallowest: number;
  readonly names: readonly RegExp[];
  readonly kinds: readonly (readonly VfsNode['kind'][])[];
}

export const find: Command = {
  usage: 'find [PATH]… [-maxdepth N] [-mindepth N] [-name PATTERN] [-type f|d|l|b|c] [-print]',
  run(io) {
    const first = io.args.findIndex((arg) => arg.startsWith('-'));
    const paths = first < 0 ? io.args : io.args.slice(0, first);
    const wanted = parseTests(first < 0 ? [] : io.args.slice(first));
    let status = 0;
    for (const path of paths.length > 0 ? paths : ['.']) {
      try {
        const { node } = resolvePath(io.root, io.resolve(path), { follow: path.endsWith('/') });
        walk(io, node, path, 0, wanted);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        io.err(`find: ${path}: ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

function parseTests(args: readonly string[]): Wanted {
  const wanted = { deepest: Infinity, shallowest: 0, names: [] as RegExp[], kinds: [] as VfsNode['kind'][][] };
  const queue = [...args];
  for (let test = queue.shift(); test !== undefined; test = queue.shift()) {
    if (test === '-print' || test === '-a') continue;
    if (!['-maxdepth', '-mindepth', '-name', '-type'].includes(test)) throw new UsageError(`unrecognized: ${test}`);
    const value = queue.shift();
    if (value === undefined) throw new UsageError(`${test} requires an argument`);
    if (test === '-name') wanted.names.push(globPattern(value));
    else if (test === '-type') wanted.kinds.push(TYPES[value] ?? refuse(value));
    else wanted[test === '-maxdepth' ? 'deepest' : 'shallowest'] = /^\d+$/.test(value) ? Number(value) : refuse(value);
  }
  return wanted;
}

function refuse(value: string): never {
  throw new UsageError(`invalid argument '${value}'`);
}

function walk(io: CommandIo, node: VfsNode, path: string, depth: number, wanted: Wanted): void {
  const name = path.replace(/\/+$/, '').split('/').at(-1)!;
  const fits = depth >= wanted.shallowest && wanted.names.every((pattern) => pattern.test(name)) && wanted.kinds.every((kinds) => kinds.includes(node.kind));
  if (fits) io.out(`${path}\n`);
  if (node.kind !== 'dir' || depth >= wanted.deepest) return;
  for (const child of node.list()) {
    const below = node.lookup(child);
    if (below) walk(io, below, `${path.endsWith('/') ? path : `${path}/`}${child}`, depth + 1, wanted);
  }
}
