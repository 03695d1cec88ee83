/**
 * GUID partition tables. Mirrors block/partitions/efi.c: find_valid_gpt, is_gpt_valid, compare_gpts, efi_partition; UEFI 2.10, chapter 5.
 *
 * LBA 0 holds a protective MBR with one entry of type 0xee at LBA 1; LBA 1 the header; the array of 128-byte entries follows;
 * a copy of both is at the end of the disk. An LBA is a logical block.
 *
 * Invariant: nothing is believed before both of its CRCs held.
 * As Linux: the copy is looked for only where a valid primary header says, or with `gpt` on the command line. A disk whose primary
 * header is broken has no partitions without it.
 */
import { KernelError, bytes, crc32, formatGuid, layout, parseGuid, roundUp, u32, u64 } from '@holdfast/lib';
import type { RecordOf } from '@holdfast/lib';
import { DISK_MAX_PARTS } from './partition.js';
import { EFI_GPT_TYPE, encodeMbr, hasMbrMagic, readMbrEntries } from './partition-msdos.js';
import { readTableBytes } from './partition-table.js';
import type { ParseResult, ParsedPartition, TableReader } from './partition-table.js';

const HEADER_SIZE = 92;
const ENTRY_SIZE = 128;
const PRIMARY_LBA = 1;
/** 'EFI PART', read as a little-endian number. */
const SIGNATURE = 0x5452_4150_2049_4645n;
/** What kmalloc can give for the array: 4 MiB. */
const MAX_ARRAY_BYTES = 4 * 1024 * 1024;
const NULL_GUID = '00000000-0000-0000-0000-000000000000';
const NAME_CHARS = 36;

const gptHeader = layout('GPT header', HEADER_SIZE, {
  signature: u64(0),
  revision: u32(8),
  headerSize: u32(12),
  headerCrc: u32(16),
  reserved: u32(20),
  myLba: u64(24),
  alternateLba: u64(32),
  firstUsableLba: u64(40),
  lastUsableLba: u64(48),
  diskGuid: bytes(56, 16),
  entriesLba: u64(72),
  entryCount: u32(80),
  entrySize: u32(84),
  entriesCrc: u32(88),
});
type GptHeader = RecordOf<typeof gptHeader.fields>;

const gptEntry = layout('GPT entry', ENTRY_SIZE, {
  type: bytes(0, 16),
  unique: bytes(16, 16),
  start: u64(32),
  end: u64(40),
  attributes: u64(48),
  name: bytes(56, NAME_CHARS * 2),
});

interface Gpt {
  readonly header: GptHeader;
  readonly entries: Uint8Array;
}

/**
 * Read the table of a disk.
 * @param name what a partition's number follows in the log
 */
export function parseGpt(reader: TableReader, name: string, { forceGpt = false } = {}): ParseResult {
  const lastLba = Math.floor((reader.nrSectors * 512) / reader.logicalBlockSize) - 1;
  if (!forceGpt && !hasProtectiveMbr(reader)) return 'other';
  const primary = readGpt(reader, PRIMARY_LBA, lastLba);
  let alternate = primary && readGpt(reader, lbaInside(primary.header.alternateLba, lastLba), lastLba);
  if (!alternate && forceGpt) alternate = readGpt(reader, lastLba, lastLba);
  const gpt = primary ?? alternate;
  if (!gpt) return 'other';
  const warnings = primary && alternate ? compareGpts(primary.header, alternate.header, BigInt(lastLba)) : [];
  if (!alternate) warnings.push('Alternate GPT is invalid, using primary GPT.');
  if (!primary) warnings.push('Primary GPT is invalid, using alternate GPT.');
  const partitions = collect(gpt, lastLba, reader.logicalBlockSize / 512);
  return { partitions, text: partitions.map(({ partno }) => ` ${name}${partno}`).join(''), warnings };
}

function hasProtectiveMbr(reader: TableReader): boolean {
  const sector = reader.readSector(0);
  return sector !== undefined && hasMbrMagic(sector) && readMbrEntries(sector).some(({ type, start }) => type === EFI_GPT_TYPE && start === 1);
}

/** As a number, if it is on the disk: one behind the end stands for any other. */
function lbaInside(lba: bigint, lastLba: number): number {
  return lba > BigInt(lastLba) ? lastLba + 1 : Number(lba);
}

