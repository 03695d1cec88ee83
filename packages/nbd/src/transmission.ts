/**
 * The transmission phase of one connection: requests in, I/O on the disk, replies out. NBD protocol, "Transmission phase".
 *
 * Requests are carried out in the order in which they come, each to its end, out of the buffer that the socket filled and into the one
 * that it sends: a 4 KiB request costs no allocation and no copy but the driver's own.
 *
 * Invariant: each request gets one final reply, or the connection ends. The payload of a refused write is read and thrown away.
 */
import { type NbdDisk, isHole } from './disk.js';
import { extentsOf, firstBadByte, withoutPayload, zeroesFast } from './disk-commands.js';
import { isReadOnly } from './export.js';
import type { Session } from './handshake.js';
import {
  BASE_ALLOCATION_ID, CHUNK_HEADER_BYTES, CMD, CMD_FLAG, NBD, type NbdError, REPLY_FLAG_DONE, REPLY_TYPE, REQUEST_BYTES, REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC,
} from './protocol.js';
import { type ReplyBuffer, type Send, createReplyBuffer } from './reply-buffer.js';
import { checkRequest } from './request-check.js';
import { type RequestBuffer, append, available, createRequestBuffer, makeRoom } from './request-buffer.js';

/** Larger reads and writes are carried out in pieces of this size. */
export const PIECE_BYTES = 512 * 1024;
/** A client that announces more than this is not one: the connection ends. */
const MAX_ANNOUNCED = 64 * 1024 * 1024;
/** A client's work for one turn of the event loop, in bytes that it moves or zeroes; then others have theirs. */
const TURN_BYTES = 64 * 1024 * 1024;
/** What a request costs apart from its bytes. */
const REQUEST_COST = 4096;
/** So many bytes are told of in the time that one is moved in. */
const BLOCK_STATUS_RATIO = 1024;
/** Zeros are written, or trimmed, in pieces of this size, between which others have their turn. */
const ZERO_PIECE_BYTES = 32 * 1024 * 1024;
/** Extents of one answer; a client asks again for the rest. */
const MAX_EXTENTS = 4096;
/** Holes shorter than this are sent as data. */
const MIN_HOLE_BYTES = 4096;

/** What was done, for people; shared by all connections of a server. */
export interface NbdCounters {
  reads: number;
  writes: number;
  others: number;
  bytesRead: number;
  bytesWritten: number;
  errors: number;
}

export interface TransmissionNeeds {
  readonly session: Session;
  readonly counters: NbdCounters;
  readonly send: Send;
  /** The session is over, once all replies are sent. */
  readonly close: () => void;
  /** What was held back goes on: read the socket again. */
  readonly resume: () => void;
}

export interface Transmission {
  /** Where the next bytes are to be put: never empty. */
  space(): Uint8Array;
  /** So many bytes were put into the `space` of some time ago. Returns false if the socket is to wait for `resume`. */
  received(length: number, space: Uint8Array): boolean;
  /** From now on use this disk, in memory of another boot; undefined: fail what comes in with ESHUTDOWN. */
  rebind(disk: NbdDisk | undefined): void;
  /** Take no more requests; close once the replies that are laid out are sent. */
  finish(): void;
  /** Give the memory back; memory whose kernel is gone is left alone. */
  free(): void;
}

/** A request that is carried out in pieces; `discard` is the payload of a refused write. */
interface Ongoing {
  kind: 'none' | 'read' | 'write' | 'discard' | 'zero';
  /** Of a `zero`: WRITE_ZEROES or TRIM. */
  type: number;
  offset: number;
  left: number;
  flags: number;
  cookieHi: number;
  cookieLo: number;
  error: NbdError;
}

/** What can be delayed, by command. */
const DELAYED_OPS: Readonly<Record<number, 'read' | 'write' | 'flush' | 'trim' | 'zero'>> = {
  [CMD.READ]: 'read',
  [CMD.WRITE]: 'write',
  [CMD.FLUSH]: 'flush',
  [CMD.TRIM]: 'trim',
  [CMD.WRITE_ZEROES]: 'zero',
};

