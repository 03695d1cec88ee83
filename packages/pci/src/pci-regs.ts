/**
 * The configuration space of a PCI function: where its registers are, and their bits. Mirrors include/uapi/linux/pci_regs.h.
 * Offsets are bytes; the layout is that of the PCI Local Bus Specification 3.0, chapter 6.
 */
export const PCI = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  CLASS_REVISION: 0x08,
  CLASS_PROG: 0x09,
  HEADER_TYPE: 0x0e,
  BASE_ADDRESS_0: 0x10,
  SUBSYSTEM_VENDOR_ID: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  ROM_ADDRESS: 0x30,
  CAPABILITY_LIST: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;

export const PCI_COMMAND = { IO: 0x1, MEMORY: 0x2, MASTER: 0x4 } as const;
export const PCI_STATUS_CAP_LIST = 0x10;

/** The type of header, without the bit that says that there are more functions. */
export const PCI_HEADER_TYPE = { NORMAL: 0, BRIDGE: 1, CARDBUS: 2, MULTI_FUNCTION: 0x80 } as const;

/** Low bits of a base address register. */
export const PCI_BASE_ADDRESS = { SPACE_IO: 0x1, MEM_TYPE_64: 0x4, MEM_TYPE_MASK: 0x6, MEM_PREFETCH: 0x8, IO_FLAGS: 0x3, MEM_FLAGS: 0xf } as const;

/** Base address registers of an ordinary function. */
export const PCI_STD_NUM_BARS = 6;
/** The index that Linux gives the expansion ROM, behind the BARs. */
export const PCI_ROM_RESOURCE = 6;
/** Lines of sysfs' `resource`: BARs, ROM, and those of virtual functions. */
export const PCI_SHOWN_RESOURCES = 13;

export const PCI_CAP_ID_EXP = 0x10;

/** Bytes of configuration space: conventional, and PCI Express. */
export const PCI_CFG_SPACE_SIZE = 256;
export const PCI_CFG_SPACE_EXP_SIZE = 4096;

export const PCI_CLASS = { NOT_DEFINED: 0x0000, MEMORY_RAM: 0x0500, BRIDGE_PCI: 0x0604, SYSTEM_OTHER: 0x0880 } as const;

/** What a read gives where nobody answers. */
export const ALL_ONES = 0xffffffff;
