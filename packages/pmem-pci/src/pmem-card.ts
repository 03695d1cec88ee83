/**
 * The card: persistent memory behind a 64-bit prefetchable BAR, and a page of registers. It stands for the card that Christoph Hellwig
 * mentions in the thread of April 2015, which Boaz Harrosh had, with no public specification; so its numbers and registers are our own.
 *
 * BAR 0, 4 KiB, 32 bit: 0x00 `HFPM`, 0x04 version, 0x08 and 0x0c bytes of memory (low and high half), 0x10 status: 1 is ready.
 * BAR 2, 64 bit, prefetchable: the memory, in a window of the next power of two.
 *
 * The vendor 4846 ("HF") is no number that the PCI-SIG gave us: it means something inside this simulator only.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import type { Medium } from '@holdfast/machine';
import { type PciFunction, PCI_CLASS, createPciFunction } from '@holdfast/pci';

export const PMEM_CARD_ID = { vendor: 0x4846, device: 0x504d } as const;
export const REGISTERS_BAR = 0;
export const MEMORY_BAR = 2;
export const REGISTER = { MAGIC: 0x00, VERSION: 0x04, SIZE_LOW: 0x08, SIZE_HIGH: 0x0c, STATUS: 0x10 } as const;
/** `HFPM`, little-endian. */
export const PMEM_CARD_MAGIC = 0x4d504648;
export const PMEM_CARD_VERSION = 1;
export const STATUS_READY = 1;

/** A card around a medium, to be plugged into a slot. */
export function createPmemCard(medium: Medium): PciFunction {
  const registers = new Map<number, number>([
    [REGISTER.MAGIC, PMEM_CARD_MAGIC],
    [REGISTER.VERSION, PMEM_CARD_VERSION],
    [REGISTER.SIZE_LOW, medium.sizeBytes % 2 ** 32],
    [REGISTER.SIZE_HIGH, Math.floor(medium.sizeBytes / 2 ** 32)],
    [REGISTER.STATUS, STATUS_READY],
  ]);
  return createPciFunction({
    ...PMEM_CARD_ID,
    classCode: PCI_CLASS.MEMORY_RAM * 256,
    revision: 1,
    express: true,
    bars: {
      [REGISTERS_BAR]: { width: 32, sizeBytes: PAGE_SIZE, registers: { read: (offset) => registers.get(offset) ?? 0, write: () => {} } },
      [MEMORY_BAR]: { width: 64, prefetchable: true, medium },
    },
  });
}
