/**
 * WRITE: the driver reads the payload where the socket put it. One that is refused has its payload read and thrown away.
 */
import type { NbdDisk } from './disk.js';
import { CMD_FLAG, NBD, type NbdError, REQUEST_BYTES, SIMPLE_REPLY_BYTES } from './protocol.js';
import { simpleReply, writeSimpleReply } from './reply-messages.js';
import { available, makeRoom } from './request-buffer.js';
import { PIECE_BYTES, type Serving, begin } from './serving.js';

/** `more`: not all of it is here yet. */
export type WriteProgress = 'done' | 'full' | 'more';

/** The request at the start of the buffer, whole; or its header, if it is to be carried out in pieces. `error` refuses it. */
export function takeWrite(serving: Serving, on: NbdDisk | undefined, offset: number, length: number, flags: number, hi: number, lo: number, error: NbdError): WriteProgress {
  const { requests, replies, counters } = serving;
  if (error !== NBD.OK || !on || length > PIECE_BYTES) {
    begin(serving.ongoing, error === NBD.OK ? 'write' : 'discard', offset, length, flags, hi, lo, error);
    requests.start += REQUEST_BYTES;
    if (error === NBD.OK) count(serving, length);
    return 'done';
  }
  if (available(requests) < REQUEST_BYTES + length) {
    makeRoom(requests, REQUEST_BYTES + length);
    return 'more';
  }
  const at = replies.reserve(SIMPLE_REPLY_BYTES);
  if (at < 0) return 'full';
  const outcome = on.write(requests.slab, requests.start + REQUEST_BYTES, offset, length, (flags & CMD_FLAG.FUA) !== 0);
  writeSimpleReply(replies.view, at, hi, lo, outcome);
  if (outcome !== NBD.OK) counters.errors++;
  count(serving, length);
  requests.start += REQUEST_BYTES + length;
  return 'done';
}

/** Go on with one in pieces, or with throwing its payload away. */
export function writeOn({ ongoing, requests, replies, counters, disk }: Serving): WriteProgress {
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
  if (!simpleReply(replies, ongoing.cookieHi, ongoing.cookieLo, ongoing.error)) return 'full';
  if (ongoing.error !== NBD.OK) counters.errors++;
  ongoing.kind = 'none';
  return 'done';
}

function count(serving: Serving, length: number): void {
  serving.counters.writes++;
  serving.counters.bytesWritten += length;
  serving.work += length;
}