/** @throws KernelError ENOMEM */
export function createTransmission({ session, counters, send, close, resume }: TransmissionNeeds): Transmission {
  const { exported, structured, baseAllocation } = session;
  const { sizeBytes, minBlock, canTrim } = session.disk;
  let disk: NbdDisk | undefined = session.disk;
  const rules = { sizeBytes, minBlock, canTrim, structured, baseAllocation, readOnly: isReadOnly(exported, session.disk) };
  let requests: RequestBuffer;
  let replies: ReplyBuffer;
  let paused = false;
  /** Bytes of work in this turn. */
  let work = 0;
  let closing = false;
  /** The memory of {@link requests} and {@link replies} is the kernel's that runs now. */
  let powered = true;
  /** How long the request at the start of the buffer has to wait was asked; and it waits. */
  let asked = false;
  let waiting: NodeJS.Timeout | undefined;
  const ongoing: Ongoing = { kind: 'none', type: 0, offset: 0, left: 0, flags: 0, cookieHi: 0, cookieLo: 0, error: NBD.OK };

  const bind = (on: NbdDisk): void => {
    const slab = on.allocSlab();
    try {
      replies = createReplyBuffer(on.allocSlab(), send, roomAgain);
    } catch (error) {
      slab.free();
      throw error;
    }
    requests = createRequestBuffer(slab);
    powered = true;
  };
  const roomAgain = (): void => {
    if (closing) {
      if (replies.idle()) close();
      return;
    }
    if (paused && waiting === undefined) goOn();
  };
  const goOn = (): void => {
    paused = false;
    process();
    if (!paused && !closing) resume();
  };

  // --- replies; each returns false if there is no room now ---

  const simpleReply = (hi: number, lo: number, error: NbdError): boolean => {
    const at = replies.reserve(SIMPLE_REPLY_BYTES);
    if (at < 0) return false;
    writeSimpleReply(replies.view, at, hi, lo, error);
    return true;
  };

  const chunkHeader = (at: number, flags: number, type: number, hi: number, lo: number, length: number): void => {
    const { view } = replies;
    view.setUint32(at, STRUCTURED_REPLY_MAGIC);
    view.setUint16(at + 4, flags);
    view.setUint16(at + 6, type);
    view.setUint32(at + 8, hi);
    view.setUint32(at + 12, lo);
    view.setUint32(at + 16, length);
  };

  const errorChunk = (hi: number, lo: number, error: NbdError, offset?: number): boolean => {
    const length = offset === undefined ? 6 : 14;
    const at = replies.reserve(CHUNK_HEADER_BYTES + length);
    if (at < 0) return false;
    chunkHeader(at, REPLY_FLAG_DONE, offset === undefined ? REPLY_TYPE.ERROR : REPLY_TYPE.ERROR_OFFSET, hi, lo, length);
    replies.view.setUint32(at + CHUNK_HEADER_BYTES, error);
    replies.view.setUint16(at + CHUNK_HEADER_BYTES + 4, 0);
    if (offset !== undefined) replies.view.setBigUint64(at + CHUNK_HEADER_BYTES + 6, BigInt(offset));
    return true;
  };

  const refuse = (type: number, hi: number, lo: number, error: NbdError): boolean => {
    counters.errors++;
    return structured && (type === CMD.READ || type === CMD.BLOCK_STATUS) ? errorChunk(hi, lo, error) : simpleReply(hi, lo, error);
  };

  // --- reads ---

  /** A read that goes into one reply. */
  const readWhole = (on: NbdDisk, offset: number, length: number, hi: number, lo: number): boolean => {
    if (structured) return dataChunk(on, offset, length, hi, lo, REPLY_FLAG_DONE) !== 'full';
    const at = replies.reserve(SIMPLE_REPLY_BYTES + length);
    if (at < 0) return false;
    const error = on.read(replies.slab, at + SIMPLE_REPLY_BYTES, offset, length);
    writeSimpleReply(replies.view, at, hi, lo, error);
    if (error !== NBD.OK) {
      replies.shrink(length);
      counters.errors++;
    }
    return true;
  };

  /** One chunk of a structured reply; `failed` has told the client already. */
  const dataChunk = (on: NbdDisk, offset: number, length: number, hi: number, lo: number, flags: number): 'sent' | 'full' | 'failed' => {
    if (length >= MIN_HOLE_BYTES && isHole(on.extent(offset, length), length)) return holeChunk(offset, length, hi, lo, flags) ? 'sent' : 'full';
    const at = replies.reserve(CHUNK_HEADER_BYTES + 8 + length);
    if (at < 0) return 'full';
    const error = on.read(replies.slab, at + CHUNK_HEADER_BYTES + 8, offset, length);
    if (error !== NBD.OK) {
      counters.errors++;
      const bad = firstBadByte(on, replies.slab, at + CHUNK_HEADER_BYTES + 8, offset, length);
      replies.shrink(CHUNK_HEADER_BYTES + 8 + length);
      errorChunk(hi, lo, error, bad);
      return 'failed';
    }
    chunkHeader(at, flags, REPLY_TYPE.OFFSET_DATA, hi, lo, 8 + length);
    setOffset(replies.view, at + CHUNK_HEADER_BYTES, offset);
    return 'sent';
  };

  const holeChunk = (offset: number, length: number, hi: number, lo: number, flags: number): boolean => {
    const at = replies.reserve(CHUNK_HEADER_BYTES + 12);
    if (at < 0) return false;
    chunkHeader(at, flags, REPLY_TYPE.OFFSET_HOLE, hi, lo, 12);
    setOffset(replies.view, at + CHUNK_HEADER_BYTES, offset);
    replies.view.setUint32(at + CHUNK_HEADER_BYTES + 8, length);
    return true;
  };

  /** Go on with a read in pieces. Returns false if there is no room now. */
  const readOn = (): boolean => {
    const { cookieHi: hi, cookieLo: lo } = ongoing;
    while (ongoing.left > 0) {
      const length = Math.min(ongoing.left, PIECE_BYTES);
      if (!disk || ongoing.error !== NBD.OK) return failRead();
      if (structured) {
        const outcome = dataChunk(disk, ongoing.offset, length, hi, lo, ongoing.left === length ? REPLY_FLAG_DONE : 0);
        if (outcome === 'full') return false;
        if (outcome === 'failed') break;
      } else {
        const at = replies.reserve(length);
        if (at < 0) return false;
        if (disk.read(replies.slab, at, ongoing.offset, length) !== NBD.OK) return endEarly();
      }
      ongoing.offset += length;
      ongoing.left -= length;
      work += length;
      replies.flushMuch();
    }
    ongoing.kind = 'none';
    return true;
  };

  /** The power went in the middle of a read. */
  const failRead = (): boolean => {
    if (!structured) return endEarly();
    if (!errorChunk(ongoing.cookieHi, ongoing.cookieLo, NBD.ESHUTDOWN)) return false;
    counters.errors++;
    ongoing.kind = 'none';
    return true;
  };

  /** A plain reply that has begun cannot turn into an error: the protocol leaves only the door. */
  const endEarly = (): boolean => {
    counters.errors++;
    ongoing.kind = 'none';
    ongoing.left = 0;
    shut();
    return true;
  };

  const startRead = (on: NbdDisk, offset: number, length: number, flags: number, hi: number, lo: number): boolean => {
    if (length <= PIECE_BYTES) return readWhole(on, offset, length, hi, lo);
    if ((flags & CMD_FLAG.DF) !== 0) return refuse(CMD.READ, hi, lo, NBD.EOVERFLOW);
    if (!structured && !simpleReply(hi, lo, NBD.OK)) return false;
    begin('read', offset, length, 0, hi, lo, NBD.OK);
    return true;
  };

  // --- writes ---

  /** Go on with a write in pieces, or with throwing its payload away. Returns false if more has to come first. */
  const writeOn = (): boolean => {
    while (ongoing.left > 0) {
      const there = Math.min(available(requests), ongoing.left);
      const length = there === ongoing.left || ongoing.kind === 'discard' ? there : there - (there % PIECE_BYTES);
      if (length === 0) return false;
      const piece = Math.min(length, PIECE_BYTES);
      if (ongoing.kind === 'write' && ongoing.error === NBD.OK) {
        ongoing.error = disk ? disk.write(requests.slab, requests.start, ongoing.offset, piece, (ongoing.flags & CMD_FLAG.FUA) !== 0) : NBD.ESHUTDOWN;
      }
      requests.start += piece;
      ongoing.offset += piece;
      ongoing.left -= piece;
    }
    if (ongoing.error !== NBD.OK) counters.errors++;
    if (!simpleReply(ongoing.cookieHi, ongoing.cookieLo, ongoing.error)) return false;
    ongoing.kind = 'none';
    return true;
  };

  // --- zeros ---

  const startZero = (on: NbdDisk, type: number, offset: number, length: number, flags: number, hi: number, lo: number): boolean => {
    const fast = type !== CMD.WRITE_ZEROES || (flags & CMD_FLAG.FAST_ZERO) === 0 || zeroesFast(on, offset, length, (flags & CMD_FLAG.NO_HOLE) !== 0);
    if (!fast) return refuse(type, hi, lo, NBD.ENOTSUP);
    begin('zero', offset, length, flags & ~CMD_FLAG.FAST_ZERO, hi, lo, NBD.OK);
    ongoing.type = type;
    counters.others++;
    return true;
  };

  /** Go on with zeros in pieces, one at each call. Returns false if there is no room for the reply. */
  const zeroOn = (): boolean => {
    const length = Math.min(ongoing.left, ZERO_PIECE_BYTES);
    if (length > 0) {
      ongoing.error = disk ? withoutPayload(disk, ongoing.type, ongoing.offset, length, ongoing.flags) : NBD.ESHUTDOWN;
      ongoing.offset += length;
      ongoing.left = ongoing.error === NBD.OK ? ongoing.left - length : 0;
      work += length;
      if (ongoing.left > 0) return true;
      if (ongoing.error !== NBD.OK) counters.errors++;
    }
    if (!simpleReply(ongoing.cookieHi, ongoing.cookieLo, ongoing.error)) return false;
    ongoing.kind = 'none';
    return true;
  };

  const begin = (kind: Ongoing['kind'], offset: number, left: number, flags: number, hi: number, lo: number, error: NbdError): void => {
    ongoing.kind = kind;
    ongoing.offset = offset;
    ongoing.left = left;
    ongoing.flags = flags;
    ongoing.cookieHi = hi;
    ongoing.cookieLo = lo;
    ongoing.error = error;
  };

  // --- requests ---

  /** Carry out the request at the start of the buffer. Returns false if it is not whole yet, or its reply has no room. */
  const takeRequest = (): boolean => {
    if (available(requests) < REQUEST_BYTES) return false;
    const { view, start } = requests;
    if (view.getUint32(start) !== REQUEST_MAGIC) {
      shut();
      return true;
    }
    const flags = view.getUint16(start + 4);
    const type = view.getUint16(start + 6);
    const hi = view.getUint32(start + 8);
    const lo = view.getUint32(start + 12);
    const offset = view.getUint32(start + 16) * 2 ** 32 + view.getUint32(start + 20);
    const length = view.getUint32(start + 24);
    if (type === CMD.DISC || (type === CMD.WRITE && length > MAX_ANNOUNCED)) {
      shut();
      return true;
    }
    work += REQUEST_COST;
    const error = disk ? checkRequest(rules, type, flags, offset, length) : NBD.ESHUTDOWN;
    if (error === NBD.OK && hasToWait(disk!, type, offset, length)) return false;
    if (type === CMD.WRITE) return takeWrite(offset, length, flags, hi, lo, error);
    if (!(error === NBD.OK ? carryOut(disk!, type, offset, length, flags, hi, lo) : refuse(type, hi, lo, error))) return stall();
    consume(REQUEST_BYTES);
    return true;
  };

  const consume = (bytes: number): void => {
    requests.start += bytes;
    asked = false;
  };

  const hasToWait = (on: NbdDisk, type: number, offset: number, length: number): boolean => {
    const op = DELAYED_OPS[type];
    if (asked || !on.delayMs || op === undefined) return false;
    asked = true;
    const ms = on.delayMs(op, offset, length);
    if (ms <= 0) return false;
    replies.flush();
    paused = true;
    waiting = setTimeout(() => {
      waiting = undefined;
      if (!closing) goOn();
    }, ms);
    return true;
  };

  const takeWrite = (offset: number, length: number, flags: number, hi: number, lo: number, error: NbdError): boolean => {
    if (error !== NBD.OK || length > PIECE_BYTES) {
      begin(error === NBD.OK ? 'write' : 'discard', offset, length, flags, hi, lo, error);
      consume(REQUEST_BYTES);
      if (error === NBD.OK) countWrite(length);
      return true;
    }
    if (available(requests) < REQUEST_BYTES + length) {
      makeRoom(requests, REQUEST_BYTES + length);
      return false;
    }
    const at = replies.reserve(SIMPLE_REPLY_BYTES);
    if (at < 0) return stall();
    const outcome = disk!.write(requests.slab, requests.start + REQUEST_BYTES, offset, length, (flags & CMD_FLAG.FUA) !== 0);
    writeSimpleReply(replies.view, at, hi, lo, outcome);
    if (outcome !== NBD.OK) counters.errors++;
    countWrite(length);
    consume(REQUEST_BYTES + length);
    return true;
  };

  const countWrite = (length: number): void => {
    counters.writes++;
    counters.bytesWritten += length;
    work += length;
  };

  const carryOut = (on: NbdDisk, type: number, offset: number, length: number, flags: number, hi: number, lo: number): boolean => {
    if (type === CMD.READ) {
      if (!startRead(on, offset, length, flags, hi, lo)) return false;
      counters.reads++;
      counters.bytesRead += length;
      if (length <= PIECE_BYTES) work += length;
      return true;
    }
    if (type === CMD.BLOCK_STATUS) return blockStatus(on, offset, length, (flags & CMD_FLAG.REQ_ONE) !== 0, hi, lo);
    if (length > ZERO_PIECE_BYTES && (type === CMD.WRITE_ZEROES || type === CMD.TRIM)) return startZero(on, type, offset, length, flags, hi, lo);
    const at = replies.reserve(SIMPLE_REPLY_BYTES);
    if (at < 0) return false;
    const error = withoutPayload(on, type, offset, length, flags);
    if (type === CMD.WRITE_ZEROES) work += length;
    writeSimpleReply(replies.view, at, hi, lo, error);
    if (error !== NBD.OK) counters.errors++;
    counters.others++;
    return true;
  };

  const blockStatus = (on: NbdDisk, offset: number, length: number, one: boolean, hi: number, lo: number): boolean => {
    work += length / BLOCK_STATUS_RATIO;
    const extents = extentsOf(on, offset, length, one ? 1 : MAX_EXTENTS);
    const bytes = 4 + 8 * extents.length;
    const at = replies.reserve(CHUNK_HEADER_BYTES + bytes);
    if (at < 0) return false;
    chunkHeader(at, REPLY_FLAG_DONE, REPLY_TYPE.BLOCK_STATUS, hi, lo, bytes);
    replies.view.setUint32(at + CHUNK_HEADER_BYTES, BASE_ALLOCATION_ID);
    extents.forEach((extent, i) => {
      replies.view.setUint32(at + CHUNK_HEADER_BYTES + 4 + 8 * i, extent.length);
      replies.view.setUint32(at + CHUNK_HEADER_BYTES + 8 + 8 * i, extent.state);
    });
    counters.others++;
    return true;
  };

  /** No room for a reply: let the socket wait until it has taken some. */
  const stall = (): boolean => {
    replies.flush();
    paused = true;
    return false;
  };

  /** Others have their turn, then this goes on. */
  const yieldTurn = (): void => {
    work = 0;
    if (closing) return;
    replies.flush();
    paused = true;
    setImmediate(roomAgain);
  };

  const shut = (): void => {
    if (closing) return;
    closing = true;
    replies.flush();
    if (replies.idle()) close();
  };

  const step = (): boolean => {
    switch (ongoing.kind) {
      case 'none':
        return takeRequest();
      case 'read':
        return readOn() || stall();
      case 'zero':
        return zeroOn() || stall();
      default:
        return writeOn() || (ongoing.left === 0 && stall());
    }
  };

  const process = (): void => {
    while (!closing && step()) {
      replies.flushMuch();
      if (work >= TURN_BYTES) return yieldTurn();
    }
    work = 0;
    if (!closing) {
      replies.flush();
      makeRoom(requests, REQUEST_BYTES);
    }
  };

  bind(session.disk);
  return {
    space: () => requests.slab.bytes.subarray(requests.end),
    received(length, space) {
      append(requests, space, length);
      if (!paused) process();
      return !paused && !closing;
    },
    rebind(next) {
      const before = requests;
      disk = next;
      if (!next) {
        powered = false;
        if (ongoing.kind !== 'none' && ongoing.error === NBD.OK) ongoing.error = NBD.ESHUTDOWN;
        return;
      }
      bind(next);
      requests.slab.bytes.set(before.slab.bytes.subarray(before.start, before.end));
      requests.end = before.end - before.start;
    },
    finish: shut,
    free() {
      clearTimeout(waiting);
      closing = true;
      if (!powered) return;
      requests.slab.free();
      replies.slab.free();
    },
  };
}

function writeSimpleReply(view: DataView, at: number, hi: number, lo: number, error: NbdError): void {
  view.setUint32(at, SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, error);
  view.setUint32(at + 8, hi);
  view.setUint32(at + 12, lo);
}

function setOffset(view: DataView, at: number, offset: number): void {
  view.setUint32(at, Math.floor(offset / 2 ** 32));
  view.setUint32(at + 4, offset % 2 ** 32);
}
