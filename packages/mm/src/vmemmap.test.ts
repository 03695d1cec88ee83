import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listedBlocks, testBuddy, testVmemmap } from '../test/buddy-model.js';
import { countFreeBlocks } from './buddy.js';
import { allocBlock, putBlock } from './buddy-core.js';
import { freeRange, isolateRange } from './buddy-range.js';
import { type PristineRun, pristineWithin, setPristine } from './page-init.js';
import { PAGE_REFCOUNT, WORDS_PER_PAGE, decodePage } from './page.js';

const SECTION = 32_768;

describe('vmemmap', () => {
  it('initialises a page to its links, one reference, no mapping, and an empty list', () => {
    const { vmemmap } = testVmemmap();
    vmemmap.initRange(10, 20, 3, 2, 'reserved');
    const lru = vmemmap.pfnToPage(12) + 8n;
    expect(vmemmap.readPage(12)).toEqual({
      pfn: 12, flags: 0xd7ffffc0001000n, flagNames: ['reserved'], nid: 3, zoneIndex: 2, reserved: true, lruNext: lru, lruPrev: lru, mapping: 0n, index: 0n,
      private: 0n, mapcount: -1, refcount: 1, buddyOrder: undefined,
    });
  });

  it('gives device pages no list', () => {
    const { vmemmap } = testVmemmap();
    vmemmap.initRange(0, 10, 0, 4, 'device');
    expect(vmemmap.readPage(5)).toMatchObject({ reserved: true, refcount: 1, zoneIndex: 4, lruNext: 0n, lruPrev: 0n });
  });

  it('reads poison where nothing was initialised, and nothing where there is no memmap', () => {
    const { vmemmap } = testVmemmap(1);
    expect(vmemmap.readPage(0)).toMatchObject({ flags: 2n ** 64n - 1n, refcount: -1 });
    expect(vmemmap.zoneOf(0)).toBeUndefined();
    expect(vmemmap.readPage(SECTION)).toBeUndefined();
    expect(() => vmemmap.memmap(1)).toThrow(/section 1 has no memmap/);
    expect(() => vmemmap.copySection(1)).toThrow(/section 1 has no memmap/);
  });

  it('makes the bytes of a section when they are asked for, and no others', () => {
    const { vmemmap, chunks } = testVmemmap();
    vmemmap.initRange(0, 4 * SECTION, 0, 2, 'used');
    vmemmap.readPage(5);
    vmemmap.copySection(0);
    expect(chunks.size).toBe(0);
    vmemmap.memmap(2);
    expect([...chunks.keys()]).toEqual([2]);
    expect(vmemmap.madeSections(0, 4 * SECTION)).toEqual([2]);
    expect(vmemmap.pristineRuns(SECTION, 4 * SECTION).map(({ startPfn, endPfn }) => [startPfn, endPfn])).toEqual([[SECTION, 2 * SECTION], [3 * SECTION, 4 * SECTION]]);
  });

  it('writes into bytes that were made when a range is initialised anew, and poisons them when it is removed', () => {
    const { vmemmap } = testVmemmap();
    vmemmap.initRange(0, SECTION, 0, 2, 'used');
    const words = vmemmap.memmap(0);
    vmemmap.initRange(100, 200, 1, 3, 'reserved');
    expect([99, 100, 199, 200].map((pfn) => decodePage(words, pfn * WORDS_PER_PAGE, pfn).nid)).toEqual([0, 1, 1, 0]);
    vmemmap.removeRange(150, 200);
    expect(vmemmap.zoneOf(149)).toEqual({ nid: 1, zoneIndex: 3 });
    expect(vmemmap.zoneOf(150)).toBeUndefined();
    vmemmap.removeRange(0, SECTION);
    expect(vmemmap.nrMaterialised).toBe(0);
  });
});

describe('setPristine', () => {
  it('agrees with a frame-by-frame map', () => {
    const change = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }), fc.constantFrom('used' as const, 'reserved' as const, undefined));
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const runs: PristineRun[] = [];
        const model = new Array<string | undefined>(80).fill(undefined);
        for (const [startPfn, size, state] of changes) {
          setPristine(runs, { startPfn, endPfn: startPfn + size, nid: 0, zoneIndex: 0, state });
          model.fill(state, startPfn, startPfn + size);
        }
        model.forEach((state, pfn) => expect(pristineWithin(runs, pfn, pfn + 1)[0]?.state).toBe(state));
        expect(runs.every((run, i) => run.startPfn < run.endPfn && (runs[i + 1]?.startPfn ?? Infinity) >= run.endPfn)).toBe(true);
      }),
    );
  });
});

