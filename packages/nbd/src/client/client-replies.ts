/**
 * Replies as a client reads them, in each of the three forms, given to the requests that wait for them.
 *
 * Invariant: nothing is allocated by a length that the server says, but by what was asked for and fixed limits; a server that answers what
 * nobody asked, or otherwise than was asked, ends the reading with an {@link NbdProtocolError}.
 */
import type { Extent } from '../disk.js';
import {
  CHUNK_HEADER_BYTES,
  CMD,
  EXTENDED_CHUNK_HEADER_BYTES,
  EXTENDED_REPLY_MAGIC,
  NBD,
  REPLY_FLAG_DONE,
  REPLY_TYPE,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from '../protocol.js';
import { NbdProtocolError, NbdReplyError } from './client-errors.js';
import type { ExportTerms } from './client-handshake.js';
import type { Reading } from './byte-queue.js';

/** What a chunk without data may have: 2^20 extents are the most that a server should send at once. */
const MAX_CHUNK_BYTES = 8 + 16 * 2 ** 20;
const FIRST_ERROR_TYPE = 0x8000;

/** A request that waits for its answer. */
export interface Waiting {
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  /** Of a read: what was read so far; of a status: the extents. */
  data?: Buffer;
  /** Bytes of `data` that have come. */
  covered: number;
  extents?: Extent[];
  error?: NbdReplyError;
  resolve(waiting: Waiting): void;
  reject(error: Error): void;
}

interface Chunk {
  readonly cookie: number;
  readonly flags: number;
  readonly type: number;
  readonly length: number;
}

/** Reads for as long as replies come: it has no end of its own. @throws NbdProtocolError */
export function* readReplies({ headers, allocationId }: Pick<ExportTerms, 'headers' | 'allocationId'>, waiting: Map<number, Waiting>): Reading<never> {
  const requestOf = (cookie: number): Waiting => {
    const request = waiting.get(cookie);
    if (!request) throw new NbdProtocolError(`a reply that nobody waits for: ${cookie}`);
    return request;
  };
  const finish = (cookie: number, request: Waiting): void => {
    waiting.delete(cookie);
    if (request.error) request.reject(request.error);
    else request.resolve(request);
  };

  for (;;) {
    if (headers === 'extended') {
      const head = yield EXTENDED_CHUNK_HEADER_BYTES;
      if (head.readUInt32BE(0) !== EXTENDED_REPLY_MAGIC) throw noReply(head);
      yield* takeChunk({ cookie: head.readUInt32BE(12), flags: head.readUInt16BE(4), type: head.readUInt16BE(6), length: Number(head.readBigUInt64BE(24)) });
      continue;
    }
    const head = yield SIMPLE_REPLY_BYTES;
    const magic = head.readUInt32BE(0);
    if (magic === SIMPLE_REPLY_MAGIC) yield* takeSimple(head);
    else if (headers === 'structured' && magic === STRUCTURED_REPLY_MAGIC) {
      const { cookie, flags, type } = { cookie: head.readUInt32BE(12), flags: head.readUInt16BE(4), type: head.readUInt16BE(6) };
      const rest = yield CHUNK_HEADER_BYTES - SIMPLE_REPLY_BYTES;
      yield* takeChunk({ cookie, flags, type, length: rest.readUInt32BE(0) });
    } else throw noReply(head);
  }

  function* takeSimple(head: Buffer): Reading<void> {
    const [error, cookie] = [head.readUInt32BE(4), head.readUInt32BE(12)];
    const request = requestOf(cookie);
    if (error !== NBD.OK) request.error = new NbdReplyError(error);
    else if (request.type === CMD.BLOCK_STATUS || (request.type === CMD.READ && headers !== 'simple')) {
      throw new NbdProtocolError('a plain reply where chunks were agreed on');
    } else if (request.type === CMD.READ) request.data = yield request.length;
    finish(cookie, request);
  }

  function* takeChunk({ cookie, flags, type, length }: Chunk): Reading<void> {
    const request = requestOf(cookie);
    if (length > Math.max(request.type === CMD.READ ? request.length + 8 : 0, MAX_CHUNK_BYTES)) throw new NbdProtocolError(`a chunk of ${length} bytes`);
    takePayload(request, type, yield length, allocationId);
    if ((flags & REPLY_FLAG_DONE) === 0) return;
    const missing = request.type === CMD.READ ? request.covered !== request.length : request.type === CMD.BLOCK_STATUS && !request.extents;
    if (missing && !request.error) throw new NbdProtocolError('a reply that lacks a part of what was asked for');
    finish(cookie, request);
  }
}

function takePayload(request: Waiting, type: number, payload: Buffer, allocationId: number | undefined): void {
  if (type >= FIRST_ERROR_TYPE) {
    if (payload.length < 6) throw new NbdProtocolError('an error without a number');
    request.error ??= new NbdReplyError(payload.readUInt32BE(0), payload.toString('utf8', 6, 6 + payload.readUInt16BE(4)));
  } else if (request.type === CMD.READ && type === REPLY_TYPE.OFFSET_DATA && payload.length > 8) {
    takeData(request, Number(payload.readBigUInt64BE(0)), payload.length - 8, payload.subarray(8));
  } else if (request.type === CMD.READ && type === REPLY_TYPE.OFFSET_HOLE && payload.length === 12) {
    takeData(request, Number(payload.readBigUInt64BE(0)), payload.readUInt32BE(8), undefined);
  } else if (request.type === CMD.BLOCK_STATUS && (type === REPLY_TYPE.BLOCK_STATUS || type === REPLY_TYPE.BLOCK_STATUS_EXT)) {
    const extents = parseExtents(payload, type === REPLY_TYPE.BLOCK_STATUS_EXT);
    if (payload.readUInt32BE(0) === allocationId) request.extents = extents;
  } else if (type !== REPLY_TYPE.NONE || payload.length > 0) {
    throw new NbdProtocolError(`a chunk of type ${type} with ${payload.length} bytes in reply to command ${request.type}`);
  }
}

/** A part of what is read: bytes, or a hole. */
function takeData(request: Waiting, offset: number, length: number, bytes: Buffer | undefined): void {
  const at = offset - request.offset;
  if (at < 0 || length === 0 || at + length > request.length) throw new NbdProtocolError(`bytes from ${offset} on, which were not asked for`);
  request.covered += length;
  if (bytes && length === request.length) request.data = bytes; // all of it in one piece, and no copy
  else {
    request.data ??= Buffer.alloc(request.length);
    if (bytes) request.data.set(bytes, at);
  }
}

function parseExtents(payload: Buffer, wide: boolean): Extent[] {
  const [head, size] = wide ? [8, 16] : [4, 8];
  const count = (payload.length - head) / size;
  if (count < 1 || !Number.isInteger(count)) throw new NbdProtocolError(`extents in ${payload.length} bytes`);
  return Array.from({ length: count }, (_, i) => {
    const at = head + i * size;
    return wide
      ? { length: Number(payload.readBigUInt64BE(at)), state: Number(payload.readBigUInt64BE(at + 8)) }
      : { length: payload.readUInt32BE(at), state: payload.readUInt32BE(at + 4) };
  });
}

function noReply(head: Buffer): NbdProtocolError {
  return new NbdProtocolError(`no reply: ${head.toString('hex')}`);
}
