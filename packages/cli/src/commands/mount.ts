/** mount(8) of busybox: one file system, its flags apart from the options that the file system reads. */
import { MOUNT_FLAGS, type MountFlag, splitParameters } from '@holdfast/fs';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { textAt } from '../facts/sysfs.js';

/** Words that say what mount(8) does, or what is so anyway. */
const IGNORED = new Set([
  'defaults', 'auto', 'noauto', 'user', 'nouser', 'users', '_netdev', 'nofail', 'async', 'sync', 'dirsync', 'loud', 'quiet', 'suid', 'dev', 'exec',
  'atime', 'diratime', 'mand', 'nomand', 'norelatime', 'nostrictatime', 'rw', 'ro', 'strictatime', 'remount',
]);

export const mount: Command = {
  usage: 'mount [-rw] [-t FSTYPE] [-o OPT,OPT] DEVICE DIRECTORY',
  help: 'Without arguments: what is mounted. Without -t: every type that the kernel knows is tried. OPT: ro, rw, remount, noatime, …, and those of the file system',
  run(io) {
    const { has, value, operands } = getopt(joinOptions(io.args), {
      short: { r: 'read-only', w: 'rw', t: 'types', o: 'options', v: 'verbose', n: 'no-mtab', a: 'all', i: 'internal-only', f: 'fake' },
      long: { 'read-only': false, rw: false, types: true, options: true, verbose: false, 'no-mtab': false, all: false, 'internal-only': false, fake: false },
    });
    if (operands.length === 0) return list(io, value('types'));
    const options = (value('options') ?? '').split(',').filter((option) => option !== '');
    const isRemount = options.includes('remount');
    const readOnly = has('read-only') ? !options.includes('rw') : options.lastIndexOf('ro') > options.lastIndexOf('rw');
    const synchronous = options.lastIndexOf('sync') > options.lastIndexOf('async');
    const flags = new Set<MountFlag>(MOUNT_FLAGS.filter((flag) => options.includes(flag)));
    if (!flags.has('noatime') && !options.includes('strictatime')) flags.add('relatime');
    const parameters = splitParameters(options.filter((option) => !IGNORED.has(option) && !(MOUNT_FLAGS as readonly string[]).includes(option)).join(','));
    const [first, second] = operands;
    if (operands.length > 2) throw new UsageError('a device and a directory are expected');
    if (second === undefined) {
      const mounted = isRemount ? mountedAt(io, first!) : undefined;
      if (!mounted) {
        io.err(`mount: can't find ${first} in ${isRemount ? '/proc/mounts' : '/etc/fstab'}`);
        return 1;
      }
      return attempt(io, mounted.source, mounted.target, () => io.kernel.mounts.remount(mounted.target, { readOnly, synchronous, flags, parameters }));
    }
    const target = io.resolve(second);
    if (isRemount) return attempt(io, first!, second, () => io.kernel.mounts.remount(target, { readOnly, synchronous, flags, parameters }));
    const given = value('types');
    const types = given === undefined || given === 'auto' ? knownTypes(io) : [given];
    return attempt(io, first!, second, () => mountAsOneOf(io, types, { source: io.resolve(first!), target, readOnly, synchronous, flags, parameters }));
  },
};

type Call = Parameters<CommandIo['kernel']['mounts']['mount']>[0];

/** Try one type after the other; a device that cannot be written is mounted read-only. The last refusal is told. */
function mountAsOneOf({ kernel }: CommandIo, types: readonly string[], call: Omit<Call, 'type'>): void {
  let refused: unknown;
  for (const type of types) {
    try {
      try {
        return kernel.mounts.mount({ ...call, type, silent: true });
      } catch (error) {
        if (!(error instanceof KernelError) || call.readOnly || (error.code !== 'EACCES' && error.code !== 'EROFS')) throw error;
        return kernel.mounts.mount({ ...call, type, silent: true, readOnly: true });
      }
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      refused = error;
    }
  }
  throw refused;
}

function attempt(io: CommandIo, source: string, target: string, call: () => void): number {
  try {
    call();
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.err(`mount: mounting ${source} on ${target} failed: ${strerror(error.code)}`);
    io.explain({ rule: error.message });
    return 255;
  }
}

/** `-o` may be given several times: all of them count. */
function joinOptions(args: readonly string[]): string[] {
  const rest: string[] = [];
  const options: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '-o' && args[i + 1] !== undefined) options.push(args[++i]!);
    else if (arg.startsWith('-o') && arg.length > 2) options.push(arg.slice(2));
    else rest.push(arg);
  }
  return options.length > 0 ? ['-o', options.join(','), ...rest] : rest;
}

function knownTypes({ root }: CommandIo): string[] {
  return (textAt(root, '/proc/filesystems') ?? '').split('\n').filter((line) => line.startsWith('\t')).map((line) => line.trim());
}

/** Lines of /proc/mounts, the last first. */
export function mountLines({ root }: Pick<CommandIo, 'root'>): { source: string; target: string; type: string; options: string }[] {
  return (textAt(root, '/proc/mounts') ?? '').split('\n').filter((line) => line !== '').map((line) => {
    const [source = '', target = '', type = '', options = ''] = line.split(' ').map(unescape8);
    return { source, target, type, options };
  }).reverse();
}

/** What a device or a directory names among what is mounted. */
export function mountedAt(io: CommandIo, name: string): { source: string; target: string } | undefined {
  const path = io.resolve(name);
  return mountLines(io).find(({ source, target }) => source === path || target === path);
}

function unescape8(text: string): string {
  return text.replace(/\\(\d{3})/g, (_all, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

function list(io: CommandIo, type: string | undefined): number {
  for (const { source, target, type: each, options } of mountLines(io).reverse()) {
    if (type === undefined || type === each) io.out(`${source} on ${target} type ${each} (${options})\n`);
  }
  return 0;
}
