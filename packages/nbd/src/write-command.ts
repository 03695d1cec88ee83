/**
 * WRITE: the driver reads the payload where the socket put it. One that is refused has its payload read and thrown away.
 */
import type { NbdDisk } from './disk.js';
import { CMD_FLAG, NBD, type NbdError } from './protocol.js';
import { plainReply, reservePlain, writePlain } from './reply-messages.js';
import { available, makeRoom } from './request-buffer.js';
import { PIECE_BYTES, type Serving, begin } from './serving.js';

/** `more`: not all of it is here yet. */
export type WriteProgress = 'done' | 'full' | 'more';

/** The request at the start of the buffer, whole; or its header, if it is to be carried out in pieces. `error` refuses it. */
export function takeWrite(serving: Serving, on: NbdDisk | undefined, offset: number, length: number, flags: number, error: NbdError): WriteProgress {
  const { requests, requestBytes, counters } = serving;
  if (error !== NBD.OK || !on) {
    discard(serving, length, error);
    return 'done';
  }
  if (length > PIECE_BYTES) {
    begin(serving.ongoing, 'write', offset, length, flags);
    requests.start += requestBytes;
    count(serving, length);
    return 'done';
  }
  if (available(requests) < requestBytes + length) {
    makeRoom(requests, requestBytes + length);
    return 'more';
  }
  const at = reservePlain(serving);
  if (at < 0) return 'full';
  const outcome = on.write(requests.slab, requests.start + requestBytes, offset, length, (flags & CMD_FLAG.FUA) !== 0);
  writePlain(serving, at, outcome);
  if (outcome !== NBD.OK) counters.errors++;
  count(serving, length);
  requests.start += requestBytes + length;
  return 'done';
}

/** Refuse the request at the start of the buffer, once its payload of `length` bytes is gone. */
export function discard({ ongoing, requests, requestBytes }: Serving, length: number, error: NbdError): void {
  begin(ongoing, 'discard', 0, length, 0, error);
  requests.start += requestBytes;
}

/** Go on with one in pieces, or with throwing its payload away. */
export function writeOn(serving: Serving): WriteProgress {
  const { ongoing, requests, counters, disk } = serving;
  while (ongoing.left > 0) {
    const there = Math.min(available(requests), ongoing.left);
    const length = there === ongoing.left || ongoing.kind === 'discard' ? there : there - (there % PIECE_BYTES);
    if (length === 0) return 'more';
    const piece = Math.min(length, PIECE_BYTES);
    if (ongoing.kind === 'write' && ongoing.error === NBD.OK) {
      ongoing.error = disk ? disk.write(requests.slab, requests.start, ongoing.offset, piece, (ongoing.flags & CMD_FLAG.FUA) !== 0) : NBD.ESHUTDOWN;
    }
    requests.start += piece;
    ongoing.offset += piece;
    ongoing.left -= piece;
  }
  if (!plainReply(serving, ongoing.error)) return 'full';
  if (ongoing.error !== NBD.OK) counters.errors++;
  ongoing.kind = 'none';
  return 'done';
}

function count(serving: Serving, length: number): void {
  serving.counters.writes++;
  serving.counters.bytesWritten += length;
  serving.work += length;
}
