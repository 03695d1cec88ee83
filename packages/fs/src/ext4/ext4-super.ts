/**
 * Mounting ext2 and ext4, both served by ext4 as Debian's kernels have it. Mirrors fs/ext4/super.c: __ext4_fill_super, ext4_put_super,
 * __ext4_remount (6.1): what is refused, in which order, and what the log says.
 *
 * Invariant: while it is mounted for writing the medium says so: not valid without a journal, to be recovered with one.
 */
import { type BlockDevice, bdevReadOnly, bdevSizeBytes } from '@holdfast/block';
import { type DaxDevice, fsDaxGetByBdev } from '@holdfast/dax';
import { KERN, KernelError, type LogLevel, PAGE_SIZE } from '@holdfast/lib';
import { type Buffers, createBuffers } from '../buffer-cache.js';
import { type FileSystemType, type FsNeeds, type MountRequest, type SuperBlock, VAIN_DISCARD, newMountState } from '../super-block.js';
import { createExt4Inodes } from './ext4-inode.js';
import { type Ext4Options, checkOptionsFor, parseExt4Options, showExt4Options } from './ext4-options.js';
import { GOOD_OLD_INODE_SIZE, inodeSizeOf } from './inode.js';
import { isJournalEmpty } from './journal.js';
import {
  COMPAT, EXT2_FEATURES, EXT3_FEATURES, EXT4_ERROR_FS, EXT4_SUPER_MAGIC, EXT4_VALID_FS, INCOMPAT, RO_COMPAT, SUPER_LAYOUT, SUPER_OFFSET,
  type Superblock, blockSizeOf, blocksCountOf, descSizeOf, groupCountOf,
  hasCompat, hasIncompat, hasRoCompat, superblockChecksum,
} from './superblock.js';
import { type Ext4Volume, freeBlocksOf, loadVolume, writeSuper } from './volume.js';

/** What Linux's ext4 mounts, and what of it is not mounted here. */
const LINUX_INCOMPAT = INCOMPAT.FILETYPE | INCOMPAT.RECOVER | INCOMPAT.META_BG | INCOMPAT.EXTENTS | INCOMPAT.BIT64 | INCOMPAT.FLEX_BG
  | INCOMPAT.EA_INODE | INCOMPAT.MMP
  | INCOMPAT.INLINE_DATA | INCOMPAT.ENCRYPT | INCOMPAT.CASEFOLD | INCOMPAT.CSUM_SEED | INCOMPAT.LARGEDIR;
const NOT_HERE_INCOMPAT = INCOMPAT.META_BG | INCOMPAT.EA_INODE | INCOMPAT.MMP | INCOMPAT.CASEFOLD;
const LINUX_RO_COMPAT = RO_COMPAT.SPARSE_SUPER | RO_COMPAT.LARGE_FILE | RO_COMPAT.GDT_CSUM | RO_COMPAT.DIR_NLINK | RO_COMPAT.EXTRA_ISIZE
  | RO_COMPAT.BTREE_DIR | RO_COMPAT.HUGE_FILE
  | RO_COMPAT.BIGALLOC | RO_COMPAT.METADATA_CSUM | RO_COMPAT.QUOTA | RO_COMPAT.PROJECT | RO_COMPAT.VERITY | RO_COMPAT.ORPHAN_PRESENT | RO_COMPAT.READONLY;
const NOT_HERE_RO_COMPAT = RO_COMPAT.GDT_CSUM | RO_COMPAT.BIGALLOC | RO_COMPAT.QUOTA | RO_COMPAT.PROJECT | RO_COMPAT.ORPHAN_PRESENT;

/** Once a boot. */
export interface Ext4Once {
  warnedOfJournalData: boolean;
}

export function ext4Types(): readonly FileSystemType[] {
  const once: Ext4Once = { warnedOfJournalData: false };
  return ['ext3', 'ext2', 'ext4'].map((name): FileSystemType => ({
    name,
    parseParameters(parameters, needs) {
      const options = parseExt4Options(name, parameters, needs.printk);
      return (request) => fillSuper(name, options, request, needs, once);
    },
  }));
}

