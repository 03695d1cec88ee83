/**
 * How the headers of replies are laid out: the two forms that a client can choose between, plain and structured ones, or extended ones.
 * NBD protocol, "Simple reply message", "Structured reply chunk message", "Extended reply chunk message".
 */
import type { Extent } from './disk.js';
import {
  BASE_ALLOCATION_ID,
  CHUNK_HEADER_BYTES,
  EXTENDED_CHUNK_HEADER_BYTES,
  EXTENDED_REPLY_MAGIC,
  NBD,
  type NbdError,
  REPLY_FLAG_DONE,
  REPLY_TYPE,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.js';

/**
 * What replies repeat of their request, as it came: 64-bit numbers in two signed halves. Signed, because an engine keeps 32 signed bits in
 * place, where larger numbers may be objects.
 */
export interface RequestId {
  cookieHi: number;
  cookieLo: number;
  offsetHi: number;
  offsetLo: number;
}

export interface ReplyFormat {
  /** Bytes of the longest reply that has no payload. */
  readonly plainBytes: number;
  /** A reply that has no payload, whole. @returns its bytes */
  writePlain(view: DataView, at: number, id: RequestId, error: NbdError): number;
  /** Bytes of a chunk before its payload. */
  readonly chunkHeaderBytes: number;
  writeChunkHeader(view: DataView, at: number, id: RequestId, flags: number, type: number, payloadBytes: number): void;
  readonly blockStatusType: number;
  /** Bytes of the payload of a chunk that tells so many extents. */
  blockStatusBytes(nrExtents: number): number;
  writeBlockStatus(view: DataView, at: number, extents: readonly Extent[]): void;
}

/** Bytes of an error's payload that has neither text nor offset. */
export const ERROR_BYTES = 6;

/** Of requests with 32-bit lengths. */
export const compactFormat: ReplyFormat = {
  plainBytes: SIMPLE_REPLY_BYTES,
  writePlain(view, at, id, error) {
    view.setUint32(at, SIMPLE_REPLY_MAGIC);
    view.setUint32(at + 4, error);
    view.setInt32(at + 8, id.cookieHi);
    view.setInt32(at + 12, id.cookieLo);
    return SIMPLE_REPLY_BYTES;
  },
  chunkHeaderBytes: CHUNK_HEADER_BYTES,
  writeChunkHeader(view, at, id, flags, type, payloadBytes) {
    view.setUint32(at, STRUCTURED_REPLY_MAGIC);
    view.setUint16(at + 4, flags);
    view.setUint16(at + 6, type);
    view.setInt32(at + 8, id.cookieHi);
    view.setInt32(at + 12, id.cookieLo);
    view.setUint32(at + 16, payloadBytes);
  },
  blockStatusType: REPLY_TYPE.BLOCK_STATUS,
  blockStatusBytes: (nrExtents) => 4 + 8 * nrExtents,
  writeBlockStatus(view, at, extents) {
    view.setUint32(at, BASE_ALLOCATION_ID);
    extents.forEach(({ length, state }, i) => {
      view.setUint32(at + 4 + 8 * i, length);
      view.setUint32(at + 8 + 8 * i, state);
    });
  },
};

/** Of requests with 64-bit lengths: each reply is of chunks, one without payload where there is nothing to say. */
export const extendedFormat: ReplyFormat = {
  plainBytes: EXTENDED_CHUNK_HEADER_BYTES + ERROR_BYTES,
  writePlain(view, at, id, error) {
    const failed = error !== NBD.OK;
    this.writeChunkHeader(view, at, id, REPLY_FLAG_DONE, failed ? REPLY_TYPE.ERROR : REPLY_TYPE.NONE, failed ? ERROR_BYTES : 0);
    if (!failed) return EXTENDED_CHUNK_HEADER_BYTES;
    writeError(view, at + EXTENDED_CHUNK_HEADER_BYTES, error);
    return EXTENDED_CHUNK_HEADER_BYTES + ERROR_BYTES;
  },
  chunkHeaderBytes: EXTENDED_CHUNK_HEADER_BYTES,
  writeChunkHeader(view, at, id, flags, type, payloadBytes) {
    view.setUint32(at, EXTENDED_REPLY_MAGIC);
    view.setUint16(at + 4, flags);
    view.setUint16(at + 6, type);
    view.setInt32(at + 8, id.cookieHi);
    view.setInt32(at + 12, id.cookieLo);
    view.setInt32(at + 16, id.offsetHi);
    view.setInt32(at + 20, id.offsetLo);
    view.setUint32(at + 24, 0);
    view.setUint32(at + 28, payloadBytes);
  },
  blockStatusType: REPLY_TYPE.BLOCK_STATUS_EXT,
  blockStatusBytes: (nrExtents) => 8 + 16 * nrExtents,
  writeBlockStatus(view, at, extents) {
    view.setUint32(at, BASE_ALLOCATION_ID);
    view.setUint32(at + 4, extents.length);
    extents.forEach(({ length, state }, i) => {
      setUint64(view, at + 8 + 16 * i, length);
      setUint64(view, at + 16 + 16 * i, state);
    });
  },
};

/** {@link ERROR_BYTES}. */
export function writeError(view: DataView, at: number, error: NbdError): void {
  view.setUint32(at, error);
  view.setUint16(at + 4, 0);
}

export function getUint64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

export function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}
