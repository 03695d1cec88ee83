/**
 * What both drivers take from the kernel that they are part of.
 */
import type { KernelRelease, NodeId, PhysAddr, Printk, Resource } from '@holdfast/lib';
import type { Block } from '@holdfast/block';
import type { Cpu, PhysicalMemory } from '@holdfast/machine';
import type { PmemConfig, PmemMappingParam } from './pmem-mapping.js';

/** A physical range that is to have struct pages. */
export interface PagesRange {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly nid: NodeId;
  readonly type: 'fs-dax';
  /** Who asks, for people. */
  readonly owner: string;
  /** The struct pages lie in the range itself: frames from its start, `reserve` left alone, then `free` to take from. */
  readonly altmap?: { readonly reserve: number; readonly free: number };
}

/** Give a physical range struct pages (memremap_pages): what memory-hotplug provides. @throws KernelError */
export type MemremapPages = (range: PagesRange) => { release(): void };

export interface PmemNeeds {
  readonly cpu: Cpu;
  readonly memory: PhysicalMemory;
  readonly iomem: Resource;
  readonly block: Block;
  readonly printk: Printk;
  readonly release: KernelRelease;
  readonly config?: PmemConfig;
  /** The values of the module's parameters: read anew at each probe. */
  readonly params?: { readonly mapping: PmemMappingParam };
  /** Without it no device can be mapped with struct pages. */
  readonly memremapPages?: MemremapPages;
}
