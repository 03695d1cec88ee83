/**
 * Files and directories of a mounted XFS. Mirrors fs/xfs/xfs_inode.c, xfs_iops.c: xfs_vn_getattr, xfs_inode_should_enable_dax, and
 * libxfs/xfs_dir2_sf.c.
 *
 * Invariant: one object an inode while it is known.
 * Differs from Linux: a directory lies in its inode, and a file has as many extents as its inode holds (21): what would need more is refused.
 */
import { KernelError, PAGE_SIZE } from '@holdfast/lib';
import { type Extent, type ExtentList, createExtentList, runAt } from '../extent-list.js';
import { type FileBlocks, type FileData, createFileData } from '../file-data.js';
import { type FsDirectory, type FsNode, type FsRegular, type Kstat, type MountedInodes, STATX_ATTR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../inode.js';
import { type MountOfInodes, openRegular } from '../open-regular.js';
import { utf8Decode, utf8Encode } from '../utf8.js';
import { XFS_DIFLAG2, XFS_DINODE_FMT } from './format.js';
import {
  type XfsDirEntry, type XfsInode, decodeShortDir, decodeXfsExtents, encodeShortDir, encodeXfsExtents, newXfsInode, nextDirOffset,
} from './xfs-dinode.js';
import { type XfsVolume, allocXfsBlocks, allocXfsInode, freeXfsBlocks, freeXfsInode, readXfsInode, writeXfsInode } from './xfs-volume.js';

export interface XfsMount extends MountOfInodes {
  readonly volume: XfsVolume;
}

const FTYPE = { REGULAR: 1, DIRECTORY: 2 } as const;
/** di_flags. */
const DIFLAG = { IMMUTABLE: 0x8, APPEND: 0x10, NODUMP: 0x80 } as const;
const ATTRIBUTES_MASK = STATX_ATTR.IMMUTABLE | STATX_ATTR.APPEND | STATX_ATTR.NODUMP | STATX_ATTR.AUTOMOUNT | STATX_ATTR.MOUNT_ROOT | STATX_ATTR.DAX;

interface Inode {
  readonly ino: number;
  readonly raw: XfsInode;
  readonly list: ExtentList;
  readonly isDax: boolean;
  data: FileData | undefined;
  openers: number;
}

export function createXfsInodes(mount: XfsMount): MountedInodes {
  const { volume, bdev } = mount;
  const { sb, buffers } = volume;
  const blockSize = sb.blockBytes;
  const inodes = new Map<number, Inode>();

  const checkWritable = (): void => {
    if (mount.state.readOnly) throw new KernelError('EROFS', `${bdev.name} is mounted read-only`);
  };
  const isDaxFile = ({ mode, flags2 }: XfsInode): boolean => {
    if ((mode & S_IFMT) !== S_IFREG || mount.daxMode === 'never' || !mount.dax || blockSize !== PAGE_SIZE || (flags2 & XFS_DIFLAG2.REFLINK) !== 0) return false;
    return mount.daxMode === 'always' || (flags2 & XFS_DIFLAG2.DAX) !== 0;
  };
  const iget = (ino: number): Inode => {
    const there = inodes.get(ino);
    if (there) return there;
    const raw = readXfsInode(volume, ino);
    if (raw.nlink === 0) throw new KernelError('EIO', `inode ${ino} has a name, and no links`);
    if (raw.format === XFS_DINODE_FMT.BTREE) throw new KernelError('EOPNOTSUPP', `inode ${ino} has a tree of extents, which is not read here`);
    const list = createExtentList();
    if (raw.format === XFS_DINODE_FMT.EXTENTS) for (const extent of decodeXfsExtents(sb, raw)) list.set(extent);
    const inode: Inode = { ino, raw, list, isDax: isDaxFile(raw), data: undefined, openers: 0 };
    inodes.set(ino, inode);
    return inode;
  };
  const save = (inode: Inode): void => {
    inode.raw.changeCount++;
    writeXfsInode(volume, inode.ino, inode.raw);
  };
  const touch = (inode: Inode, sizeBytes?: number): void => {
    inode.raw.mtime = volume.now();
    inode.raw.ctime = inode.raw.mtime;
    if (sizeBytes !== undefined) inode.raw.sizeBytes = sizeBytes;
    save(inode);
  };
  /** The fork follows the list. @throws KernelError EOPNOTSUPP if it does not hold it */
  const saveExtents = ({ raw, list }: Inode): void => {
    const { fork, count } = encodeXfsExtents(sb, list.extents, raw.fork.length);
    raw.fork = fork;
    raw.nextents = count;
    raw.nblocks = list.extents.reduce((sum, { length }) => sum + length, 0);
  };
  const setExtent = (inode: Inode, extent: Extent): void => {
    const before = inode.list.extents.map((each) => each);
    inode.list.set(extent);
    try {
      saveExtents(inode);
    } catch (error) {
      inode.list.cut(0);
      for (const each of before) inode.list.set(each);
      throw error;
    }
    save(inode);
  };
  const blocksOf = (inode: Inode): FileBlocks => {
    const { list, raw } = inode;
    const find: FileBlocks['find'] = (block, most) => runAt(list, block, most);
    return {
      blockSize,
      get sizeBytes() {
        return raw.sizeBytes;
      },
      find,
      allocate(block, most) {
        const found = find(block, most);
        if (found.start !== undefined) {
          if (found.isNew === true) setExtent(inode, { block, length: found.count, start: found.start, isUnwritten: false });
          return found;
        }
        const before = list.before(block);
        const goal = before ? before.start + block - before.block : Math.floor(inode.ino / (2 ** sb.agBlockLog * (blockSize / sb.inodeBytes))) * sb.agBlocks;
        const run = allocXfsBlocks(volume, goal, found.count, !before);
        try {
          setExtent(inode, { block, length: run.count, start: run.start, isUnwritten: false });
        } catch (error) {
          freeXfsBlocks(volume, run.start, run.count);
          throw error;
        }
        return { ...run, isNew: true };
      },
      truncateBlocks(block) {
        for (const { start, length } of list.cut(block)) freeXfsBlocks(volume, start, length);
        saveExtents(inode);
        save(inode);
      },
      touch: (sizeBytes) => touch(inode, sizeBytes),
      get isMetadataDirty() {
        return buffers.dirtyBlocks > 0;
      },
      syncMetadata: () => mount.sync(),
    };
  };
  const dataOf = (inode: Inode): FileData => {
    inode.data ??= createFileData({
      name: `${bdev.name} inode ${inode.ino}`,
      bdev,
      cache: mount.cache,
      dax: inode.isDax ? mount.dax : undefined,
      blocks: blocksOf(inode),
    });
    return inode.data;
  };
  const evictIfGone = (inode: Inode): void => {
    if (inode.raw.nlink > 0 || inode.openers > 0) return;
    inode.data?.forget();
    for (const { start, length } of inode.list.cut(0)) freeXfsBlocks(volume, start, length);
    freeXfsInode(volume, inode.ino, inode.raw.generation);
    inodes.delete(inode.ino);
  };
  const statOf = ({ ino, raw, isDax }: Inode): Kstat => ({
    ino, mode: raw.mode, nlink: raw.nlink, uid: raw.uid, gid: raw.gid, sizeBytes: raw.sizeBytes, blocks: (raw.nblocks * blockSize) / 512, blockSize,
    atime: raw.atime, mtime: raw.mtime, ctime: raw.ctime,
    btime: raw.crtime,
    attributes: (isDax ? STATX_ATTR.DAX : 0) | (ino === sb.rootIno ? STATX_ATTR.MOUNT_ROOT : 0) | (raw.flags & DIFLAG.IMMUTABLE ? STATX_ATTR.IMMUTABLE : 0)
      | (raw.flags & DIFLAG.APPEND ? STATX_ATTR.APPEND : 0) | (raw.flags & DIFLAG.NODUMP ? STATX_ATTR.NODUMP : 0),
    attributesMask: ATTRIBUTES_MASK,
  });
  const setDaxFlag = (inode: Inode, on: boolean): void => {
    checkWritable();
    inode.raw.flags2 = on ? inode.raw.flags2 | XFS_DIFLAG2.DAX : inode.raw.flags2 & ~XFS_DIFLAG2.DAX;
    inode.raw.ctime = volume.now();
    save(inode);
  };

  const namesOf = (dir: Inode): readonly XfsDirEntry[] => decodeShortDir(dir.raw).entries;
  const setNames = (dir: Inode, entries: readonly XfsDirEntry[]): void => {
    const { parent } = decodeShortDir(dir.raw);
    const bytes = encodeShortDir({ parent, entries }, dir.raw.fork.length);
    dir.raw.fork.fill(0);
    dir.raw.fork.set(bytes);
    touch(dir, bytes.length);
  };
  const make = (dir: Inode, name: string, mode: number): Inode => {
    checkWritable();
    if (utf8Encode(name).length > 255) throw new KernelError('ENAMETOOLONG', 'a name of more than 255 bytes');
    const entries = namesOf(dir);
    if (name === '.' || name === '..' || entries.some((each) => each.name === name)) throw new KernelError('EEXIST', `there is a ${name} already`);
    const isDir = (mode & S_IFMT) === S_IFDIR;
    const ino = allocXfsInode(volume, dir.ino);
    try {
      setNames(dir, [...entries, { name, ino, type: isDir ? FTYPE.DIRECTORY : FTYPE.REGULAR, offset: nextDirOffset(entries) }]);
    } catch (error) {
      freeXfsInode(volume, ino, 0);
      throw error;
    }
    const raw = newXfsInode(sb, mode, isDir ? XFS_DINODE_FMT.LOCAL : XFS_DINODE_FMT.EXTENTS, volume.now());
    raw.flags2 |= dir.raw.flags2 & XFS_DIFLAG2.DAX;
    if (isDir) {
      const bytes = encodeShortDir({ parent: dir.ino, entries: [] }, raw.fork.length);
      raw.fork.set(bytes);
      raw.sizeBytes = bytes.length;
      raw.nlink = 2;
      dir.raw.nlink++;
      save(dir);
    }
    writeXfsInode(volume, ino, raw);
    return iget(ino);
  };
  const entryOf = (dir: Inode, name: string): XfsDirEntry => {
    const entry = namesOf(dir).find((each) => each.name === name);
    if (!entry) throw new KernelError('ENOENT', `there is no ${name}`);
    return entry;
  };
  const drop = (dir: Inode, name: string): void => setNames(dir, namesOf(dir).filter((each) => each.name !== name));

  const directory = (dir: Inode): FsDirectory => ({
    kind: 'dir',
    stat: () => statOf(dir),
    setDaxFlag: (on) => setDaxFlag(dir, on),
    list: () => namesOf(dir).map(({ name }) => name),
    lookup(name) {
      const entry = namesOf(dir).find((each) => each.name === name);
      return entry && nodeOf(iget(entry.ino));
    },
    create: (name, mode) => regular(make(dir, name, S_IFREG | mode)),
    mkdir: (name, mode) => directory(make(dir, name, S_IFDIR | mode)),
    unlink(name) {
      checkWritable();
      const inode = iget(entryOf(dir, name).ino);
      if ((inode.raw.mode & S_IFMT) === S_IFDIR) throw new KernelError('EISDIR', `${name} is a directory`);
      drop(dir, name);
      inode.raw.nlink--;
      save(inode);
      evictIfGone(inode);
    },
    rmdir(name) {
      checkWritable();
      const inode = iget(entryOf(dir, name).ino);
      if ((inode.raw.mode & S_IFMT) !== S_IFDIR) throw new KernelError('ENOTDIR', `${name} is no directory`);
      if (namesOf(inode).length > 0) throw new KernelError('ENOTEMPTY', `${name} has entries`);
      dir.raw.nlink--;
      drop(dir, name);
      inode.raw.nlink = 0;
      evictIfGone(inode);
    },
  });
  const regular = (inode: Inode): FsRegular => ({
    kind: 'regular',
    stat: () => statOf(inode),
    setDaxFlag: (on) => setDaxFlag(inode, on),
    open: ({ write = false } = {}) => openRegular(mount, {
      data: dataOf(inode),
      sizeBytes: () => inode.raw.sizeBytes,
      get openers() {
        return inode.openers;
      },
      set openers(count) {
        inode.openers = count;
      },
      closed: () => evictIfGone(inode),
    }, write),
  });
  const nodeOf = (inode: Inode): FsNode => {
    switch (inode.raw.mode & S_IFMT) {
      case S_IFDIR:
        return directory(inode);
      case S_IFREG:
        return regular(inode);
      case S_IFLNK:
        if (inode.raw.format === XFS_DINODE_FMT.LOCAL) {
          return { kind: 'symlink', stat: () => statOf(inode), target: utf8Decode(inode.raw.fork.subarray(0, inode.raw.sizeBytes)) };
        }
        throw new KernelError('EOPNOTSUPP', `the link of inode ${inode.ino} has outgrown it`);
      default:
        throw new KernelError('EOPNOTSUPP', `inode ${inode.ino} is a device, a pipe or a socket`);
    }
  };

  const root = iget(sb.rootIno);
  if ((root.raw.mode & S_IFMT) !== S_IFDIR) throw new KernelError('EIO', 'the root inode is no directory');
  return {
    root: directory(root),
    writeAll() {
      for (const { data } of inodes.values()) data?.write();
    },
    forgetAll() {
      for (const { data } of inodes.values()) data?.forget();
      inodes.clear();
    },
  };
}
