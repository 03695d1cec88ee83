import { GIB, PAGE_SIZE, PAGES_PER_SECTION, nodeId, pfn } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Piece, bootMm } from '../test/test-mm.js';
import { GFP_KERNEL } from './gfp.js';
import { kpageflagsRuns } from './proc-kpageflags.js';
import type { Zone } from './zone.js';
import { ZONE_DEVICE, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from './zone-layout.js';

const NODE0 = nodeId(0);
const FOUR_GIB = 0x10_0000;
const ONE_GIB: Piece[] = [{ start: 1, end: 0x9f }, { start: 0x100, end: 0x3ffe0 }];
const TWO_GIB: Piece[] = [{ start: 1, end: 0x9f }, { start: 0x100, end: 0x7ffe0 }];

const spanOf = ({ startPfn, spanned, present, managed }: Zone): number[] => [startPfn, spanned, present, managed];
const frames = (start: number, nrSections: number): [ReturnType<typeof pfn>, ReturnType<typeof pfn>] => [pfn(start), pfn(start + nrSections * PAGES_PER_SECTION)];

describe('boot', () => {
  it('frees what memblock has not reserved, zone by zone', () => {
    const { mm } = bootMm(ONE_GIB, { reserve: [[0x4000, 0x5000]] });
    expect(mm.zones().filter(({ present }) => present > 0).map(spanOf)).toEqual([[1, 4095, 3998, 3840], [4096, 258_016, 258_016, 253_920]]);
    expect(mm.totalRamPages()).toBe(257_760);
    expect(mm.zones().map(({ buddy }) => buddy.freePages)).toEqual([3840, 253_920, 0, 0, 0]);
    expect(mm.vmemmap.readPage(0x4800)).toMatchObject({ reserved: true, refcount: 1, zoneIndex: ZONE_DMA32 });
  });

  it('shows the first MiB and holes inside a used unit as reserved, and units without memory as having no page', () => {
    const { mm } = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: 0x40000 }, { start: 0x46400, end: 0x7ffe0 }], { reserve: [[0x4000, 0x5000]] });
    expect(kpageflagsRuns([...mm.nodes.values()], mm.vmemmap)).toEqual([
      { first: 0, count: 256, flags: 'reserved' },
      { first: 256, count: 0x4000 - 256, flags: '-' },
      { first: 0x4000, count: 0x1000, flags: 'reserved' },
      { first: 0x5000, count: 0x40000 - 0x5000, flags: '-' },
      { first: 0x40000, count: 25_600, flags: 'nopage' },
      { first: 0x46400, count: 0x7ffe0 - 0x46400, flags: '-' },
      { first: 0x7ffe0, count: 32, flags: 'reserved' },
    ]);
  });

  it('gives back reserved memory later', () => {
    const { mm } = bootMm(ONE_GIB, { reserve: [[0x4000, 0x5000]] });
    mm.freeReserved(pfn(0x4000), pfn(0x4fff));
    expect(mm.totalRamPages()).toBe(257_760 + 4095);
    expect(mm.vmemmap.readPage(0x4800)).toMatchObject({ reserved: false, refcount: 0 });
    expect(mm.vmemmap.readPage(0x4fff)).toMatchObject({ reserved: true, refcount: 1 });
  });

  it('takes memory and struct pages by the number of ranges, not by size: 16 TiB', () => {
    const { mm, chunks } = bootMm([...ONE_GIB, { start: FOUR_GIB, end: FOUR_GIB + (16 * 1024 * GIB) / PAGE_SIZE }]);
    expect(mm.totalRamPages()).toBe(257_760 + 4096 + 2 ** 32);
    expect(chunks.size).toBeLessThanOrEqual(3);
    const slots = mm.zones().reduce((sum, { buddy }) => sum + buddy.memmaps.length - 1, 0);
    expect(slots).toBeLessThanOrEqual(6);
  });
});

describe('onlinePages', () => {
  it('grows span, present and managed over a hole, as three of four blocks of a DIMM do', () => {
    const { mm, rebuilds } = bootMm(ONE_GIB);
    for (const block of [32, 34, 35]) mm.onlinePages(...frames(block * PAGES_PER_SECTION, 1), NODE0, ZONE_NORMAL);
    expect(spanOf(mm.zone(NODE0, ZONE_NORMAL))).toEqual([1_048_576, 131_072, 98_304, 98_304]);
    expect(mm.zone(NODE0, ZONE_NORMAL).watermark.min).toBeGreaterThan(0);
    expect(rebuilds).toHaveLength(1); // only the first made the zone populated
  });

  it('logs the total of before the watermarks are done again', () => {
    const { mm, rebuilds } = bootMm(ONE_GIB);
    const high = mm.zones().reduce((sum, { watermark }) => sum + watermark.high, 0);
    mm.onlinePages(...frames(FOUR_GIB, 1), NODE0, ZONE_NORMAL);
    expect(rebuilds).toEqual([`${257_760 + 4096 + 32_768 - high}, Normal`]);
  });

  it('keeps the pages that hold a block\'s own struct pages', () => {
    const { mm } = bootMm(ONE_GIB);
    mm.onlinePages(...frames(FOUR_GIB, 1), NODE0, ZONE_NORMAL, { first: 512, last: 0 });
    expect(spanOf(mm.zone(NODE0, ZONE_NORMAL))).toEqual([FOUR_GIB, 32_768, 32_768, 32_256]);
    expect(mm.vmemmap.readPage(FOUR_GIB + 511)).toMatchObject({ reserved: true, refcount: 1 });
    mm.offlinePages(...frames(FOUR_GIB, 1), { first: 512, last: 0 });
    expect(spanOf(mm.zone(NODE0, ZONE_NORMAL))).toEqual([0, 0, 0, 0]);
  });

  it('refuses frames that are online already', () => {
    const { mm } = bootMm(ONE_GIB);
    expect(() => mm.onlinePages(...frames(0, 1), NODE0, ZONE_NORMAL)).toThrow('pfns 0-32767 cannot go online: 1 is');
  });
});

