/**
 * Mounting XFS. Mirrors fs/xfs/xfs_super.c: xfs_fs_fill_super, xfs_setup_dax_always, xfs_fs_show_options, and xfs_mount.c: xfs_readsb,
 * xfs_mountfs (6.1).
 *
 * Differs from Linux: no log is written; metadata goes in place with each sync, and the log stays that of a clean unmount.
 */
import { type BlockDevice, bdevReadOnly, bdevSizeBytes } from '@holdfast/block';
import { fsDaxGetByBdev } from '@holdfast/dax';
import { KERN, KernelError, type LogLevel, PAGE_SIZE, isPowerOf2 } from '@holdfast/lib';
import { createBuffers } from '../buffer-cache.js';
import { type ParameterSpecs, checkParameters } from '../fs-parameters.js';
import { type FileSystemType, type FsNeeds, type FsParameter, type MountRequest, type SuperBlock, VAIN_DISCARD, newMountState } from '../super-block.js';
import { XFS_CRC_AT, XFS_FEAT, XFS_SB_MAGIC, type XfsSuper, decodeXfsSuper, isSealed, wordsOf } from './format.js';
import { createXfsInodes } from './xfs-inode.js';
import { createXfsVolume, writeXfsSuper } from './xfs-volume.js';

const FLAG = { kind: 'flag' } as const;
const SPECS: ParameterSpecs = {
  ...Object.fromEntries([
    'wsync', 'noalign', 'swalloc', 'nouuid', 'grpid', 'nogrpid', 'bsdgroups', 'sysvgroups', 'norecovery', 'inode64', 'inode32', 'ikeep', 'noikeep',
    'largeio', 'nolargeio', 'attr2', 'noattr2',
    'filestreams', 'quota', 'noquota', 'usrquota', 'grpquota', 'prjquota', 'uquota', 'gquota', 'pquota', 'uqnoenforce', 'gqnoenforce', 'pqnoenforce',
    'qnoenforce', 'discard', 'nodiscard',
  ].map((name) => [name, FLAG])),
  dax: [FLAG, { kind: 'enum', values: ['inode', 'always', 'never'] }],
  logbufs: { kind: 'number' },
  logbsize: { kind: 'string' },
  logdev: { kind: 'string' },
  rtdev: { kind: 'string' },
  allocsize: { kind: 'string' },
  sunit: { kind: 'number' },
  swidth: { kind: 'number' },
};

/** Options that /proc/mounts shows by their names, in its order; attr2 stands among them. */
const SHOWN = ['ikeep', 'wsync', 'noalign', 'swalloc', 'norecovery', 'nouuid', 'attr2', 'filestreams', 'grpid', 'discard', 'largeio'] as const;

export function xfsType(): FileSystemType {
  return {
    name: 'xfs',
    parseParameters(parameters, needs) {
      checkParameters('xfs', parameters, SPECS, needs.printk);
      const notHere = parameters.find(({ key }) => key === 'logdev' || key === 'rtdev' || (/quota|noenforce/.test(key) && key !== 'noquota'));
      if (notHere) throw new KernelError('EOPNOTSUPP', `mount option ${notHere.key}: other devices and quotas are not simulated`);
      return (request) => fillSuper(request, needs);
    },
  };
}

type Message = (text: string, level?: LogLevel) => void;

