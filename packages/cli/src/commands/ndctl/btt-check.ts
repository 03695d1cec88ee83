/**
 * The checks of a BTT's metadata: info blocks, maps and flogs of all arenas. Mirrors ndctl's ndctl/check.c: btt_discover_arenas,
 * btt_check_arenas.
 *
 * Between the map and the flog every block of an arena has to be named exactly once: that is what the bitmap test finds out.
 */
import type { BlockFile } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { ARENA_MAX_SIZE, BTT_INFO_SIZE, type BttInfo, bttInfoIsValid, decodeBttInfo } from '@holdfast/nvdimm';
import { recoverFirstInfo, restoreInfo } from './btt-recover.js';
import type { Failure } from './context.js';

export interface BttCheck {
  /** The namespace as a raw disk; all accesses are multiples of its sectors. */
  readonly disk: BlockFile;
  readonly rawSize: number;
  readonly parentUuid: string;
  /** Put right what can be; else nothing is written. */
  readonly repair: boolean;
  /** Write the flog anew, as if no lane had been used. */
  readonly rewriteLog: boolean;
  readonly err: (from: string, text: string) => void;
  readonly info: (from: string, text: string) => void;
}

/** Where the first arena of a version 1.1, and of a 2.0, begins. */
export const BTT_STARTS = [4096, 0] as const;
const LOG_GROUP_SIZE = 64;
const LOG_ENTRY_SIZE = 16;
const MAP_NORMAL = 0xc000_0000;
const LBA_MASK = 0x3fff_ffff;
const SECTOR = 4096;

/** An info block with its offsets as numbers. */
type ArenaInfo = Omit<BttInfo, OffsetName> & Record<OffsetName, number>;
type OffsetName = 'dataOffset' | 'mapOffset' | 'logOffset' | 'info2Offset' | 'nextOffset';

/** Where an arena is; its offsets are counted from `start`. */
interface ArenaPlace {
  readonly index: number;
  readonly start: number;
  readonly info: ArenaInfo;
}

interface Arena extends ArenaPlace {
  readonly map: Uint32Array;
  /** The flog, a lane's four slots behind one another. */
  readonly log: DataView;
  /** Which two of the four are used. */
  readonly slots: readonly [number, number];
}