type Message = (text: string, level?: LogLevel) => void;

function fillSuper(type: string, given: Ext4Options, request: MountRequest, needs: FsNeeds, once: Ext4Once): SuperBlock {
  const { bdev, readOnly, synchronous, silent, parameters } = request;
  const { printk } = needs;
  const message: Message = (text, level = KERN.err) => printk(`EXT4-fs (${bdev.name}): ${text}`, level);
  const fail = (text: string, why = text, code: KernelError['code'] = 'EINVAL'): never => {
    message(text);
    throw new KernelError(code, `${bdev.name}: ${why}`);
  };
  let options = given;
  const dax = fsDaxGetByBdev(needs.daxHosts, bdev, printk);
  const sb = readSuper(bdev, silent, fail);
  checkOptionsFor(type, sb, parameters, printk);
  if (options.data === 'journal') checkJournalData(options, sb, { printk, message, once, fail });
  checkFeatures(type, sb, { readOnly, silent, bdev, message, fail });
  const hasDax = checkDax(sb, dax, options, { printk, message, fail });
  checkGeometry(sb, bdev, fail);

  const buffers = createBuffers(bdev, blockSizeOf(sb));
  const volume = load(sb, buffers, needs.now, fail);
  const hasJournal = hasCompat(sb, COMPAT.HAS_JOURNAL) && options.switches.get('norecovery') !== true;
  const needsRecovery = hasJournal && hasIncompat(sb, INCOMPAT.RECOVER);
  if (hasJournal) checkJournal(volume, needsRecovery, fail);
  checkJournalOptions(options, hasJournal, fail);
  const state = newMountState({ readOnly, synchronous });
  const sync = (): void => {
    buffers.flush();
    buffers.issueFlush();
  };
  const mount = {
    volume, bdev, cache: needs.pageCache, dax: hasDax ? dax : undefined, daxMode: options.dax ?? ('inode' as const), journalsData: options.data === 'journal',
    state, sync,
  };
  const inodes = createExt4Inodes(mount);
  const markMounted = (): void => {
    sb.mntCount = (sb.mntCount + 1) & 0xffff;
    sb.mtime = needs.now();
    sb.wtime = needs.now();
    if (hasJournal) sb.featureIncompat |= INCOMPAT.RECOVER;
    else sb.state &= ~EXT4_VALID_FS;
    writeSuper(volume);
    sync();
  };
  const stateBefore = sb.state;
  const markClean = (): void => {
    sb.featureIncompat &= ~INCOMPAT.RECOVER;
    sb.state = stateBefore;
    sb.wtime = needs.now();
    writeSuper(volume);
    sync();
  };
  warnOfState(sb, hasJournal, readOnly, message);
  if (!readOnly) markMounted();
  if (needsRecovery) message('recovery complete', KERN.info);
  if (options.switches.get('discard') === true && bdev.disk.queue.limits.maxDiscardSectors === 0) message(VAIN_DISCARD, KERN.warning);
  const how = hasJournal ? ` ${options.data === 'journal' ? 'journalled' : (options.data ?? 'ordered')} data mode` : 'out journal';
  message(`mounted filesystem with${how}. Quota mode: none.`, KERN.info);
  const writeAll = (): void => {
    inodes.writeAll();
    sync();
  };
  return {
    bdev,
    root: inodes.root,
    state,
    ...(inodeSizeOf(sb) <= GOOD_OLD_INODE_SIZE ? { timeMax: 2 ** 31 - 1 } : {}),
    showOptions: () => showExt4Options(type, sb, options),
    statfs: () => statfsOf(volume, options),
    reconfigure(request) {
      const next = parseExt4Options(type, request.parameters, printk);
      checkOptionsFor(type, sb, request.parameters, printk);
      if (next.dax !== undefined && next.dax !== options.dax) {
        printk('EXT4-fs: can\'t change dax mount option while remounting', KERN.err);
        throw new KernelError('EINVAL', `${bdev.name}: dax=${next.dax} needs a fresh mount`);
      }
      if (next.data !== undefined && next.data !== (options.data ?? 'ordered')) fail('Cannot change data mode on remount');
      if (!request.readOnly && bdevReadOnly(bdev)) throw new KernelError('EROFS', `${bdev.name} is read-only`);
      options = { ...options, switches: new Map([...options.switches, ...next.switches]), values: new Map([...options.values, ...next.values]) };
      if (request.readOnly !== state.readOnly) {
        if (request.readOnly) {
          writeAll();
          markClean();
        } else markMounted();
        state.readOnly = request.readOnly;
      }
      state.synchronous = request.synchronous ?? false;
      message('re-mounted. Quota mode: none.', KERN.info);
    },
    sync: writeAll,
    put() {
      message('unmounting filesystem.', KERN.info);
      try {
        if (!state.readOnly) {
          writeAll();
          markClean();
        }
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        message('I/O error while writing superblock', KERN.err);
      } finally {
        inodes.forgetAll();
      }
    },
  };
}