function fillSuper({ bdev, readOnly, synchronous, silent, parameters }: MountRequest, needs: FsNeeds): SuperBlock {
  const { printk } = needs;
  const message: Message = (text, level = KERN.notice) => printk(`XFS (${bdev.name}): ${text}`, level);
  const dax = fsDaxGetByBdev(needs.daxHosts, bdev, printk);
  const sb = readSuper(bdev, silent, readOnly, message);
  const daxMode = setupDax(sb, parameters, dax !== undefined, bdev, message);
  const isVain = parameters.some(({ key }) => key === 'discard') && bdev.disk.queue.limits.maxDiscardSectors === 0;
  if (isVain) message(VAIN_DISCARD, KERN.warning);
  const recovers = !parameters.some(({ key }) => key === 'norecovery');
  if (!recovers && !readOnly) {
    message('no-recovery mounts must be read-only.', KERN.warning);
    throw new KernelError('EINVAL', `${bdev.name}: norecovery without ro`);
  }
  message(recovers ? 'Mounting V5 Filesystem' : 'Mounting V5 filesystem in no-recovery mode. Filesystem will be inconsistent.');
  const buffers = createBuffers(bdev, sb.blockBytes);
  const volume = createXfsVolume(sb, buffers, needs.now);
  const state = newMountState({ readOnly, synchronous });
  const mount = {
    volume, bdev, cache: needs.pageCache, dax, daxMode, state,
    sync() {
      if (!state.readOnly) writeXfsSuper(volume);
      buffers.flush();
      buffers.issueFlush();
    },
  };
  if (recovers) checkLog(sb, buffers, message);
  const inodes = createXfsInodes(mount);
  if (recovers) message('Ending clean mount');
  const writeAll = (): void => {
    inodes.writeAll();
    mount.sync();
  };
  return {
    bdev,
    root: inodes.root,
    state,
    showOptions: () => showOptions(sb, isVain ? parameters.filter(({ key }) => key !== 'discard') : parameters, daxMode),
    statfs: () => statfsOf(sb),
    reconfigure(request) {
      checkParameters('xfs', request.parameters, SPECS, printk);
      if (!request.readOnly && bdevReadOnly(bdev)) throw new KernelError('EROFS', `${bdev.name} is read-only`);
      if (request.readOnly && !state.readOnly) writeAll();
      state.readOnly = request.readOnly;
      state.synchronous = request.synchronous ?? false;
    },
    sync: writeAll,
    put() {
      message('Unmounting Filesystem');
      try {
        if (!state.readOnly) writeAll();
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        message('Unable to update superblock counters. Freespace may not be correct on next mount.', KERN.warning);
      } finally {
        inodes.forgetAll();
      }
    },
  };
}

/** xfs_readsb, xfs_validate_sb_read, xfs_validate_sb_common: the first that is wrong. */
function readSuper(bdev: BlockDevice, silent: boolean, readOnly: boolean, message: Message): XfsSuper {
  const { logicalBlockSize } = bdev.disk.queue.limits;
  const size = bdevSizeBytes(bdev);
  const fail = (text: string, code: KernelError['code'] = 'EINVAL'): never => {
    if (!silent) message(text, KERN.warning);
    throw new KernelError(code, `${bdev.name}: ${text}`);
  };
  if (size < logicalBlockSize) return fail('SB read failed', 'EIO');
  const head = createBuffers(bdev, 4096).read(0, 4096);
  const { u16, u32 } = wordsOf(head);
  if (u32(0) !== XFS_SB_MAGIC) return fail('Invalid superblock magic number');
  if ((u16(0x64) & 15) !== 5) return fail('SB validate failed: only version 5 is simulated', 'EOPNOTSUPP');
  const sectorBytes = u16(0x66);
  if (!isPowerOf2(sectorBytes) || sectorBytes < 512 || sectorBytes > 4096) return fail('SB sanity check failed');
  if (sectorBytes < logicalBlockSize) return fail(`device supports ${logicalBlockSize} byte sectors (not ${sectorBytes})`, 'ENOSYS');
  if (!isSealed(head.subarray(0, sectorBytes), XFS_CRC_AT.superblock)) return fail('SB validate failed: the checksum is wrong', 'EIO');
  const incompat = u32(0xd8) & ~(XFS_FEAT.INCOMPAT_FTYPE | XFS_FEAT.INCOMPAT_SPINODES | XFS_FEAT.INCOMPAT_BIGTIME);
  const roCompat = u32(0xd4) & ~(XFS_FEAT.RO_FINOBT | XFS_FEAT.RO_REFLINK | XFS_FEAT.RO_INOBTCNT);
  if (incompat !== 0) return fail(`Superblock has unknown incompatible features (0x${incompat.toString(16)}) enabled.`);
  if (roCompat !== 0 && !readOnly) return fail(`Superblock has unknown read-only compatible features (0x${roCompat.toString(16)}) enabled.`);
  const missing = u32(0xd4) & (XFS_FEAT.RO_FINOBT | XFS_FEAT.RO_INOBTCNT);
  if (missing !== (XFS_FEAT.RO_FINOBT | XFS_FEAT.RO_INOBTCNT) || (u32(0xd8) & XFS_FEAT.INCOMPAT_FTYPE) === 0) {
    return fail('not simulated: an XFS without finobt, inobtcount or ftype', 'EOPNOTSUPP');
  }
  const sb = decodeXfsSuper(head.subarray(0, sectorBytes));
  const isSane = isPowerOf2(sb.blockBytes) && sb.blockBytes >= sectorBytes
    && sb.inodeBytes >= 256 && sb.inodeBytes <= 2048 && isPowerOf2(sb.inodeBytes) && sb.inodeAlign > 0
    && sb.agCount > 0 && sb.agBlocks >= 64 && sb.agBlockLog === Math.ceil(Math.log2(sb.agBlocks)) && sb.logAg < sb.agCount
    && sb.dblocks > sb.agBlocks * (sb.agCount - 1) && sb.dblocks <= sb.agBlocks * sb.agCount;
  if (!isSane) return fail('SB sanity check failed');
  if (sb.blockBytes > PAGE_SIZE) {
    return fail(`File system with blocksize ${sb.blockBytes} bytes. Only pagesize (${PAGE_SIZE}) or less will currently work.`, 'ENOSYS');
  }
  if (sb.dblocks * sb.blockBytes > size) return fail('file system too large to be mounted on this device.', 'EFBIG');
  return sb;
}

