/**
 * What the user says about memory: `memmap=` and `mem=`.
 * Mirrors arch/x86/kernel/e820.c: parse_memmap_opt, parse_memmap_one, parse_memopt.
 *
 * Edits act at once, in the order of the command line; overlaps are settled once, when all of it is read. The kernel ignores garbage in
 * `memmap=` without a word, and so does this.
 */
import { KERN, KernelPanic, type Memparse, memparse, parseUint, releaseAtLeast } from '@holdfast/lib';
import type { E820Log } from './log.js';
import { endOfRamPfn } from './pfn.js';
import { type E820Table, rangeAdd, rangeRemove, rangeUpdate } from './table.js';
import { E820_TYPE_ACPI, E820_TYPE_PRAM, E820_TYPE_RAM, E820_TYPE_RESERVED } from './types.js';
import { U64_MAX } from './u64.js';

/** The map under edit, and what the options leave behind beside it. */
export interface UserMemory {
  readonly table: E820Table;
  readonly log: E820Log;
  readonly maxArchPfn: number;
  /** Whether an option touched the map, if only in passing: then it is checked and printed again. */
  userDefined: boolean;
  /** The last `mem=` in bytes, up to 2^53: hot-added memory must not end above it while the kernel boots. */
  maxMemSize: number | undefined;
}

/** Apply the value of one `memmap=`: pieces between commas, each on its own. @throws KernelPanic where Linux has a BUG. */
export function applyMemmap(memory: UserMemory, value: string): void {
  for (const piece of value.split(',')) applyMemmapPiece(memory, piece);
}

/** Apply one `mem=`. Returns false where Linux returns -EINVAL, and its caller then calls the option malformed. */
export function applyMem(memory: UserMemory, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (value === 'nopentium') {
    memory.log.printk('mem=nopentium ignored! (only supported on x86_32)', KERN.warning);
    return false;
  }
  memory.userDefined = true;
  const size = memparse(value).value;
  if (size === 0n) return false;
  removeRamFrom(memory, size);
  memory.maxMemSize = Math.min(Number(size), Number.MAX_SAFE_INTEGER);
  return true;
}

function applyMemmapPiece(memory: UserMemory, piece: string): void {
  const { table, log } = memory;
  if (piece.startsWith('exactmap')) return startExactMap(memory);

  const size = sizeOf(piece);
  if (!size.found) return;
  memory.userDefined = true;
  const mark = size.rest.charAt(0);
  const added = typeOfMark(mark, log);
  if (added !== undefined) rangeAdd(table, sizeOf(size.rest.slice(1)).value, size.value, added, log);
  else if (mark === '%' && releaseAtLeast(log.release, 4, 18)) convertRange(memory, size.value, size.rest.slice(1));
  else removeRamFrom(memory, size.value);
}

/** Forget the firmware's map. Kernels that could be a crash kernel first took note of where its RAM ended. */
function startExactMap(memory: UserMemory): void {
  const { table, log, maxArchPfn } = memory;
  if (!releaseAtLeast(log.release, 5, 8)) endOfRamPfn(table, maxArchPfn, maxArchPfn, log);
  table.entries = [];
  memory.userDefined = true;
}

/** The type that `size<mark>start` adds, if that release has the mark. */
function typeOfMark(mark: string, { release }: E820Log): number | undefined {
  switch (mark) {
    case '@':
      return E820_TYPE_RAM;
    case '#':
      return E820_TYPE_ACPI;
    case '$':
      return E820_TYPE_RESERVED;
    case '!':
      return releaseAtLeast(release, 4, 1) ? E820_TYPE_PRAM : undefined;
    default:
      return undefined;
  }
}

/** `size%start-old+new`: retype, add (no old), or remove (no new; neither: whatever is there). Anything behind it voids it. */
function convertRange({ table, log }: UserMemory, size: bigint, text: string): void {
  const start = sizeOf(text);
  const oldType = numberBehind('-', start.rest);
  const newType = numberBehind('+', oldType.rest);
  if (newType.rest !== '') return;
  if (oldType.value !== 0 && newType.value !== 0) {
    if (oldType.value === newType.value) {
      throw new KernelPanic(`kernel BUG at arch/x86/kernel/e820.c: memmap= retypes ${oldType.value} to itself`);
    }
    rangeUpdate(table, start.value, size, oldType.value, newType.value, log);
  } else if (newType.value !== 0) {
    rangeAdd(table, start.value, size, newType.value, log);
  } else {
    rangeRemove(table, start.value, size, oldType.value === 0 ? undefined : oldType.value, log);
  }
}

/** A type behind its sign, cut to the 32 bits a type has; 0 if the sign is not there. */
function numberBehind(sign: string, text: string): { value: number; rest: string } {
  if (!text.startsWith(sign)) return { value: 0, rest: text };
  const { value, rest } = parseUint(text.slice(1));
  return { value: Number(value & 0xffff_ffffn), rest };
}

function removeRamFrom({ table, log }: UserMemory, start: bigint): void {
  rangeRemove(table, start, U64_MAX - start, E820_TYPE_RAM, log);
}

/**
 * A size as memparse reads it. The kernel takes a lone suffix for a zero: `memmap=garbage` is a size of 0G, and limits RAM to nothing.
 */
function sizeOf(text: string): Memparse {
  const size = memparse(text);
  if (size.found || !/^[kmgtpe]/i.test(text)) return size;
  return { value: 0n, rest: text.slice(1), found: true };
}