/** The header at an LBA and its entries, if all of it is sound. The order of checks is Linux's. */
function readGpt(reader: TableReader, lba: number, lastLba: number): Gpt | undefined {
  const scale = reader.logicalBlockSize / 512;
  const block = lba > lastLba ? new Uint8Array() : readTableBytes(reader, lba * scale, reader.logicalBlockSize);
  if (block.length < reader.logicalBlockSize) return undefined;
  const header = gptHeader.decode(block);
  if (header.signature !== SIGNATURE) return undefined;
  if (header.headerSize > reader.logicalBlockSize || header.headerSize < HEADER_SIZE) return undefined;
  if (headerCrc(block.subarray(0, header.headerSize)) !== header.headerCrc) return undefined;
  if (header.myLba !== BigInt(lba)) return undefined;
  if (header.firstUsableLba > BigInt(lastLba) || header.lastUsableLba > BigInt(lastLba)) return undefined;
  if (header.lastUsableLba < header.firstUsableLba || header.entrySize !== ENTRY_SIZE) return undefined;
  const length = header.entryCount * ENTRY_SIZE;
  if (length === 0 || length > MAX_ARRAY_BYTES || header.entriesLba > BigInt(lastLba)) return undefined;
  const entries = readTableBytes(reader, Number(header.entriesLba) * scale, length);
  return entries.length === length && crc32(entries) === header.entriesCrc ? { header, entries } : undefined;
}

/** The CRC over a header whose own CRC field counts as zero. */
function headerCrc(header: Uint8Array): number {
  const copy = header.slice();
  copy.fill(0, 16, 20);
  return crc32(copy);
}

/** Lines about a primary and an alternate that do not fit together; the primary is used all the same. */
function compareGpts(primary: GptHeader, alternate: GptHeader, lastLba: bigint): string[] {
  const lines: string[] = [];
  const compare = (a: bigint | number, b: bigint | number, text: string, values = `GPT:${a} != ${b}`): void => {
    if (a !== b) lines.push(`GPT:${text}`, values);
  };
  const compareHex = (a: number, b: number, what: string): void => {
    if (a !== b) lines.push(`GPT:${what} don't match: 0x${a.toString(16)} != 0x${b.toString(16)}`);
  };
  compare(primary.myLba, alternate.alternateLba, 'Primary header LBA != Alt. header alternate_lba');
  compare(primary.alternateLba, alternate.myLba, 'Primary header alternate_lba != Alt. header my_lba');
  compare(primary.firstUsableLba, alternate.firstUsableLba, "first_usable_lbas don't match.");
  compare(primary.lastUsableLba, alternate.lastUsableLba, "last_usable_lbas don't match.");
  if (formatGuid(primary.diskGuid) !== formatGuid(alternate.diskGuid)) lines.push("GPT:disk_guids don't match.");
  compareHex(primary.entryCount, alternate.entryCount, 'num_partition_entries');
  compareHex(primary.entriesCrc, alternate.entriesCrc, 'partition_entry_array_crc32 values');
  compare(primary.alternateLba, lastLba, 'Primary header thinks Alt. header is not at the end of the disk.');
  compare(alternate.myLba, lastLba, 'Alternate GPT header not at the end of the disk.');
  if (lines.length > 0) lines.push('GPT: Use GNU Parted to correct GPT errors.');
  return lines;
}

function collect({ header, entries }: Gpt, lastLba: number, scale: number): ParsedPartition[] {
  const partitions: ParsedPartition[] = [];
  for (let index = 0; index < header.entryCount && index < DISK_MAX_PARTS - 1; index++) {
    const entry = gptEntry.decode(entries, index * ENTRY_SIZE);
    if (formatGuid(entry.type) === NULL_GUID || entry.start > entry.end || entry.end > BigInt(lastLba)) continue;
    partitions.push({
      partno: index + 1,
      start: Number(entry.start) * scale,
      nrSectors: Number(entry.end - entry.start + 1n) * scale,
      uuid: formatGuid(entry.unique),
      label: asciiName(entry.name),
    });
  }
  return partitions;
}

