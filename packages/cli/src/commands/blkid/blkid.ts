/** blkid(8) of util-linux: which file systems, swap areas and partition tables lie on block devices. */
import { type VfsBlockDevice, resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import type { Command, CommandIo } from '../../console/command.js';
import { UsageError, getopt } from '../../console/getopt.js';
import { dirAt, naturalOrder, textAt } from '../../facts/sysfs.js';
import { type ReadBytes, type Tag, probeSuperblock } from './probe-superblock.js';
import { type TableSource, probeEntry, probeTable } from './probe-table.js';

const OUTPUTS = ['full', 'value', 'device', 'export', 'udev'] as const;

/** Nothing was found, or nothing like it. */
const STATUS_NONE = 2;

export const blkid: Command = {
  usage: 'blkid [-p] [-o FORMAT] [-s TAG]… [-t NAME=VALUE] [-L LABEL | -U UUID] [DEVICE]…',
  help: [
    ' -o FORMAT      full, value, device, export or, with -p, udev', ' -s TAG         only this tag',
    ' -t NAME=VALUE  only devices with this, -l the first of them',
    ' -L, -U         the device with a label or a UUID', ' -p             what a look at the device itself tells: VERSION and USAGE, too',
  ].join('\n'),
  run(io) {
    const { has, value, values, operands } = getopt(io.args, {
      short: {
        p: 'probe', o: 'output', s: 'match-tag', t: 'match-token', L: 'label', U: 'uuid', l: 'list-one', g: 'garbage-collect', c: 'cache-file',
        d: 'no-encoding', w: 'write',
      },
      long: {
        probe: false, output: true, 'match-tag': true, 'match-token': true, label: true, uuid: true, 'list-one': false, 'garbage-collect': false,
        'cache-file': true, 'no-encoding': false, write: true,
      },
    });
    const output = value('output') ?? 'full';
    if (!OUTPUTS.some((name) => name === output)) throw new UsageError(`unsupported output format ${output}`);
    const named = has('label') ? `LABEL=${value('label')}` : has('uuid') ? `UUID=${value('uuid')}` : undefined;
    const token = named ?? value('match-token');
    if (token !== undefined && !token.includes('=')) throw new UsageError('-t needs NAME=value pair');
    const devices = operands.length > 0 ? operands : allDevices(io);
    let shown = 0;
    for (const device of devices) {
      const tags = tagsOf(io, device, has('probe')).filter((tag) => has('probe') || !tag.probeOnly);
      if (tags.length === 0 || (token !== undefined && !tags.some(({ name, value: text }) => `${name}=${text}` === token))) continue;
      const wanted = tags.filter(({ name }) => values('match-tag').length === 0 || values('match-tag').includes(name));
      const text = format(named === undefined ? output : 'device', device, wanted);
      io.out(output === 'export' && shown > 0 ? `\n${text}` : text);
      shown++;
      if (named !== undefined || has('list-one')) break;
    }
    return shown > 0 ? 0 : STATUS_NONE;
  },
};

function allDevices({ root }: CommandIo): string[] {
  return [...(dirAt(root, '/sys/class/block')?.list() ?? [])].sort(naturalOrder).map((name) => `/dev/${name}`);
}

/** What cannot be opened or read has no tags. */
function tagsOf(io: CommandIo, device: string, isProbe: boolean): Tag[] {
  try {
    const { node } = resolvePath(io.root, io.resolve(device));
    if (node.kind !== 'block') return [];
    const superblock = withSource(node, ({ read }) => probeSuperblock(read));
    const partno = textAt(io.root, `/sys/class/block/${node.bdev.name}/partition`);
    if (partno !== undefined) {
      const { node: disk } = resolvePath(io.root, `/dev/${node.bdev.disk.name}`);
      return [...superblock, ...(disk.kind === 'block' ? withSource(disk, (source) => probeEntry(source, Number(partno))) : [])];
    }
    return superblock.length > 0 && !isProbe ? superblock : [...superblock, ...withSource(node, probeTable)];
  } catch (error) {
    if (error instanceof KernelError) return [];
    throw error;
  }
}

function withSource<T>(node: VfsBlockDevice, use: (source: TableSource) => T): T {
  const file = node.open();
  try {
    const read: ReadBytes = (at, length) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, file.sizeBytes - at)));
      return bytes.length === 0 ? bytes : bytes.subarray(0, file.pread(bytes, at));
    };
    return use({ read, logicalBlockSize: file.logicalBlockSize, sizeBytes: file.sizeBytes });
  } finally {
    file.close();
  }
}

function format(output: string, device: string, tags: readonly Tag[]): string {
  switch (output) {
    case 'device':
      return `${device}\n`;
    case 'value':
      return tags.map(({ value }) => `${value}\n`).join('');
    case 'export':
      return `DEVNAME=${device}\n${tags.map(({ name, value }) => `${name}=${value}\n`).join('')}`;
    case 'udev':
      return tags.map(udevLines).join('');
    default:
      return tags.length === 0 ? '' : `${device}: ${tags.map(({ name, value }) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`).join(' ')}\n`;
  }
}

function udevLines({ name, value }: Tag): string {
  if (name === 'PTUUID' || name === 'PTTYPE') return `ID_PART_TABLE_${name.slice(2)}=${value}\n`;
  if (name === 'PARTUUID' || name === 'PARTLABEL') return `ID_PART_ENTRY_${name === 'PARTUUID' ? 'UUID' : 'NAME'}=${value}\n`;
  const isEncoded = name === 'UUID' || name === 'LABEL';
  const line = `ID_FS_${name}=${value}\n`;
  if (!isEncoded) return line;
  const encoded = value.replace(/[^-\w#+.:=@]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `${line}ID_FS_${name}_ENC=${encoded}\n`;
}
