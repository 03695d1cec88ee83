/**
 * blockdev(8): what a block device says of itself. Options and report are util-linux's, words of errors busybox's.
 */
import { type BlockFile, type VfsDir, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
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
};

export const blockdev: Command = {
  usage: `blockdev COMMAND… DEVICE…  or  blockdev --report [DEVICE]…`,
  help: `Commands: ${Object.keys(ACTIONS).join(' ')}`,
  run({ args, root, resolve, out, err }) {
    const commands = args.filter((arg) => arg.startsWith('-'));
    const paths = args.filter((arg) => !arg.startsWith('-'));
    if (commands.includes('--report')) return report(root, paths.map(resolve), out);
    const unknown = commands.find((command) => !Object.hasOwn(ACTIONS, command));
    if (unknown !== undefined) throw new UsageError(`unrecognized option '${unknown}'`);
    if (commands.length === 0 || paths.length === 0) throw new UsageError('a command and a device are needed');
    for (const path of paths) {
      try {
        const { node, path: found } = resolvePath(root, resolve(path));
        if (node.kind !== 'block') throw new KernelError('ENOTTY', `${path} is no block device`);
        const file = node.open();
        try {
          for (const command of commands) {
            const result = ACTIONS[command]!(file, (attribute) => sysText(root, found, attribute));
            if (result !== undefined) out(`${result}\n`);
          }
        } finally {
          file.close();
        }
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        const cannotOpen = error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ENXIO';
        err(cannotOpen ? `blockdev: can't open '${path}': ${strerror(error.code)}` : `blockdev: ioctl failed: ${strerror(error.code)}`);
        return 1;
      }
    }
    return 0;
  },
};

function sysText(root: VfsDir, device: string, attribute: string): string {
  return textAt(root, `/sys/class/block/${device.split('/').at(-1)}/${attribute}`) ?? textAt(root, `/sys/block/${device.split('/').at(-1)}/${attribute}`) ?? '0';
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
