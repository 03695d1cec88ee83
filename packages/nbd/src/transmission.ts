/**
 * The transmission phase of one connection: requests in, I/O on the disk, replies out. NBD protocol, "Transmission phase".
 *
 * Requests are carried out in the order in which they come, each to its end, out of the buffer that the socket filled and into the one
 * that it sends: a 4 KiB request costs no allocation and no copy but the driver's own.
 *
 * Invariant: each request gets one final reply, or the connection ends. The payload of a refused write is read and thrown away.
 */
import type { NbdDisk } from './disk.js';
import { withoutPayload } from './disk-commands.js';
import { MAX_PAYLOAD, isReadOnly } from './export.js';
import type { Session } from './handshake.js';
import {
  CMD, CMD_FLAG, EXTENDED_REQUEST_BYTES, EXTENDED_REQUEST_MAGIC, NBD, type NbdError, REQUEST_BYTES, REQUEST_MAGIC,
} from './protocol.js';
import { readOn, startRead } from './read-command.js';
import { type ReplyBuffer, type Send, createReplyBuffer } from './reply-buffer.js';
import { compactFormat, extendedFormat, getUint64 } from './reply-format.js';
import { errorChunk, plainReply, reservePlain, writePlain } from './reply-messages.js';
import { type RequestBuffer, append, available, createRequestBuffer, makeRoom } from './request-buffer.js';
import { checkRequest } from './request-check.js';
import { type NbdCounters, type Serving, noOngoing } from './serving.js';
import { STATUS_FILTER_BYTES, blockStatus, statusFilter } from './status-command.js';
import { discard, takeWrite, writeOn } from './write-command.js';
import { ZERO_PIECE_BYTES, startZero, zeroOn } from './zero-command.js';

