import { type Pfn, nodeId, physToPfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type Piece, bootMm } from '../test/test-mm.js';
import {
  GFP_ATOMIC, GFP_DMA, GFP_DMA32, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOWAIT, __GFP_MEMALLOC, __GFP_MOVABLE, __GFP_RECLAIMABLE, __GFP_THISNODE,
  gfpMigratetype, gfpZone,
} from './gfp.js';
import { pageblockType } from './buddy-range.js';
import type { Mm } from './mm-init.js';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from './zone-layout.js';

const NODE0 = nodeId(0);
const NODE1 = nodeId(1);
const FOUR_GIB = 0x10_0000;
const SIX_GIB: Piece[] = [{ start: 1, end: 0x9f }, { start: 0x100, end: 0xbffe0 }, { start: FOUR_GIB, end: 0x1c_0000 }];

const zoneOf = (mm: Mm, frame: Pfn | undefined): string => {
  const zone = frame === undefined ? undefined : mm.pageZone(frame);
  return zone ? `${zone.nid}/${zone.name}` : 'none';
};

/** Take blocks of an order until there are no more; the zones they came from, in order. */
function drain(mm: Mm, gfp: number, order: number, nid = NODE0): string[] {
  const zones: string[] = [];
  for (let frame = mm.allocPages(gfp, order, nid); frame !== undefined; frame = mm.allocPages(gfp, order, nid)) {
    const zone = zoneOf(mm, frame);
    if (zones.at(-1) !== zone) zones.push(zone);
  }
  return zones;
}

describe('gfpZone', () => {
  it.each([
    [0x0, ZONE_NORMAL], [0x1, ZONE_DMA], [0x2, ZONE_NORMAL], [0x4, ZONE_DMA32], [0x8, ZONE_NORMAL], [0x9, ZONE_DMA], [0xa, ZONE_MOVABLE], [0xc, ZONE_DMA32],
  ])('maps modifiers 0x%s to zone %i', (gfp, zone) => expect(gfpZone(gfp)).toBe(zone));

  it.each([0x3, 0x5, 0x6, 0x7, 0xb, 0xd, 0xe, 0xf])('refuses modifiers 0x%s', (gfp) => expect(() => gfpZone(gfp)).toThrow(/contradict/));

  it('reads the mobility type from two bits', () => {
    expect([GFP_KERNEL, __GFP_MOVABLE, __GFP_RECLAIMABLE, GFP_HIGHUSER_MOVABLE].map(gfpMigratetype)).toEqual([0, 1, 2, 1]);
    expect(() => gfpMigratetype(__GFP_MOVABLE | __GFP_RECLAIMABLE)).toThrow(/both/);
  });
});

describe('allocPages', () => {
  it('starts in the highest zone that the request allows', () => {
    const { mm } = bootMm(SIX_GIB);
    mm.onlinePages(0x20_0000 as Pfn, 0x20_8000 as Pfn, NODE0, ZONE_MOVABLE);
    const zones = [GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_DMA32, GFP_DMA].map((gfp) => zoneOf(mm, mm.allocPages(gfp, 0, NODE0)));
    expect(zones).toEqual(['0/Normal', '0/Movable', '0/DMA32', '0/DMA']);
  });

  it('goes down from zone to zone, and leaves each its low memory reserve and mark', () => {
    const { mm, chunks } = bootMm(SIX_GIB);
    expect(drain(mm, GFP_KERNEL, 10)).toEqual(['0/Normal', '0/DMA32', '0/Normal', '0/DMA32']); // to the low marks, then to the min marks
    for (const zone of [mm.zone(NODE0, ZONE_DMA32), mm.zone(NODE0, ZONE_NORMAL)]) {
      expect(zone.buddy.freePages).toBeGreaterThanOrEqual(zone.watermark.min + zone.lowmemReserve[ZONE_NORMAL]!);
      expect(zone.buddy.freePages).toBeLessThan(zone.watermark.min + zone.lowmemReserve[ZONE_NORMAL]! + 2048 + 1024);
    }
    expect(mm.zone(NODE0, ZONE_DMA).buddy.freePages).toBe(3840); // all of it is kept from those who could go higher
    expect(mm.nodes.get(NODE0)!.kswapdWakeups).toBeGreaterThan(0);
    expect(chunks.size).toBeLessThan(5);
  });

  it('lets urgent requests dip into the reserve, and the reclaimer take all', () => {
    const { mm } = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: 0x8000 }]);
    const left: number[] = [];
    for (const gfp of [GFP_NOWAIT, GFP_KERNEL, GFP_ATOMIC, GFP_KERNEL | __GFP_MEMALLOC]) {
      drain(mm, gfp, 0);
      left.push(mm.zone(NODE0, ZONE_DMA32).buddy.freePages);
    }
    const { min } = mm.zone(NODE0, ZONE_DMA32).watermark;
    expect(left).toEqual([min, min, min - Math.floor(min * (1 - 3 / 8)), 0]);
  });

  it('turns to other nodes in their order, unless told to stay', () => {
    const { mm } = bootMm([...SIX_GIB, { start: 0x20_0000, end: 0x28_0000, nid: 1 }]);
    expect(zoneOf(mm, mm.allocPages(GFP_KERNEL, 0, NODE1))).toBe('1/Normal');
    expect(drain(mm, GFP_KERNEL | __GFP_THISNODE, 10, NODE1)).toEqual(['1/Normal']);
    expect(zoneOf(mm, mm.allocPages(GFP_KERNEL, 10, NODE1))).toBe('0/Normal');
    const { hit, local, foreign } = mm.zone(NODE1, ZONE_NORMAL).numa;
    expect([hit === local, foreign]).toEqual([true, 1]);
    expect(mm.zone(NODE0, ZONE_NORMAL).numa).toMatchObject({ miss: 1, other: 1 });
  });

  it('warns once of an order that no list has, and returns nothing', () => {
    const { mm, log } = bootMm(SIX_GIB);
    expect([mm.allocPages(GFP_KERNEL, 11, NODE0), mm.allocPages(GFP_KERNEL, 12, NODE0)]).toEqual([undefined, undefined]);
    expect(log).toEqual(['WARNING: __alloc_pages: order 11 is above the largest, 10']);
  });
});

