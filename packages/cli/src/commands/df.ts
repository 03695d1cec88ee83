/** df(1) of busybox: how full mounted file systems are. Mirrors its coreutils/df.c. */
import { resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { humanReadable, inUnits } from '../console/human-size.js';
import { mountLines } from './mount.js';

interface Table {
  readonly type: boolean;
  readonly inodes: boolean;
  readonly posix: boolean;
  /** Bytes of a unit; undefined for sizes as people write them. */
  readonly unit: number | undefined;
}

export const df: Command = {
  usage: 'df [-PkmhTai] [-B SIZE] [-t TYPE] [FILE]…',
  help: ' -h  sizes for people, -k and -m in KiB and MiB, -B SIZE in units of that\n -T  types, -t TYPE only those of a type\n -i  inodes, -a file systems without blocks, too, -P the form of POSIX',
  run(io) {
    const { has, value, operands } = getopt(io.args, {
      short: { P: 'portability', k: 'kibi', m: 'mebi', h: 'human', T: 'print-type', a: 'all', i: 'inodes', B: 'block-size', t: 'type' },
      long: { portability: false, kibi: false, mebi: false, human: false, 'print-type': false, all: false, inodes: false, 'block-size': true, type: true },
    });
    const size = value('block-size') === undefined ? undefined : parseByteCount(value('block-size')!);
    if (value('block-size') !== undefined && !size) throw new UsageError(`invalid number '${value('block-size')}'`);
    const table: Table = {
      type: has('print-type'), inodes: has('inodes'), posix: has('portability'),
      unit: size ?? (has('human') ? undefined : has('mebi') ? 2 ** 20 : 1024),
    };
    io.out(heading(table));
    const mounted = mountLines(io).reverse().filter(({ source }) => source !== 'rootfs');
    if (operands.length === 0) {
      for (const { source, target, type } of mounted) {
        if (value('type') === undefined || value('type') === type) io.out(row(io, { source, target, type }, table, has('all')));
      }
      return 0;
    }
    let status = 0;
    for (const operand of operands) {
      const found = mountOf(io, operand, mounted);
      if (found) io.out(row(io, found, table, true));
      else {
        io.err(`df: ${operand}: can't find mount point`);
        status = 1;
      }
    }
    return status;
  },
};

interface Mounted {
  readonly source: string;
  readonly target: string;
  readonly type: string;
}

/** What a device or a path below it is in. The first root, which nobody sees, is none. */
function mountOf({ root, resolve, kernel }: CommandIo, operand: string, mounted: readonly Mounted[]): Mounted | undefined {
  try {
    const { node, path } = resolvePath(root, resolve(operand));
    const number = node.kind === 'block' ? node : kernel.mounts.mountOf(path);
    const known = mounted.map(({ target }) => kernel.mounts.mountOf(target));
    return known.find(({ source, target, major, minor }) => path === target || path === source || (major === number.major && minor === number.minor));
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

function heading({ type, inodes, posix, unit }: Table): string {
  const units = unit === undefined ? '     Size' : inodes ? '   Inodes' : posix ? `${unit}-blocks` : unit === 1024 ? '1K-blocks' : `${unitName(unit)}-blocks`;
  return `Filesystem           ${type ? 'Type       ' : ''}${units.padEnd(15)}Used Available ${posix ? 'Capacity' : 'Use%'} Mounted on\n`;
}

function unitName(unit: number): string {
  return humanReadable(unit).replace('.0', '');
}

function row({ kernel }: CommandIo, { source, target, type }: Mounted, { type: showsType, inodes, unit }: Table, all: boolean): string {
  const { blockSize, blocks, freeBlocks, availableBlocks, files, freeFiles } = kernel.mounts.mountOf(target).statfs();
  if (blocks === 0 && !all) return '';
  const [total, free, available] = inodes ? [files, freeFiles, freeFiles] : [blocks, freeBlocks, availableBlocks];
  const used = total - free;
  const percent = used + available === 0 ? 0 : Math.floor((used * 100 + Math.floor((used + available) / 2)) / (used + available));
  const amount = (count: number): string =>
    (unit === undefined ? humanReadable(count * (inodes ? 1 : blockSize)) : inUnits(count * (inodes ? 1 : blockSize), inodes ? 1 : unit)).padStart(9);
  // A name that is too long for its column gets a line of its own.
  const name = source.length > 20 ? `${source}\n${' '.repeat(20)}` : source.padEnd(20);
  return `${name} ${showsType ? `${type.padEnd(10)} ` : ''}${amount(total)} ${amount(used)} ${amount(available)} ${String(percent).padStart(3)}% ${target}\n`;
}
