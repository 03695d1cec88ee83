/**
 * An export: a disk under a name, and what the server says of it to a client before it is used.
 */
import type { NbdDisk } from './disk.js';
import { type Headers, TRANSMISSION } from './protocol.js';

export interface NbdExport {
  readonly name: string;
  readonly description?: string;
  /** Refuse writes, even if the disk would take them. */
  readonly readOnly?: boolean;
  /** The disk now; undefined while its machine has no power. */
  disk(): NbdDisk | undefined;
  /** A client uses the disk from now on, until the returned function is called. */
  use?(): () => void;
}

/** What a client has asked for beyond the least, and was given. */
export interface AgreedOn {
  readonly headers: Headers;
  /** It wants to know where data is, and where nothing was written. */
  readonly baseAllocation: boolean;
}

/** Largest payload of one request, bytes: what all clients accept. */
export const MAX_PAYLOAD = 32 * 1024 * 1024;

export function isReadOnly(exported: NbdExport, disk: NbdDisk): boolean {
  return exported.readOnly === true || disk.readOnly;
}

/** Flush, FUA and the rest are served on each connection alike, from one disk: so several connections are one. */
export function transmissionFlags(exported: NbdExport, disk: NbdDisk, { headers, baseAllocation }: AgreedOn): number {
  const {
    HAS_FLAGS, READ_ONLY, SEND_FLUSH, SEND_FUA, ROTATIONAL, SEND_TRIM, SEND_WRITE_ZEROES, SEND_DF, CAN_MULTI_CONN, SEND_CACHE, SEND_FAST_ZERO,
    BLOCK_STATUS_PAYLOAD,
  } = TRANSMISSION;
  let flags = HAS_FLAGS | SEND_FLUSH | CAN_MULTI_CONN | SEND_CACHE;
  if (headers !== 'simple') flags |= SEND_DF;
  if (headers === 'extended' && baseAllocation) flags |= BLOCK_STATUS_PAYLOAD;
  if (disk.rotational) flags |= ROTATIONAL;
  if (isReadOnly(exported, disk)) return flags | READ_ONLY;
  flags |= SEND_FUA | SEND_WRITE_ZEROES | SEND_FAST_ZERO;
  return disk.canTrim ? flags | SEND_TRIM : flags;
}