/** UTF-16 cut to 7 bits, as udev sees it; what cannot be printed becomes `!`. */
function asciiName(name: Uint8Array): string {
  let text = '';
  for (let i = 0; i < name.length; i += 2) {
    const char = name[i]! & 0x7f;
    if (char === 0) break;
    text += char >= 0x20 && char < 0x7f ? String.fromCharCode(char) : '!';
  }
  return text;
}

/** A partition for {@link encodeGpt}. LBAs are logical blocks; `end` is inclusive, as on the disk. */
export interface GptPartition {
  start: number;
  end: number;
  type: string;
  unique: string;
  name?: string;
}

/** Bytes to be written to a disk, each at its byte offset. */
export type DiskPatch = readonly { readonly offset: number; readonly data: Uint8Array }[];

/**
 * Make the table that sgdisk would write: protective MBR, primary and alternate header with 128 entries.
 * @throws KernelError EINVAL if a partition is outside the usable blocks, or there are more than 128.
 */
export function encodeGpt({ nrSectors, logicalBlockSize = 512, diskGuid, partitions }: {
  nrSectors: number;
  logicalBlockSize?: number;
  diskGuid: string;
  partitions: readonly GptPartition[];
}): DiskPatch {
  const entryCount = 128;
  const lastLba = Math.floor((nrSectors * 512) / logicalBlockSize) - 1;
  const arrayBlocks = roundUp(entryCount * ENTRY_SIZE, logicalBlockSize) / logicalBlockSize;
  const firstUsable = 2 + arrayBlocks;
  const lastUsable = lastLba - arrayBlocks - 1;
  if (partitions.length > entryCount) throw new KernelError('EINVAL', `a GPT of ${partitions.length} partitions: expected at most ${entryCount}`);
  const entries = new Uint8Array(arrayBlocks * logicalBlockSize);
  for (const [index, { start, end, type, unique, name = '' }] of partitions.entries()) {
    if (start < firstUsable || end > lastUsable || end < start) {
      throw new KernelError('EINVAL', `GPT partition ${index + 1}: blocks ${start} to ${end} are not inside ${firstUsable} to ${lastUsable}`);
    }
    const record = { type: parseGuid(type), unique: parseGuid(unique), start: BigInt(start), end: BigInt(end), attributes: 0n, name: utf16(name) };
    gptEntry.encode(record, entries, index * ENTRY_SIZE);
  }
  const entriesCrc = crc32(entries.subarray(0, entryCount * ENTRY_SIZE));
  const header = (myLba: number, alternateLba: number, entriesLba: number): Uint8Array => {
    const block = new Uint8Array(logicalBlockSize);
    const record = {
      signature: SIGNATURE, revision: 0x10000, headerSize: HEADER_SIZE, headerCrc: 0, reserved: 0,
      myLba: BigInt(myLba), alternateLba: BigInt(alternateLba),
      firstUsableLba: BigInt(firstUsable), lastUsableLba: BigInt(lastUsable), diskGuid: parseGuid(diskGuid),
      entriesLba: BigInt(entriesLba), entryCount, entrySize: ENTRY_SIZE, entriesCrc,
    };
    gptHeader.encode(record, block);
    gptHeader.encode({ ...record, headerCrc: headerCrc(block.subarray(0, HEADER_SIZE)) }, block);
    return block;
  };
  const mbr = new Uint8Array(512);
  encodeMbr(mbr, [{ type: EFI_GPT_TYPE, start: 1, count: Math.min(lastLba, 0xffff_ffff) }]);
  return [
    { offset: 0, data: mbr },
    { offset: logicalBlockSize, data: header(PRIMARY_LBA, lastLba, 2) },
    { offset: 2 * logicalBlockSize, data: entries },
    { offset: (lastLba - arrayBlocks) * logicalBlockSize, data: entries },
    { offset: lastLba * logicalBlockSize, data: header(lastLba, PRIMARY_LBA, lastLba - arrayBlocks) },
  ];
}

function utf16(text: string): Uint8Array {
  const out = new Uint8Array(NAME_CHARS * 2);
  const view = new DataView(out.buffer);
  for (let i = 0; i < Math.min(text.length, NAME_CHARS); i++) view.setUint16(2 * i, text.charCodeAt(i), true);
  return out;
}
