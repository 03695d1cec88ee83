/**
 * The bounce buffer for devices that reach the first 4 GiB only: 64 MiB of low memory, taken at boot where memory lies, or may be plugged,
 * above. Mirrors kernel/dma/swiotlb.c: setup_io_tlb_npages, swiotlb_init_remap, swiotlb_exit, and arch/x86/kernel/pci-dma.c: iommu_setup,
 * pci_swiotlb_detect, pci_iommu_init.
 *
 * Invariant: the frames are nobody else's until the power goes, so that a memory block with one of them cannot go offline.
 * Differs from Linux: there is no IOMMU to be found later that would make the buffer needless; its slots' array takes no memory; what the
 * command line does to the size is said with the buffer, not when the option is read. Lines are those from 4.20 on.
 */
import {
  GIB, KERN, type KernelParam, type KernelRelease, type LogLevel, MIB, PAGE_SIZE, type Pfn, type PhysAddr, type Printk,
  hex16, parseUint, physAddr, physToPfn, releaseAtLeast, roundUp, roundUpPow2,
} from '@holdfast/lib';
import type { Memblock } from '@holdfast/mm';

const SLAB_SIZE = 2048;
/** Slabs that one mapping may take (IO_TLB_SEGSIZE): the buffer, and each area of it, is whole segments. */
const SEGMENT_SLABS = 128;
/** Bytes, if nothing is said (IO_TLB_DEFAULT_SIZE). */
export const SWIOTLB_DEFAULT_SIZE = 64 * MIB;
/** It is not worth booting with less. */
const MIN_SLABS = MIB / SLAB_SIZE;
const DMA32_END = physAddr(4 * GIB);

export interface SwiotlbNeeds {
  readonly params: readonly KernelParam[];
  readonly memblock: Memblock;
  /** Behind the last page that there could ever be. */
  readonly maxPossiblePfn: Pfn;
  readonly nrCpus: number;
  readonly release: KernelRelease;
  readonly printk: Printk;
}

export interface Swiotlb {
  /** Some memory is out of some device's reach. */
  readonly isNeeded: boolean;
  /** Bytes `[start, end)`; undefined if none was wanted, or none was to be had. */
  readonly buffer: { readonly start: PhysAddr; readonly end: PhysAddr } | undefined;
}

interface SwiotlbSetup {
  readonly slabs: number;
  readonly areas: number | undefined;
  readonly mode: 'force' | 'noforce' | '';
}

/** Take the buffer out of memblock, if the machine or the user asks for one. */
export function swiotlbInit({ params, memblock, maxPossiblePfn, nrCpus, release, printk }: SwiotlbNeeds): Swiotlb {
  const isNeeded = needsBuffer(params, maxPossiblePfn);
  const setup = swiotlbSetup(params);
  if ((!isNeeded && setup.mode !== 'force') || setup.mode === 'noforce') return { isNeeded, buffer: undefined };

  const say = (text: string, level: LogLevel = KERN.info): void => printk(`software IO TLB: ${text}`, level);
  const wanted = releaseAtLeast(release, 6, 0) ? adjustSlabs(setup, nrCpus, say) : setup.slabs;
  // Since 6.1 a machine whose low memory is short gets less; before, nothing.
  const least = releaseAtLeast(release, 6, 1) ? MIN_SLABS : wanted;
  for (let slabs = wanted; ; slabs = roundUp(Math.floor(slabs / 2), SEGMENT_SLABS)) {
    const sizeBytes = roundUp(slabs * SLAB_SIZE, PAGE_SIZE);
    const start = memblock.alloc(sizeBytes, { align: PAGE_SIZE, max: DMA32_END });
    if (start !== undefined) {
      if (slabs !== wanted) say(`SWIOTLB bounce buffer size adjusted ${wanted} -> ${slabs} slabs`);
      return { isNeeded, buffer: { start, end: physAddr(start + sizeBytes) } };
    }
    say(`swiotlb_memblock_alloc: Failed to allocate ${sizeBytes} bytes tlb structure`, KERN.warning);
    if (slabs <= least) return { isNeeded, buffer: undefined };
  }
}

/** What is said once PCI is there. A buffer that was only forced stays, and nobody speaks of it. */
export function pciIommuInit({ isNeeded, buffer }: Swiotlb, release: KernelRelease, printk: Printk): void {
  if (!isNeeded || !releaseAtLeast(release, 4, 20)) return;
  printk('PCI-DMA: Using software bounce buffering for IO (SWIOTLB)');
  if (buffer === undefined) printk('software IO TLB: No low mem', KERN.warning);
  else printk(`software IO TLB: mapped [mem ${hex16(buffer.start)}-${hex16(buffer.end)}] (${Math.floor((buffer.end - buffer.start) / MIB)}MB)`);
}

function needsBuffer(params: readonly KernelParam[], maxPossiblePfn: Pfn): boolean {
  const words = params.filter(({ name }) => name === 'iommu').flatMap(({ value }) => value?.split(',') ?? []);
  if (words.some((word) => word.startsWith('soft'))) return true;
  return !words.some((word) => word.startsWith('off')) && maxPossiblePfn > physToPfn(DMA32_END);
}

/** `swiotlb=[SLABS][,AREAS][,force|noforce]`; of several options, each says its part. */
function swiotlbSetup(params: readonly KernelParam[]): SwiotlbSetup {
  let setup: SwiotlbSetup = { slabs: SWIOTLB_DEFAULT_SIZE / SLAB_SIZE, areas: undefined, mode: '' };
  for (const { name, value } of params) {
    if (name !== 'swiotlb' || value === undefined) continue;
    const slabs = parseUint(value);
    const areas = parseUint(slabs.rest.replace(/^,/, ''));
    const mode = areas.rest.replace(/^,/, '');
    setup = {
      slabs: slabs.found ? roundUp(Number(slabs.value), SEGMENT_SLABS) : setup.slabs,
      areas: areas.found ? Number(areas.value) : setup.areas,
      mode: mode === 'force' || mode === 'noforce' ? mode : setup.mode,
    };
  }
  return setup;
}

/** Since 6.0 the buffer has areas with a lock each, as many as CPUs: powers of two, both (swiotlb_adjust_nareas). */
function adjustSlabs({ slabs, areas }: SwiotlbSetup, nrCpus: number, say: (text: string) => void): number {
  const nrAreas = roundUpPow2(Math.max(1, areas ?? nrCpus));
  say(`area num ${nrAreas}.`);
  const rounded = roundUpPow2(Math.max(slabs, SEGMENT_SLABS * nrAreas));
  if (rounded !== slabs) say(`SWIOTLB bounce buffer size roundup to ${Math.floor((rounded * SLAB_SIZE) / MIB)}MB`);
  return rounded;
}
