/**
 * The file that a recorder writes: what clients asked of a machine's disks, and what else befell it, so that the same can be made again.
 *
 * The file begins with the 8 bytes `HFTRACE1`. Records follow, without gaps; integers are little-endian:
 *
 * ```
 *   0  u32  length of the body in bytes
 *   4  u32  CRC-32 (ISO 3309, as zlib's) of the body
 *   8       body: u8 kind, then by kind:
 *           0 header   JSON in UTF-8; the first record: the machine, its images
 *           1 write    u8 disk, u8 flags (1 FUA), u64 offset, then the bytes
 *           2 flush    u8 disk
 *           3 trim     u8 disk, u8 flags (1 FUA), u64 offset, u64 length
 *           4 zero     u8 disk, u8 flags (1 FUA, 2 no hole), u64 offset, u64 length
 *           5 read     u8 disk, u8 0, u64 offset, u64 length: faults count it, and write-combining buffers are drained by it
 *           6 event    JSON in UTF-8: a disk gets its number; a mark, a fault, a cut, a return of the power
 *           7 base     u8 image, u8 0, u64 offset, then bytes that the image held before the machine was made
 * ```
 *
 * `disk` is the number that an event gave it, `image` an index into the header's images. A file may end in the middle of a record, where its writer died:
 * what is before it holds. A record that is whole and wrong, and anything behind it, is refused.
 */
import { crc32 } from 'node:zlib';
import { KernelError } from '@holdfast/lib';
import type { FaultSpec } from '../faults/fault-spec.js';
import type { CutSummary } from '../control/control-protocol.js';

export const TRACE_MAGIC = 'HFTRACE1';
const RECORD_HEAD_BYTES = 8;
/** No body is longer: a write of the largest request, and its head. */
const MAX_BODY_BYTES = 33 * 1024 * 1024;

export const RECORD = { HEADER: 0, WRITE: 1, FLUSH: 2, TRIM: 3, ZERO: 4, READ: 5, EVENT: 6, BASE: 7 } as const;
export const RECORD_FLAG = { FUA: 1, NO_HOLE: 2 } as const;

export interface TraceHeader {
  /** What the replay needs to make the same machine; the recorder does not look into it. */
  readonly machine: unknown;
  /** In the order of their numbers. */
  readonly images: readonly { readonly name: string; readonly sizeBytes: number }[];
}

export type TraceEvent =
  | { readonly event: 'disk'; readonly disk: number; readonly name: string }
  | { readonly event: 'mark'; readonly name: string }
  | { readonly event: 'fault'; readonly spec: FaultSpec }
  | { readonly event: 'clear'; readonly fault?: number }
  | ({ readonly event: 'cut' } & CutSummary)
  | { readonly event: 'restore' };

/** A read record. Positions count records from 1, the header being 0. */
export type TraceRecord =
  | { readonly kind: 'header'; readonly header: TraceHeader }
  | { readonly kind: 'write'; readonly disk: number; readonly fua: boolean; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'flush'; readonly disk: number }
  | {
      readonly kind: 'trim' | 'zero' | 'read';
      readonly disk: number;
      readonly fua: boolean;
      readonly noHole: boolean;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: 'event'; readonly event: TraceEvent }
  | { readonly kind: 'base'; readonly image: number; readonly offset: number; readonly bytes: Uint8Array };

const RANGE_BYTES = 19;
const DATA_HEAD_BYTES = 11;

/** A record of bytes at an offset: RECORD.WRITE or RECORD.BASE. */
export function encodeData(kind: number, disk: number, flags: number, offset: number, data: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(RECORD_HEAD_BYTES + DATA_HEAD_BYTES + data.length);
  writeRange(record, kind, disk, flags, offset);
  record.set(data, RECORD_HEAD_BYTES + DATA_HEAD_BYTES);
  return sealed(record);
}

/** RECORD.TRIM, RECORD.ZERO or RECORD.READ. */
export function encodeRange(kind: number, disk: number, flags: number, offset: number, length: number): Buffer {
  const record = Buffer.allocUnsafe(RECORD_HEAD_BYTES + RANGE_BYTES);
  writeRange(record, kind, disk, flags, offset);
  record.writeBigUInt64LE(BigInt(length), RECORD_HEAD_BYTES + DATA_HEAD_BYTES);
  return sealed(record);
}

export function encodeFlush(disk: number): Buffer {
  const record = Buffer.allocUnsafe(RECORD_HEAD_BYTES + 2);
  record[RECORD_HEAD_BYTES] = RECORD.FLUSH;
  record[RECORD_HEAD_BYTES + 1] = disk;
  return sealed(record);
}

