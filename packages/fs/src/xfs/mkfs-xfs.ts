/**
 * Makes an XFS: what mkfs.xfs of xfsprogs 6.1 writes with its defaults. Mirrors mkfs/xfs_mkfs.c: calculate_geometry, initialise_ag_headers,
 * initialise_mount, and libxfs/rdwr.c: libxfs_log_clear.
 */
import { KernelError, isAligned, roundUp } from '@holdfast/lib';
import type { BlockStore } from '../block-store.js';
import { AGFL_COUNT, type AllocGroup, blocksInAg, rootsOf, takeBlocks, takeChunk, writeAg } from './alloc-group.js';
import {
  XFS_DIFLAG2, XFS_DINODE_FMT, XFS_INODES_PER_CHUNK, XFS_NULL, type XfsGeometry, type XfsSuper, agBlockToIno, encodeXfsSuper, wordsOf,
} from './format.js';
import { encodeFreeInode, encodeShortDir, encodeXfsInode, newXfsInode } from './xfs-dinode.js';

export interface MkfsXfsOptions {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly sectorBytes: number;
  readonly uuid: Uint8Array;
  /** Seconds since 1970. */
  readonly now: number;
  readonly label?: string;
  readonly hasReflink?: boolean;
  /** Of an array, in bytes. */
  readonly stripeUnitBytes?: number;
  readonly stripeWidthBytes?: number;
}

const INODE_BYTES = 512;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
const XFS_AG_MIN_BYTES = 16 * MIB;

/** What mkfs.xfs says, and then ends with its usage. */
export class XfsUsage extends KernelError {
  constructor(line: string) {
    super('EINVAL', line);
  }
}

/** Sizes of everything. @throws XfsUsage for what mkfs.xfs refuses */
export function planXfs(options: MkfsXfsOptions): XfsGeometry {
  const { sizeBytes, blockBytes, sectorBytes, uuid, label = '', hasReflink = true, stripeUnitBytes = 0, stripeWidthBytes = 0 } = options;
  const allBlocks = Math.floor(sizeBytes / blockBytes);
  const fewest = XFS_AG_MIN_BYTES / blockBytes;
  if (allBlocks < fewest) throw new XfsUsage(`size ${allBlocks} of data subvolume is too small, minimum ${fewest} blocks`);
  const sunit = stripeUnitBytes / blockBytes;
  const swidth = stripeWidthBytes / blockBytes;
  const { agBlocks, agCount, dblocks } = planGroups(allBlocks, blockBytes, sunit, swidth);
  const agBlockLog = Math.ceil(Math.log2(agBlocks));
  const logSunitBytes = logStripe(stripeUnitBytes, sectorBytes, blockBytes);
  const inodeAlign = (XFS_INODES_PER_CHUNK * INODE_BYTES) / blockBytes;
  const sketch: XfsGeometry = {
    blockBytes, sectorBytes, inodeBytes: INODE_BYTES, dblocks, agBlocks, agCount, agBlockLog, logAg: Math.floor(agCount / 2), logAgBlock: 0,
    logBlocks: 0, sunit, swidth, logSunitBytes,
    inodeAlign, hasReflink, uuid, label,
  };
  const { end } = rootsOf(sketch);
  const logAgBlock = logSunitBytes > 1 ? roundUp(end, Math.max(1, logSunitBytes / blockBytes)) : end;
  // The log is as long as a group's room allows, and leaves some of it for the group's own blocks.
  const room = agBlocks - end - AGFL_COUNT - 20;
  let logBlocks = Math.min(wantedLogBytes(dblocks * blockBytes) / blockBytes, room);
  if (logSunitBytes > blockBytes) logBlocks = Math.floor(logBlocks / (logSunitBytes / blockBytes)) * (logSunitBytes / blockBytes);
  if (sizeBytes < 300 * MIB) throw new XfsUsage('Filesystem must be larger than 300MB.');
  if (logBlocks * blockBytes < 64 * MIB) throw new XfsUsage('Log size must be at least 64MB.');
  return { ...sketch, logAgBlock, logBlocks };
}

