/**
 * The client's side of the handshake, fixed newstyle: options as they are sent, and what both sides agree on.
 */
import { type Headers, BASE_ALLOCATION, FLAG_FIXED_NEWSTYLE, FLAG_NO_ZEROES, IHAVEOPT, INFO, NBDMAGIC, OPT, REP, REPLY_MAGIC, REP_ERR } from '../protocol.js';
import type { Reading } from './byte-queue.js';
import { NbdProtocolError, NbdRefusedError } from './client-errors.js';

/** A server may send no more than this in reply to an option. */
const MAX_REPLY_BYTES = 64 * 1024;
const FIRST_ERROR = REP_ERR.UNSUP;

/** What the server says of an export, and how it is spoken to. */
export interface ExportTerms {
  readonly sizeBytes: number;
  /** {@link TRANSMISSION} */
  readonly flags: number;
  readonly headers: Headers;
  /** Requests are multiples of this, bytes; 1 if the server has not said. */
  readonly minBlock: number;
  readonly preferredBlock: number;
  /** Most bytes of one read or write. */
  readonly maxPayload: number;
  /** The number of `base:allocation`; undefined if the server does not tell where data is. */
  readonly allocationId: number | undefined;
}

interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

/**
 * Agree on an export.
 * @param most the most that is asked for; a server that knows less gets less
 * @throws NbdProtocolError, NbdRefusedError
 */
export function* clientHandshake(name: string, most: Headers, send: (bytes: Buffer) => void): Reading<ExportTerms> {
  const greeting = yield 18;
  if (greeting.readBigUInt64BE(0) !== NBDMAGIC || greeting.readBigUInt64BE(8) !== IHAVEOPT) {
    throw new NbdProtocolError('the server is none of NBD, or an old one');
  }
  const serverFlags = greeting.readUInt16BE(16);
  if ((serverFlags & FLAG_FIXED_NEWSTYLE) === 0) throw new NbdProtocolError('the server knows no fixed newstyle handshake');
  send(u32(FLAG_FIXED_NEWSTYLE | (serverFlags & FLAG_NO_ZEROES)));

  const isAcknowledged = function* (option: number): Reading<boolean> {
    send(encodeOption(option));
    return (yield* optionReply(option)).type === REP.ACK;
  };
  let headers: Headers = 'simple';
  if (most === 'extended' && (yield* isAcknowledged(OPT.EXTENDED_HEADERS))) headers = 'extended';
  else if (most !== 'simple' && (yield* isAcknowledged(OPT.STRUCTURED_REPLY))) headers = 'structured';

  let allocationId: number | undefined;
  if (headers !== 'simple') {
    send(encodeOption(OPT.SET_META_CONTEXT, encodeContexts(name, [BASE_ALLOCATION])));
    for (;;) {
      const { type, data } = yield* optionReply(OPT.SET_META_CONTEXT);
      if (type !== REP.META_CONTEXT) break; // acknowledged, or an error: there are no contexts then
      if (data.length >= 4 && data.toString('utf8', 4) === BASE_ALLOCATION) allocationId = data.readUInt32BE(0);
    }
  }

  send(encodeOption(OPT.GO, encodeGo(name, [INFO.BLOCK_SIZE])));
  const known = { sizeBytes: -1, flags: 0, minBlock: 1, preferredBlock: 4096, maxPayload: 32 * 1024 * 1024 };
  for (;;) {
    const { type, data } = yield* optionReply(OPT.GO);
    if (type === REP.ACK) break;
    if (type >= FIRST_ERROR) {
      throw new NbdRefusedError(data.toString() || `the server does not give '${name}': error ${type - FIRST_ERROR + 1} of its handshake`);
    }
    takeInfo(known, data);
  }
  if (known.sizeBytes < 0) throw new NbdProtocolError('the server has not told the size');
  return { ...known, headers, allocationId };
}

function takeInfo(known: { sizeBytes: number; flags: number; minBlock: number; preferredBlock: number; maxPayload: number }, data: Buffer): void {
  const type = data.length >= 2 ? data.readUInt16BE(0) : -1;
  if (type === INFO.EXPORT && data.length === 12) {
    known.sizeBytes = Number(data.readBigUInt64BE(2));
    known.flags = data.readUInt16BE(10);
  }
  if (type === INFO.BLOCK_SIZE && data.length === 14) {
    known.minBlock = data.readUInt32BE(2);
    known.preferredBlock = data.readUInt32BE(6);
    known.maxPayload = data.readUInt32BE(10);
  }
}

function* optionReply(option: number): Reading<OptionReply> {
  const head = yield 20;
  const length = head.readUInt32BE(16);
  if (head.readBigUInt64BE(0) !== REPLY_MAGIC || head.readUInt32BE(8) !== option) {
    throw new NbdProtocolError(`no reply to option ${option}: ${head.toString('hex')}`);
  }
  if (length > MAX_REPLY_BYTES) throw new NbdProtocolError(`a reply of ${length} bytes to option ${option}`);
  return { type: head.readUInt32BE(12), data: yield length };
}

// --- options as bytes ---

export function encodeOption(nr: number, data: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(16);
  head.writeBigUInt64BE(IHAVEOPT, 0);
  head.writeUInt32BE(nr, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

/** The data of INFO and GO. */
export function encodeGo(name: string, types: readonly number[]): Buffer {
  return Buffer.concat([encodeString(name), ...[types.length, ...types].map((value) => Buffer.from([value >> 8, value & 255]))]);
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function encodeContexts(name: string, queries: readonly string[]): Buffer {
  return Buffer.concat([encodeString(name), u32(queries.length), ...queries.map(encodeString)]);
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u32(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}
