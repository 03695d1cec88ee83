/** dumpe2fs(8) -h of e2fsprogs 1.47: the superblock of an ext2 or ext4. Mirrors its misc/dumpe2fs.c and lib/e2p/{ls,feature}.c. */
import {
  COMPAT, EXT4_SUPER_MAGIC, type JournalSuper, RO_COMPAT, SUPER_LAYOUT, SUPER_OFFSET, type Superblock, blockSizeOf, blocksCountOf, decodeJournalSuper,
  descSizeOf, hasCompat, hasIncompat, hasRoCompat,
  INCOMPAT,
} from '@holdfast/fs';
import { type BlockFile, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { formatUuid } from '@holdfast/nvdimm';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { featureNames } from './mkfs/mke2fs-features.js';

export const dumpe2fs: Command = {
  usage: 'dumpe2fs -h DEVICE',
  run({ args, root, resolve, out, err }) {
    const { has, operands } = getopt(args, { short: { h: 'header' }, long: { header: false } });
    const [path] = operands;
    if (path === undefined || operands.length > 1) throw new UsageError('one device is expected');
    if (!has('header')) throw new UsageError('only the superblock is shown here: -h');
    err('dumpe2fs 1.47.0 (5-Feb-2023)');
    try {
      const { node } = resolvePath(root, resolve(path));
      if (node.kind !== 'block') throw new KernelError('EINVAL', `${path} is no block device`);
      const file = node.open();
      try {
        const sb = readSuper(file);
        if (!sb) {
          err(`dumpe2fs: Bad magic number in super-block while trying to open ${path}`);
          out("Couldn't find valid filesystem superblock.\n");
          return 1;
        }
        out([...superblockLines(sb), ...journalLines(file, sb)].map((line) => `${line}\n`).join(''));
        return 0;
      } finally {
        file.close();
      }
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      err(`dumpe2fs: ${strerror(error.code)} while trying to open ${path}`);
      out("Couldn't find valid filesystem superblock.\n");
      return 1;
    }
  },
};

function readSuper(file: BlockFile): Superblock | undefined {
  const image = new Uint8Array(SUPER_LAYOUT.size);
  if (file.pread(image, SUPER_OFFSET) < image.length) return undefined;
  const sb = SUPER_LAYOUT.decode(image);
  return sb.magic === EXT4_SUPER_MAGIC ? sb : undefined;
}

const ERRORS: Readonly<Record<number, string>> = { 1: 'Continue', 2: 'Remount read-only', 3: 'Panic' };
const HASHES = ['legacy', 'half_md4', 'tea'];
const FLAGS: readonly (readonly [bit: number, name: string])[] = [[1, 'signed_directory_hash'], [2, 'unsigned_directory_hash'], [4, 'test_filesystem']];
const MOUNT_OPTIONS: readonly (readonly [bit: number, name: string])[] = [
  [0x1, 'debug'],
  [0x2, 'bsdgroups'],
  [0x4, 'user_xattr'],
  [0x8, 'acl'],
  [0x10, 'uid16'],
];

function superblockLines(sb: Superblock): string[] {
  const line = (name: string, value: string | number): string => `${`${name}:`.padEnd(26)}${value}`;
  const blockSize = blockSizeOf(sb);
  const has64 = hasIncompat(sb, INCOMPAT.BIT64);
  const options = bitNames(sb.defaultMountOpts, MOUNT_OPTIONS);
  const perGroup = (sb.inodesPerGroup * sb.inodeSize) / blockSize;
  return [
    line('Filesystem volume name', sb.volumeName || '<none>'),
    line('Last mounted on', sb.lastMounted || '<not available>'),
    line('Filesystem UUID', formatUuid(sb.uuid)),
    line('Filesystem magic number', `0x${sb.magic.toString(16).toUpperCase()}`),
    line('Filesystem revision #', `${sb.revLevel} (${sb.revLevel === 0 ? 'original' : 'dynamic'})`),
    line('Filesystem features', featureNames({ compat: sb.featureCompat, incompat: sb.featureIncompat, roCompat: sb.featureRoCompat }).join(' ') || '(none)'),
    ...(sb.flags === 0 ? [] : [line('Filesystem flags', bitNames(sb.flags, FLAGS).map((name) => `${name} `).join(''))]),
    line('Default mount options', options.join(' ') || '(none)'),
    line('Filesystem state', ` ${(sb.state & 1) === 0 ? 'not clean' : 'clean'}${(sb.state & 2) === 0 ? '' : ' with errors'}`.slice(1)),
    line('Errors behavior', ERRORS[sb.errors] ?? 'Unknown (continue)'),
    line('Filesystem OS type', sb.creatorOs === 0 ? 'Linux' : 'unknown'),
    line('Inode count', sb.inodesCount),
    line('Block count', blocksCountOf(sb)),
    line('Reserved block count', sb.rBlocksCountHi * 2 ** 32 + sb.rBlocksCountLo),
    ...(sb.overheadClusters === 0 ? [] : [line('Overhead clusters', sb.overheadClusters)]),
    line('Free blocks', sb.freeBlocksCountHi * 2 ** 32 + sb.freeBlocksCountLo),
    line('Free inodes', sb.freeInodesCount),
    line('First block', sb.firstDataBlock),
    line('Block size', blockSize),
    line('Fragment size', blockSize),
    ...(has64 ? [line('Group descriptor size', descSizeOf(sb))] : []),
    ...(sb.reservedGdtBlocks === 0 ? [] : [line('Reserved GDT blocks', sb.reservedGdtBlocks)]),
    line('Blocks per group', sb.blocksPerGroup),
    line('Fragments per group', sb.clustersPerGroup),
    line('Inodes per group', sb.inodesPerGroup),
    line('Inode blocks per group', Math.floor(perGroup)),
    ...(sb.raidStride === 0 ? [] : [line('RAID stride', sb.raidStride)]),
    ...(sb.raidStripeWidth === 0 ? [] : [line('RAID stripe width', sb.raidStripeWidth)]),
    ...(sb.logGroupsPerFlex === 0 ? [] : [line('Flex block group size', 2 ** sb.logGroupsPerFlex)]),
    ...(sb.mkfsTime === 0 ? [] : [line('Filesystem created', formatTime(sb.mkfsTime))]),
    line('Last mount time', sb.mtime === 0 ? 'n/a' : formatTime(sb.mtime)),
    line('Last write time', formatTime(sb.wtime)),
    line('Mount count', sb.mntCount),
    line('Maximum mount count', sb.maxMntCount >= 0x8000 ? sb.maxMntCount - 0x10000 : sb.maxMntCount),
    line('Last checked', formatTime(sb.lastcheck)),
    line('Check interval', `${sb.checkinterval} (${sb.checkinterval === 0 ? '<none>' : `${sb.checkinterval} seconds`})`),
    ...lifetimeWrites(sb).map((text) => line('Lifetime writes', text)),
    line('Reserved blocks uid', `${sb.defResuid} (user ${sb.defResuid === 0 ? 'root' : 'unknown'})`),
    line('Reserved blocks gid', `${sb.defResgid} (group ${sb.defResgid === 0 ? 'root' : 'unknown'})`),
    line('First inode', sb.firstIno),
    `Inode size:\t          ${sb.inodeSize}`,
    ...(sb.minExtraIsize === 0 ? [] : [line('Required extra isize', sb.minExtraIsize)]),
    ...(sb.wantExtraIsize === 0 ? [] : [line('Desired extra isize', sb.wantExtraIsize)]),
    ...(sb.journalInum === 0 ? [] : [line('Journal inode', sb.journalInum)]),
    ...(sb.lastOrphan === 0 ? [] : [line('First orphan inode', sb.lastOrphan)]),
    ...(hasCompat(sb, COMPAT.DIR_INDEX)
      ? [line('Default directory hash', HASHES[sb.defHashVersion] ?? 'unknown'), line('Directory Hash Seed', formatUuid(sb.hashSeed))]
      : []),
    ...(sb.jnlBackupType === 0 ? [] : [line('Journal backup', sb.jnlBackupType === 1 ? 'inode blocks' : `type ${sb.jnlBackupType}`)]),
    ...(hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)
      ? [line('Checksum type', sb.checksumType === 1 ? 'crc32c' : 'unknown'), line('Checksum', `0x${sb.checksum.toString(16).padStart(8, '0')}`)]
      : []),
  ];
}

