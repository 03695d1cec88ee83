/**
 * A struct-page design: how the frames of one device get struct pages, or do without. One file per design is in designs/; the drivers, for
 * persistent memory on any bus, attach one of them to each disk, and know no more of it than this interface.
 *
 * Invariant: sector 0 is the first byte of the device in every design, so that data stay when a device changes its design; what a design
 * keeps on the device lies at its end. A design that is detached, or failed to attach, leaves no struct page, section or resource behind.
 */
import type { KernelRelease, NodeId, Pfn, PhysAddr, Printk, Resource } from '@holdfast/lib';
import type { Clock, Cpu, MemoryType, PhysicalMemory } from '@holdfast/machine';
import type { DevPagemap, MemoryHotplug, PageSource } from '@holdfast/memory-hotplug';
import type { DevicePages, PageRefs } from '@holdfast/mm';

export interface PageDesign {
  readonly name: string;
  /** One line, for people. */
  readonly summary: string;
  /** Does it keep an area of its own at the end of the device? See designs/page-area.ts. */
  readonly keepsArea?: boolean;
  /** How its devices are mapped, whatever pmem.mapping says. */
  readonly memoryType?: MemoryType;
  /** Are its struct pages made by the kernel's boot, for the disks that the command line names? */
  readonly madeAtBoot?: boolean;
  /** @throws KernelError if it cannot be had on this device now; nothing has changed then */
  attach(device: DesignDevice, host: PageHost): AttachedPages;
}

/** The device that is to have pages: a physical range, claimed by its driver. */
export interface DesignDevice {
  /** The disk's name. */
  readonly name: string;
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  /** Below 0 if unknown. */
  readonly nid: NodeId;
  /** Who told of the range: the firmware's memory map, an NFIT, or a BAR. */
  readonly bus: DeviceBus;
  /** How it is mapped: what a store to struct pages on it costs. */
  readonly memoryType: MemoryType;
  readonly options: DesignOptions;
  /** Give up the driver's claim on the last so many bytes, for somebody else to claim them; the returned function takes it back. */
  releaseTail(sizeBytes: number): () => void;
}

export type DeviceBus = 'e820' | 'nvdimm' | 'pci';

/** What the administrator says of a design, by module parameters; each design has defaults. */
export interface DesignOptions {
  /** Bytes of the device that become system RAM. */
  readonly ramBytes?: number | undefined;
  /** How many struct pages a pool has. */
  readonly poolPages?: number | undefined;
  /** Bytes that one struct page stands for. */
  readonly unitBytes?: number | undefined;
  /** What to do with an area of struct pages that another kernel made, and with bytes at the end of the device that are nobody's. */
  readonly pageArea?: PageAreaPolicy | undefined;
}

/** Refuse both, take areas that another kernel made, or take whatever is there. */
export type PageAreaPolicy = 'check' | 'rebuild' | 'overwrite';

/** What a design may use of the kernel. */
export interface PageHost {
  readonly cpu: Cpu;
  readonly memory: PhysicalMemory;
  readonly clock: Clock;
  readonly iomem: Resource;
  readonly printk: Printk;
  readonly release: KernelRelease;
  /** Frames of RAM, near a node. */
  readonly frames: PageSource;
  /** Has all of a range struct pages since boot, as memory of the firmware's map has? */
  hasBootPages(start: PhysAddr, sizeBytes: number): boolean;
  /** Give a range struct pages (memremap_pages). The returned function takes them away. @throws KernelError */
  memremapPages(pgmap: DevPagemap, nid: NodeId): () => void;
  /** Memory that is added and removed: what makes RAM of a part of a device. */
  readonly memoryHotplug: MemoryHotplug;
  /**
   * Pass the time of storing so many bytes of struct pages where they lie, and count the wear (Machine.chargeStores): an array that still
   * reads as its defaults has not been made, and costs what it would cost all the same. For arrays that are a design's own;
   * memremapPages and memoryHotplug charge for theirs. Without it no time passes.
   */
  chargeStores?(start: PhysAddr, sizeBytes: number, type: MemoryType): void;
  /** The references that struct pages count. */
  readonly pageRefs: PageRefs;
}

/** A design at work on one device. */
export interface AttachedPages {
  /** Bytes from the start of the device to sector 0. */
  readonly dataOffset: number;
  /** Bytes that the disk has. */
  readonly dataSize: number;
  /** The frames of the data area, for faults and for get_user_pages. */
  readonly pages: DevicePages;
  /** The frames are the page cache's own entries for the disk: called before one becomes that, so that its struct page is there. */
  readonly cacheIsDevice?: (pfn: Pfn) => void;
  /** Bytes of RAM that struct pages take now. */
  ramPageBytes(): number;
  /** Bytes of the device that struct pages, and what is kept with them, take. */
  devicePageBytes(): number;
  /** References that are held by others now. */
  held(): number;
  /** Make all pages that would be made at their first use. @throws KernelError ENOMEM */
  makeAllReady(): void;
  /** @throws KernelError EBUSY while references are held; nothing has changed then */
  detach(): void;
}
