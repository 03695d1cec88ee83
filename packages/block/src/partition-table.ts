/**
 * What the parsers of partition tables share: where they read, and what they find. Mirrors block/partitions/check.h.
 */

/** A disk to read tables from. */
export interface TableReader {
  /** Bytes. */
  readonly logicalBlockSize: number;
  /** 512-byte sectors of the disk. */
  readonly nrSectors: number;
  /** The 512 bytes of a sector; undefined behind the end, or if it cannot be read. */
  readSector(sector: number): Uint8Array | undefined;
}

export interface ParsedPartition {
  readonly partno: number;
  /** 512-byte sectors. Not checked against the end of the disk. */
  readonly start: number;
  readonly nrSectors: number;
  /** PARTUUID and PARTLABEL of /sys and udev. */
  readonly uuid?: string;
  readonly label?: string;
}

export interface ParsedTable {
  readonly partitions: readonly ParsedPartition[];
  /** Behind ` pmem0:` in the log line; `name` is what numbers are put behind: `p`, or the disk's name. */
  readonly text: string;
  /** Log lines about the table itself. */
  readonly warnings: readonly string[];
}

/** `other`: not this kind of table, let the next parser look. `unreadable`: sector 0 could not be read. */
export type ParseResult = ParsedTable | 'other' | 'unreadable';

/** Bytes `[start, start + length)` of a disk, as far as they can be read. */
export function readTableBytes(reader: TableReader, startSector: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; done += 512) {
    const data = reader.readSector(startSector + done / 512);
    if (!data) return bytes.subarray(0, done);
    bytes.set(data.subarray(0, Math.min(512, length - done)), done);
  }
  return bytes;
}
