/**
 * Files, directories and links of a mounted ext2 or ext4. Mirrors fs/ext4/inode.c: ext4_iget, ext4_evict_inode, ext4_set_inode_flags,
 * ext4_getattr; fs/ext4/ialloc.c and the callers of directories in fs/ext4/namei.c.
 *
 * Invariant: one object an inode while it is known, so that a file's pages are cached once, whoever opens it.
 * Differs from Linux: files whose contents are encrypted or inside the inode are refused when they are opened.
 */
import { KernelError } from '@holdfast/lib';
import { runAt } from '../extent-list.js';
import { type FileBlocks, type FileData, createFileData } from '../file-data.js';
import {
  type FsDirectory, type FsFile, type FsNode, type FsRegular, type FsSymlink, type Kstat, type MountedInodes, STATX_ATTR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG,
} from '../inode.js';
import { type MountOfInodes, openRegular } from '../open-regular.js';
import { utf8Decode, utf8Encode } from '../utf8.js';
import { allocBlocks, allocInode, freeBlocks, freeInode } from './balloc.js';
import { type BlockMap, openBlockMap } from './block-map.js';
import { DIR_TYPE } from './dir-block.js';
import { type DirNames, ext4DirNames } from './ext4-dir.js';
import { buildExtentTree } from './extent-format.js';
import { EXT4_ROOT_INO, INODE_FL, type RawInode, emptyInode, sizeOfInode } from './inode.js';
import { INCOMPAT, groupFirstBlock, hasIncompat } from './superblock.js';
import { type Ext4Volume, groupOfInode, readInode, writeInode } from './volume.js';

/** How the file system was mounted, as far as its inodes care. */
export interface Ext4Mount extends MountOfInodes {
  readonly volume: Ext4Volume;
  /** -o data=journal: no file is mapped. */
  readonly journalsData: boolean;
}

const NAME_MAX = 255;
/** What ext4 says that it knows of. */
const ATTRIBUTES_MASK = STATX_ATTR.APPEND | STATX_ATTR.COMPRESSED | STATX_ATTR.ENCRYPTED | STATX_ATTR.IMMUTABLE | STATX_ATTR.NODUMP | STATX_ATTR.VERITY
  | STATX_ATTR.AUTOMOUNT | STATX_ATTR.MOUNT_ROOT | STATX_ATTR.DAX;

/** An inode in memory. */
interface Inode {
  readonly ino: number;
  readonly raw: RawInode;
  readonly map: BlockMap | undefined;
  readonly isDax: boolean;
  data: FileData | undefined;
  openers: number;
}

