/**
 * One arena of a BTT: its map, its flog and its free blocks, found on the media or made there.
 * Mirrors drivers/nvdimm/btt.c: discover_arenas, btt_freelist_init, btt_arena_write_layout, btt_map_read, btt_map_write, btt_flog_write.
 *
 * Invariant: every block of the data area is mapped by one block of the disk, or free in one lane; never both.
 * Differs from Linux: parts that overlap, or map entries and flog entries that point outside of the arena, are refused and never written
 * through; the whole fresh flog is one write, which is as good since no info block makes it valid yet.
 */
import { KERN, KernelError, hex, silentPrintk } from '@holdfast/lib';
import type { Printk } from '@holdfast/lib';
import {
  type ArenaLayout, type BttInfo, ARENA_FLAG_ERROR, BTT_INFO_SIZE, BTT_NFREE, LOG_GROUP_SIZE, MAP_ENTRY_SIZE,
  bttInfoIsSane, bttInfoIsValid, bttSectorSize, decodeBttInfo, encodeBttInfo,
} from './btt-info.js';
import { type LogEntry, type LogIndices, LOG_ENTRY_SIZE, LOG_INDICES_NEW, findLogIndices, freshLog, newestEntry } from './btt-log.js';
import { nextSeq } from './label-index.js';
import { type NamespaceIo, readBytes, writeBytes, zeroBytes } from './namespace-io.js';
import { NULL_UUID } from './uuid.js';

const LBA_MASK = 0x3fff_ffff;
const MAP_ERROR = 0x4000_0000;
const MAP_ZERO = 0x8000_0000;

/** What a map entry says of its block. `initial` was never written: the block is mapped to the one of the same number. */
export type MapState = 'initial' | 'error' | 'zero' | 'normal';

/** An arena in use. Offsets of its layout are from `start`. */
export interface Arena {
  /** The BTT's bytes, behind its initial offset. */
  readonly io: NamespaceIo;
  readonly start: number;
  /** The disk's block that is the arena's first. */
  readonly firstLba: number;
  readonly layout: ArenaLayout;
  readonly nfree: number;
  /** As on the media, and set here when a write broke off half-way; see ARENA_FLAG_ERROR. */
  flags: number;
  readonly logIndices: LogIndices;
  /** For each lane: the free block, which flog slot is written next and with which sequence, and if the block is known to be lost. */
  readonly freeBlock: Uint32Array;
  readonly freeSub: Uint8Array;
  readonly freeSeq: Uint8Array;
  readonly freeHasError: Uint8Array;
  /** For one entry at a time, so that I/O allocates nothing. */
  readonly scratch: Scratch;
}

interface Scratch {
  readonly map: DataView;
  readonly mapBytes: Uint8Array;
  readonly log: DataView;
  readonly logHalves: readonly [Uint8Array, Uint8Array];
}

/** Where an arena is, or will be. */
export type ArenaPlace = Pick<Arena, 'io' | 'start' | 'firstLba'>;

/** Whom the arenas are of, and who writes their metadata. */
export interface ArenaIdentity {
  readonly uuid: string;
  readonly parentUuid: string | undefined;
  readonly versionMajor: number;
  readonly versionMinor: number;
}

/** What {@link discoverArenas} needs to know. */
export interface Discovery {
  readonly parentUuid: string | undefined;
  /** Lanes in use at the same time. */
  readonly nrLanes: number;
  /** Bytes of a sector of the disk: blocks must hold one. */
  readonly sectorSize: number;
  readonly log: Printk;
}

/**
 * Find the arenas on the media and finish what a power cut interrupted; undefined if there is not even a first one.
 *
 * @throws KernelError ENODEV for metadata that cannot be trusted, ENXIO for a flog that cannot, EIO, EFAULT
 */
export function discoverArenas(io: NamespaceIo, discovery: Discovery): Arena[] | undefined {
  const arenas: Arena[] = [];
  let firstLba = 0;
  for (let start = 0; start !== io.sizeBytes; ) {
    const bytes = new Uint8Array(BTT_INFO_SIZE);
    readBytes(io, start, bytes);
    if (!bttInfoIsValid(bytes, discovery.parentUuid)) {
      if (start > 0) throw corrupted(discovery.log, `no valid info block at ${start}`);
      discovery.log('No existing arenas');
      return undefined;
    }
    const arena = openArena({ io, start, firstLba }, bytes, discovery);
    arenas.push(arena);
    firstLba += arena.layout.externalNlba;
    if (arena.layout.nextOffset === 0) break;
    start += arena.layout.nextOffset;
  }
  return arenas;
}

