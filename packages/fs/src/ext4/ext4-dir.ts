/**
 * The names in a directory's blocks: finding, adding and taking away. Mirrors fs/ext4/namei.c: ext4_find_entry, ext4_add_entry,
 * ext4_delete_entry, ext4_init_new_dir; and fs/ext4/dir.c.
 *
 * Differs from Linux: a directory is a list of entries; one that has a hash tree loses it when it is changed.
 */
import { KernelError } from '@holdfast/lib';
import type { ExtentList } from '../extent-list.js';
import { DIR_TYPE, type DirSeed, addDirEntry, dirEntries, newDirBlock, removeDirEntry } from './dir-block.js';
import { INODE_FL, type RawInode, sizeOfInode } from './inode.js';
import { INCOMPAT, hasIncompat } from './superblock.js';
import { type Ext4Volume, seedOf } from './volume.js';

/** A directory's inode, as far as its names need it. */
export interface DirInode {
  readonly ino: number;
  readonly raw: RawInode;
  /** @throws KernelError EOPNOTSUPP where the names are not in blocks, or encrypted */
  readonly list: ExtentList;
  /** A block for the hole at `index`; returns its number on the device. @throws KernelError ENOSPC */
  allocate(index: number): number;
  /** It changed, and may have another size. */
  touch(sizeBytes?: number): void;
  save(): void;
}

export interface DirNames {
  /** In the order of the medium, without `.` and `..`. @throws KernelError EIO */
  list(): string[];
  /** @throws KernelError EIO */
  find(name: string): { readonly ino: number; readonly type: number } | undefined;
  /** @throws KernelError ENOSPC, EIO */
  add(name: string, ino: number, type: number): void;
  remove(name: string): void;
  /** Make the first block of a new directory. @throws KernelError ENOSPC */
  init(parentIno: number): void;
}

/** A block of a directory: its number there, its byte on the device, and what its sum starts from (that of a hash node is elsewhere). */
interface DirBlock {
  readonly index: number;
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly seed: DirSeed;
}

export function ext4DirNames(volume: Ext4Volume, dir: DirInode): DirNames {
  const { sb, blockSize, buffers } = volume;
  const seed = seedOf(volume, dir.ino, dir.raw);

  const blocks = (): DirBlock[] => Array.from({ length: Math.ceil(sizeOfInode(dir.raw) / blockSize) }, (_, index) => {
    const extent = dir.list.at(index);
    if (!extent) throw new KernelError('EIO', `directory ${dir.ino} has a hole at block ${index}`);
    const at = (extent.start + index - extent.block) * blockSize;
    const bytes = buffers.read(at, blockSize);
    return { index, at, bytes, seed: isHashNode(index, bytes) ? undefined : seed };
  });
  /** Root and inner nodes of a hash tree look like blocks of `.` and `..`, and of nothing; their sum is elsewhere. */
  const isHashNode = (index: number, bytes: Uint8Array): boolean => {
    if ((dir.raw.flags & INODE_FL.INDEX) === 0) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return index === 0 || (view.getUint32(0, true) === 0 && view.getUint16(4, true) === blockSize);
  };
  const dropHashTree = (): void => {
    if ((dir.raw.flags & INODE_FL.INDEX) === 0) return;
    for (const { index, at, bytes } of blocks()) {
      if (!isHashNode(index, bytes)) continue;
      buffers.write(at, newDirBlock(blockSize, seed, index > 0 ? [] : dirEntries(bytes, undefined).slice(0, 2)));
    }
    dir.raw.flags &= ~INODE_FL.INDEX;
    dir.save();
  };

  return {
    list: () =>
      blocks().flatMap((block) =>
        dirEntries(block.bytes, block.seed)
          .filter(({ ino, name }) => ino !== 0 && name !== '.' && name !== '..')
          .map(({ name }) => name),
      ),
    find(name) {
      for (const block of blocks()) {
        const entry = dirEntries(block.bytes, block.seed).find((each) => each.ino !== 0 && each.name === name);
        if (entry) return entry;
      }
      return undefined;
    },
    add(name, ino, type) {
      dropHashTree();
      const entry = { ino, name, type: hasIncompat(sb, INCOMPAT.FILETYPE) ? type : DIR_TYPE.UNKNOWN };
      const room = blocks().find((block) => addDirEntry(block.bytes, block.seed, entry));
      if (room) buffers.write(room.at, room.bytes);
      else {
        const index = Math.ceil(sizeOfInode(dir.raw) / blockSize);
        buffers.write(dir.allocate(index) * blockSize, newDirBlock(blockSize, seed, [entry]));
        dir.touch((index + 1) * blockSize);
      }
      dir.touch();
    },
    remove(name) {
      dropHashTree();
      const place = blocks().find((block) => removeDirEntry(block.bytes, block.seed, name) !== undefined);
      if (place) buffers.write(place.at, place.bytes);
      dir.touch();
    },
    init(parentIno) {
      buffers.write(
        dir.allocate(0) * blockSize,
        newDirBlock(blockSize, seed, [
          { ino: dir.ino, name: '.', type: DIR_TYPE.DIRECTORY },
          { ino: parentIno, name: '..', type: DIR_TYPE.DIRECTORY },
        ]),
      );
      dir.touch(blockSize);
    },
  };
}
