/**
 * Makes an ext2 or ext4: what mke2fs of e2fsprogs 1.47 writes, block for block. Mirrors lib/ext2fs: alloc_tables.c, mkjournal.c, res_gdt.c.
 *
 * Invariant: blocks that are written are marked as used, and nothing but zeros was promised of the rest.
 * Differs from mke2fs: with inline_data directories have blocks of their own all the same, and s_kbytes_written is not counted.
 */
import { KernelError } from '@holdfast/lib';
import type { BlockStore } from '../block-store.js';
import type { Extent } from '../extent-list.js';
import { setBits } from './bitmaps.js';
import { DIR_TYPE, newDirBlock } from './dir-block.js';
import { EXT_INIT_MAX_LEN, type ExtentTree, buildExtentTree } from './extent-format.js';
import { BG, type GroupDesc, bitmapChecksum, emptyGroupDesc, encodeGroupDesc } from './group-desc.js';
import { EXT4_JOURNAL_INO, EXT4_RESIZE_INO, EXT4_ROOT_INO, INODE_FL, type RawInode, emptyInode, encodeInode, inodeSeed } from './inode.js';
import { encodeJournalSuper } from './jbd2.js';
import { type Geometry, type Mke2fsOptions, defaultJournalBlocks, planExt4 } from './mke2fs-geometry.js';
import {
  COMPAT, EXT4_VALID_FS, INCOMPAT, RO_COMPAT, SUPER_OFFSET, type Superblock, blocksCountOf, descSizeOf, encodeSuperblock, groupFirstBlock, groupHasSuper,
  hasCompat, hasIncompat, hasRoCompat,
} from './superblock.js';
import { type UsedBlocks, createUsedBlocks } from './used-blocks.js';

const LOST_FOUND_INO = 11;
/** Or as much of it as 12 blocks hold: no indirect block is made for it (mke2fs: create_lost_and_found). */
const LOST_FOUND_BYTES = 16384;

/** What was made, for people. */
export interface MadeExt4 extends Geometry {
  /** 0 without a journal. */
  readonly journalBlocks: number;
}

/** What is being made. */
interface Making extends Geometry {
  readonly store: BlockStore;
  readonly options: Mke2fsOptions;
  readonly blockSize: number;
  readonly descs: GroupDesc[];
  readonly used: UsedBlocks;
  /** Inodes below that are in use in the first group. */
  usedInodes: number;
}

/**
 * Write a file system onto a device.
 * @throws KernelError EINVAL, ENOSPC if it does not fit, EOPNOTSUPP for a journal without extents, and the device's
 */
export function makeExt4(store: BlockStore, options: Mke2fsOptions): MadeExt4 {
  const geometry = planExt4(options);
  const { sb, groups } = geometry;
  const making: Making = {
    ...geometry,
    store,
    options,
    blockSize: options.blockSize,
    descs: Array.from({ length: groups }, emptyGroupDesc),
    used: createUsedBlocks(),
    usedInodes: sb.firstIno - 1,
  };
  const journalBlocks = hasCompat(sb, COMPAT.HAS_JOURNAL) ? journalSize(making) : 0;
  reserveSupers(making);
  for (let group = 0; group < groups; group++) allocateTables(making, group);
  sb.overheadClusters = making.used.countWithin(sb.firstDataBlock, blocksCountOf(sb)) + journalBlocks + sb.firstDataBlock;
  wipe(making);
  zeroInodeTables(making);
  makeDirectories(making);
  if (hasCompat(sb, COMPAT.RESIZE_INODE)) makeResizeInode(making);
  if (journalBlocks > 0) makeJournal(making, journalBlocks);
  writeReservedInodes(making);
  writeBitmaps(making);
  writeSupers(making);
  return { ...geometry, journalBlocks };
}

function journalSize({ sb, options }: Making): number {
  const blocks = options.journalBlocks ?? defaultJournalBlocks(blocksCountOf(sb));
  if (blocks === undefined) {
    sb.featureCompat &= ~COMPAT.HAS_JOURNAL;
    return 0;
  }
  if (!hasIncompat(sb, INCOMPAT.EXTENTS)) throw new KernelError('EOPNOTSUPP', 'a journal without the feature extents is not made here');
  return blocks;
}

/** The superblock, its copies, and the descriptors behind them. */
function reserveSupers({ sb, groups, descBlocks, used }: Making): void {
  for (let group = 0; group < groups; group++) {
    if (groupHasSuper(sb, group)) used.mark(groupFirstBlock(sb, group), 1 + descBlocks + sb.reservedGdtBlocks);
  }
}

