/**
 * Struct pages in RAM, for ranges that the firmware's memory map tells of: "old Intel patches" in the thread of April 2015, row 10 of which
 * says what became of them. Simple, and right for a battery-backed DIMM of RAM's own size; for a large device it costs a lot of RAM.
 */
import { KernelError, PAGE_SIZE, STRUCT_PAGE_SIZE } from '@holdfast/lib';
import type { PageDesign } from '../page-design.js';
import { binarySize } from './binary-size.js';
import { attachMemremap } from './memremap.js';

export const pagesInRam = {
  name: 'ram',
  summary: 'struct pages in RAM, 64 bytes for each 4 KiB, for ranges of the firmware\'s memory map',
  attach(device, host) {
    const { name, sizeBytes, bus } = device;
    if (bus !== 'e820') {
      throw new KernelError(
        'EOPNOTSUPP',
        `${name}: pages in RAM are for ranges of the e820 memory map, and this device is on the ${bus} bus: see pmem.pages=dynamic`,
      );
    }
    const needed = (sizeBytes / PAGE_SIZE) * STRUCT_PAGE_SIZE;
    try {
      return attachMemremap(device, host);
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== 'ENOMEM') throw error;
      throw new KernelError('ENOMEM', `${name}: struct pages for ${binarySize(sizeBytes)} take ${binarySize(needed)} of RAM, which is not there`, {
        cause: error,
      });
    }
  },
} satisfies PageDesign;
