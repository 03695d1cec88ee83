/**
 * SLIT: how far each proximity domain is from each other, 10 being the distance to itself.
 * Mirrors drivers/acpi/numa/srat.c (acpi_parse_slit); layout: ACPI 6.4, 5.2.17.
 */
import { KernelError } from '@holdfast/lib';
import { ACPI_HEADER_SIZE, type AcpiHeader, encodeAcpiTable, parseAcpiHeader, tableError } from './acpi-table.js';

export interface Slit {
  readonly header: AcpiHeader;
  /** Rows of `distances[from][to]`, indices being proximity domains. */
  readonly distances: readonly (readonly number[])[];
}

const MATRIX_AT = ACPI_HEADER_SIZE + 8; // behind a 64-bit count of localities

/**
 * Read a binary SLIT. Whether the distances make sense is for its user to say (slit_valid).
 * @throws KernelError EINVAL if it is malformed or holds fewer bytes than localities squared.
 */
export function parseSlit(data: Uint8Array): Slit {
  const { header, bytes } = parseAcpiHeader(data, 'SLIT', MATRIX_AT);
  const count = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(ACPI_HEADER_SIZE, true);
  const room = bytes.length - MATRIX_AT;
  if (count * count > BigInt(room)) {
    throw tableError('SLIT', ACPI_HEADER_SIZE, `${count} localities in a table with ${room} bytes of distances`, 'room for their square');
  }
  const size = Number(count);
  const row = (from: number): number[] => [...bytes.subarray(MATRIX_AT + from * size, MATRIX_AT + (from + 1) * size)];
  return { header, distances: Array.from({ length: size }, (_, from) => row(from)) };
}

/**
 * The bytes of a SLIT with these distances.
 * @throws KernelError EINVAL if they are no square or no bytes.
 */
export function encodeSlit(distances: readonly (readonly number[])[]): Uint8Array {
  const isByte = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 255;
  if (distances.some((row) => row.length !== distances.length || !row.every(isByte))) {
    throw new KernelError('EINVAL', `SLIT distances: expected ${distances.length} rows of as many whole numbers from 0 to 255`);
  }
  const body = new Uint8Array(8 + distances.length ** 2);
  new DataView(body.buffer).setBigUint64(0, BigInt(distances.length), true);
  body.set(distances.flat(), 8);
  return encodeAcpiTable('SLIT', 1, body);
}
