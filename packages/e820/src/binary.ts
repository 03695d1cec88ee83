/**
 * The memory map in binary: entries of 20 bytes, alone or in a zero page (struct boot_params) with its list of setup_data.
 * Mirrors arch/x86/include/uapi/asm/bootparam.h; parse_setup_data of arch/x86/kernel/setup.c. Boot protocol: Documentation/x86/boot.rst.
 *
 *     entry       u64 addr @0 │ u64 size @8 │ u32 type @16                                                  20 bytes, packed
 *     boot_params u16 ext_mem_k @0x002 │ u32 alt_mem_k @0x1e0 │ u8 e820_entries @0x1e8 │ 'HdrS' @0x202 │
 *                 u64 setup_data @0x250 │ 128 entries @0x2d0                                                4096 bytes
 *     setup_data  u64 next @0 │ u32 type @8 │ u32 len @12 │ payload @16
 */
import { KernelError, ascii, hex, layout, u16, u32, u64, u8 } from '@holdfast/lib';
import type { AddressRange, E820Entry } from './entry.js';
import { type E820Firmware, plainFirmware } from './firmware.js';

export const E820_ENTRY_SIZE = 20;
const ZEROPAGE_SIZE = 4096;
const ZEROPAGE_MAX_ENTRIES = 128;
const ZEROPAGE_TABLE = 0x2d0;
/** The kind of setup_data whose payload is more entries. */
const SETUP_E820_EXT = 1;
/** A list longer than this is a loop. */
const MAX_SETUP_DATA_NODES = 1024;

const entryLayout = layout('e820 entry', E820_ENTRY_SIZE, { addr: u64(0), size: u64(8), type: u32(16) });
const zeropageLayout = layout('boot_params', ZEROPAGE_SIZE, {
  extMemKib: u16(0x002),
  altMemKib: u32(0x1e0),
  e820Entries: u8(0x1e8),
  magic: ascii(0x202, 4),
  setupData: u64(0x250),
});
const setupDataLayout = layout('setup_data', 16, { next: u64(0), type: u32(8), length: u32(12) });

/** Read physical memory: `length` bytes at `addr`, or fewer where it ends. */
export type ReadPhysical = (addr: bigint, length: number) => Uint8Array;

/**
 * Read a binary memory map: an array of entries, or a zero page (as /sys/kernel/boot_params/data holds it).
 * The zero page's setup_data list lies elsewhere in memory and is read by `readPhysical`; without it, it is taken to be empty.
 * @throws KernelError EINVAL if it is neither, or if the list does not end.
 */
export function parseE820Binary(bytes: Uint8Array, readPhysical?: ReadPhysical): E820Firmware {
  if (bytes.length >= ZEROPAGE_SIZE && zeropageLayout.decode(bytes).magic === 'HdrS') return parseZeropage(bytes, readPhysical);
  if (bytes.length === 0 || bytes.length % E820_ENTRY_SIZE !== 0) {
    throw new KernelError(
      'EINVAL',
      `binary memory map of ${bytes.length} bytes: expected a multiple of ${E820_ENTRY_SIZE}, or a zero page with 'HdrS' at 0x202`,
    );
  }
  return plainFirmware(decodeEntries(bytes, 0, bytes.length / E820_ENTRY_SIZE));
}

/** Write entries as firmware and the zero page hold them. */
export function encodeE820Binary(entries: readonly E820Entry[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * E820_ENTRY_SIZE);
  for (const [index, entry] of entries.entries()) entryLayout.encode({ ...entry }, bytes, index * E820_ENTRY_SIZE);
  return bytes;
}

function decodeEntries(bytes: Uint8Array, at: number, count: number): E820Entry[] {
  return Array.from({ length: count }, (_, index) => entryLayout.decode(bytes, at + index * E820_ENTRY_SIZE));
}

function parseZeropage(bytes: Uint8Array, readPhysical: ReadPhysical | undefined): E820Firmware {
  const { e820Entries, altMemKib, extMemKib, setupData } = zeropageLayout.decode(bytes);
  if (e820Entries > ZEROPAGE_MAX_ENTRIES) {
    throw new KernelError('EINVAL', `boot_params byte 0x1e8: ${e820Entries} e820 entries, expected at most ${ZEROPAGE_MAX_ENTRIES}`);
  }
  const entries = decodeEntries(bytes, ZEROPAGE_TABLE, e820Entries);
  return { ...plainFirmware(entries), altMemKib, extMemKib, ...(readPhysical && readSetupData(setupData, readPhysical)) };
}

function readSetupData(head: bigint, readPhysical: ReadPhysical): { extended: E820Entry[]; setupData: AddressRange[] } {
  const extended: E820Entry[] = [];
  const setupData: AddressRange[] = [];
  for (let addr = head; addr !== 0n; ) {
    if (setupData.length === MAX_SETUP_DATA_NODES) {
      throw new KernelError('EINVAL', `setup_data from ${hex(head)}: no end after ${MAX_SETUP_DATA_NODES} nodes, expected a next of 0`);
    }
    const { next, type, length } = setupDataLayout.decode(readPhysical(addr, setupDataLayout.size));
    const start = addr;
    const payload = addr + BigInt(setupDataLayout.size);
    setupData.push({ start, end: payload + BigInt(length) });
    if (type === SETUP_E820_EXT) {
      const count = Math.floor(length / E820_ENTRY_SIZE);
      extended.push(...decodeEntries(readPhysical(payload, count * E820_ENTRY_SIZE), 0, count));
    }
    addr = next;
  }
  return { extended, setupData };
}