/** Write an arena's metadata, the second info block before the first: only the latter makes it valid. */
export function createArena(place: ArenaPlace, layout: ArenaLayout, identity: ArenaIdentity): Arena {
  const { io, start } = place;
  const { mapOffset, logOffset, info2Offset } = layout;
  zeroBytes(io, start + mapOffset, logOffset - mapOffset);
  const log = new Uint8Array(info2Offset - logOffset);
  log.set(freshLog(BTT_NFREE, layout.externalNlba));
  writeBytes(io, start + logOffset, log);
  const { nextOffset, dataOffset } = layout;
  const offsets = {
    nextOffset: BigInt(nextOffset),
    dataOffset: BigInt(dataOffset),
    mapOffset: BigInt(mapOffset),
    logOffset: BigInt(logOffset),
    info2Offset: BigInt(info2Offset),
  };
  const info = encodeBttInfo({ ...layout, ...offsets, ...identity, parentUuid: identity.parentUuid ?? NULL_UUID, flags: 0, nfree: BTT_NFREE });
  writeBytes(io, start + info2Offset, info);
  writeBytes(io, start, info);
  return withFreelist({ ...place, layout, nfree: BTT_NFREE, flags: 0, logIndices: LOG_INDICES_NEW }, log, silentPrintk);
}

function openArena(place: ArenaPlace, bytes: Uint8Array, { nrLanes, sectorSize, log: printk }: Discovery): Arena {
  const { io, start } = place;
  const info = decodeBttInfo(bytes);
  const { flags, nfree } = info;
  if (flags & ARENA_FLAG_ERROR) printk('Found arena with an error flag');
  if (!bttInfoIsSane(info) || info.externalLbaSize < sectorSize) throw corrupted(printk, `the info block at ${start} describes parts that do not fit together`);
  if (nfree < nrLanes) {
    printk(`nfree ${nfree} smaller than lane count ${nrLanes}`, KERN.err);
    throw new KernelError('ENODEV', `the arena at ${start} has ${nfree} free blocks, expected at least ${nrLanes}`);
  }
  const layout = layoutOf(info);
  const log = new Uint8Array(nfree * LOG_GROUP_SIZE);
  const logIndices = readLog(io, start + layout.logOffset, log, printk);
  return withFreelist({ ...place, layout, nfree, flags, logIndices }, log, printk);
}

function layoutOf(info: BttInfo): ArenaLayout {
  const { externalLbaSize, internalLbaSize, externalNlba, internalNlba } = info;
  const [nextOffset, dataOffset, mapOffset, logOffset, info2Offset] = [
    info.nextOffset,
    info.dataOffset,
    info.mapOffset,
    info.logOffset,
    info.info2Offset,
  ].map(Number);
  const sizeBytes = nextOffset! > 0 ? nextOffset! : info2Offset! + BTT_INFO_SIZE;
  return {
    sizeBytes, externalLbaSize, internalLbaSize, externalNlba, internalNlba,
    nextOffset: nextOffset!, dataOffset: dataOffset!, mapOffset: mapOffset!, logOffset: logOffset!, info2Offset: info2Offset!,
  };
}

function readLog(io: NamespaceIo, offset: number, log: Uint8Array, printk: Printk): LogIndices {
  try {
    readBytes(io, offset, log);
    const found = findLogIndices(log);
    if (typeof found !== 'string') return found;
    if (found === 'unknown scheme') printk('Found an unknown padding scheme', KERN.err);
    throw new KernelError('ENXIO', `the flog at ${offset} has an unknown layout: ${found}`);
  } catch (error) {
    printk('Unable to deduce log/padding indices', KERN.err);
    throw error;
  }
}

/** Take each lane's free block from its newest flog entry, and finish the map change that this entry announced. */
function withFreelist(found: Omit<Arena, `free${string}` | 'scratch'>, log: Uint8Array, printk: Printk): Arena {
  const { nfree, logIndices } = found;
  const arena: Arena = {
    ...found,
    freeBlock: new Uint32Array(nfree),
    freeSub: new Uint8Array(nfree),
    freeSeq: new Uint8Array(nfree),
    freeHasError: new Uint8Array(nfree),
    scratch: createScratch(),
  };
  for (let lane = 0; lane < nfree; lane++) {
    const { entry, sub } = logged(printk, () => newestEntry(log, lane, logIndices));
    arena.freeBlock[lane] = entry.oldMap & LBA_MASK;
    arena.freeSub[lane] = 1 - sub;
    arena.freeSeq[lane] = nextSeq(entry.seq);
    if (mapState(entry.oldMap) === 'error') {
      arena.freeHasError[lane] = 1;
      tryClear(arena, lane, printk);
    }
    replay(arena, entry, printk);
  }
  return arena;
}

