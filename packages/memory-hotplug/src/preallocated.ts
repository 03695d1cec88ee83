/**
 * An area that the caller has set aside for the struct pages of memory that is added: the pre-allocated area of add_section, as promised
 * in "Re: [GIT PULL] PMEM driver for v4.1" (Boaz Harrosh, 14 April 2015), of which Linux's vmem_altmap (4.5) is the descendant.
 *
 * Invariant: each whole section takes 2 MiB of the area, in order; when it is used up, adding fails with ENOMEM and takes nothing else.
 * Differs from Linux: the area may lie anywhere, not only at the start of what is added.
 */
import { KernelError, PAGES_PER_SECTION, PAGE_SIZE, SECTION_MEMMAP_SIZE, hex, isAligned, physToPfn } from '@holdfast/lib';
import type { NodeId, Pfn, PhysAddr, Range } from '@holdfast/lib';
import type { PageSource, Sections } from './sparse.js';
import { type VmemAltmap, createVmemAltmap } from './vmem-altmap.js';

/** Bytes `[start, start + sizeBytes)` of physical memory, whole frames. */
export interface Preallocated {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
}

/** The area as an allocator of struct pages. */
export function preallocatedAltmap({ start, sizeBytes }: Preallocated): VmemAltmap {
  if (!isAligned(start, PAGE_SIZE) || !isAligned(sizeBytes, PAGE_SIZE)) {
    throw new KernelError('EINVAL', `an area at ${hex(start)} of ${hex(sizeBytes)} bytes for struct pages: expected whole frames`);
  }
  return createVmemAltmap(physToPfn(start), { reserve: 0, free: sizeBytes / PAGE_SIZE });
}

/** Bytes of an area, starting at a multiple of 2 MiB, that hold the struct pages of so many sections. */
export function preallocatedSize(nrSections: number): number {
  return nrSections * SECTION_MEMMAP_SIZE;
}

/**
 * Add whole sections `[start, end)`, as frames, whose struct pages lie in the caller's area. They are nobody's memory yet: no zone, no
 * block. The returned function removes them again.
 * @throws KernelError EINVAL if they are not whole sections, EEXIST if something is there, ENOMEM when the area is used up
 */
export function addSection(sections: Sections, range: Range<Pfn>, nid: NodeId, area: Preallocated): () => void {
  if (!isAligned(range.start, PAGES_PER_SECTION) || !isAligned(range.end, PAGES_PER_SECTION)) {
    throw new KernelError('EINVAL', `frames ${hex(range.start)}-${hex(range.end - 1)}: expected whole sections of ${PAGES_PER_SECTION}`);
  }
  sections.addRange(range, nid, NO_OTHER_MEMORY, { altmap: preallocatedAltmap(area) });
  return () => sections.removeRange(range, NO_OTHER_MEMORY);
}

const NO_OTHER_MEMORY: PageSource = {
  allocBlocks: () => {
    throw new KernelError('ENOMEM', 'struct pages come from the area that the caller set aside, and from nowhere else');
  },
  freeBlocks: () => undefined,
};