function groupLastBlock({ sb, groups }: Geometry, group: number): number {
  return group === groups - 1 ? blocksCountOf(sb) - 1 : groupFirstBlock(sb, group + 1) - 1;
}

/** Find room for a group's two bitmaps and its inode table (ext2fs_allocate_group_table). */
function allocateTables(making: Making, group: number): void {
  const { sb, used, descs, inodeBlocksPerGroup, groups } = making;
  const desc = descs[group]!;
  const flexSize = sb.logGroupsPerFlex > 0 ? 2 ** sb.logGroupsPerFlex : 0;
  const place = (start: number, last: number, count: number): number => {
    const found = used.findFree(start, last, count) ?? used.findFree(groupFirstBlock(sb, group), last, count);
    if (found === undefined) throw new KernelError('ENOSPC', `no room for the tables of group ${group}`);
    used.mark(found, count);
    return found;
  };
  if (flexSize === 0) {
    const first = groupFirstBlock(sb, group);
    const last = groupLastBlock(making, group);
    const start = sb.raidStride > 0 ? stridedStart(making, group, first, last) : first;
    desc.blockBitmap = place(start, last, 1);
    desc.inodeBitmap = place(start, last, 1);
    desc.inodeTable = place(first, last, inodeBlocksPerGroup);
    return;
  }
  const lastGroup = Math.min(group - (group % flexSize) + flexSize - 1, groups - 1);
  const last = groupLastBlock(making, lastGroup);
  const rest = lastGroup - group + 1;
  const isFirst = group % flexSize === 0;
  const tableOffset = isFirst && lastGroup === groups - 1 ? (lastGroup % flexSize) + 1 : flexSize;
  const before = isFirst ? undefined : descs[group - 1]!;
  const find = (hint: number, count: number): number => flexStart(making, group, hint, last, rest, count);
  desc.blockBitmap = place(find(before ? before.blockBitmap + 1 : 0, 1), last, 1);
  desc.inodeBitmap = place(find(before ? before.inodeBitmap + 1 : desc.blockBitmap + tableOffset, 1), last, 1);
  desc.inodeTable = place(
    find(before ? before.inodeTable + inodeBlocksPerGroup : desc.inodeBitmap + tableOffset, inodeBlocksPerGroup),
    last,
    inodeBlocksPerGroup,
  );
}

/** Spread bitmaps over the members of an array, each group a stride further. */
function stridedStart({ sb, used, inodeBlocksPerGroup }: Making, group: number, first: number, last: number): number {
  const free = (used.findFree(first, last, 1) ?? first) + inodeBlocksPerGroup;
  const start = free + ((sb.raidStride * group) % (last - free + 1));
  return start >= last ? first : start;
}

/** Where the tables of a flexible group go on: at `hint`, if there is room near it, else at the first place with room for all of them. */
function flexStart({ sb, used }: Making, group: number, hint: number, last: number, groupsLeft: number, count: number): number {
  const size = Math.min(groupsLeft * count, Math.floor(sb.blocksPerGroup / 4));
  if (hint > 0 && hint < blocksCountOf(sb)) {
    const near = used.findFree(hint, Math.min(hint + size, blocksCountOf(sb) - 1), count);
    if (near !== undefined) return near;
  }
  const first = groupFirstBlock(sb, group - (group % 2 ** sb.logGroupsPerFlex));
  return used.findFree(first, last, size) ?? used.findFree(first, last, count) ?? used.findFree(sb.firstDataBlock, last, count) ?? first;
}

/** The boot sectors, an old superblock, and what other formats keep at the end of a device. */
function wipe({ store, sb, blockSize }: Making): void {
  store.zero(0, 4096);
  const grain = Math.max(1, 65536 / blockSize);
  const blocks = blocksCountOf(sb);
  let start = blocks - (blocks % grain);
  if (start > grain) start -= grain;
  if (start > 0) store.zero(start * blockSize, (blocks - start) * blockSize);
}

function zeroInodeTables({ store, sb, descs, blockSize, inodeBlocksPerGroup, options }: Making): void {
  const { isZeroed = false } = options;
  const hasUninit = hasRoCompat(sb, RO_COMPAT.METADATA_CSUM);
  const isLazy = hasUninit && (options.lazyItable ?? false);
  for (const [group, desc] of descs.entries()) {
    const usedInodes = group === 0 ? sb.firstIno : 0;
    const blocks = isLazy ? Math.ceil((usedInodes * sb.inodeSize) / blockSize) : inodeBlocksPerGroup;
    if (!isLazy || isZeroed) desc.flags |= BG.ITABLE_ZEROED;
    if (!isZeroed) store.zero(desc.inodeTable * blockSize, blocks * blockSize);
  }
}