/** RECORD.HEADER or RECORD.EVENT. */
export function encodeJson(kind: number, value: TraceHeader | TraceEvent): Buffer {
  return sealed(Buffer.concat([Buffer.alloc(RECORD_HEAD_BYTES), Buffer.of(kind), Buffer.from(JSON.stringify(value))]));
}

function writeRange(record: Buffer, kind: number, disk: number, flags: number, offset: number): void {
  record[RECORD_HEAD_BYTES] = kind;
  record[RECORD_HEAD_BYTES + 1] = disk;
  record[RECORD_HEAD_BYTES + 2] = flags;
  record.writeBigUInt64LE(BigInt(offset), RECORD_HEAD_BYTES + 3);
}

function sealed(record: Buffer): Buffer {
  const body = record.subarray(RECORD_HEAD_BYTES);
  record.writeUInt32LE(body.length, 0);
  record.writeUInt32LE(crc32(body), 4);
  return record;
}

/** Where a record is, or why there is none. */
export type NextRecord = { readonly record: TraceRecord; readonly end: number } | 'torn';

/**
 * The record that begins at `at` in `bytes`, which reach to the end of the file.
 * @throws KernelError EINVAL for one that is whole and not right
 */
export function decodeRecord(bytes: Buffer, at: number): NextRecord {
  if (bytes.length - at < RECORD_HEAD_BYTES) return 'torn';
  const length = bytes.readUInt32LE(at);
  if (length > MAX_BODY_BYTES) throw wrong(at, `a body of ${length} bytes; expected at most ${MAX_BODY_BYTES}`);
  const end = at + RECORD_HEAD_BYTES + length;
  if (end > bytes.length) return 'torn';
  const body = bytes.subarray(at + RECORD_HEAD_BYTES, end);
  // A crash of the host may leave the end of a file as zeros or worse: nothing behind it, and it is a torn tail.
  if (crc32(body) !== bytes.readUInt32LE(at + 4)) {
    if (end === bytes.length || isZero(bytes.subarray(at))) return 'torn';
    throw wrong(at, 'the checksum is not that of the body');
  }
  if (length === 0) return 'torn';
  return { record: decodeBody(body, at), end };
}

function decodeBody(body: Buffer, at: number): TraceRecord {
  const need = (length: number): void => {
    if (body.length < length) throw wrong(at, `a body of ${body.length} bytes; expected ${length} or more`);
  };
  const offset = (): number => safe(body.readBigUInt64LE(3), at);
  switch (body[0]) {
    case RECORD.HEADER:
      return { kind: 'header', header: parseJson(body, at) as TraceHeader };
    case RECORD.EVENT:
      return { kind: 'event', event: parseJson(body, at) as TraceEvent };
    case RECORD.FLUSH:
      need(2);
      return { kind: 'flush', disk: body[1]! };
    case RECORD.WRITE:
      need(DATA_HEAD_BYTES);
      return { kind: 'write', disk: body[1]!, fua: (body[2]! & RECORD_FLAG.FUA) !== 0, offset: offset(), bytes: body.subarray(DATA_HEAD_BYTES) };
    case RECORD.BASE:
      need(DATA_HEAD_BYTES);
      return { kind: 'base', image: body[1]!, offset: offset(), bytes: body.subarray(DATA_HEAD_BYTES) };
    case RECORD.TRIM:
    case RECORD.ZERO:
    case RECORD.READ: {
      need(RANGE_BYTES);
      const kind = body[0] === RECORD.TRIM ? 'trim' : body[0] === RECORD.ZERO ? 'zero' : 'read';
      const [fua, noHole] = [(body[2]! & RECORD_FLAG.FUA) !== 0, (body[2]! & RECORD_FLAG.NO_HOLE) !== 0];
      return { kind, disk: body[1]!, fua, noHole, offset: offset(), length: safe(body.readBigUInt64LE(DATA_HEAD_BYTES), at) };
    }
    default:
      throw wrong(at, `records of kind ${body[0]} are not known here`);
  }
}

function parseJson(body: Buffer, at: number): object {
  try {
    const value: unknown = JSON.parse(body.toString('utf8', 1));
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below.
  }
  throw wrong(at, 'expected an object in JSON');
}

function safe(value: bigint, at: number): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong(at, `${value} is no offset in a disk`);
  return Number(value);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function wrong(at: number, why: string): KernelError {
  return new KernelError('EINVAL', `trace: the record at byte ${at}: ${why}`);
}
