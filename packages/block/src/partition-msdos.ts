/**
 * MBR partition tables, with the chain of extended partitions. Mirrors block/partitions/msdos.c: msdos_partition, parse_extended.
 *
 * Sector 0: boot code, disk signature at 0x1b8, four 16-byte entries at 0x1be, 55 aa at 510. An entry: boot flag, CHS start, type at 4,
 * CHS end, start at 8 and length at 12, in logical blocks.
 *
 * Invariant: the walk ends, whatever the links say: after 100 links without a partition, or at partition 255.
 */
import { KernelError, hex8, layout, u32, u8 } from '@holdfast/lib';
import type { RecordOf } from '@holdfast/lib';
import { DISK_MAX_PARTS } from './partition.js';
import type { ParseResult, ParsedPartition, TableReader } from './partition-table.js';

const TABLE_AT = 0x1be;
const ENTRY_SIZE = 16;
const SIGNATURE_AT = 0x1b8;
const MAX_EMPTY_LINKS = 100;
const FIRST_LOGICAL = 5;

export const EFI_GPT_TYPE = 0xee;
const EXTENDED_TYPES: readonly number[] = [0x05, 0x0f, 0x85];

export const mbrEntry = layout('MBR entry', ENTRY_SIZE, { boot: u8(0), type: u8(4), start: u32(8), count: u32(12) });
type MbrEntry = RecordOf<typeof mbrEntry.fields>;

export function hasMbrMagic(sector: Uint8Array): boolean {
  return sector.length >= 512 && sector[510] === 0x55 && sector[511] === 0xaa;
}

export function readMbrEntries(sector: Uint8Array): MbrEntry[] {
  return [0, 1, 2, 3].map((slot) => mbrEntry.decode(sector, TABLE_AT + slot * ENTRY_SIZE));
}

/**
 * Read the table of a disk.
 * @param name what a partition's number follows in the log
 */
export function parseMsdos(reader: TableReader, name: string): ParseResult {
  const sector = reader.readSector(0);
  if (!sector) return 'unreadable';
  if (!hasMbrMagic(sector)) return 'other';
  const entries = readMbrEntries(sector);
  const odd = entries.findIndex(({ boot }) => boot !== 0 && boot !== 0x80);
  if (odd >= 0) return odd === 0 && looksLikeFat(sector) ? { partitions: [], text: '', warnings: [] } : 'other';
  if (entries.some(({ type }) => type === EFI_GPT_TYPE)) return 'other';
  return collect(reader, name, entries, new DataView(sector.buffer, sector.byteOffset).getUint32(SIGNATURE_AT, true));
}

/** A FAT boot sector on an unpartitioned disk has code where the flags would be. */
function looksLikeFat(sector: Uint8Array): boolean {
  const reserved = sector[14]! + sector[15]!;
  const fats = sector[16]!;
  const media = sector[21]!;
  return reserved !== 0 && fats !== 0 && (media >= 0xf8 || media === 0xf0);
}

function isExtended(entry: MbrEntry): boolean {
  return EXTENDED_TYPES.includes(entry.type);
}

function collect(reader: TableReader, name: string, entries: readonly MbrEntry[], signature: number): ParseResult {
  const partitions: ParsedPartition[] = [];
  const scale = reader.logicalBlockSize / 512;
  const put = (partno: number, start: number, nrSectors: number): string => {
    partitions.push({ partno, start, nrSectors, uuid: `${hex8(signature).slice(2)}-${partno.toString(16).padStart(2, '0')}` });
    return ` ${name}${partno}`;
  };
  let text = '';
  let nextLogical = FIRST_LOGICAL;
  for (const [slot, entry] of entries.entries()) {
    const start = entry.start * scale;
    const size = entry.count * scale;
    if (size === 0) continue;
    if (!isExtended(entry)) {
      text += put(slot + 1, start, size);
      continue;
    }
    // Just enough for a boot loader to live there; the rest belongs to the logical partitions.
    text += `${put(slot + 1, start, Math.min(size, Math.max(scale, 2)))} <`;
    for (const logical of logicalPartitions(reader, start, size)) {
      if (nextLogical === DISK_MAX_PARTS) break;
      text += put(nextLogical++, logical.start, logical.nrSectors);
    }
    text += ' >';
  }
  return { partitions, text, warnings: [] };
}

/** Follow the links of an extended partition at `[first, first + size)`. */
function* logicalPartitions(reader: TableReader, first: number, size: number): Generator<{ start: number; nrSectors: number }> {
  const scale = reader.logicalBlockSize / 512;
  let at = first;
  let length = size;
  for (let links = 1; links <= MAX_EMPTY_LINKS; links++) {
    const sector = reader.readSector(at);
    if (!sector || !hasMbrMagic(sector)) return;
    const entries = readMbrEntries(sector);
    for (const [slot, entry] of entries.entries()) {
      if (entry.count === 0 || isExtended(entry)) continue;
      const offset = entry.start * scale;
      const nrSectors = entry.count * scale;
      const start = at + offset;
      // The third and fourth entry are often rubbish: they count only inside the bounds.
      const inside = offset + nrSectors <= length && start >= first && start + nrSectors <= first + size;
      if (slot >= 2 && !inside) continue;
      yield { start, nrSectors };
      links = 0;
    }
    const link = entries.find((entry) => entry.count !== 0 && isExtended(entry));
    if (!link) return;
    at = first + link.start * scale;
    length = link.count * scale;
  }
}

/** A partition for {@link encodeMbr}, in logical blocks. */
export interface MbrPartition {
  type: number;
  start: number;
  count: number;
  boot?: number;
}

/**
 * Write a table of up to four entries into a sector, as fdisk would; the rest of the sector stays.
 * @throws KernelError EINVAL for more than four.
 */
export function encodeMbr(sector: Uint8Array, partitions: readonly MbrPartition[], signature = 0): void {
  if (partitions.length > 4) throw new KernelError('EINVAL', `an MBR of ${partitions.length} entries: expected at most 4`);
  new DataView(sector.buffer, sector.byteOffset).setUint32(SIGNATURE_AT, signature, true);
  for (let slot = 0; slot < 4; slot++) {
    mbrEntry.encode({ boot: 0, type: 0, start: 0, count: 0, ...partitions[slot] }, sector, TABLE_AT + slot * ENTRY_SIZE);
  }
  sector[510] = 0x55;
  sector[511] = 0xaa;
}
