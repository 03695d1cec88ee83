/**
 * Which persistent ranges of the memory map are to have struct pages from boot on: `pmem.pages=e820-pages` for all, or for the disks that it
 * names, the first range of type 12 being pmem0. They are memory to memblock, and reserved: their sections are present, their zone spans
 * them, and nobody is ever given a page of them. See pmem's designs/e820-pages.ts.
 *
 * Invariant: only ranges of type 12 (E820_TYPE_PRAM): what an NFIT or a BAR tells of comes after memblock.
 */
import { type KernelParam, type Range, moduleParams, silentPrintk } from '@holdfast/lib';
import { E820_TYPE_PRAM, type E820Table } from '@holdfast/e820';
import { type PmemConfig, choosePageDesign, pmemPagesParams } from '@holdfast/pmem';

/** Bytes, `[start, end)`. The parameter's own refusals are the driver's to log. */
export function e820PagesRanges({ entries }: Pick<E820Table, 'entries'>, params: readonly KernelParam[], config: PmemConfig | undefined): Range[] {
  const { values } = moduleParams('pmem', pmemPagesParams, params, silentPrintk);
  return entries
    .filter(({ type }) => type === E820_TYPE_PRAM)
    .map(({ addr, size }) => ({ start: Number(addr), end: Number(addr + size) }))
    .filter((_, nr) => choosePageDesign(`pmem${nr}`, { params: values, defaultPages: config?.defaultPages })?.madeAtBoot === true);
}
