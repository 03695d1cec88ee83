/** Memory that is taken from the allocator while it is in use: what can move, moves, and what cannot keeps all as it was. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NodeId, PAGE_SIZE, type Pfn, nodeId } from '@holdfast/lib';
import { bootMm } from '../test/test-mm.js';
import type { Mm, PageOwner, Zone } from './index.js';
import { GFP_HIGHUSER_MOVABLE, GFP_KERNEL, ZONE_MOVABLE, ZONE_NORMAL, countFreeBlocks } from './index.js';

const NODE0 = nodeId(0);
const SECTION = 32_768;
const CHUNK_FRAMES = 512;
const FIRST = 2 ** 20;
const block = (nr: number): [Pfn, Pfn] => [(FIRST + nr * SECTION) as Pfn, (FIRST + (nr + 1) * SECTION) as Pfn];

/** Somebody with pages, each of which holds its own number. */
function pageHolder({ mm, chunks }: ReturnType<typeof bootMm>) {
  const pages = new Map<number, { readonly order: number; readonly tag: number }>();
  const pinned = new Set<number>();
  let nextTag = 1;
  const bytesOf = (frame: number): Uint8Array => {
    const nr = Math.floor(frame / CHUNK_FRAMES);
    const chunk = chunks.get(nr) ?? new Uint8Array(CHUNK_FRAMES * PAGE_SIZE);
    chunks.set(nr, chunk);
    return chunk.subarray((frame % CHUNK_FRAMES) * PAGE_SIZE, ((frame % CHUNK_FRAMES) + 1) * PAGE_SIZE);
  };
  const owner: PageOwner = {
    orderOf: (frame) => pages.get(frame)?.order,
    migrate(from, to) {
      if (pinned.has(from)) return false;
      pages.set(to, pages.get(from)!);
      pages.delete(from);
      return true;
    },
  };
  mm.movable.register(owner);
  return {
    pages,
    pinned,
    take(order: number, gfp = GFP_HIGHUSER_MOVABLE, nid: NodeId = NODE0): Pfn | undefined {
      const frame = mm.allocPages(gfp, order, nid);
      if (frame === undefined) return undefined;
      const tag = nextTag++ % 251;
      for (let page = 0; page < 2 ** order; page++) bytesOf(frame + page).fill(tag);
      pages.set(frame, { order, tag });
      return frame;
    },
    put(frame: number): void {
      mm.freePages(frame as Pfn, pages.get(frame)!.order);
      pages.delete(frame);
    },
    /** Does every page hold what was written to it? */
    isIntact: (): boolean => [...pages].every(([frame, { order, tag }]) => Array.from({ length: 2 ** order }, (_, page) => bytesOf(frame + page)).every((bytes) => bytes[0] === tag && bytes[PAGE_SIZE - 1] === tag)),
  };
}

function freePages(mm: Mm): number {
  return mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0);
}

/** Free blocks of the highest order, of all types. */
function wholeBlocks({ buddy }: Zone): number {
  return countFreeBlocks(buddy).slice(80).reduce((sum, count) => sum + count, 0);
}

const ONE_NODE = [{ start: 1, end: 0x40000 }];

describe('offlinePages with pages in use', () => {
  it('moves what its owner can move, out of zone Movable', () => {
    const test = bootMm(ONE_NODE);
    const { mm } = test;
    mm.onlinePages(...block(0), NODE0, ZONE_MOVABLE);
    const holder = pageHolder(test);
    const [small, huge] = [holder.take(0)!, holder.take(9)!];
    expect([small, huge].every((frame) => frame >= FIRST)).toBe(true);
    mm.offlinePages(...block(0));
    expect([...holder.pages.values()].map(({ order }) => order)).toEqual([0, 9]);
    expect([...holder.pages.keys()].every((frame) => frame < FIRST)).toBe(true);
    expect(holder.isIntact()).toBe(true);
    expect(test.log).toEqual([]);
  });

  it('goes to another node, where there is one', () => {
    const test = bootMm([...ONE_NODE, { start: 0x40000, end: 0x60000, nid: 1 }]);
    const { mm } = test;
    mm.onlinePages(...block(0), NODE0, ZONE_MOVABLE);
    const holder = pageHolder(test);
    holder.take(0);
    mm.offlinePages(...block(0));
    expect([...holder.pages.keys()].every((frame) => frame >= 0x40000)).toBe(true);
  });

  it('is refused for a page without an owner, before anything moves', () => {
    const test = bootMm(ONE_NODE);
    const { mm } = test;
    mm.onlinePages(...block(0), NODE0, ZONE_NORMAL);
    const holder = pageHolder(test);
    const movable = holder.take(0, GFP_HIGHUSER_MOVABLE)!;
    const kernel = mm.allocPages(GFP_KERNEL, 0, NODE0)!;
    expect(kernel).toBeGreaterThanOrEqual(FIRST);
    const before = [freePages(mm), mm.totalRamPages()];
    expect(() => mm.offlinePages(...block(0))).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect([freePages(mm), mm.totalRamPages()]).toEqual(before);
    expect([...holder.pages.keys()]).toEqual([movable]);
    expect(test.log.at(-1)).toBe('page dumped because: unmovable page');
  });

  it('says which page would not move, and keeps the block online', () => {
    const test = bootMm(ONE_NODE);
    const { mm } = test;
    mm.onlinePages(...block(0), NODE0, ZONE_MOVABLE);
    const holder = pageHolder(test);
    const pinned = holder.take(0)!;
    holder.take(0);
    holder.pinned.add(pinned);
    const managed = mm.totalRamPages();
    expect(() => mm.offlinePages(...block(0))).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(test.log[0]).toBe(`migrating pfn ${pinned.toString(16)} failed ret:1 `);
    expect(test.log.at(-1)).toBe('page dumped because: migration failure');
    expect([mm.totalRamPages(), freePages(mm), holder.isIntact()]).toEqual([managed, managed - 2, true]);
    holder.pinned.clear();
    mm.offlinePages(...block(0));
    expect(holder.isIntact()).toBe(true);
  });
});

