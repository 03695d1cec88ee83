/**
 * Whether a request may be carried out: NBD protocol, "Request types" and "Error values".
 */
import { MAX_PAYLOAD } from './export.js';
import { CMD, CMD_FLAG, type Headers, NBD, type NbdError } from './protocol.js';

/** What was agreed on, and what the disk is. */
export interface RequestRules {
  readonly sizeBytes: number;
  readonly minBlock: number;
  readonly canTrim: boolean;
  readonly readOnly: boolean;
  readonly headers: Headers;
  readonly baseAllocation: boolean;
}

const ALLOWED_FLAGS: Readonly<Record<number, number>> = {
  [CMD.READ]: CMD_FLAG.DF,
  [CMD.WRITE]: CMD_FLAG.FUA | CMD_FLAG.PAYLOAD_LEN,
  [CMD.FLUSH]: 0,
  [CMD.TRIM]: CMD_FLAG.FUA,
  [CMD.CACHE]: 0,
  [CMD.WRITE_ZEROES]: CMD_FLAG.FUA | CMD_FLAG.NO_HOLE | CMD_FLAG.FAST_ZERO,
  [CMD.BLOCK_STATUS]: CMD_FLAG.REQ_ONE | CMD_FLAG.PAYLOAD_LEN,
};

/** Why a request cannot be carried out, or OK. */
export function checkRequest(rules: RequestRules, type: number, flags: number, offset: number, length: number): NbdError {
  const allowed = ALLOWED_FLAGS[type];
  if (allowed === undefined || (flags & ~allowed) !== 0) return NBD.EINVAL;
  if ((flags & CMD_FLAG.DF) !== 0 && rules.headers === 'simple') return NBD.EINVAL;
  const tellsPayload = (flags & CMD_FLAG.PAYLOAD_LEN) !== 0;
  if (rules.headers === 'extended' ? type === CMD.WRITE && !tellsPayload : tellsPayload) return NBD.EINVAL;
  if (type === CMD.FLUSH) return NBD.OK;
  const writes = type === CMD.WRITE || type === CMD.WRITE_ZEROES || type === CMD.TRIM;
  if (writes && rules.readOnly) return NBD.EPERM;
  if (length === 0 || offset % rules.minBlock !== 0 || length % rules.minBlock !== 0) return NBD.EINVAL;
  if (offset + length > rules.sizeBytes) return type === CMD.WRITE || type === CMD.WRITE_ZEROES ? NBD.ENOSPC : NBD.EINVAL;
  if ((type === CMD.READ || type === CMD.WRITE) && length > MAX_PAYLOAD) return NBD.EINVAL;
  if (type === CMD.BLOCK_STATUS && !rules.baseAllocation) return NBD.EINVAL;
  if (type === CMD.TRIM && !rules.canTrim) return NBD.ENOTSUP;
  return NBD.OK;
}
