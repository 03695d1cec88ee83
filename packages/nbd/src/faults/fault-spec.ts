/**
 * What a fault is, and which requests it meets.
 */
import { type Fields, boundedString, chooseOf, numberWithin, optional, wholeNumber } from '../control/json-fields.js';
import { ControlError } from '../control/control-protocol.js';

/**
 * - `error`: the request fails, and nothing of it is done.
 * - `delay`: it is carried out later; those behind it on the same connection wait with it.
 * - `torn`: only the first blocks of a write are written, some or none but never all, and it is answered as if all were.
 * - `lost`: it is answered as if it were carried out. A lost flush also takes the FUA from writes: a disk that lies.
 * - `misdirected`: the bytes of another block are read, or overwritten.
 * - `bitrot`: a bit of what is read has turned, and stays so until its block is written.
 */
export const FAULT_KINDS = ['error', 'delay', 'torn', 'lost', 'misdirected', 'bitrot'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const FAULT_OPS = ['read', 'write', 'flush', 'trim', 'zero'] as const;
export type FaultOp = (typeof FAULT_OPS)[number];

export const FAULT_ERRORS = ['EIO', 'ENOSPC', 'ENOMEM', 'EPERM'] as const;
export type FaultError = (typeof FAULT_ERRORS)[number];

export interface FaultSpec {
  readonly kind: FaultKind;
  /** The first export if not given. */
  readonly export?: string;
  /** Requests of this kind only. */
  readonly op?: FaultOp;
  /** Requests that touch one of these sectors of 512 bytes, both included. */
  readonly firstSector?: number;
  readonly lastSector?: number;
  /** Of those that match, the one with this number only, from 1 on. */
  readonly nth?: number;
  /** Of those that match, each with this chance. */
  readonly probability?: number;
  /** No more than so many. */
  readonly times?: number;
  /** What is left to chance is chosen by this seed. */
  readonly seed?: number;
  /** Of `error`. */
  readonly error?: FaultError;
  /** Of `delay`, in milliseconds of the host. */
  readonly delayMs?: number;
}

/** A fault at work. */
export interface ListedFault extends FaultSpec {
  readonly fault: number;
  /** Requests that it could have met, and that it has met. */
  readonly matched: number;
  readonly met: number;
}

/** The operations that each kind can meet. */
const OPS_OF: Readonly<Record<FaultKind, readonly FaultOp[]>> = {
  error: FAULT_OPS,
  delay: FAULT_OPS,
  torn: ['write'],
  lost: ['write', 'flush', 'trim', 'zero'],
  misdirected: ['read', 'write'],
  bitrot: ['read'],
};
const MAX_SECTOR = 2 ** 44;
const MAX_DELAY_MS = 600_000;
const MAX_COUNT = 2 ** 32 - 1;

/** The operations that a fault meets. */
export function opsOf({ kind, op }: FaultSpec): readonly FaultOp[] {
  return op === undefined ? OPS_OF[kind] : [op];
}

/** @throws ControlError EINVAL */
export function parseFaultSpec(fields: Fields): FaultSpec {
  const kind = chooseOf(FAULT_KINDS)(fields.take('kind'), 'kind');
  const spec: FaultSpec = {
    kind,
    ...optional(fields, 'export', boundedString(4096)),
    ...optional(fields, 'op', chooseOf(OPS_OF[kind])),
    ...optional(fields, 'firstSector', wholeNumber(0, MAX_SECTOR)),
    ...optional(fields, 'lastSector', wholeNumber(0, MAX_SECTOR)),
    ...optional(fields, 'nth', wholeNumber(1, MAX_COUNT)),
    ...optional(fields, 'probability', numberWithin(0, 1)),
    ...optional(fields, 'times', wholeNumber(1, MAX_COUNT)),
    ...optional(fields, 'seed', wholeNumber(0, MAX_COUNT)),
    ...(kind === 'error' ? optional(fields, 'error', chooseOf(FAULT_ERRORS)) : {}),
    ...(kind === 'delay' ? { delayMs: numberWithin(0, MAX_DELAY_MS)(fields.take('delayMs'), 'delayMs') } : {}),
  };
  if ((spec.lastSector ?? Infinity) < (spec.firstSector ?? 0)) throw new ControlError('EINVAL', 'lastSector: expected one behind firstSector, or the same');
  return spec;
}
