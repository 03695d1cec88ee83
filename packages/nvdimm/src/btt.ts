/**
 * The block translation table: sectors that a power cut leaves old or new, never torn, on media that keeps its promises for 8 bytes only.
 * Mirrors drivers/nvdimm/btt.c: btt_init, btt_read_pg, btt_write_pg; btt_devs.c: nvdimm_namespace_attach_btt, nd_btt_probe.
 *
 * A sector is never written where it is. Its data goes to the lane's free block; the flog then announces the move, and the map makes it;
 * what the sector had becomes the lane's free block. Each of these steps is durable before the next begins.
 *
 * Differs from Linux: calls do not overlap, so there are no locks, and no table of reads in flight. A map entry that points outside of the
 * data area is an I/O error for reads too, and so is a write to a sector that is mapped to the lane's free block. When the map cannot be
 * written, the arena takes no more writes until it is attached again.
 */
import { BugError, KERN, KernelError, MIB, roundUp, silentPrintk } from '@holdfast/lib';
import type { Printk } from '@holdfast/lib';
import { type Arena, blockOffset, clearFreeBlockError, createArena, discoverArenas, mapBlock, mapState, readMap, writeFlog, writeMap } from './btt-arena.js';
import {
  ARENA_FLAG_ERROR, ARENA_MIN_SIZE, BTT_INFO_SIZE, BTT_NFREE, bttInfoIsValid, bttSectorSize, bttVersion, decodeBttInfo, planArenas,
} from './btt-info.js';
import { type NamespaceIo, readBytes, writeBytesAtomic } from './namespace-io.js';
import type { ClaimClass } from './namespace-label.js';

/** A BTT device, configured. */
export interface BttConfig {
  readonly uuid: string;
  /** Of the namespace; undefined for one without labels. */
  readonly parentUuid: string | undefined;
  /** Bytes of a sector with its metadata: one of BTT_LBA_SIZES. */
  readonly lbaSize: number;
  readonly claimClass: ClaimClass;
  readonly region: { readonly name: string; readonly readOnly: boolean };
}

/** A BTT in use: `nrSectors` sectors of `sectorSize` bytes. */
export interface Btt {
  readonly sectorSize: number;
  /** Bytes of metadata beside each sector. */
  readonly metadataSize: number;
  readonly nrSectors: number;
  readonly arenas: readonly Arena[];
  readonly log: Printk;
}

/** What a probe found, or why there is no BTT to be had. */
export type BttProbe = { readonly found: { readonly uuid: string; readonly lbaSize: number } } | { readonly refused: 'ENXIO' | 'ENODEV' };

/** Is there a BTT on the namespace? Reads only. */
export function probeBtt(io: NamespaceIo, { claimClass, parentUuid }: Pick<BttConfig, 'claimClass' | 'parentUuid'>, log: Printk = silentPrintk): BttProbe {
  if (io.sizeBytes < ARENA_MIN_SIZE) return { refused: 'ENXIO' };
  const { initialOffset, major, minor } = bttVersion(claimClass);
  const bytes = new Uint8Array(BTT_INFO_SIZE);
  try {
    readBytes(io, initialOffset, bytes);
  } catch {
    return { refused: 'ENXIO' };
  }
  if (!bttInfoIsValid(bytes, parentUuid)) return { refused: 'ENODEV' };
  const { flags, versionMajor, versionMinor, uuid, externalLbaSize } = decodeBttInfo(bytes);
  if (flags & ARENA_FLAG_ERROR) log('Found arena with an error flag');
  return versionMajor === major && versionMinor === minor ? { found: { uuid, lbaSize: externalLbaSize } } : { refused: 'ENODEV' };
}

/**
 * Bring a BTT up: find its arenas and recover them, or make new ones where there is none.
 *
 * @throws KernelError ENXIO if the namespace is too small; ENOMEM, as Linux reports every other failure, with what happened as its cause
 */