describe('freePages', () => {
  it('returns a block to the zone it is from', () => {
    const { mm } = bootMm(SIX_GIB);
    const free = (): number[] => mm.zones().map(({ buddy }) => buddy.freePages);
    const before = free();
    const frames = [GFP_KERNEL, GFP_DMA32, GFP_DMA].map((gfp) => mm.allocPages(gfp, 3, NODE0)!);
    expect(free()).not.toEqual(before);
    for (const frame of frames) mm.freePages(frame, 3);
    expect(free()).toEqual(before);
  });

  it('refuses frames that nobody took', () => {
    const { mm } = bootMm(SIX_GIB);
    for (const frame of [0x2000, 0x50, 0xc_0000, 0x1bffff]) expect(() => mm.freePages(frame as Pfn, 0)).toThrow(/pfn:/);
  });
});

describe('allocBlocks', () => {
  const HALF_TIB: Piece[] = [...SIX_GIB.slice(0, 2), { start: FOUR_GIB, end: FOUR_GIB + 2 ** 27 }];

  it('takes the frames that as many single calls take, in bulk, and gives them back', () => {
    const { mm } = bootMm(SIX_GIB);
    const { mm: single } = bootMm(SIX_GIB);
    const wanted = 301;
    const frames = mm.allocBlocks(NODE0, 9, wanted).flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => physToPfn(start) + i * 512));
    const expected = Array.from({ length: wanted }, () => single.allocPages(GFP_KERNEL, 9, NODE0)!);
    expect(frames).toEqual(expected);
    for (const frame of frames) {
      expect(mm.vmemmap.readPage(frame)).toMatchObject({ refcount: 1, buddyOrder: undefined });
      expect(mm.vmemmap.readPage(frame + 1)).toMatchObject({ refcount: 0, buddyOrder: undefined });
      expect(pageblockType(mm.pageZone(frame as Pfn)!.buddy, frame)).toBe(0);
    }
  });

  it('needs no memory for what it hands out', () => {
    const { mm, chunks } = bootMm(HALF_TIB);
    const made = chunks.size;
    const before = mm.zones().map(({ buddy }) => buddy.freePages);
    const runs = mm.allocBlocks(NODE0, 9, 200_000);
    expect(runs.reduce((sum, { count }) => sum + count, 0)).toBe(200_000);
    expect(chunks.size).toBe(made);
    expect(mm.zones().reduce((sum, { buddy }) => sum + buddy.memmaps.length, 0)).toBeLessThan(24);
    const second = mm.allocBlocks(NODE0, 9, 101);
    mm.freeBlocks(9, runs);
    mm.freeBlocks(9, second);
    expect(mm.zones().map(({ buddy }) => buddy.freePages)).toEqual(before);
    expect(() => mm.freeBlocks(9, second)).toThrow(/cannot be freed/);
  });

  it('takes again in bulk what it gave back, from the frames that single calls take', () => {
    const [{ mm }, { mm: single }] = [bootMm(SIX_GIB), bootMm(SIX_GIB)];
    for (const each of [mm, single]) each.freeBlocks(9, each.allocBlocks(NODE0, 9, 300));
    const frames = mm.allocBlocks(NODE0, 9, 301).flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => physToPfn(start) + i * 512));
    expect(frames).toEqual(Array.from({ length: 301 }, () => single.allocPages(GFP_KERNEL, 9, NODE0)!));
    for (const frame of frames) expect(pageblockType(mm.pageZone(frame as Pfn)!.buddy, frame)).toBe(0);
    const large = bootMm(HALF_TIB);
    for (let round = 0; round < 3; round++) large.mm.freeBlocks(9, large.mm.allocBlocks(NODE0, 9, 200_000));
    expect(large.mm.zones().reduce((sum, { buddy }) => sum + buddy.memmaps.length, 0)).toBeLessThan(24);
  });

  it('frees single blocks out of a bulk', () => {
    const { mm } = bootMm(SIX_GIB);
    const [run] = mm.allocBlocks(NODE0, 9, 400);
    const frame = (physToPfn(run!.start) + 200 * 512) as Pfn;
    const before = mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0);
    mm.freePages(frame, 9);
    expect(mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0)).toBe(before + 512);
    expect(() => mm.freePages(frame, 9)).toThrow(/cannot be freed/);
    expect(mm.vmemmap.readPage(frame)).toMatchObject({ buddyOrder: 9, refcount: 0 });
    expect(mm.vmemmap.readPage(frame + 512)).toMatchObject({ buddyOrder: undefined, refcount: 1 });
  });

  it('fails with ENOMEM, having taken nothing', () => {
    const { mm } = bootMm(SIX_GIB);
    const before = mm.zones().map(({ buddy }) => buddy.freePages);
    const free = before.reduce((sum, pages) => sum + pages, 0);
    for (const count of [Math.floor(free / 512), 10 ** 9]) {
      expect(() => mm.allocBlocks(NODE0, 9, count)).toThrow(expect.objectContaining({ code: 'ENOMEM' }));
      expect(mm.zones().map(({ buddy }) => buddy.freePages)).toEqual(before);
    }
  });
});
