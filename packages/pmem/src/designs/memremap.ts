/**
 * What Linux does of its own accord since 4.3: struct pages from RAM, made when the disk is, with the ones that an info block set aside
 * on the device instead, if it did. Not a choice of the administrator's; {@link ./ram.ts} is.
 */
import { PAGE_SIZE, STRUCT_PAGE_SIZE, bugOn } from '@holdfast/lib';
import { type DevPagemap, pagemapPages } from '@holdfast/memory-hotplug';
import type { AttachedPages, DesignDevice, PageHost } from '../page-design.js';
import { countedPages } from './counted-pages.js';

/**
 * Struct pages for a whole device by one pagemap.
 * @param owner of the pagemap, for people
 * @throws KernelError as memremapPages does
 */
export function attachMemremap(device: DesignDevice, host: PageHost, { dataOffset = 0, owner = device.name, ...more }: {
  readonly dataOffset?: number;
  readonly owner?: string;
  readonly altmap?: DevPagemap['altmap'];
} = {}): AttachedPages {
  const { start, sizeBytes } = device;
  const pgmap: DevPagemap = { type: 'fs-dax', start, sizeBytes, owner, chargeArray: chargeArrayOf(device, host), ...more };
  const release = host.memremapPages(pgmap, device.nid);
  const counted = countedPages(device.name, pagemapPages(pgmap), host.pageRefs);
  const onDevice = more.altmap !== undefined;
  let attached = true;
  return {
    dataOffset,
    dataSize: sizeBytes - dataOffset,
    pages: counted.pages,
    ramPageBytes: () => (onDevice ? 0 : (sizeBytes / PAGE_SIZE) * STRUCT_PAGE_SIZE),
    devicePageBytes: () => dataOffset,
    held: () => counted.held(),
    makeAllReady: () => undefined,
    detach() {
      counted.checkIdle();
      bugOn(!attached, `${device.name} was detached twice`);
      attached = false;
      release();
    },
  };
}

/** Struct pages on a device are stored through a mapping of its own memory type. */
export function chargeArrayOf({ memoryType }: DesignDevice, host: PageHost): NonNullable<DevPagemap['chargeArray']> {
  return (start, sizeBytes) => host.chargeStores?.(start, sizeBytes, memoryType);
}