/** @returns ENXIO if something is wrong that is not put right, or an errno of the disk */
export function checkBtt(check: BttCheck): Failure {
  try {
    const places = discoverArenas(check);
    const arenas = places?.map((place) => loadArena(check, place));
    if (!arenas?.every((arena) => arena !== undefined)) return 'ENXIO';
    return arenas.every((arena) => checkArena(check, arena)) ? undefined : 'ENXIO';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

function discoverArenas(check: BttCheck): ArenaPlace[] | undefined {
  const start = BTT_STARTS.find((at) => readInfo(check, at)) ?? recoverFirstInfo(check);
  if (start === undefined) {
    check.err('namespace_check', 'Unable to recover any BTT info blocks');
    check.err('namespace_check', 'This may not be a sector mode namespace');
    return undefined;
  }
  const arenas: ArenaPlace[] = [];
  for (let at = start; at + BTT_INFO_SIZE <= check.rawSize; ) {
    const info = readInfo(check, at) ?? recoverInfo(check, at, arenas.length);
    if (!info) return undefined;
    if (!infoIsSane(info, check.rawSize - at)) {
      check.err('btt_discover_arenas', `Problem parsing arena[${arenas.length}] metadata`);
      return undefined;
    }
    arenas.push({ index: arenas.length, start: at, info });
    if (info.nextOffset === 0) break;
    at += info.nextOffset;
  }
  check.info('btt_discover_arenas', `found ${arenas.length} BTT arena${arenas.length > 1 ? 's' : ''}`);
  return arenas;
}

/** A valid info block of this namespace. */
function readInfo({ disk, parentUuid }: BttCheck, at: number): ArenaInfo | undefined {
  const bytes = new Uint8Array(BTT_INFO_SIZE);
  if (at < 0 || disk.pread(bytes, at) < BTT_INFO_SIZE) return undefined;
  if (!bttInfoIsValid(bytes, parentUuid)) return undefined;
  const info = decodeBttInfo(bytes);
  const { dataOffset, mapOffset, logOffset, info2Offset, nextOffset } = info;
  return {
    ...info,
    dataOffset: Number(dataOffset),
    mapOffset: Number(mapOffset),
    logOffset: Number(logOffset),
    info2Offset: Number(info2Offset),
    nextOffset: Number(nextOffset),
  };
}

function recoverInfo(check: BttCheck, at: number, index: number): ArenaInfo | undefined {
  check.info('btt_discover_arenas', `Arena ${index}: Attempting recover info-block using info2`);
  const backup = backupOf(check, at);
  if (readInfo(check, backup)) return restoreInfo(check, at, readAt(check.disk, backup, BTT_INFO_SIZE)) ? readInfo(check, at) : undefined;
  check.err('btt_discover_arenas', `Backup info block (offset 0x${backup.toString(16)}) verification failed`);
  return undefined;
}

/** Where an arena keeps the copy of its info block: its last block. */
function backupOf({ rawSize }: BttCheck, start: number): number {
  const end = rawSize - start <= ARENA_MAX_SIZE ? Math.floor(rawSize / SECTOR) * SECTOR : start + ARENA_MAX_SIZE;
  return end - BTT_INFO_SIZE;
}

function copyBlock({ disk }: BttCheck, from: number, to: number): void {
  const bytes = new Uint8Array(BTT_INFO_SIZE);
  disk.pread(bytes, from);
  disk.pwrite(bytes, to);
  disk.fsync();
}

/** Parts in order and inside, so that what follows reads nothing that is not metadata. */
function infoIsSane(info: ArenaInfo, room: number): boolean {
  const { dataOffset, mapOffset, logOffset, info2Offset, nextOffset, internalNlba, externalNlba, nfree } = info;
  return (
    internalNlba - externalNlba === nfree &&
    info.internalLbaSize >= info.externalLbaSize &&
    (info.flags & 1) === 0 &&
    BTT_INFO_SIZE <= dataOffset && dataOffset <= mapOffset && mapOffset + externalNlba * 4 <= logOffset &&
    logOffset + nfree * LOG_GROUP_SIZE <= info2Offset && info2Offset + BTT_INFO_SIZE <= room &&
    (nextOffset === 0 || nextOffset >= info2Offset + BTT_INFO_SIZE)
  );
}

function loadArena(check: BttCheck, { index, start, info }: ArenaPlace): Arena | undefined {
  const map = new Uint32Array(info.externalNlba);
  const bytes = readAt(check.disk, start + info.mapOffset, info.externalNlba * 4);
  const view = new DataView(bytes.buffer);
  for (let lba = 0; lba < map.length; lba++) map[lba] = view.getUint32(lba * 4, true);
  const log = new DataView(readAt(check.disk, start + info.logOffset, info.nfree * LOG_GROUP_SIZE).buffer);
  const slots = findSlots(log, info.nfree);
  if (!slots) {
    check.err('log_set_indices', 'Found an unknown padding scheme');
    check.err('namespace_check', 'Unable to deduce log/padding indices');
    return undefined;
  }
  check.info('log_set_indices', `arena[${index}]: log_index_0 = ${slots[0]}`);
  check.info('log_set_indices', `arena[${index}]: log_index_1 = ${slots[1]}`);
  return { index, start, info, map, log, slots };
}

function readAt(disk: BlockFile, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(length / SECTOR) * SECTOR);
  disk.pread(bytes, at);
  return bytes;
}

/** Slots 0 and 1 since Linux 4.15, 0 and 2 before; the others are padding in every lane. */
function findSlots(log: DataView, nfree: number): readonly [number, number] | undefined {
  const used = [0, 1, 2, 3].filter((slot) => {
    for (let lane = 0; lane < nfree; lane++) {
      const at = lane * LOG_GROUP_SIZE + slot * LOG_ENTRY_SIZE;
      for (let word = 0; word < 4; word++) if (log.getUint32(at + word * 4, true) !== 0) return true;
    }
    return false;
  });
  if (used[0] !== 0 || used.length > 2) return undefined;
  return used[1] === undefined || used[1] === 1 ? [0, 1] : used[1] === 2 ? [0, 2] : undefined;
}

interface LogEntry {
  readonly lba: number;
  readonly oldMap: number;
  readonly newMap: number;
}

function seqOf({ log, slots }: Arena, lane: number, which: 0 | 1): number {
  return log.getUint32(lane * LOG_GROUP_SIZE + slots[which] * LOG_ENTRY_SIZE + 12, true);
}

/** A lane's newer entry. Sequence numbers cycle 1, 2, 3; the one that is one step ahead is newer. */
function newest(arena: Arena, lane: number): LogEntry {
  const [first, second] = [seqOf(arena, lane, 0), seqOf(arena, lane, 1)];
  const firstIsOld = first < second ? second - first === 1 : first - second !== 1;
  const at = lane * LOG_GROUP_SIZE + arena.slots[firstIsOld ? 1 : 0] * LOG_ENTRY_SIZE;
  const word = (index: number): number => arena.log.getUint32(at + index * 4, true);
  return { lba: word(0), oldMap: (word(1) & LBA_MASK) >>> 0, newMap: (word(2) & LBA_MASK) >>> 0 };
}

/** The block that a block of the disk is mapped to; one that was never written is mapped to its own number. */
function lookup({ map }: Arena, lba: number): number {
  const raw = map[lba]!;
  return (raw & MAP_NORMAL) >>> 0 === 0 ? lba : (raw & LBA_MASK) >>> 0;
}

/** ndctl's checks in its order; the first that fails is told, and ends the check. */
function checkArena(check: BttCheck, arena: Arena): boolean {
  check.info('btt_check_arenas', `checking arena ${arena.index}`);
  const problem = checkLog(arena) ?? checkMap(arena) ?? checkLogAgainstMap(check, arena) ?? checkInfo2(check, arena) ?? checkBitmap(check, arena);
  if (problem !== undefined) {
    check.err('btt_xlat_status', `arena ${arena.index}: ${problem}`);
    return false;
  }
  if (check.rewriteLog) rewriteLog(check, arena);
  return true;
}

function checkLog(arena: Arena): string | undefined {
  const { nfree, externalNlba, internalNlba } = arena.info;
  for (let lane = 0; lane < nfree; lane++) {
    const [first, second] = [seqOf(arena, lane, 0), seqOf(arena, lane, 1)];
    if (first === second) return 'found a pair of log entries with the same sequence number';
    if (first > 3 || second > 3) return 'found a log entry with an out of bounds sequence number';
  }
  for (let lane = 0; lane < nfree; lane++) {
    const { lba, oldMap, newMap } = newest(arena, lane);
    if (lba >= externalNlba) return 'found a log entry with an out of bounds LBA';
    if (oldMap >= internalNlba) return "found a log entry with an out of bounds 'old' mapping";
    if (newMap >= internalNlba) return "found a log entry with an out of bounds 'new' mapping";
  }
  return undefined;
}

function checkMap(arena: Arena): string | undefined {
  for (let lba = 0; lba < arena.map.length; lba++) {
    if (lookup(arena, lba) >= arena.info.internalNlba) return 'found a map entry that is out of bounds';
  }
  return undefined;
}

/** A power cut between flog and map leaves the map behind; the flog says what it should be. */
function checkLogAgainstMap(check: BttCheck, arena: Arena): string | undefined {
  for (let lane = 0; lane < arena.info.nfree; lane++) {
    const { lba, oldMap, newMap } = newest(arena, lane);
    const mapped = lookup(arena, lba);
    if (newMap === mapped || oldMap !== mapped) continue;
    const hex = (value: number): string => `0x${value.toString(16)}`;
    check.info('btt_check_log_map', `arena ${arena.index}: log[${lane}].new_map (${hex(newMap)}) doesn't match map[${hex(lba)}] (${hex(mapped)})`);
    if (!check.repair) {
      check.err('btt_map_write', `Arena ${arena.index}: map[${hex(lba)}] needs to be updated to ${hex(newMap)}`);
      check.info('repair_msg', '  Run with --repair to make the changes');
      continue;
    }
    check.info('btt_map_write', `Arena ${arena.index}: Updating map[${hex(lba)}] to ${hex(newMap)}`);
    writeMap(check, arena, lba, newMap);
  }
  return undefined;
}

function writeMap({ disk }: BttCheck, arena: Arena, lba: number, block: number): void {
  const raw = (block | MAP_NORMAL) >>> 0;
  const at = arena.start + arena.info.mapOffset + lba * 4;
  const sector = Math.floor(at / SECTOR) * SECTOR;
  const bytes = readAt(disk, sector, SECTOR);
  new DataView(bytes.buffer).setUint32(at - sector, raw, true);
  disk.pwrite(bytes, sector);
  disk.fsync();
  arena.map[lba] = raw;
}

function checkInfo2(check: BttCheck, { index, start, info }: Arena): string | undefined {
  const [first, second] = [start, start + info.info2Offset].map((at) => readAt(check.disk, at, BTT_INFO_SIZE));
  if (first!.every((byte, at) => byte === second![at])) return undefined;
  if (!check.repair) {
    check.err('btt_copy_to_info2', `Arena ${index}: BTT info2 needs to be restored`);
    check.info('repair_msg', '  Run with --repair to make the changes');
    return undefined;
  }
  check.info('btt_copy_to_info2', `Arena ${index}: Restoring BTT info2`);
  copyBlock(check, start, start + info.info2Offset);
  return undefined;
}

function checkBitmap(check: BttCheck, arena: Arena): string | undefined {
  const problem = 'bitmap error: internal blocks are incorrectly referenced';
  const { nfree, internalNlba } = arena.info;
  const named = new Uint8Array(internalNlba);
  const name = (block: number, by: string): boolean => {
    if (named[block] === 1) check.info('btt_check_bitmap', `arena ${arena.index}: internal block 0x${block.toString(16)} is referenced by two ${by} entries`);
    const twice = named[block] === 1;
    named[block] = 1;
    return !twice;
  };
  for (let lba = 0; lba < arena.map.length; lba++) if (!name(lookup(arena, lba), 'map')) return problem;
  for (let lane = 0; lane < nfree; lane++) if (!name(newest(arena, lane).oldMap, 'map/log')) return problem;
  return named.every((seen) => seen === 1) ? undefined : problem;
}

/** Each lane as if it had been used once: its free block stays, in slot 0, with sequence 1. */
function rewriteLog(check: BttCheck, arena: Arena): void {
  check.info('btt_rewrite_log', `arena ${arena.index}: rewriting log`);
  const { nfree, logOffset } = arena.info;
  const entries = Array.from({ length: nfree }, (_, lane) => newest(arena, lane));
  const bytes = readAt(check.disk, arena.start + logOffset, nfree * LOG_GROUP_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [lane, { lba, oldMap, newMap }] of entries.entries()) {
    bytes.fill(0, lane * LOG_GROUP_SIZE, (lane + 1) * LOG_GROUP_SIZE);
    for (const [word, value] of [lba, oldMap, newMap, 1].entries()) view.setUint32(lane * LOG_GROUP_SIZE + word * 4, value, true);
  }
  check.disk.pwrite(bytes, arena.start + logOffset);
  check.disk.fsync();
}
