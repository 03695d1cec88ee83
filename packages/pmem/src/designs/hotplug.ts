/**
 * A part of the device becomes system RAM, and the struct pages of the rest come from the page allocator, whose pools it has made bigger:
 * "works today through memory_hotplug" (Boaz Harrosh, April 2015). `pmem.ram_bytes` says how much; a 64th, the least that is enough, if
 * nobody says.
 *
 * Invariant: the sizes of the disk and of the RAM add up to the device's, but for what is behind its last whole memory block.
 */
import { KernelError, PAGE_SIZE, STRUCT_PAGE_SIZE } from '@holdfast/lib';
import type { DevPagemap } from '@holdfast/memory-hotplug';
import { pagemapPages } from '@holdfast/memory-hotplug';
import type { PageDesign } from '../page-design.js';
import { binarySize } from './binary-size.js';
import { countedPages } from './counted-pages.js';
import { takePageArea } from './page-area.js';
import { addRamPartition, layOutRamPartition, leastRamBytes } from './ram-partition.js';

export const hotplugPages = {
  name: 'hotplug',
  summary: 'a part of the device becomes system RAM, from which the rest takes its struct pages',
  keepsArea: true,
  attach(device, host) {
    const { name, start, sizeBytes, nid, options } = device;
    const least = leastRamBytes(sizeBytes);
    const ramBytes = options.ramBytes ?? least;
    if (ramBytes < least) {
      throw new KernelError(
        'ENOSPC',
        `${name}: ${binarySize(ramBytes)} of RAM cannot hold the struct pages of ${binarySize(sizeBytes)}: expected at least ${binarySize(least)}`,
      );
    }
    const ram = layOutRamPartition(device, host, ramBytes);
    const dataSize = ram.start - start;
    const pgmap: DevPagemap = { type: 'fs-dax', start, sizeBytes: dataSize, owner: name };
    takePageArea(host, device, 'hotplug', sizeBytes - dataSize);
    const removeRam = addRamPartition(device, host, ram);
    const attachRest = (): (() => void) => host.memremapPages(pgmap, nid);
    let release: () => void;
    try {
      release = attachRest();
    } catch (error) {
      removeRam();
      throw error;
    }
    const counted = countedPages(name, pagemapPages(pgmap), host.pageRefs);
    return {
      dataOffset: 0,
      dataSize,
      pages: counted.pages,
      ramPageBytes: () => (dataSize / PAGE_SIZE) * STRUCT_PAGE_SIZE,
      devicePageBytes: () => (ram.sizeBytes / PAGE_SIZE) * STRUCT_PAGE_SIZE,
      held: () => counted.held(),
      makeAllReady: () => undefined,
      detach() {
        counted.checkIdle();
        // The struct pages of the disk lie in the RAM that is to go.
        release();
        try {
          removeRam();
        } catch (error) {
          release = attachRest();
          throw error;
        }
      },
    };
  },
} satisfies PageDesign;
