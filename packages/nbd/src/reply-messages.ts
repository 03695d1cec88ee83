/**
 * The replies to the request that is carried out, laid out in a reply buffer.
 *
 * Each function that returns a boolean returns false if there is no room now, and has done nothing then.
 */
import type { Extent } from './disk.js';
import { type NbdError, REPLY_FLAG_DONE, REPLY_TYPE } from './protocol.js';
import type { ReplyBuffer } from './reply-buffer.js';
import { ERROR_BYTES, type ReplyFormat, type RequestId, setUint64, writeError } from './reply-format.js';

/** To whom replies go. Requests are answered one at a time, so that one id is enough. */
export interface Replying {
  replies: ReplyBuffer;
  readonly format: ReplyFormat;
  readonly id: RequestId;
}

/** Bytes of a chunk with data before that: the header, and the offset. */
export function dataHeaderBytes({ chunkHeaderBytes }: ReplyFormat): number {
  return chunkHeaderBytes + 8;
}

export function plainReply(to: Replying, error: NbdError): boolean {
  const at = reservePlain(to);
  if (at < 0) return false;
  writePlain(to, at, error);
  return true;
}

/** Room for a reply without payload, before what it answers is carried out: where, or -1. */
export function reservePlain({ replies, format }: Replying): number {
  return replies.reserve(format.plainBytes);
}

/** The reply, at a place that was reserved for it last. */
export function writePlain({ replies, format, id }: Replying, at: number, error: NbdError): void {
  const spare = format.plainBytes - format.writePlain(replies.view, at, id, error);
  if (spare > 0) replies.shrink(spare);
}

/** The end of a structured reply that failed; `offset` is the first byte that did, if that is known. */
export function errorChunk({ replies, format, id }: Replying, error: NbdError, offset?: number): boolean {
  const length = offset === undefined ? ERROR_BYTES : ERROR_BYTES + 8;
  const at = replies.reserve(format.chunkHeaderBytes + length);
  if (at < 0) return false;
  format.writeChunkHeader(replies.view, at, id, REPLY_FLAG_DONE, offset === undefined ? REPLY_TYPE.ERROR : REPLY_TYPE.ERROR_OFFSET, length);
  writeError(replies.view, at + format.chunkHeaderBytes, error);
  if (offset !== undefined) setUint64(replies.view, at + format.chunkHeaderBytes + ERROR_BYTES, offset);
  return true;
}

export function holeChunk({ replies, format, id }: Replying, offset: number, length: number, flags: number): boolean {
  const at = replies.reserve(dataHeaderBytes(format) + 4);
  if (at < 0) return false;
  format.writeChunkHeader(replies.view, at, id, flags, REPLY_TYPE.OFFSET_HOLE, 12);
  setUint64(replies.view, at + format.chunkHeaderBytes, offset);
  replies.view.setUint32(at + dataHeaderBytes(format), length);
  return true;
}

/** What comes before the data of a chunk, at a place that is reserved: {@link dataHeaderBytes}. */
export function writeDataHeader({ replies, format, id }: Replying, at: number, offset: number, length: number, flags: number): void {
  format.writeChunkHeader(replies.view, at, id, flags, REPLY_TYPE.OFFSET_DATA, 8 + length);
  setUint64(replies.view, at + format.chunkHeaderBytes, offset);
}

export function blockStatusChunk({ replies, format, id }: Replying, extents: readonly Extent[]): boolean {
  const length = format.blockStatusBytes(extents.length);
  const at = replies.reserve(format.chunkHeaderBytes + length);
  if (at < 0) return false;
  format.writeChunkHeader(replies.view, at, id, REPLY_FLAG_DONE, format.blockStatusType, length);
  format.writeBlockStatus(replies.view, at + format.chunkHeaderBytes, extents);
  return true;
}