/** calc_default_ag_geometry, align_ag_geometry. */
function planGroups(blocks: number, blockBytes: number, sunit: number, swidth: number): { agBlocks: number; agCount: number; dblocks: number } {
  const most = TIB / blockBytes - 1;
  const bytes = blocks * blockBytes;
  let agBlocks: number;
  if (bytes >= 32 * TIB || (sunit === 0 && bytes >= 4 * TIB)) agBlocks = most;
  else {
    const parts = sunit === 0 ? 4 : bytes > 512 * GIB ? 32 : bytes > 8 * GIB ? 16 : 8;
    agBlocks = Math.min(Math.ceil(blocks / (bytes >= 128 * MIB ? parts : 1)), most);
  }
  let agCount = Math.ceil(blocks / agBlocks);
  if (sunit > 0 && !isAligned(agBlocks, sunit)) {
    agBlocks = Math.floor(agBlocks / sunit) * sunit;
    agCount = Math.ceil(blocks / agBlocks);
  }
  if (sunit > 0 && agCount > 1 && isAligned(agBlocks, swidth) && sunit !== swidth) {
    agBlocks -= sunit;
    agCount = Math.ceil(blocks / agBlocks);
  }
  // A last group of less than 16 MiB is left out.
  const rest = blocks % agBlocks;
  const isTiny = rest > 0 && rest * blockBytes < XFS_AG_MIN_BYTES && agCount > 1;
  return { agBlocks, agCount: isTiny ? agCount - 1 : agCount, dblocks: isTiny ? blocks - rest : blocks };
}

function wantedLogBytes(bytes: number): number {
  if (bytes < 128 * GIB) return 64 * MIB;
  return Math.min(Math.floor(bytes / 2048), 2 ** 31 - 2 ** 20);
}

/** Of the log, in bytes: a block where sectors are large, else the array's stripes; 1 for none. */
function logStripe(stripeUnitBytes: number, sectorBytes: number, blockBytes: number): number {
  if (sectorBytes > 512) return blockBytes;
  if (stripeUnitBytes > 256 * 1024) return 32 * 1024;
  return Math.max(1, stripeUnitBytes);
}

/** @throws XfsUsage, and the device's errors */
export function makeXfs(store: BlockStore, options: MkfsXfsOptions): XfsSuper {
  const geometry = planXfs(options);
  const { agCount, blockBytes, agBlocks, dblocks } = geometry;
  const end = rootsOf(geometry).end;
  // What other formats keep at either end of a device.
  store.zero(0, 128 * 1024);
  store.zero(dblocks * blockBytes - 128 * 1024, 128 * 1024);
  const groups = Array.from({ length: agCount }, (_, agno) => newGroup(geometry, agno, end));
  const rootIno = makeRoot(geometry, groups[0]!, store, options.now);
  const free = groups.reduce((sum, ag) => sum + ag.agfl.length + ag.free.reduce((blocks, { count }) => blocks + count, 0), 0);
  const sb: XfsSuper = { ...geometry, rootIno, icount: XFS_INODES_PER_CHUNK, ifree: XFS_INODES_PER_CHUNK - 3, fdblocks: free };
  for (const ag of groups) {
    store.zero(ag.agno * agBlocks * blockBytes, end * blockBytes);
    writeAg(geometry, store, ag);
    // Copies come before the first inodes; in the end two of them are told where the root is.
    const knowsRoot = ag.agno === agCount - 1 || ag.agno === Math.floor((agCount - 1) / 2);
    const copy = { ...sb, icount: 0, ifree: 0, fdblocks: free + geometry.inodeAlign, rootIno: knowsRoot ? rootIno : undefined };
    store.write(ag.agno * agBlocks * blockBytes, ag.agno === 0 ? encodeXfsSuper(sb) : encodeXfsSuper(copy, true));
  }
  clearLog(geometry, store);
  return sb;
}

