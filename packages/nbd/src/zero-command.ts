/**
 * WRITE_ZEROES and TRIM of ranges that are too long for one turn.
 */
import type { NbdDisk } from './disk.js';
import { withoutPayload, zeroesFast } from './disk-commands.js';
import { CMD, CMD_FLAG, NBD } from './protocol.js';
import { plainReply } from './reply-messages.js';
import { type Serving, begin } from './serving.js';

/** Zeros are written, or trimmed, in pieces of this size, between which others have their turn. */
export const ZERO_PIECE_BYTES = 32 * 1024 * 1024;

/** Returns false if there is no room for the reply of one that is refused. */
export function startZero(serving: Serving, on: NbdDisk, type: number, offset: number, length: number, flags: number): boolean {
  const { ongoing, counters } = serving;
  const fast = type !== CMD.WRITE_ZEROES || (flags & CMD_FLAG.FAST_ZERO) === 0 || zeroesFast(on, offset, length, (flags & CMD_FLAG.NO_HOLE) !== 0);
  if (!fast) {
    if (!plainReply(serving, NBD.ENOTSUP)) return false;
    counters.errors++;
    return true;
  }
  begin(ongoing, 'zero', offset, length, flags & ~CMD_FLAG.FAST_ZERO);
  ongoing.type = type;
  counters.others++;
  return true;
}

/** Go on, by one piece at each call. Returns false if there is no room for the reply. */
export function zeroOn(serving: Serving): boolean {
  const { ongoing, counters, disk } = serving;
  const length = Math.min(ongoing.left, ZERO_PIECE_BYTES);
  if (length > 0) {
    ongoing.error = disk ? withoutPayload(disk, ongoing.type, ongoing.offset, length, ongoing.flags) : NBD.ESHUTDOWN;
    ongoing.offset += length;
    ongoing.left = ongoing.error === NBD.OK ? ongoing.left - length : 0;
    serving.work += length;
    if (ongoing.left > 0) return true;
    if (ongoing.error !== NBD.OK) counters.errors++;
  }
  if (!plainReply(serving, ongoing.error)) return false;
  ongoing.kind = 'none';
  return true;
}