type Fail = (text: string, why?: string, code?: KernelError['code']) => never;

/** @throws KernelError EINVAL if there is none, or it cannot be right */
function readSuper(bdev: BlockDevice, silent: boolean, fail: Fail): Superblock {
  if (bdevSizeBytes(bdev) < SUPER_OFFSET + SUPER_LAYOUT.size) return fail('unable to read superblock', 'the device is too small for a superblock', 'ENOMEM');
  const image = createBuffers(bdev, 4096 > bdevSizeBytes(bdev) ? 1024 : 4096).read(SUPER_OFFSET, SUPER_LAYOUT.size);
  const sb = SUPER_LAYOUT.decode(image);
  if (sb.magic !== EXT4_SUPER_MAGIC) {
    if (silent) throw new KernelError('EINVAL', `${bdev.name} has no ext4`);
    return fail('VFS: Can\'t find ext4 filesystem');
  }
  if (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)) {
    if (sb.checksumType !== 1) return fail('VFS: Found ext4 filesystem with unknown checksum algorithm.');
    if (superblockChecksum(image) !== sb.checksum) return fail('VFS: Found ext4 filesystem with invalid superblock checksum.  Run e2fsck?');
  }
  if (sb.logBlockSize > 6) return fail(`Invalid log block size: ${sb.logBlockSize}`);
  const blockSize = blockSizeOf(sb);
  if (blockSize > PAGE_SIZE || blockSize < bdev.disk.queue.limits.logicalBlockSize) return fail(`bad block size ${blockSize}`);
  return sb;
}

/** ext4_check_journal_data_mode. */
function checkJournalData(
  options: Ext4Options,
  sb: Superblock,
  { printk, message, once, fail }: { printk: FsNeeds['printk']; message: Message; once: Ext4Once; fail: Fail },
): void {
  if (!once.warnedOfJournalData) {
    once.warnedOfJournalData = true;
    printk(
      'EXT4-fs: Warning: mounting with data=journal disables delayed allocation, dioread_nolock, O_DIRECT and fast_commit support!',
      KERN.warning,
    );
  }
  if (options.switches.get('delalloc') === true) fail("can't mount with both data=journal and delalloc");
  if (options.dax === 'always') fail("can't mount with both data=journal and dax");
  if (hasIncompat(sb, INCOMPAT.ENCRYPT)) message('encrypted files will use data=ordered instead of data journaling mode', KERN.warning);
}

interface FeatureCheck {
  readonly readOnly: boolean;
  readonly silent: boolean;
  readonly bdev: BlockDevice;
  readonly message: Message;
  readonly fail: Fail;
}

