/**
 * xfs_io(8): I/O on one file, a command an option. Of its many commands: those that tell what a file is, move bytes, and set the DAX flag.
 * Lines with rates are left out, since a simulated transfer has none.
 */
import type { FsFile, Kstat } from '@holdfast/fs';
import { type VfsNode, resolveOrCreate, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError } from '../console/getopt.js';

interface Target {
  readonly io: CommandIo;
  readonly path: string;
  readonly node: VfsNode;
  /** Open; only of regular files. */
  readonly file: FsFile | undefined;
}

type Action = (target: Target, args: readonly string[]) => void;

const ACTIONS: Readonly<Record<string, Action>> = {
  statx: ({ io, node }, args) => io.out(args.includes('-r') ? rawStatx(statOf(node)) : ''),
  stat: ({ io, path, node }) => {
    const stat = statOf(node);
    io.out(
      `fd.path = "${path}"\nfd.flags = non-sync,non-direct,read-write\nstat.ino = ${stat.ino}\nstat.type = ${node.kind === 'dir' ? 'directory' : 'regular file'}\nstat.size = ${stat.sizeBytes}\nstat.blocks = ${stat.blocks}\n`,
    );
  },
  pwrite({ io, file }, args) {
    const [offset, length] = range(args);
    const bytes = new Uint8Array(length).fill(0xcd);
    const count = regular(file).pwrite(bytes, offset);
    io.out(`wrote ${count}/${length} bytes at offset ${offset}\n`);
  },
  pread({ io, file }, args) {
    const [offset, length] = range(args);
    const count = regular(file).pread(new Uint8Array(length), offset);
    io.out(`read ${count}/${length} bytes at offset ${offset}\n`);
  },
  truncate: ({ file }, [size]) => regular(file).truncate(byteCount(size)),
  fsync: ({ file }) => regular(file).fsync(),
  fdatasync: ({ file }) => regular(file).fsync(),
  chattr({ node }, [flags = '']) {
    if (flags !== '+x' && flags !== '-x') throw new UsageError(`chattr ${flags}: only +x and -x, the DAX flag, are known here`);
    if ((node.kind !== 'regular' && node.kind !== 'dir') || !node.setDaxFlag) throw new KernelError('ENOTTY', 'the file has no such flags');
    node.setDaxFlag(flags === '+x');
  },
};

export const xfsIo: Command = {
  usage: 'xfs_io [-f] [-c COMMAND]… FILE',
  help: `COMMAND: ${Object.keys(ACTIONS).join(', ')}; statx with -r`,
  run(io) {
    const commands: string[] = [];
    const files: string[] = [];
    let creates = false;
    for (let i = 0; i < io.args.length; i++) {
      const arg = io.args[i]!;
      if (arg === '-c') commands.push(io.args[++i] ?? '');
      else if (/^-[fxrRtdsi]+$/.test(arg)) creates ||= arg.includes('f');
      else files.push(arg);
    }
    const [path] = files;
    if (path === undefined || commands.length === 0) throw new UsageError('a command and a file are expected');
    let target: Target;
    try {
      const node = creates ? resolveOrCreate(io.root, io.resolve(path)) : resolvePath(io.root, io.resolve(path)).node;
      target = { io, path, node, file: node.kind === 'regular' ? node.open({ write: true }) : undefined };
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`${path}: ${strerror(error.code)}`);
      return 1;
    }
    try {
      return run(target, commands);
    } finally {
      target.file?.close();
    }
  },
};

function run(target: Target, commands: readonly string[]): number {
  let status = 0;
  for (const text of commands) {
    const [name = '', ...args] = text.trim().split(/\s+/);
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (!action) {
      target.io.err(`command "${name}" not found`);
      continue;
    }
    try {
      action(target, args);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      target.io.err(`${name}: ${strerror(error.code)}`);
      target.io.explain({ rule: error.message });
      status = 1;
    }
  }
  return status;
}

function regular(file: FsFile | undefined): FsFile {
  if (!file) throw new KernelError('EISDIR', 'it is no regular file');
  return file;
}

function statOf(node: VfsNode): Kstat {
  const stat = node.kind === 'regular' || node.kind === 'dir' ? node.stat?.() : undefined;
  if (!stat) throw new KernelError('ENOTTY', 'its file system tells nothing of it');
  return stat;
}

/** `[-b SIZE] OFFSET LENGTH`: how the bytes are cut does not show. */
function range(args: readonly string[]): [offset: number, length: number] {
  const numbers = args.filter((arg, index) => !arg.startsWith('-') && !/^-[bSiV]$/.test(args[index - 1] ?? ''));
  return [byteCount(numbers[0]), byteCount(numbers[1])];
}

function byteCount(text: string | undefined): number {
  const count = text === undefined ? undefined : parseByteCount(text);
  if (count === undefined) throw new UsageError(`'${text ?? ''}': expected a number of bytes`);
  return count;
}

function rawStatx(stat: Kstat): string {
  const time = (name: string, seconds: number): string => `stat.${name}.tv_sec = ${seconds}\nstat.${name}.tv_nsec = 0\n`;
  return [
    'stat.mask = 0x1fff', `stat.blksize = ${stat.blockSize}`, `stat.attributes = 0x${stat.attributes.toString(16)}`, `stat.nlink = ${stat.nlink}`,
    `stat.uid = ${stat.uid}`, `stat.gid = ${stat.gid}`,
    `stat.mode: 0${stat.mode.toString(8)}`, `stat.ino = ${stat.ino}`, `stat.size = ${stat.sizeBytes}`, `stat.blocks = ${stat.blocks}`,
    `stat.attributes_mask = 0x${stat.attributesMask.toString(16)}`, '',
  ].join('\n') + time('atime', stat.atime) + time('btime', stat.btime) + time('ctime', stat.ctime) + time('mtime', stat.mtime)
    + 'stat.rdev_major = 0\nstat.rdev_minor = 0\n';
}