function bitNames(bits: number, names: readonly (readonly [bit: number, name: string])[]): string[] {
  return names.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
}

/** In kB, or the unit above in which it is below 8192. */
function lifetimeWrites({ kbytesWritten, kbytesWrittenHi }: Superblock): string[] {
  let amount = kbytesWrittenHi * 2 ** 32 + kbytesWritten;
  if (amount === 0) return [];
  let unit = 0;
  for (; amount >= 8192 && unit < 4; unit++) amount = Math.floor((amount + 512) / 1024);
  return [`${amount} ${['kB', 'MB', 'GB', 'TB', 'PB'][unit]}`];
}

function formatTime(seconds: number): string {
  const [weekday, day, month, year, time] = new Date(seconds * 1000).toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${day!.replace(/^0/, ' ')} ${time} ${year}`;
}

/** The journal's own superblock, found by the copy of its inode's blocks that the file system's superblock keeps. */
function journalLines(file: BlockFile, sb: Superblock): string[] {
  const first = hasCompat(sb, COMPAT.HAS_JOURNAL) && sb.jnlBackupType === 1 ? firstJournalBlock(sb.jnlBlocks) : undefined;
  if (first === undefined) return [];
  const blockSize = blockSizeOf(sb);
  const block = new Uint8Array(blockSize);
  file.pread(block, first * blockSize);
  const journal = decodeJournalSuper(block);
  const line = (name: string, value: string | number): string => `${`${name}:`.padEnd(26)}${value}`;
  return [
    line('Journal features', journalFeatures(block)),
    line('Total journal size', journalSize(journal)),
    line('Total journal blocks', journal.blocks),
    line('Max transaction length', journal.blocks),
    line('Fast commit length', 0),
    line('Journal sequence', `0x${new DataView(block.buffer).getUint32(24).toString(16).padStart(8, '0')}`),
    line('Journal start', journal.start ?? 0),
  ];
}

const EXTENT_MAGIC = 0xf30a;

/** Of an inode's 60 bytes: the start of the first extent, or the first block of the map. */
function firstJournalBlock(blocks: Uint8Array): number | undefined {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.length);
  if (view.getUint16(0, true) !== EXTENT_MAGIC) return view.getUint32(0, true) || undefined;
  const isLeaf = view.getUint16(6, true) === 0;
  return isLeaf && view.getUint16(2, true) > 0 ? view.getUint16(18, true) * 2 ** 32 + view.getUint32(20, true) : undefined;
}

const JOURNAL_INCOMPAT: readonly (readonly [bit: number, name: string])[] = [
  [1, 'journal_incompat_revoke'],
  [2, 'journal_64bit'],
  [4, 'journal_async_commit'],
  [8, 'journal_checksum_v2'],
  [16, 'journal_checksum_v3'],
  [32, 'fast_commit'],
];

function journalFeatures(block: Uint8Array): string {
  const view = new DataView(block.buffer);
  const names = [...((view.getUint32(36) & 1) === 0 ? [] : ['journal_checksum']), ...bitNames(view.getUint32(40), JOURNAL_INCOMPAT)];
  return names.join(' ') || '(none)';
}

function journalSize({ blocks, blockSize }: JournalSuper): string {
  const kib = (blocks * blockSize) / 1024;
  return kib < 8192 ? `${kib}k` : `${Math.floor(kib / 1024)}M`;
}
