/**
 * The first info block of a BTT that has lost it, out of the copies that the arenas keep. Mirrors ndctl's ndctl/check.c: btt_recover_first_sb,
 * __btt_recover_first_sb, btt_write_info.
 */
import { ARENA_MAX_SIZE, ARENA_MIN_SIZE, BTT_INFO_SIZE, bttInfoIsValid, decodeBttInfo } from '@holdfast/nvdimm';
import { BTT_STARTS, type BttCheck } from './btt-check.js';

const SECTOR = 4096;
/** Fields that differ from arena to arena: `[offset, end)` bytes in an info block. */
const ARENA_FIELDS = [[48, 52], [60, 64], [68, 72], [80, 120], [4088, 4096]] as const; // flags, external_nlba, internal_nlba, nextoff … info2off, checksum
const INFO2_OFFSET = 112;

/** @returns where the first arena starts, with its info block written anew; undefined if none is to be had, or none may be written */
export function recoverFirstInfo(check: BttCheck): number | undefined {
  return BTT_STARTS.find((start) => recoverAt(check, start));
}

function recoverAt(check: BttCheck, start: number): boolean {
  const { arenas, remaining } = estimateArenas(check.rawSize - start);
  if (arenas === 0) return false;
  const tell = (text: string): void => check.info('__btt_recover_first_sb', text);
  const attempt = (text: string, offset: number): void => tell(`Attempting ${text} offset 0x${offset.toString(16)}`);
  tell(`estimated arenas: ${arenas}, remaining bytes: ${hexOrZero(remaining)}`);
  const first = readBlock(check, start);
  const lastCopy = Math.floor((check.rawSize - remaining) / SECTOR) * SECTOR - BTT_INFO_SIZE;

  // 1: the copy at the end of the first arena. Its version tells where an arena of its kind starts.
  const copyAt = arenas === 1 ? lastCopy : ARENA_MAX_SIZE - BTT_INFO_SIZE + start;
  attempt('recover info-block from end-of-arena', copyAt);
  const copy = readValid(check, copyAt);
  if (copy) return expectedStart(copy) === start && restoreInfo(check, start, copy);

  // 2: what all arenas have in common, from the last one.
  if (arenas > 1) {
    attempt('to recover info-block from end', lastCopy);
    const last = readValid(check, lastCopy);
    if (!last) return false;
    for (const [from, to] of ARENA_FIELDS) last.set(first.subarray(from, to), from);
    if (bttInfoIsValid(last, check.parentUuid)) return restoreInfo(check, start, last);
  }

  // 3: where the block that is no good says that its copy is.
  const info2 = new DataView(first.buffer).getUint32(INFO2_OFFSET, true);
  if (info2 === 0 || info2 > Math.min(check.rawSize - BTT_INFO_SIZE, ARENA_MAX_SIZE - BTT_INFO_SIZE + start)) return false;
  attempt('to recover info-block from info2', info2);
  const named = readValid(check, info2 + start);
  return named !== undefined && restoreInfo(check, start, named);
}

/** How many arenas there would be, and bytes that are too few for another one. */
function estimateArenas(bytes: number): { arenas: number; remaining: number } {
  const full = Math.max(0, Math.ceil(bytes / ARENA_MAX_SIZE) - 1);
  const rest = bytes - full * ARENA_MAX_SIZE;
  return rest >= ARENA_MIN_SIZE ? { arenas: full + 1, remaining: 0 } : { arenas: full, remaining: rest };
}

/** As printf's %#lx. */
function hexOrZero(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

function readBlock({ disk }: BttCheck, at: number): Uint8Array {
  const bytes = new Uint8Array(BTT_INFO_SIZE);
  disk.pread(bytes, at);
  return bytes;
}

function readValid(check: BttCheck, at: number): Uint8Array | undefined {
  const bytes = readBlock(check, at);
  return bttInfoIsValid(bytes, check.parentUuid) ? bytes : undefined;
}

function expectedStart(bytes: Uint8Array): number | undefined {
  const { versionMajor, versionMinor } = decodeBttInfo(bytes);
  if (versionMajor === 1 && versionMinor === 1) return BTT_STARTS[0];
  return versionMajor === 2 && versionMinor === 0 ? BTT_STARTS[1] : undefined;
}

/** Put an info block to its place. @returns false, and says what it would do, without --repair */
export function restoreInfo(check: BttCheck, at: number, bytes: Uint8Array): boolean {
  if (!check.repair) {
    check.err('btt_write_info', `BTT info block at offset ${hexOrZero(at)} needs to be restored`);
    check.info('repair_msg', '  Run with --repair to make the changes');
    return false;
  }
  check.info('btt_write_info', `Restoring BTT info block at offset ${hexOrZero(at)}`);
  check.disk.pwrite(bytes, at);
  check.disk.fsync();
  return true;
}
