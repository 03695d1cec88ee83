/**
 * The replies of the transmission phase, laid out in a reply buffer. NBD protocol, "Simple reply message", "Structured reply chunk message".
 *
 * A request's cookie goes back as it came, in two halves: `hi` and `lo`. Each function that takes a {@link ReplyBuffer} returns false if
 * there is no room now, and has done nothing then.
 */
import type { Extent } from './disk.js';
import {
  BASE_ALLOCATION_ID, CHUNK_HEADER_BYTES, type NbdError, REPLY_FLAG_DONE, REPLY_TYPE, SIMPLE_REPLY_BYTES, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC,
} from './protocol.js';
import type { ReplyBuffer } from './reply-buffer.js';

/** Of a chunk with data, before the data: the header, and the offset. */
export const DATA_HEADER_BYTES = CHUNK_HEADER_BYTES + 8;

export function simpleReply(replies: ReplyBuffer, hi: number, lo: number, error: NbdError): boolean {
  const at = replies.reserve(SIMPLE_REPLY_BYTES);
  if (at < 0) return false;
  writeSimpleReply(replies.view, at, hi, lo, error);
  return true;
}

/** The same at a place that is reserved already. */
export function writeSimpleReply(view: DataView, at: number, hi: number, lo: number, error: NbdError): void {
  view.setUint32(at, SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, error);
  view.setUint32(at + 8, hi);
  view.setUint32(at + 12, lo);
}

/** The end of a structured reply that failed; `offset` is the first byte that did, if that is known. */
export function errorChunk(replies: ReplyBuffer, hi: number, lo: number, error: NbdError, offset?: number): boolean {
  const length = offset === undefined ? 6 : 14;
  const at = replies.reserve(CHUNK_HEADER_BYTES + length);
  if (at < 0) return false;
  writeHeader(replies.view, at, REPLY_FLAG_DONE, offset === undefined ? REPLY_TYPE.ERROR : REPLY_TYPE.ERROR_OFFSET, hi, lo, length);
  replies.view.setUint32(at + CHUNK_HEADER_BYTES, error);
  replies.view.setUint16(at + CHUNK_HEADER_BYTES + 4, 0);
  if (offset !== undefined) setOffset(replies.view, at + CHUNK_HEADER_BYTES + 6, offset);
  return true;
}

export function holeChunk(replies: ReplyBuffer, offset: number, length: number, hi: number, lo: number, flags: number): boolean {
  const at = replies.reserve(DATA_HEADER_BYTES + 4);
  if (at < 0) return false;
  writeHeader(replies.view, at, flags, REPLY_TYPE.OFFSET_HOLE, hi, lo, 12);
  setOffset(replies.view, at + CHUNK_HEADER_BYTES, offset);
  replies.view.setUint32(at + DATA_HEADER_BYTES, length);
  return true;
}

/** What comes before the data of a chunk, at a place that is reserved: {@link DATA_HEADER_BYTES}. */
export function writeDataHeader(view: DataView, at: number, offset: number, length: number, hi: number, lo: number, flags: number): void {
  writeHeader(view, at, flags, REPLY_TYPE.OFFSET_DATA, hi, lo, 8 + length);
  setOffset(view, at + CHUNK_HEADER_BYTES, offset);
}

export function blockStatusChunk(replies: ReplyBuffer, extents: readonly Extent[], hi: number, lo: number): boolean {
  const length = 4 + 8 * extents.length;
  const at = replies.reserve(CHUNK_HEADER_BYTES + length);
  if (at < 0) return false;
  writeHeader(replies.view, at, REPLY_FLAG_DONE, REPLY_TYPE.BLOCK_STATUS, hi, lo, length);
  replies.view.setUint32(at + CHUNK_HEADER_BYTES, BASE_ALLOCATION_ID);
  extents.forEach((extent, i) => {
    replies.view.setUint32(at + CHUNK_HEADER_BYTES + 4 + 8 * i, extent.length);
    replies.view.setUint32(at + CHUNK_HEADER_BYTES + 8 + 8 * i, extent.state);
  });
  return true;
}

function writeHeader(view: DataView, at: number, flags: number, type: number, hi: number, lo: number, length: number): void {
  view.setUint32(at, STRUCTURED_REPLY_MAGIC);
  view.setUint16(at + 4, flags);
  view.setUint16(at + 6, type);
  view.setUint32(at + 8, hi);
  view.setUint32(at + 12, lo);
  view.setUint32(at + 16, length);
}

function setOffset(view: DataView, at: number, offset: number): void {
  view.setUint32(at, Math.floor(offset / 2 ** 32));
  view.setUint32(at + 4, offset % 2 ** 32);
}
