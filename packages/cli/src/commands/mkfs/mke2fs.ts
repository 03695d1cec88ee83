/**
 * mkfs.ext2 and mkfs.ext4: mke2fs(8) of e2fsprogs 1.47. What it makes is in packages/fs; here are its options, its words, and its choices.
 */
import { COMPAT, type Features, INCOMPAT, type MadeExt4, TYPE_FEATURES, defaultJournalBlocks, makeExt4, planExt4, usageBySize } from '@holdfast/fs';
import { KernelError, PAGE_SIZE, isPowerOf2, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../../console/command.js';
import { UsageError, getopt } from '../../console/getopt.js';
import { type MkfsDevice, mkfsDevice } from './device.js';
import { editFeatures } from './mke2fs-features.js';

const VERSION = 'mke2fs 1.47.0 (5-Feb-2023)';

/** EXT2_ET_TOOSMALL. */
const TOO_SMALL = 'Not enough space to build proposed filesystem';

const NO_SIZE = "Device size reported to be zero.  Invalid partition specified, or\n\tpartition table wasn't reread after running fdisk, due to\n"
  + '\ta modified partition being busy and in use.  You may need to reboot\n\tto re-read your partition table.\n';

export const mkfsExt4 = mke2fsAs('mkfs.ext4', 'ext4');
export const mkfsExt2 = mke2fsAs('mkfs.ext2', 'ext2');
export const mke2fs = mke2fsAs('mke2fs', 'ext2');

function mke2fsAs(name: string, usual: 'ext2' | 'ext4'): Command {
  return {
    usage: `${name} [-qF] [-b BLOCK-SIZE] [-O FEATURE[,…]] [-L LABEL] [-U UUID] [-m PERCENT] [-i BYTES-PER-INODE] [-I INODE-SIZE] [-N INODES] [-t TYPE] DEVICE [SIZE]`,
    run: (io) => make(io, name, usual),
  };
}

class Refused extends Error {}

/** Of what does not go together, PRS says this on its output. */
function checkFeatures(io: CommandIo, { incompat }: Features): void {
  if ((incompat & INCOMPAT.BIT64) === 0 || (incompat & INCOMPAT.EXTENTS) !== 0) return;
  io.out('Extents MUST be enabled for a 64-bit filesystem.  Pass -O extents to rectify.\n');
  throw new Refused('64bit without extents');
}

function make(io: CommandIo, name: string, usual: 'ext2' | 'ext4'): number {
  const { has, value, operands } = getopt(io.args, {
    short: {
      q: 'quiet', F: 'force', b: 'block-size', O: 'features', L: 'label', U: 'uuid', m: 'reserved', i: 'inode-ratio', I: 'inode-size', N: 'inodes',
      t: 'type', T: 'usage', n: 'dry-run',
      v: 'verbose', E: 'extended', J: 'journal', j: 'with-journal', V: 'version', K: 'no-discard', e: 'errors', M: 'last-mounted', D: 'direct',
      c: 'check', S: 'super-only',
    },
    long: {
      quiet: false, force: false, 'block-size': true, features: true, label: true, uuid: true, reserved: true, 'inode-ratio': true,
      'inode-size': true, inodes: true, type: true, usage: true,
      'dry-run': false, verbose: false, extended: true, journal: true, 'with-journal': false, version: false, 'no-discard': false, errors: true,
      'last-mounted': true, direct: false, check: false,
      'super-only': false,
    },
  });
  const isQuiet = has('quiet');
  if (!isQuiet || has('version')) io.err(VERSION);
  if (has('version')) return 0;
  const [path, size] = operands;
  if (path === undefined) throw new UsageError('a device is expected');
  try {
    const type = fsType(value('type') ?? usual);
    const device = openDevice(io, path, name);
    checkInUse(io, device);
    if (size === undefined && device.sizeBytes < 1024) return refuse(io, `${name}: ${NO_SIZE}`);
    const sizeBytes = size === undefined ? device.sizeBytes : Math.min(device.sizeBytes, blocksArgument(size, value('block-size'), name));
    const blockSize = chooseBlockSize(io, device, sizeBytes, value('block-size'), name);
    const start: Features = { ...TYPE_FEATURES[type] };
    if (has('with-journal')) start.compat |= COMPAT.HAS_JOURNAL;
    const features = editFeatures(start, value('features') ?? '', (text) => refuse(io, text));
    checkFeatures(io, features);
    const inodeRatio = numberOf(value('inode-ratio'), 'invalid inode ratio', name, io) ?? usageBySize(sizeBytes).inodeRatio;
    const stride = device.minIo > blockSize ? device.minIo / blockSize : 0;
    const stripeWidth = device.optIo > blockSize && device.isRotational ? device.optIo / blockSize : 0;
    if (device.isDax && blockSize !== PAGE_SIZE) {
      io.err(
        `${path} is capable of DAX but current block size ${blockSize} is different from system page size ${PAGE_SIZE} so filesystem will not support DAX.`,
      );
    }
    if (device.alignmentOffset !== 0) {
      io.out(
        `${path} alignment is offset by ${device.alignmentOffset} bytes.\nThis may result in very poor performance, (re)-partitioning suggested.\n`,
      );
    }
    if (value('inode-size') === '128') io.out('128-byte inodes cannot handle dates beyond 2038 and are deprecated\n');
    const isTooSmall = (features.compat & COMPAT.HAS_JOURNAL) !== 0 && defaultJournalBlocks(Math.floor(sizeBytes / blockSize)) === undefined;
    const uuid = bytesOf(value('uuid') ?? io.system.randomUuid(), name, io);
    const options = {
      sizeBytes, blockSize, features, inodeRatio: Math.max(inodeRatio, blockSize), uuid, hashSeed: hashSeedOf(io, value('extended'), name),
      now: io.kernel.now(), label: value('label') ?? '',
      reservedPercent: Number(value('reserved') ?? 5), inodeSize: Number(value('inode-size') ?? 256), stride, stripeWidth, lazyItable: true,
      ...(has('inodes') ? { inodes: Number(value('inodes')) } : {}),
    };
    planExt4(options); // before the journal, of which ext2fs_initialize says nothing
    if (isTooSmall) ['', 'Filesystem too small for a journal'].forEach((line) => io.err(line));
    if (has('dry-run')) return 0;
    const made = device.write((store) => makeExt4(store, options));
    if (!isQuiet) report(io, made, blockSize, uuid);
    return 0;
  } catch (error) {
    if (error instanceof Refused) return 1;
    if (!(error instanceof KernelError)) throw error;
    io.err(`${path}: ${error.code === 'ENOSPC' ? TOO_SMALL : strerror(error.code)} while setting up superblock`);
    io.explain({ rule: error.message });
    return 1;
  }
}

function refuse(io: CommandIo, line: string): never {
  io.err(line);
  throw new Refused(line);
}

function fsType(text: string): 'ext2' | 'ext4' {
  if (text === 'ext2' || text === 'ext4') return text;
  throw new UsageError(`type ${text}: expected ext2 or ext4`);
}

function openDevice(io: CommandIo, path: string, name: string): MkfsDevice {
  try {
    const device = mkfsDevice(io, path);
    if (!device) return refuse(io, `${path} is not a block special device.`);
    if (device.isReadOnly) return refuse(io, `${name}: Operation not permitted while setting up superblock`);
    return device;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.code === 'ENOENT') return refuse(io, `The file ${path} does not exist and no size was specified.`);
    return refuse(io, `${name}: ${strerror(error.code)} while trying to determine filesystem size`);
  }
}

