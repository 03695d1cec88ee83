// The map: its types, its edits, and how overlaps are settled.
export {
  E820_TYPE_ACPI, E820_TYPE_NVS, E820_TYPE_PMEM, E820_TYPE_PRAM, E820_TYPE_RAM, E820_TYPE_RESERVED, E820_TYPE_RESERVED_KERN,
  E820_TYPE_SOFT_RESERVED, E820_TYPE_UNUSABLE, e820ResourceDesc, e820ResourceName, e820TypeFromName, e820TypeName,
} from './types.js';
export type { AddressRange, E820Entry } from './entry.js';
export { type E820Table, E820_MAX_ENTRIES, createE820Table, mappedAll, mappedAny, rangeAdd, rangeRemove, rangeUpdate } from './table.js';
export { updateTable } from './update-table.js';
export { type E820Log, printE820Map } from './log.js';
// What a machine says: a log, a binary table, an EFI memory map.
export { type E820Firmware, type LateEdit, plainFirmware } from './firmware.js';
export { parseE820Text } from './text.js';
export { type ReadPhysical, E820_ENTRY_SIZE, encodeE820Binary, parseE820Binary } from './binary.js';
export {
  type EfiMemoryDescriptor, type EfiMmio, EFI_MEMORY_SP, EFI_MEMORY_TYPE, EFI_MEMORY_WB, addEfiMemmap, e820TypeOfEfi, efiMemmapToE820,
  removeEfiMmio,
} from './efi.js';
// What the user says: memmap= and mem=.
export { type UserMemory, applyMem, applyMemmap } from './memmap.js';
// The start of a kernel, in order.
export {
  type E820Boot, type E820Limits, type E820Setup, applyLateE820Edits, finishE820EarlyParams, setupE820Memory, trimE820Table,
} from './setup.js';
export { LOW_RAM_LIMIT_PFN, endOfRamPfn } from './pfn.js';
export { type MemblockRange, memblockRangesOf } from './memblock.js';
export { type NosaveRegion, type NosaveRule, registerNosaveRegions } from './nosave.js';
export { setupPciGap } from './pci-gap.js';
export { type FirmwareMemmapEntry, firmwareMemmapOf, reserveE820ResourcesEarly, reserveE820ResourcesLate } from './resources.js';
