/** Memory for processes: 128 MiB of RAM, and 64 MiB of an NVDIMM whose frames have struct pages unless told otherwise. */
import { DEFAULT_RELEASE, MIB, type PhysAddr, SECTION_MEMMAP_SIZE, nodeId, pfn } from '@holdfast/lib';
import { type Machine, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type DevicePages, type UserPages, createDevicePagesMap, createMemblock, createMm, createUserPages, freeAreaInit } from '@holdfast/mm';

/** Where the NVDIMM begins, in bytes and frames. */
export const DEVICE_START = 256 * MIB;
export const DEVICE_PFN = DEVICE_START / 4096;
export const DEVICE_SIZE = 64 * MIB;
const RAM_SIZE = 128 * MIB;

export function deviceMachine(): Machine {
  return createMachine({ media: [{ start: 0, medium: createDram(RAM_SIZE) }, { start: DEVICE_START, medium: createNvdimm({ sizeBytes: DEVICE_SIZE }) }] });
}

export function bootUserPages(machine = deviceMachine(), pte: DevicePages['pte'] = 'devmap'): UserPages {
  const memblock = createMemblock();
  const node = nodeId(0);
  memblock.add(0, RAM_SIZE, node);
  memblock.reserve(0, 16 * MIB);
  const numa = { withMemory: [node], possible: [node], online: [node] };
  const mm = createMm({
    memory: machine.memory,
    memmapPhys: (section) => (section * SECTION_MEMMAP_SIZE) as PhysAddr,
    layout: freeAreaInit({ memblock, maxPfn: pfn(RAM_SIZE / 4096), numa, params: [], release: DEFAULT_RELEASE, printk: () => {} }),
    fallbackOrders: () => new Map([[node, [node]]]),
    printk: () => {},
  });
  mm.freeAll(memblock.freeRanges());
  const devicePages = createDevicePagesMap();
  devicePages.register({
    start: pfn(DEVICE_PFN), end: pfn(DEVICE_PFN + DEVICE_SIZE / 4096), owner: 'nvdimm', pte, ioByPfn: false, getPage: () => {}, putPage: () => {},
  });
  return createUserPages({ memory: machine.memory, mm, devicePages, nid: node, zeroFrame: pfn(2048) });
}
