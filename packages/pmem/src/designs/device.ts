/**
 * Struct pages on the device itself: an area at its end is the memmap of its frames, read and written where it lies. "struct page inside
 * the pmem device as metadata" (Ingo Molnar, April 2015); in Linux nd_pfn with mode pmem, and vmem_altmap.
 *
 * Invariant: the array is fresh at each attach, whatever was there: its layout is private to a kernel, and the header says whose it is.
 * Differs from Linux: the area lies at the end. With `pmem.ram_bytes` the very end is system RAM, and the array in front of it.
 */
import { STRUCT_PAGE_SIZE, PAGE_SIZE, SECTION_SIZE, physAdd, roundDown, roundUp } from '@holdfast/lib';
import type { PhysAddr } from '@holdfast/lib';
import type { DevPagemap } from '@holdfast/memory-hotplug';
import { pagemapPages } from '@holdfast/memory-hotplug';
import type { AttachedPages, DesignDevice, PageDesign, PageHost } from '../page-design.js';
import { chargeArrayOf } from './memremap.js';
import { countedPages } from './counted-pages.js';
import { pageAreaBytes, takePageArea } from './page-area.js';
import { addRamPartition, layOutRamPartition } from './ram-partition.js';

const RESERVE = 8192;

export const pagesOnDevice = {
  name: 'device',
  summary: 'struct pages in an area at the end of the device, fresh at each attach',
  keepsArea: true,
  attach(device, host) {
    const { options, start, sizeBytes } = device;
    const ram = options.ramBytes === undefined ? undefined : layOutRamPartition(device, host, options.ramBytes);
    const rest = { start, sizeBytes: (ram?.start ?? start + sizeBytes) - start };
    return attachArray(device, host, 'device', { ...rest, arrayBytes: pageAreaBytes(rest), ...(ram ? { ram } : {}) });
  },
} satisfies PageDesign;

/** What of a device has its array where: `[start, start + sizeBytes)` has struct pages in its last `arrayBytes`. */
export interface ArrayLayout {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly arrayBytes: number;
  /** Behind it. */
  readonly ram?: { readonly start: PhysAddr; readonly sizeBytes: number };
}

export function attachArray(device: DesignDevice, host: PageHost, design: string, { start, sizeBytes, arrayBytes, ram }: ArrayLayout): AttachedPages {
  const dataSize = sizeBytes - arrayBytes;
  const areaBytes = device.sizeBytes - dataSize;
  const preallocated = { start: physAdd(start, dataSize), sizeBytes: arrayBytes - RESERVE };
  const pgmap: DevPagemap = { type: 'fs-dax', start, sizeBytes, owner: device.name, preallocated, chargeArray: chargeArrayOf(device, host) };
  takePageArea(host, device, design, areaBytes);
  let removeRam = ram && addRamPartition(device, host, ram);
  let release: () => void;
  try {
    release = host.memremapPages(pgmap, device.nid);
  } catch (error) {
    removeRam?.();
    throw error;
  }
  const counted = countedPages(device.name, pagemapPages(pgmap), host.pageRefs);
  const wholeSections = roundDown(start + sizeBytes, SECTION_SIZE) - roundUp(start, SECTION_SIZE);
  return {
    dataOffset: 0,
    dataSize,
    pages: counted.pages,
    // Sections that the device shares take theirs from RAM, as in Linux.
    ramPageBytes: () => ((sizeBytes - Math.max(0, wholeSections)) / PAGE_SIZE) * STRUCT_PAGE_SIZE,
    devicePageBytes: () => arrayBytes,
    held: () => counted.held(),
    makeAllReady: () => undefined,
    detach() {
      counted.checkIdle();
      removeRam?.();
      removeRam = undefined;
      release();
    },
  };
}
