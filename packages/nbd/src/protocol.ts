/**
 * The numbers of the NBD protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, and of its extension for extended
 * headers: https://github.com/NetworkBlockDevice/nbd/blob/extension-ext-header/doc/proto.md.
 * All integers on the wire are big-endian.
 */

// --- handshake ---

export const NBDMAGIC = 0x4e42444d41474943n;
export const IHAVEOPT = 0x49484156454f5054n;
export const REPLY_MAGIC = 0x0003e889045565a9n;

/** Handshake flags of the server, and the client's answers: the same bits. */
export const FLAG_FIXED_NEWSTYLE = 1;
export const FLAG_NO_ZEROES = 2;

export const OPT = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

export const REP = { ACK: 1, SERVER: 2, INFO: 3, META_CONTEXT: 4 } as const;

export const REP_ERR = {
  UNSUP: 0x8000_0001,
  POLICY: 0x8000_0002,
  INVALID: 0x8000_0003,
  PLATFORM: 0x8000_0004,
  TLS_REQD: 0x8000_0005,
  UNKNOWN: 0x8000_0006,
  SHUTDOWN: 0x8000_0007,
  BLOCK_SIZE_REQD: 0x8000_0008,
  TOO_BIG: 0x8000_0009,
  EXT_HEADER_REQD: 0x8000_000a,
} as const;

export const INFO = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** Bytes that a string may have. */
export const MAX_STRING = 4096;

// --- transmission ---

export const TRANSMISSION = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  ROTATIONAL: 1 << 4,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  SEND_RESIZE: 1 << 9,
  SEND_CACHE: 1 << 10,
  SEND_FAST_ZERO: 1 << 11,
  BLOCK_STATUS_PAYLOAD: 1 << 12,
} as const;

/** How messages look: plain replies only, structured replies to what has a payload, or 64-bit lengths both ways. */
export type Headers = 'simple' | 'structured' | 'extended';

export const REQUEST_MAGIC = 0x25609513;
export const EXTENDED_REQUEST_MAGIC = 0x21e41c71;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;
export const EXTENDED_REPLY_MAGIC = 0x6e8a278c;
export const REQUEST_BYTES = 28;
export const EXTENDED_REQUEST_BYTES = 32;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
export const EXTENDED_CHUNK_HEADER_BYTES = 32;

export const CMD = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

export const CMD_FLAG = { FUA: 1, NO_HOLE: 2, DF: 4, REQ_ONE: 8, FAST_ZERO: 16, PAYLOAD_LEN: 32 } as const;

export const REPLY_TYPE = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR: 0x8001,
  ERROR_OFFSET: 0x8002,
} as const;
export const REPLY_FLAG_DONE = 1;

/** What `base:allocation` says of an extent. */
export const STATE_HOLE = 1;
export const STATE_ZERO = 2;
export const BASE_ALLOCATION = 'base:allocation';
/** The id that this server gives the context. */
export const BASE_ALLOCATION_ID = 1;

/** Errors on the wire. */
export const NBD = { OK: 0, EPERM: 1, EIO: 5, ENOMEM: 12, EINVAL: 22, ENOSPC: 28, EOVERFLOW: 75, ENOTSUP: 95, ESHUTDOWN: 108 } as const;
export type NbdError = (typeof NBD)[keyof typeof NBD];