/** Take the first free block from `goal` on. */
function allocBlock({ sb, used }: Making, goal = sb.firstDataBlock): number {
  const last = blocksCountOf(sb) - 1;
  const found = used.findFree(goal, last, 1) ?? used.findFree(sb.firstDataBlock, last, 1);
  if (found === undefined) throw new KernelError('ENOSPC', 'the device is full before it is a file system');
  used.mark(found, 1);
  return found;
}

function writeInode({ store, sb, descs, blockSize }: Making, ino: number, inode: RawInode): void {
  const index = ino - 1;
  const at = descs[Math.floor(index / sb.inodesPerGroup)]!.inodeTable * blockSize + (index % sb.inodesPerGroup) * sb.inodeSize;
  store.write(at, encodeInode(sb, ino, inode));
}

/** An inode that is new now. */
function bornInode({ sb, options: { now } }: Making, changes: Partial<RawInode>): RawInode {
  const isLarge = sb.inodeSize > 128;
  return { ...emptyInode(sb), atime: now, ctime: now, mtime: now, ...(isLarge ? { crtime: now } : {}), ...changes };
}

function treeOf(making: Making, ino: number, extents: readonly Extent[]): ExtentTree {
  const { sb, blockSize } = making;
  const seed = hasRoCompat(sb, RO_COMPAT.METADATA_CSUM) ? inodeSeed(sb, ino, 0) : undefined;
  return buildExtentTree(extents, { blockSize, seed, alloc: () => allocBlock(making) });
}

/** How an inode says where its blocks are, which follow each other from `first` on. */
function mapOf(making: Making, first: number, count: number): Pick<RawInode, 'block' | 'flags'> {
  const { sb } = making;
  if (hasIncompat(sb, INCOMPAT.EXTENTS)) {
    return { block: treeOf(making, 0, [{ block: 0, length: count, start: first, isUnwritten: false }]).root, flags: INODE_FL.EXTENTS };
  }
  const block = new Uint8Array(60);
  for (let i = 0; i < count; i++) new DataView(block.buffer).setUint32(i * 4, first + i, true);
  return { block, flags: 0 };
}

function makeDirectories(making: Making): void {
  const { sb, store, blockSize } = making;
  const seedOf = (ino: number): number | undefined => (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM) ? inodeSeed(sb, ino, 0) : undefined);
  const sectors = blockSize / 512;
  const root = allocBlock(making);
  store.write(root * blockSize, newDirBlock(blockSize, seedOf(EXT4_ROOT_INO), [
    { ino: EXT4_ROOT_INO, name: '.', type: DIR_TYPE.DIRECTORY }, { ino: EXT4_ROOT_INO, name: '..', type: DIR_TYPE.DIRECTORY },
    { ino: LOST_FOUND_INO, name: 'lost+found', type: DIR_TYPE.DIRECTORY },
  ]));
  writeInode(making, EXT4_ROOT_INO, bornInode(making, { mode: 0o40755, links: 3, sizeLo: blockSize, blocksLo: sectors, ...mapOf(making, root, 1) }));
  const count = Math.min(12, LOST_FOUND_BYTES / blockSize);
  const blocks = Array.from({ length: count }, () => allocBlock(making));
  for (const [index, block] of blocks.entries()) {
    const entries = index > 0 ? [] : [
      { ino: LOST_FOUND_INO, name: '.', type: DIR_TYPE.DIRECTORY }, { ino: EXT4_ROOT_INO, name: '..', type: DIR_TYPE.DIRECTORY },
    ];
    store.write(block * blockSize, newDirBlock(blockSize, seedOf(LOST_FOUND_INO), entries));
  }
  writeInode(
    making,
    LOST_FOUND_INO,
    bornInode(making, { mode: 0o40700, links: 2, sizeLo: count * blockSize, blocksLo: count * sectors, ...mapOf(making, blocks[0]!, count) }),
  );
  making.usedInodes = LOST_FOUND_INO;
  making.descs[0]!.usedDirs = 2;
}