/** xfs_setup_dax_always. */
function setupDax(sb: XfsSuper, parameters: readonly FsParameter[], hasDax: boolean, bdev: BlockDevice, message: Message): 'always' | 'inode' | 'never' {
  const given = parameters.findLast(({ key }) => key === 'dax');
  const mode = given === undefined ? 'inode' : given.value === undefined ? 'always' : (given.value as 'always' | 'inode' | 'never');
  if (mode !== 'always') return mode;
  if (!hasDax) {
    message('DAX unsupported by block device. Turning off DAX.', KERN.alert);
    return 'never';
  }
  if (sb.blockBytes !== PAGE_SIZE) {
    message('DAX not supported for blocksize. Turning off DAX.', KERN.alert);
    return 'never';
  }
  if (sb.hasReflink && bdev.partno !== 0) {
    message('DAX and reflink cannot work with multi-partitions!', KERN.alert);
    throw new KernelError('EINVAL', `${bdev.name} is a partition, and its XFS may share blocks: make it with -m reflink=0`);
  }
  message('DAX enabled. Warning: EXPERIMENTAL, use at your own risk', KERN.warning);
  return 'always';
}

/** A log that ends in anything but an unmount has what a crash left. */
function checkLog({ agBlocks, blockBytes, logAg, logAgBlock }: XfsSuper, buffers: ReturnType<typeof createBuffers>, message: Message): void {
  const head = buffers.read((logAg * agBlocks + logAgBlock) * blockBytes, 1024);
  const { u16, u32 } = wordsOf(head);
  const isClear = u32(0) === 0xfeedbabe && u32(0x4) === 1 && u32(0x28) === 1 && u16(512 + 12) === 0x6e55;
  const isZero = head.every((byte) => byte === 0);
  if (isClear || isZero) return;
  message('log mount failed', KERN.warning);
  throw new KernelError('EOPNOTSUPP', 'its log was written by another kernel, and is not read here');
}

function showOptions(sb: XfsSuper, parameters: readonly FsParameter[], daxMode: string): string {
  const has = (name: string): boolean => parameters.some(({ key }) => key === name);
  const valueOf = (name: string): string | undefined => parameters.findLast(({ key }) => key === name)?.value;
  const isShown: Readonly<Record<string, boolean>> = { attr2: true };
  const shown: string[] = SHOWN.filter((name) => isShown[name] ?? has(name));
  if (daxMode !== 'inode') shown.push(`dax=${daxMode}`);
  shown.push(has('inode32') ? 'inode32' : 'inode64');
  const allocsize = valueOf('allocsize');
  if (allocsize !== undefined) shown.push(`allocsize=${allocsize}`);
  shown.push(`logbufs=${valueOf('logbufs') ?? '8'}`, `logbsize=${valueOf('logbsize') ?? `${Math.max(32, sb.logSunitBytes / 1024)}k`}`);
  if (!has('noalign') && sb.sunit > 0) shown.push(`sunit=${(sb.sunit * sb.blockBytes) / 512}`, `swidth=${(sb.swidth * sb.blockBytes) / 512}`);
  shown.push('noquota');
  return shown.map((option) => `,${option}`).join('');
}

const XFS_SUPER_MAGIC = XFS_SB_MAGIC;

function statfsOf(sb: XfsSuper): ReturnType<SuperBlock['statfs']> {
  const words = new DataView(sb.uuid.buffer, sb.uuid.byteOffset);
  const blocks = sb.dblocks - sb.logBlocks;
  // Four blocks a group and four more are never given to users.
  const free = Math.max(0, sb.fdblocks - sb.agCount * 4 - 4);
  const perBlock = sb.blockBytes / sb.inodeBytes;
  const files = Math.min(sb.icount + free * perBlock, Math.floor((sb.dblocks * 25) / 100) * perBlock);
  return {
    type: XFS_SUPER_MAGIC, blockSize: sb.blockBytes, blocks, freeBlocks: free, availableBlocks: free, files, freeFiles: files - (sb.icount - sb.ifree),
    fsid: [words.getUint32(0), words.getUint32(4)], nameLength: 255,
  };
}