function newGroup(geometry: XfsGeometry, agno: number, end: number): AllocGroup {
  const blocks = blocksInAg(geometry, agno);
  const { logAg, logAgBlock, logBlocks } = geometry;
  const taken = agno === logAg ? [{ start: logAgBlock, count: logBlocks }] : [];
  const free = [
    { start: end, count: (taken[0]?.start ?? blocks) - end },
    ...taken.map(({ start, count }) => ({ start: start + count, count: blocks - start - count })),
  ].filter(({ count }) => count > 0);
  const ag: AllocGroup = { agno, blocks, free, chunks: [], agfl: [], newino: XFS_NULL };
  // The free list comes from the smallest piece that has it.
  const smallest = [...free].sort((a, b) => a.count - b.count).find(({ count }) => count >= AGFL_COUNT)!;
  const list = takeBlocks(geometry, ag, smallest.start, AGFL_COUNT)!;
  return { ...ag, agfl: Array.from({ length: AGFL_COUNT }, (_, i) => list.start + i) };
}

/** The first chunk of inodes: the root directory, and two files of a real-time section that there is not. */
function makeRoot(geometry: XfsGeometry, ag: AllocGroup, store: BlockStore, now: number): number {
  const chunk = takeChunk(geometry, ag);
  if (!chunk) throw new KernelError('ENOSPC', 'the first group has no room for inodes');
  const { blockBytes, inodeBytes } = geometry;
  const agbno = chunk.first / (blockBytes / inodeBytes);
  const root = agBlockToIno(geometry, 0, agbno);
  const at = agbno * blockBytes;
  const directory = newXfsInode(geometry, 0o40755, XFS_DINODE_FMT.LOCAL, now);
  const names = encodeShortDir({ parent: root, entries: [] }, directory.fork.length);
  directory.fork.set(names);
  Object.assign(directory, { nlink: 2, sizeBytes: names.length, changeCount: 2, atime: 0 });
  store.write(at, encodeXfsInode(geometry, root, directory));
  for (let i = 1; i < XFS_INODES_PER_CHUNK; i++) {
    const file = newXfsInode(geometry, 0o100000, XFS_DINODE_FMT.EXTENTS, now);
    Object.assign(file, { flags: i === 1 ? 4 : 0, flags2: XFS_DIFLAG2.BIGTIME, changeCount: i === 1 ? 2 : 1, atime: 0 });
    store.write(at + i * inodeBytes, i <= 2 ? encodeXfsInode(geometry, root + i, file) : encodeFreeInode(geometry, root + i));
  }
  chunk.free = 2n ** 64n - 8n;
  return root;
}

/** A log that was ended in order: one record, of an unmount. */
function clearLog(geometry: XfsGeometry, store: BlockStore): void {
  const { agBlocks, blockBytes, logAg, logAgBlock, logBlocks, logSunitBytes, uuid } = geometry;
  const at = (logAg * agBlocks + logAgBlock) * blockBytes;
  store.zero(at, logBlocks * blockBytes);
  const headerBytes = 512;
  const bodyBytes = Math.max(logSunitBytes, 1024) - headerBytes;
  const record = new Uint8Array(headerBytes + bodyBytes);
  const { put8, put16, put32 } = wordsOf(record);
  const words: readonly (readonly [number, number])[] = [
    [0x0, 0xfeedbabe], [0x4, 1], [0x8, 2], [0xc, bodyBytes], [0x10, 1], [0x18, 1], [0x24, XFS_NULL], [0x28, 1], [0x2c, 0xb0c0d0d0], [0x12c, 1], [0x140, 0x8000],
  ];
  for (const [where, word] of words) put32(where, word);
  record.set(uuid, 0x130);
  // Each sector of the body begins with the cycle; what stood there is in the header.
  put32(headerBytes, 1);
  put32(headerBytes + 4, 8);
  put8(headerBytes + 8, 0xaa);
  put8(headerBytes + 9, 0x20);
  put16(headerBytes + 12, 0x6e55);
  for (let sector = headerBytes + 512; sector < record.length; sector += 512) put32(sector, 1);
  store.write(at, record);
}
