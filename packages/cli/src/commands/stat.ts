/**
 * stat(1) of busybox: what stat(2) and statfs(2) tell. Mirrors its coreutils/stat.c.
 * Inode numbers and times are those of file systems on media and in memory; what lies in /proc, /sys and /dev has none, and shows 0.
 */
import { resolvePath } from '@holdfast/kernel';
import type { VfsNode } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { fileStat, formatMode, linkCount } from '../console/file-stat.js';

export const stat: Command = {
  usage: 'stat [-ltf] [-c FMT] FILE…',
  help: [
    ' -c FMT  print this of each; -f of its file system; -L of what a link leads to; -t all in one line', '',
    'FMT of files: %a %A rights, %b %B blocks and their bytes, %d %D device, %f mode, %F type, %g %G %u %U owner, %h links, %i inode, %n %N name,',
    '  %o I/O block, %s size, %t %T numbers of a device node, %x %X %y %Y %z %Z times',
    'FMT of file systems: %a %f free blocks, %b blocks, %c %d files and free ones, %i id, %l length of names, %n name, %s %S block size, %t %T type',
  ].join('\n'),
  run(io) {
    const { has, value, operands } = getopt(io.args, {
      short: { c: 'format', f: 'file-system', L: 'dereference', t: 'terse' },
      long: { format: true, 'file-system': false, dereference: false, terse: false },
    });
    if (operands.length === 0) throw new UsageError('a file is expected');
    let status = 0;
    for (const name of operands) {
      try {
        const { node, path } = resolvePath(io.root, io.resolve(name), { follow: has('dereference') || has('file-system') || name.endsWith('/') });
        const fields = has('file-system') ? fileSystemFields(io, name, path) : fileFields(io, name, path, node);
        const usual = has('file-system') ? (has('terse') ? TERSE_FS : usualFsFormat) : has('terse') ? TERSE : usualFormat(node);
        io.out(`${expand(value('format') ?? usual, fields)}\n`);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        io.err(`stat: can't ${has('file-system') ? 'read file system information for' : 'stat'} '${name}': ${strerror(error.code)}`);
        status = 1;
      }
    }
    return status;
  },
};

/** There is no /etc/passwd and no /etc/group to name anybody by. */
const NO_NAME = 'UNKNOWN';

type Fields = Readonly<Record<string, () => string | number>>;

const TERSE = '%n %s %b %f %u %g %D %i %h %t %T %X %Y %Z %o';
const TERSE_FS = '%n %i %l %t %s %S %b %f %a %c %d';
const usualFsFormat = [
  '  File: "%n"', '    ID: %-8i Namelen: %-7l Type: %T', 'Block size: %-10s', 'Blocks: Total: %-10b Free: %-10f Available: %a', 'Inodes: Total: %-10c Free: %d',
].join('\n');

function usualFormat({ kind }: VfsNode): string {
  return [
    kind === 'link' ? '  File: %N' : '  File: %n', '  Size: %-10s\tBlocks: %-10b IO Block: %-6o %F',
    `Device: %Dh/%dd\tInode: %-10i  Links: ${kind === 'block' || kind === 'char' ? '%-5h Device type: %t,%T' : '%h'}`,
    'Access: (%04a/%A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)', 'Access: %x', 'Modify: %y', 'Change: %z',
  ].join('\n');
}

function expand(format: string, fields: Fields): string {
  return format.replace(/%([-0]*)(\d*)([^]?)/g, (all, flags: string, width: string, letter: string) => {
    if (letter === '') return all;
    const text = Object.hasOwn(fields, letter) ? String(fields[letter]!()) : letter;
    return flags.includes('-') ? text.padEnd(Number(width)) : text.padStart(Number(width), flags.includes('0') ? '0' : ' ');
  });
}

function fileFields({ kernel }: CommandIo, name: string, path: string, node: VfsNode): Fields {
  const file = fileStat(node, path);
  const { major, minor } = kernel.mounts.mountOf(path);
  const device = major * 256 + (minor % 256) + Math.floor(minor / 256) * 2 ** 20; // makedev of glibc, as far as ours go
  return {
    n: () => name, N: () => (node.kind === 'link' ? `'${name}' -> '${node.target}'` : name), s: () => file.size, b: () => file.blocks, B: () => 512,
    o: () => file.blockSize,
    a: () => (file.mode & 0o7777).toString(8), A: () => formatMode(file.mode), f: () => file.mode.toString(16), F: () => typeName(node, file.size),
    d: () => device, D: () => device.toString(16), i: () => file.ino, h: () => linkCount(node), u: () => file.uid, g: () => file.gid,
    U: () => NO_NAME, G: () => NO_NAME,
    t: () => (file.device?.major ?? 0).toString(16), T: () => (file.device?.minor ?? 0).toString(16),
    x: () => formatTime(file.atime), y: () => formatTime(file.mtime), z: () => formatTime(file.ctime), X: () => file.atime, Y: () => file.mtime,
    Z: () => file.ctime,
  };
}

function fileSystemFields({ kernel }: CommandIo, name: string, path: string): Fields {
  const fs = kernel.mounts.mountOf(path).statfs();
  const { 0: high, 1: low } = fs.fsid;
  return {
    n: () => name,
    i: () => (BigInt(high) * 2n ** 32n + BigInt(low)).toString(16),
    l: () => fs.nameLength,
    t: () => fs.type.toString(16),
    T: () => FILE_SYSTEMS[fs.type] ?? 'UNKNOWN',
    s: () => fs.blockSize,
    S: () => fs.blockSize,
    b: () => fs.blocks,
    f: () => fs.freeBlocks,
    a: () => fs.availableBlocks,
    c: () => fs.files,
    d: () => fs.freeFiles,
  };
}

/** Names of f_type. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = { 0xef53: 'ext2/ext3', 0x58465342: 'xfs', 0x01021994: 'tmpfs', 0x9fa0: 'proc', 0x62656572: 'sysfs' };

function typeName({ kind }: VfsNode, size: number): string {
  if (kind === 'file' || kind === 'regular') return size === 0 ? 'regular empty file' : 'regular file';
  return { dir: 'directory', link: 'symbolic link', block: 'block special file', char: 'character special file' }[kind];
}

function formatTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().replace('T', ' ').slice(0, 19)}.000000000 +0000`;
}