/** ext4_check_feature_compatibility, ext4_feature_set_ok. */
function checkFeatures(type: string, sb: Superblock, { readOnly, silent, bdev, message, fail }: FeatureCheck): void {
  const limits = type === 'ext2' ? EXT2_FEATURES : type === 'ext3' ? EXT3_FEATURES : undefined;
  if (limits) {
    const fits =
      (sb.featureIncompat & ~limits.incompat) === 0 &&
      (readOnly || (sb.featureRoCompat & ~limits.roCompat) === 0) &&
      (type === 'ext2' || hasCompat(sb, COMPAT.HAS_JOURNAL));
    if (fits) message(`mounting ${type} file system using the ext4 subsystem`, KERN.info);
    else if (silent) throw new KernelError('EINVAL', `${bdev.name} is no ${type}`);
    else fail(`couldn't mount as ${type} due to feature incompatibilities`);
  }
  const unknown = sb.featureIncompat & ~LINUX_INCOMPAT;
  if (unknown !== 0) fail(`Couldn't mount because of unsupported optional features (${(unknown >>> 0).toString(16)})`);
  const unknownRo = sb.featureRoCompat & ~LINUX_RO_COMPAT;
  if (!readOnly && unknownRo !== 0) fail(`couldn't mount RDWR because of unsupported optional features (${(unknownRo >>> 0).toString(16)})`);
  if (!readOnly && hasRoCompat(sb, RO_COMPAT.READONLY)) throw new KernelError('EROFS', `${bdev.name} has the feature read-only`);
  const notHere = (sb.featureIncompat & NOT_HERE_INCOMPAT) + (readOnly ? 0 : sb.featureRoCompat & NOT_HERE_RO_COMPAT);
  if (notHere !== 0) {
    fail('not simulated: features meta_bg, ea_inode, mmp, casefold, uninit_bg, bigalloc, quota, project and orphan_file', undefined, 'EOPNOTSUPP');
  }
}

/** Returns whether files may be DAX files at all. */
function checkDax(
  sb: Superblock,
  dax: DaxDevice | undefined,
  options: Ext4Options,
  { printk, message, fail }: { printk: FsNeeds['printk']; message: Message; fail: Fail },
): boolean {
  const fits = dax !== undefined && blockSizeOf(sb) === PAGE_SIZE;
  if (dax && !fits) {
    message('unsupported blocksize for DAX');
    printk('', KERN.err); // its text ends in a newline of its own
  }
  if (options.dax === 'always') {
    if (hasIncompat(sb, INCOMPAT.INLINE_DATA)) fail('Cannot use DAX on a filesystem that may contain inline data');
    if (!fits) fail('DAX unsupported by block device.');
  }
  return fits;
}

/** ext4_check_geometry, and what of ext4_load_super would lead astray. */
function checkGeometry(sb: Superblock, bdev: BlockDevice, fail: Fail): void {
  const blockSize = blockSizeOf(sb);
  const blocks = blocksCountOf(sb);
  const onDevice = Math.floor(bdevSizeBytes(bdev) / blockSize);
  if (blocks > onDevice) fail(`bad geometry: block count ${blocks} exceeds size of device (${onDevice} blocks)`);
  const inodeSize = inodeSizeOf(sb);
  if (inodeSize < 128 || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0) fail(`unsupported inode size: ${inodeSize}`);
  const descSize = descSizeOf(sb);
  if (hasIncompat(sb, INCOMPAT.BIT64) && (descSize < 64 || descSize > 1024 || (descSize & (descSize - 1)) !== 0)) {
    fail(`unsupported descriptor size ${descSize}`);
  }
  if (sb.firstDataBlock !== (blockSize === 1024 ? 1 : 0) || sb.firstDataBlock >= blocks) {
    fail(`bad geometry: first data block ${sb.firstDataBlock} is beyond end of filesystem (${blocks})`);
  }
  if (sb.blocksPerGroup === 0 || sb.blocksPerGroup > blockSize * 8 || sb.blocksPerGroup % 8 !== 0) fail(`#blocks per group too big: ${sb.blocksPerGroup}`);
  if (sb.inodesPerGroup < blockSize / inodeSize || sb.inodesPerGroup > blockSize * 8 || sb.inodesPerGroup % 8 !== 0) {
    fail(`invalid inodes per group: ${sb.inodesPerGroup}\n`);
  }
  if (sb.inodesPerGroup * groupCountOf(sb) !== sb.inodesCount) fail(`inodes count not valid: ${sb.inodesCount} vs ${sb.inodesPerGroup * groupCountOf(sb)}`);
}

