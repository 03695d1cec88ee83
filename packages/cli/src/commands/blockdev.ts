/**
 * blockdev(8): what a block device says of itself. Options and report are util-linux's, words of errors busybox's.
 */
import { type BlockFile, type VfsDir, resolvePath, writeFile } from '@holdfast/kernel';
import { KernelError, isPowerOf2, strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { dirAt, naturalOrder, textAt } from '../facts/sysfs.js';

const ACTIONS: Record<string, (file: BlockFile, sys: (attribute: string) => string) => number | undefined | void> = {
  '--getsize64': (file) => file.sizeBytes,
  '--getsz': (file) => Math.floor(file.sizeBytes / 512),
  '--getsize': (file) => Math.floor(file.sizeBytes / 512),
  '--getss': (file) => file.logicalBlockSize,
  '--getpbsz': (file) => file.physicalBlockSize,
  '--getbsz': () => 4096,
  '--getro': (file) => Number(file.readOnly),
  '--getiomin': (_, sys) => Number(sys('queue/minimum_io_size')),
  '--getioopt': (_, sys) => Number(sys('queue/optimal_io_size')),
  '--getalignoff': (_, sys) => Number(sys('alignment_offset')),
  '--getmaxsect': (_, sys) => Number(sys('queue/max_sectors_kb')) * 2,
  '--getra': (_, sys) => Number(sys('queue/read_ahead_kb')) * 2,
  '--setro': (file) => void (file.readOnly = true),
  '--setrw': (file) => void (file.readOnly = false),
  '--flushbufs': (file) => file.flushBuffers(),
  '--rereadpt': (file) => file.rereadPartitions(),
};

/** These take a number. */
const SETTINGS: Record<string, (file: BlockFile, value: number, set: (attribute: string, text: string) => void) => void> = {
  /** BLKBSZSET holds while the device is open, and nobody here keeps it open; what is refused is refused all the same. */
  '--setbsz': ({ logicalBlockSize }, value) => {
    if (!isPowerOf2(value) || value < Math.max(512, logicalBlockSize) || value > 4096) throw new KernelError('EINVAL', `no block size: ${value}`);
  },
  /** BLKRASET counts sectors, and keeps whole pages. */
  '--setra': (_, value, set) => set('queue/read_ahead_kb', String(Math.floor(value / 8) * 4)),
};

export const blockdev: Command = {
  usage: `blockdev COMMAND… DEVICE…  or  blockdev --report [DEVICE]…`,
  help: `Commands: ${Object.keys(ACTIONS).join(' ')}; with a number behind them ${Object.keys(SETTINGS).join(' ')}`,
  run({ args, root, resolve, out, err, explainError }) {
    const { commands, paths, values } = parseArguments(args);
    if (commands.includes('--report')) return report(root, paths.map(resolve), out);
    if (commands.length === 0 || paths.length === 0) throw new UsageError('a command and a device are needed');
    for (const path of paths) {
      try {
        const { node, path: found } = resolvePath(root, resolve(path));
        if (node.kind !== 'block') throw new KernelError('ENOTTY', `${path} is no block device`);
        const file = node.open();
        try {
          for (const command of commands) {
            const setting = SETTINGS[command];
            if (setting) {
              setting(file, values.get(command)!, (attribute, text) =>
                writeFile(root, `/sys/class/block/${found.split('/').at(-1)}/${attribute}`, text),
              );
            }
            const result = ACTIONS[command]?.(file, (attribute) => sysText(root, found, attribute));
            if (result !== undefined) out(`${result}\n`);
          }
        } finally {
          file.close();
        }
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        explainError(error);
        const cannotOpen = error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ENXIO';
        err(cannotOpen ? `blockdev: can't open '${path}': ${strerror(error.code)}` : `blockdev: ${path}: ${strerror(error.code)}`);
        return 1;
      }
    }
    return 0;
  },
};

function parseArguments(args: readonly string[]): { commands: string[]; paths: string[]; values: Map<string, number> } {
  const commands: string[] = [];
  const paths: string[] = [];
  const values = new Map<string, number>();
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (!arg.startsWith('-')) {
      paths.push(arg);
      continue;
    }
    if (Object.hasOwn(SETTINGS, arg)) {
      const value = Number(queue.shift());
      if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`${arg} needs a number`);
      values.set(arg, value);
    } else if (!Object.hasOwn(ACTIONS, arg) && arg !== '--report') throw new UsageError(`unrecognized option '${arg}'`);
    commands.push(arg);
  }
  return { commands, paths, values };
}

function sysText(root: VfsDir, device: string, attribute: string): string {
  return (
    textAt(root, `/sys/class/block/${device.split('/').at(-1)}/${attribute}`) ??
    textAt(root, `/sys/block/${device.split('/').at(-1)}/${attribute}`) ??
    '0'
  );
}

function report(root: VfsDir, paths: readonly string[], out: (text: string) => void): number {
  const all = [...(dirAt(root, '/dev')?.list() ?? [])].sort(naturalOrder).map((name) => `/dev/${name}`);
  out('RO    RA   SSZ   BSZ        StartSec            Size   Device\n');
  for (const path of paths.length > 0 ? paths : all) {
    const { node } = resolvePath(root, path);
    if (node.kind !== 'block') continue;
    const file = node.open();
    const fields = [
      file.readOnly ? 'ro' : 'rw',
      String(Number(sysText(root, path, 'queue/read_ahead_kb')) * 2).padStart(5),
      String(file.logicalBlockSize).padStart(5),
      '4096'.padStart(5),
      sysText(root, path, 'start').padStart(15),
      String(file.sizeBytes).padStart(15),
    ];
    file.close();
    out(`${fields.join(' ')}   ${path}\n`);
  }
  return 0;
}