/** A file whose indirect blocks are the reserved descriptor blocks, so that nobody else takes them (ext2fs_create_resize_inode). */
function makeResizeInode(making: Making): void {
  const { sb, store, blockSize, descBlocks, groups, inodeBlocksPerGroup } = making;
  const perBlock = blockSize / 4;
  const copies = Array.from({ length: groups }, (_, group) => group).filter((group) => group > 0 && groupHasSuper(sb, group));
  const reserved = sb.firstDataBlock + 1 + descBlocks;
  const doubly = allocBlock(making, reserved + sb.reservedGdtBlocks + 1 + inodeBlocksPerGroup);
  const top = new Uint8Array(blockSize);
  for (let k = 0; k < sb.reservedGdtBlocks; k++) {
    new DataView(top.buffer).setUint32(((descBlocks + k) % perBlock) * 4, reserved + k, true);
    const bottom = new Uint8Array(blockSize);
    for (const [index, group] of copies.entries()) new DataView(bottom.buffer).setUint32(index * 4, groupFirstBlock(sb, group) + 1 + descBlocks + k, true);
    store.write((reserved + k) * blockSize, bottom);
  }
  store.write(doubly * blockSize, top);
  const block = new Uint8Array(60);
  new DataView(block.buffer).setUint32(13 * 4, doubly, true);
  const size = blockSize * (12 + perBlock + perBlock * perBlock);
  const blocksUsed = 1 + sb.reservedGdtBlocks * (1 + copies.length);
  writeInode(making, EXT4_RESIZE_INO, bornInode(making, {
    mode: 0o100600, links: 1, block, sizeLo: size % 2 ** 32, sizeHi: Math.floor(size / 2 ** 32), blocksLo: (blocksUsed * blockSize) / 512,
  }));
}

/** An empty journal, near the middle of the device. */
function makeJournal(making: Making, count: number): void {
  const { sb, store, blockSize, used } = making;
  const extents: Extent[] = [];
  let goal = journalGoal(making);
  for (let done = 0; done < count;) {
    const { start, length } = freeRun(making, goal, Math.min(EXT_INIT_MAX_LEN, count - done));
    used.mark(start, length);
    extents.push({ block: done, length, start, isUnwritten: false });
    store.zero(start * blockSize, length * blockSize);
    done += length;
    goal = start + length;
  }
  const { root: block, nodes } = treeOf(making, EXT4_JOURNAL_INO, extents);
  for (const [at, node] of nodes) store.write(at * blockSize, node);
  const blocksUsed = count + nodes.size;
  const size = count * blockSize;
  const inode = bornInode(making, {
    mode: 0o100600,
    links: 1,
    flags: INODE_FL.EXTENTS,
    block,
    sizeLo: size % 2 ** 32,
    sizeHi: Math.floor(size / 2 ** 32),
    blocksLo: (blocksUsed * blockSize) / 512,
  });
  writeInode(making, EXT4_JOURNAL_INO, inode);
  store.write(extents[0]!.start * blockSize, encodeJournalSuper({ blockSize, blocks: count, uuid: sb.uuid }));
  sb.journalInum = EXT4_JOURNAL_INO;
  sb.jnlBackupType = 1;
  sb.jnlBlocks.set(block);
  new DataView(sb.jnlBlocks.buffer, sb.jnlBlocks.byteOffset).setUint32(60, inode.sizeHi, true);
  new DataView(sb.jnlBlocks.buffer, sb.jnlBlocks.byteOffset).setUint32(64, inode.sizeLo, true);
}

/** The first free blocks from `goal` on, at most `most` of them. */
function freeRun({ sb, used }: Making, goal: number, most: number): { readonly start: number; readonly length: number } {
  const end = blocksCountOf(sb);
  const start = used.findFree(goal, end - 1, 1) ?? used.findFree(sb.firstDataBlock, end - 1, 1);
  if (start === undefined) throw new KernelError('ENOSPC', 'no room for a journal');
  return { start, length: (used.within(start, start + most)[0]?.start ?? Math.min(start + most, end)) - start };
}

/** The group near the middle with the most free blocks (get_midpoint_journal_block). */
function journalGoal(making: Making): number {
  const { sb, groups, used } = making;
  const freeIn = (group: number): number =>
    groupLastBlock(making, group) + 1 - groupFirstBlock(sb, group) - used.countWithin(groupFirstBlock(sb, group), groupLastBlock(making, group) + 1);
  let group = Math.floor(Math.floor((blocksCountOf(sb) - sb.firstDataBlock) / 2) / sb.blocksPerGroup);
  const flexSize = 2 ** sb.logGroupsPerFlex;
  let start: number;
  const end = Math.min(group + 1, groups - 1);
  if (sb.logGroupsPerFlex > 0 && group > flexSize) {
    start = group - (group % flexSize);
    while (start < groups - 1 && freeIn(start) === 0) start++;
    group = start;
  } else {
    start = Math.max(0, group - 1);
  }
  const last = sb.logGroupsPerFlex > 0 && group === start && start > 0 && group % flexSize === 0 ? Math.min(start + 1, groups - 1) : end;
  let best = start;
  for (let i = start + 1; i <= last; i++) if (freeIn(i) > freeIn(best)) best = i;
  return groupFirstBlock(sb, best);
}

