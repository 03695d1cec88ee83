/**
 * What the commands of one connection act on, and the request that is carried out in pieces while others have their turn between them.
 */
import type { NbdDisk } from './disk.js';
import { type Headers, NBD, type NbdError } from './protocol.js';
import type { Replying } from './reply-messages.js';
import type { RequestBuffer } from './request-buffer.js';

/** Larger reads and writes are carried out in pieces of this size. */
export const PIECE_BYTES = 512 * 1024;

/** What was done, for people; shared by all connections of a server. */
export interface NbdCounters {
  reads: number;
  writes: number;
  others: number;
  bytesRead: number;
  bytesWritten: number;
  errors: number;
}

/** A request that is carried out in pieces; `discard` is the payload of a refused write. */
export interface Ongoing {
  kind: 'none' | 'read' | 'write' | 'discard' | 'zero';
  /** Of a `zero`: WRITE_ZEROES or TRIM. */
  type: number;
  offset: number;
  left: number;
  flags: number;
  error: NbdError;
}

export interface Serving extends Replying {
  readonly headers: Headers;
  /** Bytes of a request before its payload. */
  readonly requestBytes: number;
  readonly counters: NbdCounters;
  readonly ongoing: Ongoing;
  /** Undefined while the machine has no power. */
  disk: NbdDisk | undefined;
  requests: RequestBuffer;
  /** Bytes of work in this turn. */
  work: number;
}

/** `full`: there is no room for a reply now, come again. `broken`: what was begun cannot be ended, and the connection has to go. */
export type Progress = 'done' | 'full' | 'broken';

export function noOngoing(): Ongoing {
  return { kind: 'none', type: 0, offset: 0, left: 0, flags: 0, error: NBD.OK };
}

export function begin(ongoing: Ongoing, kind: Ongoing['kind'], offset: number, left: number, flags: number, error: NbdError = NBD.OK): void {
  ongoing.kind = kind;
  ongoing.offset = offset;
  ongoing.left = left;
  ongoing.flags = flags;
  ongoing.error = error;
}
