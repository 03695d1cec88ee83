/**
 * What every ACPI table shares: the 36-byte header, the checksum, and a body of typed structures one after another.
 * Mirrors include/acpi/actbl.h (struct acpi_table_header) and drivers/acpi/tables.c; layout: ACPI 6.4, 5.2.6.
 *
 * Invariant: a table that was opened is whole: its signature, length and checksum are right, and every structure lies inside it.
 * Differs from Linux, which warns of a wrong checksum and reads on.
 */
import { KernelError, ascii, layout, u32, u8 } from '@holdfast/lib';

const HEADER = layout('ACPI header', 36, {
  signature: ascii(0, 4),
  length: u32(4),
  revision: u8(8),
  checksum: u8(9),
  oemId: ascii(10, 6),
  oemTableId: ascii(16, 8),
  oemRevision: u32(24),
  creatorId: ascii(28, 4),
  creatorRevision: u32(32),
});
const CHECKSUM_AT = HEADER.fields.checksum.at;

export const ACPI_HEADER_SIZE = HEADER.size;

export interface AcpiHeader {
  readonly signature: string;
  /** Bytes of the whole table, header included. */
  readonly length: number;
  readonly revision: number;
  readonly checksum: number;
  readonly oemId: string;
  readonly oemTableId: string;
  readonly oemRevision: number;
  readonly creatorId: string;
  readonly creatorRevision: number;
}

/** A table whose header has been checked; `bytes` is a view of exactly `header.length` bytes. */
export interface AcpiTable {
  readonly header: AcpiHeader;
  readonly bytes: Uint8Array;
}

/** One structure of a table's body: where it begins, what it is, how many bytes it takes. */
export interface Subtable {
  readonly at: number;
  readonly type: number;
  readonly length: number;
}

/** The error of a malformed table: which, at which byte, what is there and what was expected. */
export function tableError(table: string, at: number, found: string, expected: string): KernelError {
  return new KernelError('EINVAL', `${table} at byte ${at}: ${found}, expected ${expected}`);
}

/**
 * Read and check the header of a table. Bytes behind the table's own length are left alone.
 * @param signature the four letters it must bear; any, if left out.
 * @param minLength the least the table must hold, header included.
 * @throws KernelError EINVAL if the bytes are too few, or signature, length or checksum are wrong.
 */
export function parseAcpiHeader(bytes: Uint8Array, signature?: string, minLength = ACPI_HEADER_SIZE): AcpiTable {
  const name = signature ?? 'ACPI table';
  if (bytes.length < ACPI_HEADER_SIZE) throw tableError(name, 0, `${bytes.length} bytes`, `a header of ${ACPI_HEADER_SIZE}`);
  const header = HEADER.decode(bytes);
  if (signature !== undefined && header.signature !== signature) {
    throw tableError(name, 0, `signature ${JSON.stringify(header.signature)}`, JSON.stringify(signature));
  }
  if (header.length < minLength || header.length > bytes.length) {
    throw tableError(name, HEADER.fields.length.at, `length ${header.length}`, `${minLength} to ${bytes.length}`);
  }
  const whole = bytes.subarray(0, header.length);
  const sum = checksumOf(whole);
  if (sum !== 0) throw tableError(name, CHECKSUM_AT, `the bytes sum up to ${sum} modulo 256`, '0');
  return { header, bytes: whole };
}

/**
 * The structures of a table's body, from byte `first` to its end.
 * @param fieldSize bytes of the type and of the length field: 1 (SRAT) or 2 (NFIT).
 * @throws KernelError EINVAL if a structure is shorter than its own head or reaches over the table's end.
 */
export function subtables({ header, bytes }: AcpiTable, first: number, fieldSize: 1 | 2): Subtable[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const field = (at: number): number => (fieldSize === 1 ? view.getUint8(at) : view.getUint16(at, true));
  const headSize = 2 * fieldSize;
  const found: Subtable[] = [];
  for (let at = first; at < bytes.length; at += found.at(-1)!.length) {
    const left = bytes.length - at;
    if (left < headSize) throw tableError(header.signature, at, `${left} bytes are left`, `a structure of at least ${headSize}`);
    const [type, length] = [field(at), field(at + fieldSize)];
    if (length < headSize || length > left) {
      throw tableError(header.signature, at, `structure of type ${type} with length ${length}`, `a length of ${headSize} to ${left}`);
    }
    found.push({ at, type, length });
  }
  return found;
}

/** Check that a structure is long enough for what its type holds. @throws KernelError EINVAL */
export function requireLength({ header }: AcpiTable, { at, type, length }: Subtable, what: string, minLength: number): void {
  if (length < minLength) {
    throw tableError(header.signature, at, `${what} (type ${type}) of ${length} bytes`, `at least ${minLength}`);
  }
}

/** A 64-bit field as a number. @throws KernelError EINVAL above 2^53: no x86 machine has such an address or size. */
export function exactNumber({ header }: AcpiTable, at: number, what: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw tableError(header.signature, at, `${what} 0x${value.toString(16)}`, 'less than 2^53');
  return Number(value);
}

/** Who made a table, and which of theirs it is. */
export type AcpiMaker = Pick<AcpiHeader, 'oemId' | 'oemTableId' | 'oemRevision' | 'creatorId' | 'creatorRevision'>;

const HOLDFAST: AcpiMaker = { oemId: 'HOLDFS', oemTableId: 'HOLDFAST', oemRevision: 1, creatorId: 'HLDF', creatorRevision: 1 };

/** Put a header before a body and set length and checksum: the bytes of a table. */
export function encodeAcpiTable(signature: string, revision: number, body: Uint8Array, maker: AcpiMaker = HOLDFAST): Uint8Array {
  const bytes = new Uint8Array(ACPI_HEADER_SIZE + body.length);
  HEADER.encode(
    {
      signature,
      length: bytes.length,
      revision,
      checksum: 0,
      ...maker,
    },
    bytes,
  );
  bytes.set(body, ACPI_HEADER_SIZE);
  bytes[CHECKSUM_AT] = (256 - checksumOf(bytes)) % 256;
  return bytes;
}

function checksumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) % 256;
  return sum;
}