/** check_mount: with -F given twice it would go on. */
function checkInUse(io: CommandIo, { path, isMounted, isBusy }: MkfsDevice): void {
  if (!isMounted && !isBusy) return;
  const isForced = io.args.filter((arg) => /^-[a-zA-Z]*F/.test(arg)).length > 1 || io.args.some((arg) => /^-[a-zA-Z]*F[a-zA-Z]*F/.test(arg));
  const what = isMounted ? 'mounted' : 'apparently in use by the system';
  if (isForced) io.err(`${path} is ${what}; mke2fs forced anyway.${isMounted ? '  Hope /etc/mtab is incorrect.' : ''}`);
  else refuse(io, `${path} is ${what}; will not make a filesystem here!`);
}

function chooseBlockSize(
  io: CommandIo,
  { logicalBlockSize, physicalBlockSize }: MkfsDevice,
  sizeBytes: number,
  given: string | undefined,
  name: string,
): number {
  if (given === undefined) return Math.max(usageBySize(sizeBytes).blockSize, logicalBlockSize);
  const asked = Number(given);
  if (!Number.isInteger(asked) || Math.abs(asked) < 1024 || Math.abs(asked) > 65536 || !isPowerOf2(Math.abs(asked))) {
    return refuse(io, `${name}: invalid block size - ${given}`);
  }
  if (asked < 0) return Math.max(usageBySize(sizeBytes).blockSize, -asked, logicalBlockSize);
  if (asked < logicalBlockSize) return refuse(io, `${name}: Invalid argument while setting blocksize; too small for device`);
  if (asked < physicalBlockSize && physicalBlockSize <= PAGE_SIZE) {
    io.err(`Warning: specified blocksize ${asked} is less than device physical sectorsize ${physicalBlockSize}`);
  }
  if (asked > PAGE_SIZE) {
    io.err(`Warning: blocksize ${asked} not usable on most systems.`);
    if (!/^-[a-zA-Z]*F/m.test(io.args.join('\n'))) return refuse(io, `${name}: ${asked}-byte blocks too big for system (max ${PAGE_SIZE})`);
    io.err(`Warning: ${asked}-byte blocks too big for system (max ${PAGE_SIZE}), forced to continue`);
  }
  return asked;
}

