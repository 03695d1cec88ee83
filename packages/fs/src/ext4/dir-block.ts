/**
 * Directory blocks: entries one behind the other, each as long as it says, the last up to the block's end. Mirrors fs/ext4/ext4.h:
 * struct ext4_dir_entry_2 and ext4_dir_entry_tail, and fs/ext4/namei.c: search_dirblock, ext4_insert_dentry, ext4_generic_delete_entry.
 *
 *   inode u32 │ length u16 │ name length u8 │ type u8 │ name …      inode 0: room that is free
 *
 * With checksums the last twelve bytes look like a free entry of type 0xde, and hold the sum.
 */
import { KernelError } from '@holdfast/lib';
import { crc32c } from '../crc32c.js';
import { utf8Decode, utf8Encode } from '../utf8.js';

/** File types of entries. */
export const DIR_TYPE = { UNKNOWN: 0, REGULAR: 1, DIRECTORY: 2, SYMLINK: 7 } as const;

const HEADER = 8;
const TAIL = 12;
const TAIL_TYPE = 0xde;

export interface DirEntry {
  /** Byte in the block. */
  readonly at: number;
  readonly ino: number;
  readonly length: number;
  readonly name: string;
  readonly type: number;
}

/** Is there a checksum at the end, and what does it begin with? */
export type DirSeed = number | undefined;

/**
 * All entries of a block, free ones included, without the tail.
 * @throws KernelError EIO where an entry does not fit, and where the checksum is wrong
 */
export function dirEntries(block: Uint8Array, seed: DirSeed): DirEntry[] {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const end = seed === undefined ? block.length : block.length - TAIL;
  if (seed !== undefined && !tailIsRight(block, seed)) throw new KernelError('EIO', 'a directory block has a wrong checksum');
  const entries: DirEntry[] = [];
  for (let at = 0; at < end;) {
    if (at + HEADER > end) throw new KernelError('EIO', `a directory entry at byte ${at} does not fit its block`);
    const length = view.getUint16(at + 4, true);
    const nameLength = view.getUint8(at + 6);
    if (length < HEADER || length % 4 !== 0 || nameLength + HEADER > length || at + length > end) {
      throw new KernelError('EIO', `the directory entry at byte ${at} says that it has ${length} bytes, ${nameLength} of them its name`);
    }
    entries.push({
      at,
      ino: view.getUint32(at, true),
      length,
      type: view.getUint8(at + 7),
      name: utf8Decode(block.subarray(at + HEADER, at + HEADER + nameLength)),
    });
    at += length;
  }
  return entries;
}

/** A block with one free entry, or with the entries that are given. */
export function newDirBlock(blockSize: number, seed: DirSeed, entries: readonly { ino: number; name: string; type: number }[] = []): Uint8Array {
  const block = new Uint8Array(blockSize);
  const end = seed === undefined ? blockSize : blockSize - TAIL;
  let at = 0;
  for (const [index, entry] of entries.entries()) {
    const length = index === entries.length - 1 ? end - at : entrySize(utf8Encode(entry.name).length);
    putEntry(block, at, length, entry);
    at += length;
  }
  if (entries.length === 0) putEntry(block, 0, end, { ino: 0, name: '', type: 0 });
  sealDirBlock(block, seed);
  return block;
}

/** Put an entry where there is room; false if there is none. The block is changed in place. */
export function addDirEntry(block: Uint8Array, seed: DirSeed, entry: { ino: number; name: string; type: number }): boolean {
  const needed = entrySize(utf8Encode(entry.name).length);
  for (const { at, ino, length, name } of dirEntries(block, seed)) {
    const used = ino === 0 ? 0 : entrySize(utf8Encode(name).length);
    if (length - used < needed) continue;
    if (used > 0) new DataView(block.buffer, block.byteOffset).setUint16(at + 4, used, true);
    putEntry(block, at + used, length - used, entry);
    sealDirBlock(block, seed);
    return true;
  }
  return false;
}

/** Take an entry out: the one before it takes its room. Returns its inode, or undefined if it is not there. */
export function removeDirEntry(block: Uint8Array, seed: DirSeed, name: string): number | undefined {
  const entries = dirEntries(block, seed);
  const index = entries.findIndex((entry) => entry.ino !== 0 && entry.name === name);
  const entry = entries[index];
  if (!entry) return undefined;
  const view = new DataView(block.buffer, block.byteOffset);
  const before = entries[index - 1];
  if (before) view.setUint16(before.at + 4, before.length + entry.length, true);
  else view.setUint32(entry.at, 0, true);
  sealDirBlock(block, seed);
  return entry.ino;
}

/** Bytes of an entry with a name of so many: a multiple of four. */
export function entrySize(nameLength: number): number {
  return Math.ceil((HEADER + nameLength) / 4) * 4;
}

/** Write the tail's checksum. */
export function sealDirBlock(block: Uint8Array, seed: DirSeed): void {
  if (seed === undefined) return;
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const at = block.length - TAIL;
  view.setUint32(at, 0, true);
  view.setUint16(at + 4, TAIL, true);
  view.setUint8(at + 6, 0);
  view.setUint8(at + 7, TAIL_TYPE);
  view.setUint32(at + 8, crc32c(seed, block.subarray(0, at)), true);
}

function tailIsRight(block: Uint8Array, seed: number): boolean {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const at = block.length - TAIL;
  return view.getUint8(at + 7) === TAIL_TYPE && view.getUint32(at + 8, true) === crc32c(seed, block.subarray(0, at));
}

function putEntry(block: Uint8Array, at: number, length: number, { ino, name, type }: { ino: number; name: string; type: number }): void {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const bytes = utf8Encode(name);
  view.setUint32(at, ino, true);
  view.setUint16(at + 4, length, true);
  view.setUint8(at + 6, bytes.length);
  view.setUint8(at + 7, type);
  block.set(bytes, at + HEADER);
}