export function createExt4Inodes(mount: Ext4Mount): MountedInodes {
  const { volume } = mount;
  const { sb, blockSize, buffers } = volume;
  const inodes = new Map<number, Inode>();

  const checkWritable = (): void => {
    if (mount.state.readOnly) throw new KernelError('EROFS', `${mount.bdev.name} is mounted read-only`);
  };
  const save = (inode: Inode): void => {
    const { raw, map } = inode;
    if (map) {
      const sectors =
        (map.list.extents.reduce((sum, { length }) => sum + length, 0) + map.overhead) * (blockSize / 512) +
        (raw.fileAclLo > 0 ? blockSize / 512 : 0);
      raw.blocksLo = sectors % 2 ** 32;
      raw.blocksHi = Math.floor(sectors / 2 ** 32);
    }
    writeInode(volume, inode.ino, raw);
  };
  /** ext4_should_enable_dax. */
  const isDaxFile = ({ mode, flags }: RawInode): boolean => {
    if (!mount.dax || mount.daxMode === 'never' || (mode & S_IFMT) !== S_IFREG || mount.journalsData) return false;
    if ((flags & (INODE_FL.JOURNAL_DATA | INODE_FL.INLINE_DATA | INODE_FL.ENCRYPT | INODE_FL.VERITY)) !== 0) return false;
    return mount.daxMode === 'always' || (flags & INODE_FL.DAX) !== 0;
  };
  const iget = (ino: number): Inode => {
    const there = inodes.get(ino);
    if (there) return there;
    const raw = readInode(volume, ino);
    if (raw.links === 0) throw new KernelError('EIO', `inode ${ino} has a name, and no links`);
    const kind = raw.mode & S_IFMT;
    const isFastLink = kind === S_IFLNK && sizeOfInode(raw) < 60 && (raw.flags & INODE_FL.EXTENTS) === 0;
    const hasMap = (kind === S_IFREG || kind === S_IFDIR || (kind === S_IFLNK && !isFastLink)) && (raw.flags & INODE_FL.INLINE_DATA) === 0;
    const inode: Inode = { ino, raw, map: hasMap ? openBlockMap(volume, ino, raw) : undefined, isDax: isDaxFile(raw), data: undefined, openers: 0 };
    inodes.set(ino, inode);
    return inode;
  };
  const mapOf = ({ ino, raw, map }: Inode): BlockMap => {
    if (!map || (raw.flags & INODE_FL.ENCRYPT) !== 0) throw new KernelError('EOPNOTSUPP', `what inode ${ino} holds is encrypted, or in the inode itself`);
    return map;
  };
  const touch = (inode: Inode, sizeBytes?: number): void => {
    const { raw } = inode;
    raw.mtime = volume.now();
    raw.ctime = raw.mtime;
    if (sizeBytes !== undefined) {
      raw.sizeLo = sizeBytes % 2 ** 32;
      raw.sizeHi = Math.floor(sizeBytes / 2 ** 32);
    }
    save(inode);
  };
  /** Blocks for a hole, next to what is before it. */
  const allocate = (inode: Inode, block: number, most: number, isData: boolean): { start: number; count: number } => {
    const { list } = mapOf(inode);
    const before = list.before(block);
    const goal = before ? before.start + block - before.block : groupFirstBlock(sb, groupOfInode(volume, inode.ino));
    const run = allocBlocks(volume, goal, most, isData && !before);
    buffers.forget(run.start, run.count);
    try {
      mapOf(inode).set({ block, length: run.count, start: run.start, isUnwritten: false });
    } catch (error) {
      if (list.at(block)?.start !== run.start) freeBlocks(volume, run.start, run.count);
      throw error;
    }
    return run;
  };
  const blocksOf = (inode: Inode): FileBlocks => {
    const { list } = mapOf(inode);
    const find: FileBlocks['find'] = (block, most) => runAt(list, block, most);
    return {
      blockSize,
      get sizeBytes() {
        return sizeOfInode(inode.raw);
      },
      find,
      allocate(block, most) {
        const found = find(block, most);
        if (found.start === undefined) return { ...allocate(inode, block, found.count, true), isNew: true };
        if (found.isNew === true) mapOf(inode).set({ block, length: found.count, start: found.start, isUnwritten: false });
        return found;
      },
      truncateBlocks(block) {
        mapOf(inode).truncate(block);
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
      name: `${mount.bdev.name} inode ${inode.ino}`, bdev: mount.bdev, cache: mount.cache, dax: inode.isDax ? mount.dax : undefined, blocks: blocksOf(inode),
    });
    return inode.data;
  };
  /** Nobody has it open, and it has no name: its blocks go, then the inode. */
  const evictIfGone = (inode: Inode): void => {
    if (inode.raw.links > 0 || inode.openers > 0) return;
    inode.data?.forget();
    inode.map?.truncate(0);
    if (inode.raw.fileAclLo > 0) inode.raw.fileAclLo = 0; // shared attributes are left to e2fsck
    inode.raw.dtime = volume.now();
    inode.raw.sizeLo = 0;
    inode.raw.sizeHi = 0;
    save(inode);
    freeInode(volume, inode.ino, (inode.raw.mode & S_IFMT) === S_IFDIR);
    inodes.delete(inode.ino);
  };
  const statOf = ({ ino, raw, isDax }: Inode): Kstat => ({
    ino,
    mode: raw.mode,
    nlink: raw.links,
    uid: raw.uidHi * 2 ** 16 + raw.uidLo,
    gid: raw.gidHi * 2 ** 16 + raw.gidLo,
    sizeBytes: sizeOfInode(raw),
    blocks: raw.blocksHi * 2 ** 32 + raw.blocksLo,
    blockSize,
    atime: raw.atime,
    mtime: raw.mtime,
    ctime: raw.ctime,
    btime: raw.crtime,
    attributes: (isDax ? STATX_ATTR.DAX : 0) | (ino === EXT4_ROOT_INO ? STATX_ATTR.MOUNT_ROOT : 0) | (raw.flags & INODE_FL.APPEND ? STATX_ATTR.APPEND : 0)
      | (raw.flags & INODE_FL.IMMUTABLE ? STATX_ATTR.IMMUTABLE : 0) | (raw.flags & INODE_FL.NODUMP ? STATX_ATTR.NODUMP : 0)
      | (raw.flags & INODE_FL.ENCRYPT ? STATX_ATTR.ENCRYPTED : 0) | (raw.flags & INODE_FL.VERITY ? STATX_ATTR.VERITY : 0),
    attributesMask: ATTRIBUTES_MASK,
  });

  const namesOf = (dir: Inode): DirNames => ext4DirNames(volume, {
    ino: dir.ino,
    raw: dir.raw,
    get list() {
      return mapOf(dir).list;
    },
    allocate: (index) => allocate(dir, index, 1, false).start,
    touch: (sizeBytes) => touch(dir, sizeBytes),
    save: () => save(dir),
  });
  const checkNewName = (names: DirNames, name: string): void => {
    checkWritable();
    if (utf8Encode(name).length > NAME_MAX) throw new KernelError('ENAMETOOLONG', `a name of more than ${NAME_MAX} bytes`);
    if (name === '.' || name === '..' || names.find(name)) throw new KernelError('EEXIST', `there is a ${name} already`);
  };
  const newInode = (dir: Inode, mode: number): Inode => {
    const isDir = (mode & S_IFMT) === S_IFDIR;
    const ino = allocInode(volume, groupOfInode(volume, dir.ino), isDir);
    const now = volume.now();
    const inherited = dir.raw.flags & (INODE_FL.DAX | INODE_FL.NODUMP);
    const raw: RawInode = { ...emptyInode(sb), mode, links: isDir ? 2 : 1, atime: now, ctime: now, mtime: now, flags: inherited };
    if (raw.extraIsize > 0) raw.crtime = now;
    if (hasIncompat(sb, INCOMPAT.EXTENTS)) {
      raw.flags |= INODE_FL.EXTENTS;
      raw.block = buildExtentTree([], { blockSize, seed: undefined, alloc: () => 0 }).root;
    }
    writeInode(volume, ino, raw);
    return iget(ino);
  };
  /** Make an inode and name it; if there is no room for that, nothing is left. */
  const make = (dir: Inode, name: string, mode: number, type: number, fill: (inode: Inode) => void): Inode => {
    const names = namesOf(dir);
    checkNewName(names, name);
    const inode = newInode(dir, mode);
    try {
      fill(inode);
      names.add(name, inode.ino, type);
    } catch (error) {
      inode.raw.links = 0;
      evictIfGone(inode);
      throw error;
    }
    return inode;
  };

  const setDaxFlag = (inode: Inode, on: boolean): void => {
    checkWritable();
    inode.raw.flags = on ? inode.raw.flags | INODE_FL.DAX : inode.raw.flags & ~INODE_FL.DAX;
    inode.raw.ctime = volume.now();
    save(inode);
  };

  const inodeToUnlink = (dir: Inode, name: string): Inode => {
    checkWritable();
    const entry = namesOf(dir).find(name);
    if (!entry) throw new KernelError('ENOENT', `there is no ${name}`);
    return iget(entry.ino);
  };

  const directory = (dir: Inode): FsDirectory => ({
    kind: 'dir',
    stat: () => statOf(dir),
    setDaxFlag: (on) => setDaxFlag(dir, on),
    list: () => namesOf(dir).list(),
    lookup(name) {
      const entry = namesOf(dir).find(name);
      return entry && nodeOf(iget(entry.ino));
    },
    create: (name, mode) => regular(make(dir, name, S_IFREG | mode, DIR_TYPE.REGULAR, () => {})),
    mkdir(name, mode) {
      const made = make(dir, name, S_IFDIR | mode, DIR_TYPE.DIRECTORY, (child) => namesOf(child).init(dir.ino));
      dir.raw.links++;
      touch(dir);
      return directory(made);
    },
    unlink(name) {
      const inode = inodeToUnlink(dir, name);
      if ((inode.raw.mode & S_IFMT) === S_IFDIR) throw new KernelError('EISDIR', `${name} is a directory`);
      namesOf(dir).remove(name);
      inode.raw.links--;
      inode.raw.ctime = volume.now();
      save(inode);
      evictIfGone(inode);
    },
    rmdir(name) {
      const inode = inodeToUnlink(dir, name);
      if ((inode.raw.mode & S_IFMT) !== S_IFDIR) throw new KernelError('ENOTDIR', `${name} is no directory`);
      if (namesOf(inode).list().length > 0) throw new KernelError('ENOTEMPTY', `${name} has entries`);
      namesOf(dir).remove(name);
      inode.raw.links = 0;
      evictIfGone(inode);
      dir.raw.links--;
      touch(dir);
    },
  });
  const regular = (inode: Inode): FsRegular => ({
    kind: 'regular',
    stat: () => statOf(inode),
    setDaxFlag: (on) => setDaxFlag(inode, on),
    open: ({ write = false } = {}) => openFile(inode, write),
  });
  const symlink = (inode: Inode): FsSymlink => ({
    kind: 'symlink',
    stat: () => statOf(inode),
    get target() {
      const length = sizeOfInode(inode.raw);
      if (!inode.map) return utf8Decode(inode.raw.block.subarray(0, Math.min(length, 60)));
      const extent = inode.map.list.at(0);
      if (!extent || length > blockSize) throw new KernelError('EIO', `the link of inode ${inode.ino} leads nowhere`);
      return utf8Decode(buffers.read(extent.start * blockSize, length));
    },
  });
  const nodeOf = (inode: Inode): FsNode => {
    switch (inode.raw.mode & S_IFMT) {
      case S_IFDIR:
        return directory(inode);
      case S_IFREG:
        return regular(inode);
      case S_IFLNK:
        return symlink(inode);
      default:
        throw new KernelError('EOPNOTSUPP', `inode ${inode.ino} is a device, a pipe or a socket`);
    }
  };

  function openFile(inode: Inode, forWrite: boolean): FsFile {
    const data = dataOf(inode);
    return openRegular(mount, {
      data,
      sizeBytes: () => sizeOfInode(inode.raw),
      get openers() {
        return inode.openers;
      },
      set openers(count) {
        inode.openers = count;
      },
      closed: () => evictIfGone(inode),
    }, forWrite);
  }

  const root = iget(EXT4_ROOT_INO);
  if ((root.raw.mode & S_IFMT) !== S_IFDIR || !root.map) throw new KernelError('EIO', 'the root inode is no directory');
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
