/** The partition table of a disk, and a partition's entry in it, as tags. Mirrors libblkid's partitions/{gpt,dos}.c as to what blkid prints of them. */
import { type ParseResult, type TableReader, parseGpt, parseMsdos } from '@holdfast/block';
import { formatGuid } from '@holdfast/lib';
import type { ReadBytes, Tag } from './probe-superblock.js';

export interface TableSource {
  readonly read: ReadBytes;
  readonly logicalBlockSize: number;
  readonly sizeBytes: number;
}

/** PTUUID and PTTYPE of a disk with a table. */
export function probeTable(source: TableSource): Tag[] {
  const reader = readerOf(source);
  if (typeof parseGpt(reader, '', { forceGpt: false }) !== 'string') {
    const header = source.read(source.logicalBlockSize, 92);
    return [{ name: 'PTUUID', value: formatGuid(header, 56) }, { name: 'PTTYPE', value: 'gpt' }];
  }
  if (typeof parseMsdos(reader, '') === 'string') return [];
  const signature = new DataView(source.read(0x1b8, 4).slice().buffer).getUint32(0, true);
  return [{ name: 'PTUUID', value: signature.toString(16).padStart(8, '0') }, { name: 'PTTYPE', value: 'dos' }];
}

/** PARTLABEL and PARTUUID of a partition, by the table of its disk. */
export function probeEntry(disk: TableSource, partno: number): Tag[] {
  const reader = readerOf(disk);
  const gpt = parseGpt(reader, '', { forceGpt: false });
  const table: ParseResult = typeof gpt === 'string' ? parseMsdos(reader, '') : gpt;
  if (typeof table === 'string') return [];
  const entry = table.partitions.find((each) => each.partno === partno);
  return [
    ...(entry?.label ? [{ name: 'PARTLABEL' as const, value: entry.label }] : []),
    ...(entry?.uuid ? [{ name: 'PARTUUID' as const, value: entry.uuid }] : []),
  ];
}

function readerOf({ read, logicalBlockSize, sizeBytes }: TableSource): TableReader {
  return {
    logicalBlockSize,
    nrSectors: Math.floor(sizeBytes / 512),
    readSector(sector) {
      const bytes = read(sector * 512, 512);
      return bytes.length === 512 ? bytes : undefined;
    },
  };
}