/** A client that announces more than this is not one: the connection ends. With extended headers the largest payload is the limit. */
const MAX_ANNOUNCED = 64 * 1024 * 1024;
/** A client's work for one turn of the event loop, in bytes that it moves or zeroes; then others have theirs. */
const TURN_BYTES = 64 * 1024 * 1024;
/** What a request costs apart from its bytes. */
const REQUEST_COST = 4096;

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
  /**
   * From now on use this disk, in memory of another boot; undefined: fail what comes in with ESHUTDOWN. @throws KernelError ENOMEM: the session
   * cannot go on
   */
  rebind(disk: NbdDisk | undefined): void;
  /** Take no more requests; close once the replies that are laid out are sent. */
  finish(): void;
  /** Give the memory back; memory whose kernel is gone is left alone. */
  free(): void;
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
  const { exported, headers, baseAllocation } = session;
  const extended = headers === 'extended';
  const magic = extended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC;
  const requestBytes = extended ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES;
  const mostAnnounced = extended ? MAX_PAYLOAD : MAX_ANNOUNCED;
  const { sizeBytes, minBlock, canTrim } = session.disk;
  const rules = { sizeBytes, minBlock, canTrim, headers, baseAllocation, readOnly: isReadOnly(exported, session.disk) };
  let paused = false;
  let closing = false;
  /** The memory of the buffers is the kernel's that runs now. */
  let powered = true;
  /** How long the request at the start of the buffer has to wait was asked; and it waits. */
  let asked = false;
  let waiting: NodeJS.Timeout | undefined;

  const buffersOn = (on: NbdDisk): { requests: RequestBuffer; replies: ReplyBuffer } => {
    const slab = on.allocSlab();
    try {
      return { requests: createRequestBuffer(slab), replies: createReplyBuffer(on.allocSlab(), send, roomAgain) };
    } catch (error) {
      slab.free();
      throw error;
    }
  };
  const roomAgain = (): void => {
    if (closing) {
      if (serving.replies.idle()) close();
      return;
    }
    if (paused && waiting === undefined) goOn();
  };
  const goOn = (): void => {
    paused = false;
    process();
    if (!paused && !closing) resume();
  };

  const serving: Serving = {
    headers,
    requestBytes,
    format: extended ? extendedFormat : compactFormat,
    id: { cookieHi: 0, cookieLo: 0, offsetHi: 0, offsetLo: 0 },
    counters,
    ongoing: noOngoing(),
    disk: session.disk,
    work: 0,
    ...buffersOn(session.disk),
  };

  // --- requests ---

  /** Carry out the request at the start of the buffer. Returns false if it is not whole yet, or its reply has no room. */
  const takeRequest = (): boolean => {
    const { requests, disk, id } = serving;
    if (available(requests) < requestBytes) return false;
    const { view, start } = requests;
    if (view.getUint32(start) !== magic) {
      shut();
      return true;
    }
    const flags = view.getUint16(start + 4);
    const type = view.getUint16(start + 6);
    id.cookieHi = view.getInt32(start + 8);
    id.cookieLo = view.getInt32(start + 12);
    id.offsetHi = view.getInt32(start + 16);
    id.offsetLo = view.getInt32(start + 20);
    const offset = getUint64(view, start + 16);
    const length = extended ? getUint64(view, start + 24) : view.getUint32(start + 24);
    const hasPayload = extended ? (flags & CMD_FLAG.PAYLOAD_LEN) !== 0 : type === CMD.WRITE;
    if (type === CMD.DISC || (hasPayload && length > mostAnnounced)) {
      shut();
      return true;
    }
    serving.work += REQUEST_COST;
    if (hasPayload && type !== CMD.WRITE) return takeOddPayload(type, flags, offset, length);
    const error = disk ? checkRequest(rules, type, flags, offset, length) : NBD.ESHUTDOWN;
    if (error === NBD.OK && hasToWait(disk!, type, offset, length)) return false;
    if (hasPayload) {
      const progress = takeWrite(serving, disk, offset, length, flags, error);
      if (progress === 'done') asked = false;
      return progress === 'full' ? stall() : progress === 'done';
    }
    if (!(error === NBD.OK ? carryOut(disk!, type, offset, length, flags) : refuse(type, error))) return stall();
    requests.start += requestBytes;
    asked = false;
    return true;
  };

  /** The payload of a request that is no write: the context that a block status is about, or bytes that mean nothing here. */
  const takeOddPayload = (type: number, flags: number, offset: number, length: number): boolean => {
    const { requests, disk } = serving;
    if (type !== CMD.BLOCK_STATUS || length !== STATUS_FILTER_BYTES) {
      discard(serving, length, NBD.EINVAL);
      return true;
    }
    if (available(requests) < requestBytes + length) return false;
    const about = statusFilter(requests.view, requests.start + requestBytes);
    const error = disk ? checkRequest(rules, type, flags, offset, about ?? 0) : NBD.ESHUTDOWN; // nothing is refused as other empty ranges are
    if (!(error === NBD.OK ? carryOut(disk!, type, offset, about!, flags) : refuse(type, error))) return stall();
    requests.start += requestBytes + length;
    return true;
  };

  const refuse = (type: number, error: NbdError): boolean => {
    const inChunks = headers !== 'simple' && (type === CMD.READ || type === CMD.BLOCK_STATUS);
    const told = inChunks ? errorChunk(serving, error) : plainReply(serving, error);
    if (told) counters.errors++;
    return told;
  };

  const hasToWait = (on: NbdDisk, type: number, offset: number, length: number): boolean => {
    const op = DELAYED_OPS[type];
    if (asked || !on.delayMs || op === undefined) return false;
    asked = true;
    const ms = on.delayMs(op, offset, length);
    if (ms <= 0) return false;
    serving.replies.flush();
    paused = true;
    waiting = setTimeout(() => {
      waiting = undefined;
      if (!closing) goOn();
    }, ms);
    return true;
  };

  const carryOut = (on: NbdDisk, type: number, offset: number, length: number, flags: number): boolean => {
    if (type === CMD.READ) return startRead(serving, on, offset, length, flags);
    if (type === CMD.BLOCK_STATUS) return blockStatus(serving, on, offset, length, (flags & CMD_FLAG.REQ_ONE) !== 0);
    if (length > ZERO_PIECE_BYTES && (type === CMD.WRITE_ZEROES || type === CMD.TRIM)) return startZero(serving, on, type, offset, length, flags);
    const at = reservePlain(serving);
    if (at < 0) return false;
    const error = withoutPayload(on, type, offset, length, flags);
    if (type === CMD.WRITE_ZEROES) serving.work += length;
    writePlain(serving, at, error);
    if (error !== NBD.OK) counters.errors++;
    counters.others++;
    return true;
  };

  // --- turns ---

  /** No room for a reply: let the socket wait until it has taken some. */
  const stall = (): boolean => {
    serving.replies.flush();
    paused = true;
    return false;
  };

  /** Others have their turn, then this goes on. */
  const yieldTurn = (): void => {
    serving.work = 0;
    if (closing) return;
    serving.replies.flush();
    paused = true;
    setImmediate(roomAgain);
  };

  const shut = (): void => {
    if (closing) return;
    closing = true;
    serving.replies.flush();
    if (serving.replies.idle()) close();
  };

  /** Returns false if there is nothing to do now. */
  const step = (): boolean => {
    switch (serving.ongoing.kind) {
      case 'none':
        return takeRequest();
      case 'read': {
        const progress = readOn(serving);
        if (progress === 'broken') shut();
        return progress === 'full' ? stall() : true;
      }
      case 'zero':
        return zeroOn(serving) || stall();
      default: {
        const progress = writeOn(serving);
        return progress === 'full' ? stall() : progress === 'done';
      }
    }
  };

  const process = (): void => {
    while (!closing && step()) {
      serving.replies.flushMuch();
      if (serving.work >= TURN_BYTES) return yieldTurn();
    }
    serving.work = 0;
    if (!closing) {
      serving.replies.flush();
      makeRoom(serving.requests, requestBytes + STATUS_FILTER_BYTES);
    }
  };

  return {
    space: () => serving.requests.slab.bytes.subarray(serving.requests.end),
    received(length, space) {
      append(serving.requests, space, length);
      if (!paused) process();
      return !paused && !closing;
    },
    rebind(next) {
      const { ongoing, requests: before } = serving;
      serving.disk = next;
      if (!next) {
        powered = false;
        if (ongoing.kind !== 'none' && ongoing.error === NBD.OK) ongoing.error = NBD.ESHUTDOWN;
        return;
      }
      Object.assign(serving, buffersOn(next));
      powered = true;
      serving.requests.slab.bytes.set(before.slab.bytes.subarray(before.start, before.end));
      serving.requests.end = before.end - before.start;
    },
    finish: shut,
    free() {
      clearTimeout(waiting);
      closing = true;
      if (!powered) return;
      serving.requests.slab.free();
      serving.replies.slab.free();
    },
  };
}