describe('struct pages of the buddy allocator', () => {
  const END = 2 * SECTION;
  const step = fc.record({ order: fc.integer({ min: 0, max: 10 }), type: fc.integer({ min: 0, max: 2 }), free: fc.boolean(), pick: fc.nat() });

  /** The same story on two zones, of which one has had its bytes made at a given moment. */
  function play(steps: readonly { order: number; type: number; free: boolean; pick: number }[], makeAt: number): ReturnType<typeof testBuddy> {
    const buddy = testBuddy(0, END);
    freeRange(buddy, 3, 5000);
    freeRange(buddy, 6000, END);
    const taken: [number, number][] = [];
    steps.forEach(({ order, type, free, pick }, at) => {
      if (at === makeAt) for (const section of [0, 1]) buddy.vmemmap.memmap(section);
      if (free && taken.length > 0) {
        const [pfn, of] = taken.splice(pick % taken.length, 1)[0]!;
        putBlock(buddy, pfn, of);
      } else {
        const pfn = allocBlock(buddy, order, type, false);
        if (pfn >= 0) taken.push([pfn, order]);
      }
    });
    return buddy;
  }

  it('say what the lists do, pointers included, whether their bytes were made or not', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const buddy = play(steps, -1);
        const { vmemmap } = buddy;
        const words = [0, 1].map((section) => vmemmap.copySection(section));
        let free = 0;
        for (let order = 0; order <= 10; order++) {
          for (let type = 0; type < 5; type++) {
            const blocks = listedBlocks(buddy, order, type);
            free += blocks.length * 2 ** order;
            blocks.forEach((pfn, i) => {
              const page = decodePage(words[Math.floor(pfn / SECTION)]!, (pfn % SECTION) * WORDS_PER_PAGE, pfn);
              expect(page).toMatchObject({ buddyOrder: order, refcount: 0, reserved: false });
              if (i > 0) expect(page.lruPrev).toBe(vmemmap.pfnToPage(blocks[i - 1]!) + 8n);
              if (i + 1 < blocks.length) expect(page.lruNext).toBe(vmemmap.pfnToPage(blocks[i + 1]!) + 8n);
              expect(vmemmap.readPage(pfn)).toEqual(page);
            });
          }
        }
        let marked = 0;
        for (let pfn = 0; pfn < END; pfn++) {
          const { buddyOrder } = decodePage(words[Math.floor(pfn / SECTION)]!, (pfn % SECTION) * WORDS_PER_PAGE, pfn);
          if (buddyOrder !== undefined) marked += 2 ** buddyOrder;
        }
        expect(marked).toBe(free);
      }),
      { numRuns: 12 },
    );
  });

  it('are the same bytes whenever they were made, list pointers of pages in no list apart', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), fc.nat(), (steps, when) => {
        const early = play(steps, 0).vmemmap;
        const between = play(steps, when % steps.length).vmemmap;
        const never = play(steps, -1).vmemmap;
        for (const section of [0, 1]) {
          const [a, b, c] = [early, between, never].map((vmemmap) => withoutIdleLists(vmemmap.copySection(section)));
          expect(Buffer.compare(bytes(a!), bytes(b!))).toBe(0);
          expect(Buffer.compare(bytes(a!), bytes(c!))).toBe(0);
        }
      }),
      { numRuns: 10 },
    );
  });

  const bytes = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

  function withoutIdleLists(words: Int32Array): Int32Array {
    for (let at = 0; at < words.length; at += WORDS_PER_PAGE) if (words[at + 12] !== ~0x80) words.fill(0, at + 2, at + 6);
    return words;
  }

  it('bring the list pointers into the bytes at sync, for a reader of plain memory', () => {
    const { vmemmap, chunks } = testVmemmap();
    const buddy = testBuddy(0, END, vmemmap);
    freeRange(buddy, 0, END);
    vmemmap.memmap(0);
    vmemmap.sync();
    const raw = new Int32Array(chunks.get(0)!.buffer);
    const second = decodePage(raw, 1024 * WORDS_PER_PAGE, 1024);
    expect(second.lruNext).toBe(vmemmap.pfnToPage(2048) + 8n);
    expect(second.lruPrev).toBe(vmemmap.pfnToPage(0) + 8n);
  });

  it('count references in the bytes once somebody has them', () => {
    const buddy = testBuddy(0, END);
    freeRange(buddy, 0, END);
    const before = allocBlock(buddy, 3, 1, false);
    const words = buddy.vmemmap.memmap(0);
    const after = allocBlock(buddy, 0, 1, false);
    expect([before, before + 1, after].map((pfn) => words[pfn * WORDS_PER_PAGE + PAGE_REFCOUNT])).toEqual([1, 0, 1]);
  });
});

describe('a zone of 16 TiB', () => {
  const PAGES = 2 ** 32;

  it('is set up, used and counted without making struct pages', () => {
    const { vmemmap, chunks } = testVmemmap();
    const buddy = testBuddy(0, PAGES, vmemmap);
    freeRange(buddy, 0, PAGES);
    expect(buddy.freePages).toBe(PAGES);
    const taken = Array.from({ length: 3000 }, () => allocBlock(buddy, 0, 0, false));
    expect(new Set(taken).size).toBe(3000);
    expect(countFreeBlocks(buddy)[10 * 8 + 1]).toBe(PAGES / 1024 - 3);
    expect(chunks.size).toBe(0);
    expect(buddy.cells.length).toBeLessThanOrEqual(4 * 4 * SECTION);
    for (const pfn of taken) putBlock(buddy, pfn, 0);
    expect(buddy.freePages).toBe(PAGES);
  });

  it('reads any struct page in the middle of it', () => {
    const { vmemmap, chunks } = testVmemmap();
    const buddy = testBuddy(0, PAGES, vmemmap);
    freeRange(buddy, 0, PAGES);
    const middle = PAGES / 2;
    expect(vmemmap.readPage(middle)).toMatchObject({ buddyOrder: 10, refcount: 0, lruNext: vmemmap.pfnToPage(middle + 1024) + 8n });
    expect(vmemmap.readPage(middle + 1)).toMatchObject({ buddyOrder: undefined, refcount: 0 });
    expect(chunks.size).toBe(0);
  });

  it('lets a section in the middle be isolated, with the order of the others kept', () => {
    const buddy = testBuddy(0, PAGES);
    freeRange(buddy, 0, PAGES);
    isolateRange(buddy, PAGES / 2, PAGES / 2 + SECTION);
    expect(buddy.freePages).toBe(PAGES - SECTION);
    expect(countFreeBlocks(buddy)[10 * 8 + 4]).toBe(32);
    expect(buddy.runs.size).toBe(2);
    expect(allocBlock(buddy, 10, 1, false)).toBe(0);
  });
});
