/** Processes' memory over 128 MiB of RAM, with two devices' frames behind it: one with struct pages, one without. */
import { DEFAULT_RELEASE, MIB, type Pfn, nodeId, pfn } from '@holdfast/lib';
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type DevicePagesMap, type Mm, type UserPages, createDevicePagesMap, createUserPages } from '../src/index.js';
import { bootMm } from './test-mm.js';

export const RELEASE = DEFAULT_RELEASE;
/** Frames of the device with struct pages, and of the one without: 32 MiB each. */
export const WITH_PAGES = 0x10000;
export const WITHOUT_PAGES = 0x12000;
export const DEVICE_FRAMES = 0x2000;

export interface TestUser {
  readonly pages: UserPages;
  readonly mm: Mm;
  readonly devicePages: DevicePagesMap;
  /** References to frames of the device with pages, by frame. */
  readonly refs: Map<number, number>;
  freePages(): number;
}

export function bootUser({ ramEnd = 0x8000 } = {}): TestUser {
  const { mm } = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: ramEnd }]);
  const { memory } = createMachine({
    media: [{ start: 0, medium: createDram(128 * MIB) }, { start: WITH_PAGES * 4096, medium: createNvdimm({ sizeBytes: 64 * MIB }) }],
  });
  const devicePages = createDevicePagesMap();
  const refs = new Map<number, number>();
  const change = (frame: Pfn, by: number): void => void refs.set(frame, (refs.get(frame) ?? 0) + by);
  devicePages.register({
    start: pfn(WITH_PAGES), end: pfn(WITH_PAGES + DEVICE_FRAMES), owner: 'pages', pte: 'devmap', ioByPfn: false,
    getPage: (frame) => change(frame, 1), putPage: (frame) => change(frame, -1),
  });
  devicePages.register({
    start: pfn(WITHOUT_PAGES), end: pfn(WITHOUT_PAGES + DEVICE_FRAMES), owner: 'none', pte: 'special', ioByPfn: false,
    getPage: () => {
      throw new Error('asked for a page that is not there');
    },
    putPage: () => {},
  });
  const pages = createUserPages({ memory, mm, devicePages, nid: nodeId(0), zeroFrame: pfn(16) });
  return { pages, mm, devicePages, refs, freePages: () => mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0) };
}