describe('offlinePages', () => {
  it('takes a block out of the middle of boot memory: the span stays', () => {
    const { mm } = bootMm(TWO_GIB);
    mm.offlinePages(...frames(4 * PAGES_PER_SECTION, 1));
    expect(spanOf(mm.zone(NODE0, ZONE_DMA32))).toEqual([4096, 520_160, 487_392, 487_392]);
    expect(mm.allocPages(GFP_KERNEL, 10, NODE0)).toBeDefined();
  });

  it('empties a zone, and logs the lists after the watermarks', () => {
    const { mm, rebuilds } = bootMm(ONE_GIB);
    mm.onlinePages(...frames(FOUR_GIB, 2), NODE0, ZONE_MOVABLE);
    mm.offlinePages(...frames(FOUR_GIB, 1));
    expect(spanOf(mm.zone(NODE0, ZONE_MOVABLE))).toEqual([FOUR_GIB + 32_768, 32_768, 32_768, 32_768]);
    mm.offlinePages(...frames(FOUR_GIB + 32_768, 1));
    expect(spanOf(mm.zone(NODE0, ZONE_MOVABLE))).toEqual([0, 0, 0, 0]);
    const high = mm.zones().reduce((sum, { watermark }) => sum + watermark.high, 0);
    expect(rebuilds[1]).toBe(`${261_856 - high}, DMA32`);
  });

  it('fails with EBUSY where a page is in use, and leaves all as it was', () => {
    const { mm } = bootMm(TWO_GIB);
    const used = mm.allocPages(GFP_KERNEL, 0, NODE0)!;
    const block = Math.floor(used / PAGES_PER_SECTION) * PAGES_PER_SECTION;
    const zone = mm.zone(NODE0, ZONE_DMA32);
    mm.onlinePages(...frames(FOUR_GIB, 1), NODE0, ZONE_NORMAL);
    const inNormal = mm.allocPages(GFP_KERNEL, 0, NODE0)!;
    const before = [spanOf(zone), mm.zones().map(({ buddy }) => buddy.freePages)];
    expect(() => mm.offlinePages(...frames(FOUR_GIB, 1))).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect([spanOf(zone), mm.zones().map(({ buddy }) => buddy.freePages)]).toEqual(before);
    expect(block).toBeLessThan(FOUR_GIB);
    mm.freePages(inNormal, 0);
    mm.offlinePages(...frames(FOUR_GIB, 1));
  });

  it('fails with EINVAL on a hole and across zones', () => {
    const { mm } = bootMm(ONE_GIB);
    for (const block of [0, 7, 32]) {
      expect(() => mm.offlinePages(...frames(block * PAGES_PER_SECTION, 1))).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    }
  });

  it('goes back and forth without losing a page, whatever was allocated between', () => {
    const action = fc.record({ block: fc.integer({ min: 32, max: 37 }), movable: fc.boolean(), order: fc.integer({ min: 0, max: 10 }), free: fc.boolean() });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const { mm } = bootMm(ONE_GIB);
        const boot = mm.totalRamPages();
        const online = new Set<number>();
        const taken: [ReturnType<typeof pfn>, number][] = [];
        for (const { block, movable, order, free } of actions) {
          const range = frames(block * PAGES_PER_SECTION, 1);
          if (!online.has(block)) {
            mm.onlinePages(...range, NODE0, movable ? ZONE_MOVABLE : ZONE_NORMAL);
            online.add(block);
          } else {
            const busy = taken.some(([first]) => first >= range[0] && first < range[1]);
            if (busy) expect(() => mm.offlinePages(...range)).toThrow(/in use/);
            else {
              mm.offlinePages(...range);
              mm.removePages(...range);
              online.delete(block);
            }
          }
          const first = mm.allocPages(GFP_KERNEL, order, NODE0);
          if (first !== undefined) taken.push([first, order]);
          if (free && taken.length > 0) mm.freePages(...taken.shift()!);
          expect(mm.totalRamPages()).toBe(boot + online.size * PAGES_PER_SECTION);
        }
        for (const [first, order] of taken) mm.freePages(first, order);
        const free = mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0);
        expect(free).toBe(mm.totalRamPages());
      }),
      { numRuns: 25 },
    );
  });
});

describe('addDevicePages', () => {
  it('stretches the span and never shrinks it; nothing becomes present', () => {
    const { mm, chunks } = bootMm(ONE_GIB);
    const made = chunks.size;
    mm.addDevicePages(pfn(FOUR_GIB), pfn(FOUR_GIB + 2 ** 30), NODE0);
    expect(spanOf(mm.zone(NODE0, ZONE_DEVICE))).toEqual([FOUR_GIB, 2 ** 30, 0, 0]);
    expect(mm.vmemmap.readPage(FOUR_GIB + 12_345)).toMatchObject({ reserved: true, refcount: 1, zoneIndex: ZONE_DEVICE });
    mm.removeDevicePages(pfn(FOUR_GIB), pfn(FOUR_GIB + 2 ** 30));
    expect(mm.zone(NODE0, ZONE_DEVICE).spanned).toBe(2 ** 30);
    expect(mm.vmemmap.zoneOf(FOUR_GIB)).toBeUndefined();
    expect(chunks.size).toBe(made);
  });
});