/** Inode 1 has times, and the others up to the first of users have a checksum. */
function writeReservedInodes(making: Making): void {
  const { sb } = making;
  const taken = new Set([EXT4_ROOT_INO, ...(hasCompat(sb, COMPAT.RESIZE_INODE) ? [EXT4_RESIZE_INO] : []), ...(sb.journalInum > 0 ? [EXT4_JOURNAL_INO] : [])]);
  for (let ino = 1; ino < sb.firstIno; ino++) {
    if (taken.has(ino)) continue;
    if (ino === 1) writeInode(making, ino, { ...bornInode(making, {}), extraIsize: 0, crtime: 0 });
    else if (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM)) writeInode(making, ino, { ...emptyInode(sb), extraIsize: 0 });
  }
}

function writeBitmaps(making: Making): void {
  const { sb, store, descs, used, blockSize, groups, descBlocks } = making;
  const hasUninit = hasRoCompat(sb, RO_COMPAT.METADATA_CSUM);
  let freeBlocks = 0;
  for (const [group, desc] of descs.entries()) {
    const first = groupFirstBlock(sb, group);
    const end = groupLastBlock(making, group) + 1;
    const taken = used.within(first, end);
    const count = taken.reduce((sum, part) => sum + part.end - part.start, 0);
    const ofSuper = groupHasSuper(sb, group) ? 1 + descBlocks + sb.reservedGdtBlocks : 0;
    desc.freeBlocks = end - first - count;
    freeBlocks += desc.freeBlocks;
    const inodes = group === 0 ? making.usedInodes : 0;
    desc.freeInodes = sb.inodesPerGroup - inodes;
    if (hasUninit) {
      desc.itableUnused = desc.freeInodes;
      if (group > 0) desc.flags |= BG.INODE_UNINIT;
      if (group < groups - 1 && count === ofSuper) desc.flags |= BG.BLOCK_UNINIT;
    }
    if ((desc.flags & BG.BLOCK_UNINIT) === 0) {
      const bits = new Uint8Array(blockSize);
      for (const part of taken) setBits(bits, part.start - first, part.end - first);
      setBits(bits, end - first, blockSize * 8);
      store.write(desc.blockBitmap * blockSize, bits);
      if (hasUninit) desc.blockBitmapCsum = bitmapChecksum(sb, bits.subarray(0, sb.clustersPerGroup / 8));
    }
    if ((desc.flags & BG.INODE_UNINIT) === 0) {
      const bits = new Uint8Array(blockSize);
      setBits(bits, 0, inodes);
      setBits(bits, sb.inodesPerGroup, blockSize * 8);
      store.write(desc.inodeBitmap * blockSize, bits);
      if (hasUninit) desc.inodeBitmapCsum = bitmapChecksum(sb, bits.subarray(0, sb.inodesPerGroup / 8));
    }
  }
  sb.freeBlocksCountLo = freeBlocks % 2 ** 32;
  sb.freeBlocksCountHi = Math.floor(freeBlocks / 2 ** 32);
  sb.freeInodesCount = sb.inodesCount - making.usedInodes;
}

/** The superblock and the descriptors, with all copies. */
function writeSupers({ sb, store, descs, groups, descBlocks, blockSize }: Making): void {
  const size = descSizeOf(sb);
  const table = new Uint8Array(descBlocks * blockSize);
  for (const [group, desc] of descs.entries()) table.set(encodeGroupDesc(sb, group, desc), group * size);
  for (let group = 0; group < groups; group++) {
    if (!groupHasSuper(sb, group)) continue;
    const first = groupFirstBlock(sb, group);
    const copy: Superblock = group === 0 ? sb : { ...sb, blockGroupNr: group, state: sb.state & ~EXT4_VALID_FS };
    store.write(group === 0 ? SUPER_OFFSET : first * blockSize, encodeSuperblock(copy));
    store.write((first + 1) * blockSize, table);
  }
}