describe('fakeOffline', () => {
  it('takes single pageblocks of an online block, and gives them back', () => {
    const { mm } = bootMm(ONE_NODE);
    mm.onlinePages(...block(0), NODE0, ZONE_NORMAL);
    const zone = mm.zone(NODE0, ZONE_NORMAL);
    mm.fakeOffline((FIRST + 512) as Pfn, (FIRST + 1024) as Pfn);
    expect([zone.managed, zone.present, zone.buddy.freePages]).toEqual([SECTION - 512, SECTION, SECTION - 512]);
    expect(mm.vmemmap.readPage(FIRST + 512)).toMatchObject({ refcount: 1, reserved: false });
    mm.fakeOnline((FIRST + 512) as Pfn, (FIRST + 1024) as Pfn);
    expect([zone.managed, zone.buddy.freePages]).toEqual([SECTION, SECTION]);
    expect(wholeBlocks(zone)).toBe(32); // merged again
  });

  it('is no obstacle to the rest going offline', () => {
    const { mm } = bootMm(ONE_NODE);
    const total = mm.totalRamPages();
    mm.onlinePages(...block(0), NODE0, ZONE_NORMAL, undefined, [{ start: (FIRST + 1536) as Pfn, end: (FIRST + SECTION) as Pfn }]);
    expect(mm.totalRamPages()).toBe(total + 1536);
    mm.fakeOffline(FIRST as Pfn, (FIRST + 512) as Pfn);
    mm.offlinePages(...block(0));
    expect([mm.totalRamPages(), mm.zone(NODE0, ZONE_NORMAL).offline]).toEqual([total, []]);
  });

  it('is refused over a page that cannot move, and merges again what it split', () => {
    const { mm } = bootMm(ONE_NODE);
    mm.onlinePages(...block(0), NODE0, ZONE_NORMAL);
    const kernel = mm.allocPages(GFP_KERNEL, 0, NODE0)!;
    const start = (kernel - (kernel % 512)) as Pfn;
    expect(() => mm.fakeOffline(start, (start + 512) as Pfn)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    mm.freePages(kernel, 0);
    expect(wholeBlocks(mm.zone(NODE0, ZONE_NORMAL))).toBe(32);
  });
});

it('loses no page and no byte, whatever is taken, moved and given back', () => {
  const step = fc.record({ kind: fc.constantFrom('take', 'take', 'put', 'kernel', 'unplug', 'plug', 'offline', 'online'), order: fc.constantFrom(0, 0, 1, 3, 9), at: fc.nat(255), movable: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const test = bootMm([{ start: 1, end: 0x10000 }]);
      const { mm } = test;
      const holder = pageHolder(test);
      const boot = mm.totalRamPages();
      const online = new Set<number>();
      const unplugged = new Set<number>();
      const kernel: [Pfn, number][] = [];
      const attempt = (action: () => void): boolean => {
        try {
          action();
          return true;
        } catch (error) {
          expect(error).toMatchObject({ code: 'EBUSY' });
          return false;
        }
      };
      for (const { kind, order, at, movable } of steps) {
        const nr = at % 3;
        const unit = (FIRST + nr * SECTION + Math.floor(at / 4) * 512) as Pfn;
        const holdsUnits = [...unplugged].filter((first) => first >= block(nr)[0] && first < block(nr)[1]);
        if (kind === 'take') holder.take(order);
        if (kind === 'put' && holder.pages.size > 0) holder.put([...holder.pages.keys()][at % holder.pages.size]!);
        if (kind === 'kernel') {
          const frame = mm.allocPages(GFP_KERNEL, order, NODE0);
          if (frame !== undefined) kernel.push([frame, order]);
        }
        if (kind === 'unplug' && online.has(nr) && !unplugged.has(unit) && attempt(() => mm.fakeOffline(unit, (unit + 512) as Pfn))) unplugged.add(unit);
        if (kind === 'plug' && unplugged.delete(unit)) mm.fakeOnline(unit, (unit + 512) as Pfn);
        if (kind === 'offline' && online.has(nr) && attempt(() => mm.offlinePages(...block(nr)))) {
          online.delete(nr);
          for (const first of holdsUnits) unplugged.delete(first);
        }
        if (kind === 'online' && !online.has(nr)) {
          mm.onlinePages(...block(nr), NODE0, movable ? ZONE_MOVABLE : ZONE_NORMAL);
          online.add(nr);
        }
        const used = [...holder.pages.values()].reduce((sum, page) => sum + 2 ** page.order, 0) + kernel.reduce((sum, [, size]) => sum + 2 ** size, 0);
        expect(mm.totalRamPages()).toBe(boot + online.size * SECTION - unplugged.size * 512);
        expect(freePages(mm)).toBe(mm.totalRamPages() - used);
      }
      expect(holder.isIntact()).toBe(true);
      for (const [frame, order] of kernel) mm.freePages(frame, order);
      for (const frame of [...holder.pages.keys()]) holder.put(frame);
      for (const nr of online) mm.offlinePages(...block(nr));
      expect([mm.totalRamPages(), freePages(mm)]).toEqual([boot, boot]);
    }),
    { numRuns: 20 },
  );
});
