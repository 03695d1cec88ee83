/**
 * What both drivers take from the kernel that they are part of.
 */
import type { KernelRelease, Printk, Resource } from '@holdfast/lib';
import type { Block } from '@holdfast/block';
import type { DaxHosts } from '@holdfast/dax';
import type { Cpu, PhysicalMemory } from '@holdfast/machine';
import type { DevicePagesMap } from '@holdfast/mm';
import type { AttachedPages, PageHost } from './page-design.js';
import type { PmemConfig, PmemMappingParam } from './pmem-mapping.js';
import type { PmemPagesValues } from './pmem-pages.js';

/** A design at work on one disk. */
export interface AttachedDesign {
  /** Undefined where Linux decided. */
  readonly design: string | undefined;
  readonly pages: AttachedPages;
}

export interface PmemNeeds {
  readonly cpu: Cpu;
  readonly memory: PhysicalMemory;
  readonly iomem: Resource;
  readonly block: Block;
  readonly printk: Printk;
  readonly release: KernelRelease;
  readonly config?: PmemConfig;
  /** The values of the module's parameters: read anew at each probe. */
  readonly params?: { readonly mapping: PmemMappingParam } & Partial<PmemPagesValues>;
  /** Without it no device can have struct pages. */
  readonly pageHost?: PageHost;
  /** Where the frames of each disk are made known to faults and get_user_pages. */
  readonly devicePages?: DevicePagesMap;
  /** The designs at work, by disk name: filled and emptied by the drivers. */
  readonly attached?: Map<string, AttachedDesign>;
  /** Where each disk's memory is made known to DAX; nowhere, without it. */
  readonly daxHosts?: DaxHosts;
}