/** If the map still has the old block, the cut came between flog and map. If it has neither, another lane has written since. */
function replay(arena: Arena, { lba, oldMap, newMap }: LogEntry, printk: Printk): void {
  const [oldBlock, newBlock] = [oldMap & LBA_MASK, newMap & LBA_MASK];
  if (oldBlock === newBlock) return;
  if (lba >= arena.layout.externalNlba) {
    printk(`btt_map_read: lba ${hex(lba)} out of range (max: ${hex(arena.layout.externalNlba)})`, KERN.err);
    throw new KernelError('EIO', `the flog names block ${lba} of a disk of ${arena.layout.externalNlba}`);
  }
  if (mapBlock(readMap(arena, lba), lba) !== oldBlock) return;
  if (newBlock >= arena.layout.internalNlba) {
    throw new KernelError('EIO', `the flog maps block ${lba} to ${newBlock}, expected less than ${arena.layout.internalNlba}`);
  }
  writeMap(arena, lba, newBlock, 'normal');
}

function tryClear(arena: Arena, lane: number, printk: Printk): void {
  try {
    clearFreeBlockError(arena, lane);
  } catch {
    printk('Unable to clear known errors', KERN.err);
  }
}

function logged<T>(printk: Printk, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof KernelError) printk(error.message, KERN.err);
    throw error;
  }
}

/** A block's map entry, raw; see {@link mapState} and {@link mapBlock}. @throws KernelError EIO if the map is lost there */
export function readMap({ io, start, layout, scratch }: Arena, lba: number): number {
  readBytes(io, start + layout.mapOffset + lba * MAP_ENTRY_SIZE, scratch.mapBytes);
  return scratch.map.getUint32(0, true);
}

/** @throws KernelError EIO if the map is lost there */
export function writeMap({ io, start, layout, scratch }: Arena, lba: number, block: number, state: 'normal' | 'error'): void {
  scratch.map.setUint32(0, block + (state === 'normal' ? MAP_ZERO + MAP_ERROR : MAP_ERROR), true);
  writeBytes(io, start + layout.mapOffset + lba * MAP_ENTRY_SIZE, scratch.mapBytes);
}

/** Two flags make four states; both together are the usual one, so that a map of zeros means "never written". */
export function mapState(raw: number): MapState {
  const error = (raw & MAP_ERROR) !== 0;
  if (raw >= MAP_ZERO) return error ? 'normal' : 'zero';
  return error ? 'error' : 'initial';
}

/** The block of the data area that a raw map entry of `lba` names. */
export function mapBlock(raw: number, lba: number): number {
  return mapState(raw) === 'initial' ? lba : raw & LBA_MASK;
}

/**
 * Announce that `lba` moves from `oldBlock`, which may be lost, to the lane's free block. From then on the move will be finished whatever
 * happens. The lane's free block becomes the old one.
 */
export function writeFlog(arena: Arena, lane: number, lba: number, oldBlock: number, lost: boolean): void {
  const { freeBlock, freeSub, freeSeq, freeHasError, logIndices, layout, start, io, scratch } = arena;
  const { log, logHalves } = scratch;
  log.setUint32(0, lba, true);
  log.setUint32(4, oldBlock + (lost ? MAP_ERROR : 0), true);
  log.setUint32(8, freeBlock[lane]!, true);
  log.setUint32(12, freeSeq[lane]!, true);
  const offset = start + layout.logOffset + lane * LOG_GROUP_SIZE + logIndices[freeSub[lane] as 0 | 1] * LOG_ENTRY_SIZE;
  // The sequence number is in the second half: until that is there, the slot is the older of the two.
  writeBytes(io, offset, logHalves[0]);
  writeBytes(io, offset + LOG_ENTRY_SIZE / 2, logHalves[1]);
  freeSub[lane] = 1 - freeSub[lane]!;
  freeSeq[lane] = nextSeq(freeSeq[lane]!);
  freeBlock[lane] = oldBlock;
  if (lost) freeHasError[lane] = 1;
}

/** Repair the lane's free block by writing zeros over it. @throws KernelError EIO if that fails, or if there is no such block */
export function clearFreeBlockError(arena: Arena, lane: number): void {
  const block = arena.freeBlock[lane]!;
  if (block >= arena.layout.internalNlba) throw new KernelError('EIO', `lane ${lane} has free block ${block}, expected less than ${arena.layout.internalNlba}`);
  writeBytes(arena.io, blockOffset(arena, block), new Uint8Array(bttSectorSize(arena.layout.externalLbaSize)));
  arena.freeHasError[lane] = 0;
}

/** Byte offset of a block of the data area, in the arena's `io`. */
export function blockOffset({ start, layout }: Arena, block: number): number {
  return start + layout.dataOffset + block * layout.internalLbaSize;
}

function corrupted(printk: Printk, why: string): KernelError {
  printk('Found corrupted metadata!', KERN.err);
  return new KernelError('ENODEV', why);
}

function createScratch(): Scratch {
  const mapBytes = new Uint8Array(MAP_ENTRY_SIZE);
  const log = new Uint8Array(LOG_ENTRY_SIZE);
  const half = LOG_ENTRY_SIZE / 2;
  return { map: new DataView(mapBytes.buffer), mapBytes, log: new DataView(log.buffer), logHalves: [log.subarray(0, half), log.subarray(half)] };
}