export function attachBtt(io: NamespaceIo, config: BttConfig, log: Printk = silentPrintk): Btt {
  const { initialOffset } = bttVersion(config.claimClass);
  if (io.sizeBytes - initialOffset < ARENA_MIN_SIZE) {
    throw new KernelError('ENXIO', `a namespace of ${io.sizeBytes} bytes must be at least ${ARENA_MIN_SIZE + initialOffset} bytes for a BTT`, {
      nearest: [{ sizeBytes: roundUp(ARENA_MIN_SIZE + initialOffset, 16 * MIB) }],
    });
  }
  const { lbaSize } = config;
  const sectorSize = bttSectorSize(lbaSize);
  const raw = from(io, initialOffset);
  const arenas = discover(raw, config, sectorSize, log) ?? create(raw, config, log);
  const nrSectors = arenas.reduce((sum, { layout }) => sum + layout.externalNlba, 0);
  return { sectorSize, metadataSize: lbaSize - sectorSize, nrSectors, arenas, log };
}

function discover(io: NamespaceIo, { parentUuid }: BttConfig, sectorSize: number, log: Printk): Arena[] | undefined {
  try {
    return discoverArenas(io, { parentUuid, nrLanes: BTT_NFREE, sectorSize, log });
  } catch (cause) {
    if (!(cause instanceof KernelError)) throw cause;
    log(`init: error in arena_discover: ${-cause.errno}`, KERN.err);
    throw new KernelError('ENOMEM', `BTT arenas: ${cause.message}`, { cause });
  }
}

function create(io: NamespaceIo, config: BttConfig, log: Printk): Arena[] {
  const { region, lbaSize, claimClass, uuid, parentUuid } = config;
  if (region.readOnly) {
    log(`${region.name} is read-only, unable to init btt metadata`, KERN.warning);
    throw new KernelError('ENOMEM', `${region.name} is read-only, and there is no BTT on it`);
  }
  const { major, minor } = bttVersion(claimClass);
  let [start, firstLba] = [0, 0];
  try {
    return planArenas(io.sizeBytes, lbaSize).map((layout) => {
      const arena = createArena({ io, start, firstLba }, layout, { uuid, parentUuid, versionMajor: major, versionMinor: minor });
      start += layout.sizeBytes;
      firstLba += layout.externalNlba;
      return arena;
    });
  } catch (cause) {
    if (!(cause instanceof KernelError)) throw cause;
    log(`init: error in meta_init: ${-cause.errno}`, KERN.err);
    throw new KernelError('ENOMEM', `new BTT arenas: ${cause.message}`, { cause });
  }
}

/**
 * Read one sector into `target`, and its metadata into `metadata` if that is given. Lengths are exact.
 *
 * @throws KernelError EIO past the end, for a sector marked as lost, and for media that is lost; the sector is then marked
 */
export function readSector(btt: Btt, sector: number, target: Uint8Array, metadata?: Uint8Array): void {
  checkLengths(btt, target, metadata);
  const arena = arenaOf(btt, sector);
  const lba = sector - arena.firstLba;
  const raw = readMap(arena, lba);
  const state = mapState(raw);
  if (state === 'zero') {
    target.fill(0);
    metadata?.fill(0);
    return;
  }
  if (state === 'error') throw new KernelError('EIO', `sector ${sector} is marked as lost`);
  const block = mapBlock(raw, lba);
  checkBlock(arena, block);
  const offset = blockOffset(arena, block);
  try {
    readBytes(arena.io, offset, target);
  } catch (error) {
    markLost(btt, arena, lba, block);
    throw error;
  }
  if (metadata) readBytes(arena.io, offset + btt.sectorSize, metadata);
}

/**
 * Write one sector, durably: a power cut at any point leaves it as it was or as `source`. Lengths are exact.
 * `lane` chooses the free block to use; Linux takes the CPU's number, modulo 256.
 *
 * @throws KernelError EIO past the end, in an arena with its error flag set, and for media errors; the sector is old or new
 */
