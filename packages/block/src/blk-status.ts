/**
 * How an I/O ended: a small integer stored in its bio, and the errno that a caller sees.
 * Mirrors include/linux/blk_types.h: blk_status_t, and block/blk-core.c: blk_errors, errno_to_blk_status.
 *
 * Invariant: 0 is success. A driver stores a status and never throws.
 */
import type { ErrnoName } from '@holdfast/lib';

export const BLK_STS = {
  OK: 0,
  NOTSUPP: 1,
  TIMEOUT: 2,
  NOSPC: 3,
  TRANSPORT: 4,
  TARGET: 5,
  NEXUS: 6,
  MEDIUM: 7,
  PROTECTION: 8,
  RESOURCE: 9,
  IOERR: 10,
  DM_REQUEUE: 11,
  AGAIN: 12,
  DEV_RESOURCE: 13,
  /** Asks for a requeue; must not end a bio, and has no errno of its own. */
  ZONE_RESOURCE: 14,
  ZONE_OPEN_RESOURCE: 15,
  ZONE_ACTIVE_RESOURCE: 16,
  OFFLINE: 17,
} as const;
export type BlkStatus = (typeof BLK_STS)[keyof typeof BLK_STS];

/** By status: its errno, and the words that error lines of the log use. */
const BLK_ERRORS: readonly (readonly [ErrnoName, string] | undefined)[] = [
  undefined,
  ['EOPNOTSUPP', 'operation not supported'],
  ['ETIMEDOUT', 'timeout'],
  ['ENOSPC', 'critical space allocation'],
  ['ENOLINK', 'recoverable transport'],
  ['EREMOTEIO', 'critical target'],
  ['EBADE', 'critical nexus'],
  ['ENODATA', 'critical medium'],
  ['EILSEQ', 'protection'],
  ['ENOMEM', 'kernel resource'],
  ['EIO', 'I/O'],
  ['EREMCHG', 'dm internal retry'],
  ['EAGAIN', 'nonblocking retry'],
  ['EBUSY', 'device resource'],
  undefined,
  ['ETOOMANYREFS', 'open zones exceeded'],
  ['EOVERFLOW', 'active zones exceeded'],
  ['ENODEV', 'device offline'],
];

/** The errno of a status that is not OK; EIO for one that has none of its own. */
export function blkStatusToErrno(status: BlkStatus): ErrnoName | undefined {
  return status === BLK_STS.OK ? undefined : (BLK_ERRORS[status]?.[0] ?? 'EIO');
}

/** What the log calls it, such as `critical medium` in `critical medium error`. */
export function blkStatusText(status: BlkStatus): string {
  return BLK_ERRORS[status]?.[1] ?? '';
}

/** The status of an errno; IOERR for one that is not in the table, OK for none. */
export function errnoToBlkStatus(code: ErrnoName | undefined): BlkStatus {
  if (code === undefined) return BLK_STS.OK;
  const status = BLK_ERRORS.findIndex((row) => row?.[0] === code);
  return status < 0 ? BLK_STS.IOERR : (status as BlkStatus);
}
