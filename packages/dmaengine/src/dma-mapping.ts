/**
 * Memory for a device: dma_map_sg. Mirrors kernel/dma/mapping.c and direct.c.
 *
 * A scatterlist names pages, and each is held while a device may write to it. Frames of device memory have a page only if the design of
 * their device gives them one; without, they are for drivers that take frames by number (PFN scatterlists), and the design must allow it.
 *
 * Invariant: a mapping that failed holds no page.
 */
import { type Pfn, KernelError, PAGE_SIZE, hex } from '@holdfast/lib';
import { type SgTable, sgPhys } from '@holdfast/block';
import type { DevicePages, DevicePagesMap } from '@holdfast/mm';

/** A table whose memory stays where it is until {@link DmaMapping.unmap}. */
export interface DmaMapping {
  readonly table: SgTable;
  readonly totalBytes: number;
  /** dma_unmap_sg: once. */
  unmap(): void;
}

/**
 * @param byPfn does the driver take frames without struct pages?
 * @throws KernelError EOPNOTSUPP for a frame without a page, if the driver or the frame's design insists on one; or what getPage throws
 */
export function dmaMapSg(table: SgTable, devicePages: Pick<DevicePagesMap, 'at'>, byPfn: boolean): DmaMapping {
  const held: { pages: DevicePages; pfn: Pfn }[] = [];
  const unmap = (): void => {
    for (let one = held.pop(); one; one = held.pop()) one.pages.putPage(one.pfn);
  };
  let totalBytes = 0;
  try {
    for (let i = 0; i < table.nents; i++) {
      const end = sgPhys(table, i) + table.length[i]!;
      totalBytes += table.length[i]!;
      for (let pfn = table.pfn[i]! as Pfn; pfn * PAGE_SIZE < end; pfn = (pfn + 1) as Pfn) holdFrame(pfn);
    }
  } catch (error) {
    unmap();
    throw error;
  }

  function holdFrame(pfn: Pfn): void {
    const pages = devicePages.at(pfn);
    if (!pages || (pages.ioByPfn && byPfn)) return;
    try {
      pages.getPage(pfn, false);
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== 'EFAULT') throw error;
      throw new KernelError('EOPNOTSUPP', `DMA to pfn ${hex(pfn)} of ${pages.owner}, which has no struct page`, { cause: error });
    }
    held.push({ pages, pfn });
  }

  return { table, totalBytes, unmap };
}
