/**
 * The transmission phase of one connection: requests in, I/O on the disk, replies out. NBD protocol, "Transmission phase".
 *
 * Requests are carried out in the order in which they come, each to its end, out of the buffer that the socket filled and into the one
 * that it sends: a 4 KiB request costs no allocation and no copy but the driver's own.
 *
 * Invariant: each request gets one final reply, or the connection ends. The payload of a refused write is read and thrown away.
 */
import type { NbdDisk } from './disk.js';
import { extentsOf, withoutPayload } from './disk-commands.js';
import { isReadOnly } from './export.js';
import type { Session } from './handshake.js';
import { CMD, CMD_FLAG, NBD, type NbdError, REQUEST_BYTES, REQUEST_MAGIC, SIMPLE_REPLY_BYTES } from './protocol.js';
import { readOn, startRead } from './read-command.js';
import { type ReplyBuffer, type Send, createReplyBuffer } from './reply-buffer.js';
import { blockStatusChunk, errorChunk, simpleReply, writeSimpleReply } from './reply-messages.js';
import { type RequestBuffer, append, available, createRequestBuffer, makeRoom } from './request-buffer.js';
import { checkRequest } from './request-check.js';
import { type NbdCounters, type Serving, noOngoing } from './serving.js';
import { takeWrite, writeOn } from './write-command.js';
import { ZERO_PIECE_BYTES, startZero, zeroOn } from './zero-command.js';

/** A client that announces more than this is not one: the connection ends. */
const MAX_ANNOUNCED = 64 * 1024 * 1024;
/** A client's work for one turn of the event loop, in bytes that it moves or zeroes; then others have theirs. */
const TURN_BYTES = 64 * 1024 * 1024;
/** What a request costs apart from its bytes. */
const REQUEST_COST = 4096;
/** So many bytes are told of in the time that one is moved in. */
const BLOCK_STATUS_RATIO = 1024;
/** Extents of one answer; a client asks again for the rest. */
const MAX_EXTENTS = 4096;

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
  /** From now on use this disk, in memory of another boot; undefined: fail what comes in with ESHUTDOWN. @throws KernelError ENOMEM: the session cannot go on */
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
  const { exported, structured, baseAllocation } = session;
  const { sizeBytes, minBlock, canTrim } = session.disk;
  const rules = { sizeBytes, minBlock, canTrim, structured, baseAllocation, readOnly: isReadOnly(exported, session.disk) };
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

  const serving: Serving = { structured, counters, ongoing: noOngoing(), disk: session.disk, work: 0, ...buffersOn(session.disk) };

  // --- requests ---

  /** Carry out the request at the start of the buffer. Returns false if it is not whole yet, or its reply has no room. */
  const takeRequest = (): boolean => {
    const { requests, disk } = serving;
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
    serving.work += REQUEST_COST;
    const error = disk ? checkRequest(rules, type, flags, offset, length) : NBD.ESHUTDOWN;
    if (error === NBD.OK && hasToWait(disk!, type, offset, length)) return false;
    if (type === CMD.WRITE) {
      const progress = takeWrite(serving, disk, offset, length, flags, hi, lo, error);
      if (progress === 'done') asked = false;
      return progress === 'full' ? stall() : progress === 'done';
    }
    if (!(error === NBD.OK ? carryOut(disk!, type, offset, length, flags, hi, lo) : refuse(type, hi, lo, error))) return stall();
    requests.start += REQUEST_BYTES;
    asked = false;
    return true;
  };

  const refuse = (type: number, hi: number, lo: number, error: NbdError): boolean => {
    const { replies } = serving;
    const told = structured && (type === CMD.READ || type === CMD.BLOCK_STATUS) ? errorChunk(replies, hi, lo, error) : simpleReply(replies, hi, lo, error);
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

  const carryOut = (on: NbdDisk, type: number, offset: number, length: number, flags: number, hi: number, lo: number): boolean => {
    const { replies } = serving;
    if (type === CMD.READ) return startRead(serving, on, offset, length, flags, hi, lo);
    if (type === CMD.BLOCK_STATUS) return blockStatus(on, offset, length, (flags & CMD_FLAG.REQ_ONE) !== 0, hi, lo);
    if (length > ZERO_PIECE_BYTES && (type === CMD.WRITE_ZEROES || type === CMD.TRIM)) return startZero(serving, on, type, offset, length, flags, hi, lo);
    const at = replies.reserve(SIMPLE_REPLY_BYTES);
    if (at < 0) return false;
    const error = withoutPayload(on, type, offset, length, flags);
    if (type === CMD.WRITE_ZEROES) serving.work += length;
    writeSimpleReply(replies.view, at, hi, lo, error);
    if (error !== NBD.OK) counters.errors++;
    counters.others++;
    return true;
  };

  const blockStatus = (on: NbdDisk, offset: number, length: number, one: boolean, hi: number, lo: number): boolean => {
    serving.work += length / BLOCK_STATUS_RATIO;
    if (!blockStatusChunk(serving.replies, extentsOf(on, offset, length, one ? 1 : MAX_EXTENTS), hi, lo)) return false;
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
      makeRoom(serving.requests, REQUEST_BYTES);
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