/** SIZE: blocks, of the block size if one is given, else of 1 KiB; or with a unit. */
function blocksArgument(text: string, blockSize: string | undefined, name: string): number {
  const match = /^(\d+)([sSkKmMgGtT]?)$/.exec(text);
  if (!match) throw new UsageError(`invalid blocks '${text}' on device '${name}'`);
  const unit = { '': Number(blockSize ?? 1024), s: 512, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }[match[2]!.toLowerCase()]!;
  return Number(match[1]) * unit;
}

function numberOf(text: string | undefined, complaint: string, name: string, io: CommandIo): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  return Number.isInteger(number) && number >= 1024 && number <= 2 ** 26 ? number : refuse(io, `${name}: ${complaint} ${text} (min 1024/max 67108864)`);
}

function bytesOf(uuid: string, name: string, io: CommandIo): Uint8Array {
  const digits = uuid.replaceAll('-', '');
  if (!/^[0-9a-fA-F]{32}$/.test(digits)) return refuse(io, `${name}: could not parse UUID: ${uuid}`);
  return Uint8Array.from({ length: 16 }, (_, i) => parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

function hashSeedOf(io: CommandIo, extended: string | undefined, name: string): Uint8Array {
  const given = /(?:^|,)hash_seed=([^,]*)/.exec(extended ?? '')?.[1];
  return bytesOf(given ?? io.system.randomUuid(), name, io);
}

/** What is printed without -q. */
function report(io: CommandIo, { sb, groups, journalBlocks }: MadeExt4, blockSize: number, uuid: Uint8Array): void {
  const done = (what: string): string => `${what}: done                            \n`;
  const hex = Array.from(uuid, (byte) => byte.toString(16).padStart(2, '0')).join('');
  io.out(`Creating filesystem with ${sb.blocksCountHi * 2 ** 32 + sb.blocksCountLo} ${blockSize / 1024}k blocks and ${sb.inodesCount} inodes\n`);
  if (groups > 1) {
    io.out(`Filesystem UUID: ${hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}\nSuperblock backups stored on blocks: `);
    io.out(backupLines(sb.firstDataBlock, sb.blocksPerGroup, groups));
  }
  io.out(`\n${done('Allocating group tables')}${done('Writing inode tables')}`);
  if (journalBlocks > 0) io.out(`Creating journal (${journalBlocks} blocks): done\n`);
  io.out(`Writing superblocks and filesystem accounting information: ${groups > 1 ? 'done\n\n' : 'done\n\n'}`);
}

/** Numbers of blocks in lines of 72 columns, each line behind a tab. */
function backupLines(first: number, perGroup: number, groups: number): string {
  let text = '';
  let left = 0;
  for (let group = 1; group < groups; group++) {
    if (group > 1 && ![3, 5, 7].some((base) => isPowerOf(group, base))) continue;
    const block = String(first + group * perGroup);
    const need = block.length + 2;
    if (group > 1) text += ', ';
    if (need > left) {
      text += '\n\t';
      left = 72;
    }
    left -= need;
    text += block;
  }
  return `${text}\n`;
}

function isPowerOf(number: number, base: number): boolean {
  let power = base;
  while (power < number) power *= base;
  return power === number;
}