export function writeSector(btt: Btt, sector: number, source: Uint8Array, lane = 0, metadata?: Uint8Array): void {
  checkLengths(btt, source, metadata);
  const arena = arenaOf(btt, sector);
  const lba = sector - arena.firstLba;
  if (arena.flags & ARENA_FLAG_ERROR) throw new KernelError('EIO', `sector ${sector} is in an arena that met an error and is read-only`);
  const block = arena.freeBlock[lane]!;
  const raw = readMap(arena, lba);
  const wasLost = mapState(raw) === 'error';
  const oldBlock = mapBlock(raw, lba);
  checkBlock(arena, block);
  checkBlock(arena, oldBlock);
  if (oldBlock === block) throw new KernelError('EIO', `sector ${sector} is mapped to block ${block}, which is free: the arena's metadata is damaged`);

  const offset = blockOffset(arena, block);
  if (arena.freeHasError[lane] === 1 || isBad(arena, offset)) clearFreeBlockError(arena, lane);
  writeBytesAtomic(arena.io, offset, source);
  if (metadata) writeBytesAtomic(arena.io, offset + btt.sectorSize, metadata);
  writeFlog(arena, lane, lba, oldBlock, wasLost);
  finishMove(arena, lba, block);
  // What was lost is free now: repair it before it is used.
  if (wasLost) clearFreeBlockError(arena, lane);
}

/** The lane already counts the old block as free. If the map keeps it, the next write would tear it: let there be none. */
function finishMove(arena: Arena, lba: number, block: number): void {
  try {
    writeMap(arena, lba, block, 'normal');
  } catch (error) {
    arena.flags |= ARENA_FLAG_ERROR;
    throw error;
  }
}

function arenaOf(btt: Btt, sector: number): Arena {
  for (const arena of btt.arenas) {
    if (sector < arena.firstLba + arena.layout.externalNlba) return arena;
  }
  throw new KernelError('EIO', `sector ${sector} of a BTT of ${btt.nrSectors}`);
}

function isBad({ io, layout }: Arena, offset: number): boolean {
  return io.badRanges !== undefined && io.badRanges(offset, layout.internalLbaSize).length > 0;
}

function checkBlock({ layout }: Arena, block: number): void {
  if (block >= layout.internalNlba) throw new KernelError('EIO', `block ${block} of a data area of ${layout.internalNlba}: the arena's metadata is damaged`);
}

function checkLengths({ sectorSize, metadataSize }: Btt, data: Uint8Array, metadata: Uint8Array | undefined): void {
  if (data.length !== sectorSize) throw new BugError(`BTT sector of ${data.length} bytes, expected ${sectorSize}`);
  if (metadata && metadata.length !== metadataSize) throw new BugError(`BTT metadata of ${metadata.length} bytes, expected ${metadataSize}`);
}

function markLost(btt: Btt, arena: Arena, lba: number, block: number): void {
  try {
    writeMap(arena, lba, block, 'error');
  } catch {
    btt.log(`Error persistently tracking bad blocks at 0x${lba.toString(16)}`, KERN.warning);
  }
}

/** The bytes behind `offset`. */
function from(io: NamespaceIo, offset: number): NamespaceIo {
  if (offset === 0) return io;
  return {
    sizeBytes: io.sizeBytes - offset,
    read: (at, target) => io.read(offset + at, target),
    write: (at, source, atomic) => io.write(offset + at, source, atomic),
    flush: () => io.flush(),
    ...(io.zero && { zero: (at: number, length: number) => io.zero!(offset + at, length) }),
    ...(io.badRanges && {
      badRanges: (at: number, length: number) => io.badRanges!(offset + at, length).map(({ start, end }) => ({ start: start - offset, end: end - offset })),
    }),
  };
}
