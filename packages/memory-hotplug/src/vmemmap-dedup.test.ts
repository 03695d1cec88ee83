import { GIB, MIB, pfn, physAddr } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createDeviceMemory } from './memremap.js';
import { setUp } from '../test/small-machine.js';

/** Map a device at 4 GiB above everything, and tell what its struct pages take. */
function mapDevice(sizeBytes: number, options: { vmemmapShift?: number; altmap?: { reserve: number; free: number } }) {
  const { sections, iomem, taken } = setUp();
  let firstPage = 0;
  let nextBlock = GIB;
  const device = createDeviceMemory({
    sections,
    source: {
      allocBlocks(_nid, order, count) {
        pages += count * 2 ** order;
        const start = physAddr(nextBlock);
        nextBlock += count * 2 ** order * 4096;
        return [{ start, count }];
      },
      freeBlocks: (order, runs) => runs.forEach(({ count }) => (pages -= count * 2 ** order)),
    },
    zoneDevice: { moveToZoneDevice: (_range, _nid, _pgmap, pages) => (firstPage = pages.start), removeFromZoneDevice: () => {} },
    iomem,
    maxPhysAddr: 2 ** 46,
    printk: () => {},
  });
  let pages = taken();
  const release = device.memremapPages({ type: 'generic', start: physAddr(8 * GIB), sizeBytes, owner: 'dax0.0', ...options }, 0 as never);
  const used = pages;
  return { used, firstPage, sections, release, left: () => pages };
}

describe('struct pages of a device', () => {
  it.each<[what: string, size: number, shift: number, pages: number]>([
    ['1 GiB of single pages: 16 MiB', GIB, 0, 4096],
    ['1 GiB of 2 MiB pages: two pages each', GIB, 9, 1024],
    ['4 GiB of 1 GiB pages: two pages each', 4 * GIB, 18, 8],
    ['1 TiB of 1 GiB pages: 8 MiB', 1024 * GIB, 18, 2048],
    ['1 TiB of 2 MiB pages: 4 GiB', 1024 * GIB, 9, 2 ** 20],
    ['half a 1 GiB page', 512 * MIB, 18, 2],
  ])('%s', (_what, size, vmemmapShift, pages) => {
    const { used, release, left } = mapDevice(size, { vmemmapShift });
    expect(used).toBe(pages);
    release();
    expect(left()).toBe(0);
  });

  it('share the second page of a compound page', () => {
    const { sections } = mapDevice(GIB, { vmemmapShift: 9 });
    const first = 0x200000;
    const at = (frame: number): number => sections.structPagePhys(pfn(first + frame))! - GIB;
    expect([0, 1, 63, 64, 127, 128, 511].map(at)).toEqual([0, 64, 63 * 64, 4096, 4096 + 63 * 64, 4096, 4096 + 63 * 64]);
    expect([512, 576].map(at)).toEqual([8192, 12288]);
    expect(sections.memmapPhys(64)).toBeUndefined();
  });

  it('lie on the device where it sets room aside, and only those behind it are device pages', () => {
    const { used, firstPage, sections, release } = mapDevice(GIB, { altmap: { reserve: 2, free: 4606 }, vmemmapShift: 9 });
    expect(used).toBe(0);
    expect(firstPage).toBe(0x200000 + 4608);
    expect(sections.memmapPhys(65)).toBe(8 * GIB + 2 * MIB + 2 * MIB);
    release();
    expect(sections.pfnValid(pfn(0x200000))).toBe(false);
  });

  it('take ordinary memory for a piece of a section, whatever the device sets aside', () => {
    expect(mapDevice(130 * MIB, { altmap: { reserve: 2, free: 1022 } }).used).toBe(8);
  });

  it('are refused where the device has too little room, and nothing is left', () => {
    expect(() => mapDevice(GIB, { altmap: { reserve: 2, free: 4000 } })).toThrow(/frames for struct pages/);
    expect(() => mapDevice(2 * MIB, { altmap: { reserve: 2, free: 4000 } })).toThrow(/it cannot hold/);
  });
});
