/**
 * Mapping a file of the page cache. Mirrors mm/filemap.c: filemap_fault, filemap_page_mkwrite, generic_file_mmap.
 *
 * Invariant: a page that is mapped writable is dirty, or under writeback no longer than its entry is writable.
 */
import { PAGE_SIZE } from '@holdfast/lib';
import { type AddressSpace, type Folio, folioGet, folioLoad } from './address-space.js';
import { getUptodateFolio, openMapping } from './filemap.js';
import { insertPfn } from './insert-pfn.js';
import { balanceDirtyPages, folioMarkDirty } from './page-writeback.js';
import { type FaultOutcome, type MmapFile, VM, type VmFault } from './vm-area.js';

export interface FilemapFileSpec {
  readonly name: string;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** An open file of the page cache, to be mapped. */
export function filemapFile(mapping: AddressSpace, spec: FilemapFileSpec): MmapFile {
  const file = openMapping(mapping);
  /** The device may be gone, and its cache with it. */
  const isInside = ({ pgoff }: VmFault): boolean => mapping.cache.mappings.has(mapping) && pgoff * PAGE_SIZE < mapping.sizeBytes();

  const fault = (at: VmFault): FaultOutcome => {
    if (!isInside(at)) return 'sigbus';
    const folio = getUptodateFolio(file, at.pgoff, at.pgoff + 1);
    if (typeof folio === 'string') return folio === 'ENOMEM' ? 'oom' : 'sigbus';
    if (mapping.direct) return directFault(at, folio);
    folioGet(folio);
    at.page = folio.pfn;
    return 'page';
  };
  const pageMkwrite = (at: VmFault): FaultOutcome => {
    const folio = mapping.folios.get(at.pgoff);
    if (!folio || folio.pfn !== at.page) return 'nopage'; // cut off meanwhile: ask again
    folioMarkDirty(folio);
    balanceDirtyPages(mapping.cache);
    return 'page';
  };
  return {
    ...spec,
    mmaps: mapping.mmaps,
    isFsDax: false,
    mmap(vma) {
      vma.ops = mapping.direct ? { fault } : { fault, pageMkwrite };
      if (mapping.direct) vma.flags |= VM.MIXEDMAP;
    },
  };
}

/** The device's own page is mapped, which its owner counts the pins of; a private copy is filled. */
function directFault(at: VmFault, folio: Folio): FaultOutcome {
  if (at.cowPage === undefined) return insertPfn(at, 0, folio.pfn, at.write);
  return folioLoad(folio, 0, at.vma.mm.pages.memory.frame(at.cowPage)) === PAGE_SIZE ? 'cow' : 'hwpoison';
}
