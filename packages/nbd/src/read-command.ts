/**
 * READ: the driver reads behind the header of the reply that is being laid out. What was never written is told, not sent, where the client
 * understands that.
 */
import { type NbdDisk, isHole } from './disk.js';
import { firstBadByte } from './disk-commands.js';
import { CMD_FLAG, NBD, REPLY_FLAG_DONE, SIMPLE_REPLY_BYTES } from './protocol.js';
import { dataHeaderBytes, errorChunk, holeChunk, plainReply, writeDataHeader } from './reply-messages.js';
import { PIECE_BYTES, type Progress, type Serving, begin } from './serving.js';

/** Holes shorter than this are sent as data. */
const MIN_HOLE_BYTES = 4096;

/** Carry it out, or its first part. Returns false if there is no room for the reply. */
export function startRead(serving: Serving, on: NbdDisk, offset: number, length: number, flags: number): boolean {
  const { headers, counters } = serving;
  if (length > PIECE_BYTES) {
    if ((flags & CMD_FLAG.DF) !== 0) return errorOf(serving, errorChunk(serving, NBD.EOVERFLOW));
    if (headers === 'simple' && !plainReply(serving, NBD.OK)) return false;
    begin(serving.ongoing, 'read', offset, length, 0);
  } else if (headers !== 'simple') {
    if (dataChunk(serving, on, offset, length, REPLY_FLAG_DONE) === 'full') return false;
    serving.work += length;
  } else {
    if (!readWhole(serving, on, offset, length)) return false;
    serving.work += length;
  }
  counters.reads++;
  counters.bytesRead += length;
  return true;
}

/** Go on with one in pieces. */
export function readOn(serving: Serving): Progress {
  const { ongoing, headers, replies } = serving;
  while (ongoing.left > 0) {
    const length = Math.min(ongoing.left, PIECE_BYTES);
    const { disk } = serving;
    if (!disk || ongoing.error !== NBD.OK) return fail(serving);
    if (headers !== 'simple') {
      const outcome = dataChunk(serving, disk, ongoing.offset, length, ongoing.left === length ? REPLY_FLAG_DONE : 0);
      if (outcome === 'full') return 'full';
      if (outcome === 'failed') break;
    } else {
      const at = replies.reserve(length);
      if (at < 0) return 'full';
      if (disk.read(replies.slab, at, ongoing.offset, length) !== NBD.OK) return breakOff(serving);
    }
    ongoing.offset += length;
    ongoing.left -= length;
    serving.work += length;
    replies.flushMuch();
  }
  ongoing.kind = 'none';
  return 'done';
}

/** One that goes into one plain reply. */
function readWhole({ replies, format, id, counters }: Serving, on: NbdDisk, offset: number, length: number): boolean {
  const at = replies.reserve(SIMPLE_REPLY_BYTES + length);
  if (at < 0) return false;
  const error = on.read(replies.slab, at + SIMPLE_REPLY_BYTES, offset, length);
  format.writePlain(replies.view, at, id, error);
  if (error !== NBD.OK) {
    replies.shrink(length);
    counters.errors++;
  }
  return true;
}

/** One chunk of a structured reply; `failed` has told the client already. */
function dataChunk(serving: Serving, on: NbdDisk, offset: number, length: number, flags: number): 'sent' | 'full' | 'failed' {
  const { replies, format, counters } = serving;
  const head = dataHeaderBytes(format);
  if (length >= MIN_HOLE_BYTES && isHole(on.extent(offset, length), length)) return holeChunk(serving, offset, length, flags) ? 'sent' : 'full';
  const at = replies.reserve(head + length);
  if (at < 0) return 'full';
  const error = on.read(replies.slab, at + head, offset, length);
  if (error !== NBD.OK) {
    counters.errors++;
    const bad = firstBadByte(on, replies.slab, at + head, offset, length);
    replies.shrink(head + length);
    errorChunk(serving, error, bad);
    return 'failed';
  }
  writeDataHeader(serving, at, offset, length, flags);
  return 'sent';
}

/** The power went in the middle. */
function fail(serving: Serving): Progress {
  const { ongoing, headers } = serving;
  if (headers === 'simple') return breakOff(serving);
  if (!errorOf(serving, errorChunk(serving, NBD.ESHUTDOWN))) return 'full';
  ongoing.kind = 'none';
  return 'done';
}

/** A plain reply that has begun cannot turn into an error: the protocol leaves only the door. */
function breakOff({ counters, ongoing }: Serving): Progress {
  counters.errors++;
  ongoing.kind = 'none';
  ongoing.left = 0;
  return 'broken';
}

/** Count an error that is told. */
function errorOf({ counters }: Serving, told: boolean): boolean {
  if (told) counters.errors++;
  return told;
}