function load(sb: Superblock, buffers: Buffers, now: () => number, fail: Fail): Ext4Volume {
  try {
    return loadVolume(sb, buffers, now);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return fail('group descriptors corrupted!', error.message, error.code);
  }
}

function checkJournal(volume: Ext4Volume, needsRecovery: boolean, fail: Fail): void {
  try {
    if (isJournalEmpty(volume) || !needsRecovery) return;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    fail('error loading journal', error.message, error.code);
  }
  fail('error loading journal', 'its journal holds what a crash left, and recovery is not simulated: run e2fsck on the image', 'EOPNOTSUPP');
}

/** What of ext4_load_and_init_journal and ext4_load_super does not fit the journal, or the lack of one. */
function checkJournalOptions({ data, switches, values }: Ext4Options, hasJournal: boolean, fail: Fail): void {
  const isAsync = switches.get('journal_async_commit') === true;
  if (hasJournal) {
    if (isAsync && (data ?? 'ordered') === 'ordered') fail("can't mount with journal_async_commit in data=ordered mode");
    return;
  }
  const commit = Number(values.get('commit') ?? 5) || 5;
  if (isAsync) fail("can't mount with journal_async_commit, fs mounted w/o journal");
  if (switches.get('journal_checksum') === true) fail("can't mount with journal_checksum, fs mounted w/o journal");
  if (commit !== 5) fail(`can't mount with commit=${commit}, fs mounted w/o journal`);
  if (data !== undefined) fail("can't mount with data=, fs mounted w/o journal");
}

/** ext4_setup_super. */
function warnOfState(sb: Superblock, hasJournal: boolean, readOnly: boolean, message: Message): void {
  if (readOnly) return;
  if (!hasJournal && (sb.state & EXT4_VALID_FS) === 0) message('warning: mounting unchecked fs, running e2fsck is recommended', KERN.warning);
  else if ((sb.state & EXT4_ERROR_FS) !== 0) message('warning: mounting fs with errors, running e2fsck is recommended', KERN.warning);
}

const EXT4_STATFS_MAGIC = 0xef53;

function statfsOf(volume: Ext4Volume, { switches }: Ext4Options): ReturnType<SuperBlock['statfs']> {
  const { sb, blockSize } = volume;
  const overhead = switches.get('minixdf') === true ? 0 : sb.overheadClusters;
  const free = freeBlocksOf(volume);
  const reserved = sb.rBlocksCountHi * 2 ** 32 + sb.rBlocksCountLo;
  const words = new DataView(sb.uuid.buffer, sb.uuid.byteOffset);
  const half = (at: number): number => words.getUint32(at, true);
  return {
    type: EXT4_STATFS_MAGIC,
    blockSize,
    blocks: blocksCountOf(sb) - overhead,
    freeBlocks: free,
    availableBlocks: Math.max(0, free - reserved - setAside(sb)),
    files: sb.inodesCount,
    freeFiles: sb.freeInodesCount,
    fsid: [(half(0) ^ half(8)) >>> 0, (half(4) ^ half(12)) >>> 0],
    nameLength: 255,
  };
}

/** Blocks that the file system keeps for itself, so that writing back extents never fails (ext4_calculate_resv_clusters). */
function setAside(sb: Superblock): number {
  return hasIncompat(sb, INCOMPAT.EXTENTS) ? Math.min(Math.floor(blocksCountOf(sb) / 50), 4096) : 0;
}
