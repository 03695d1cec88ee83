import fc from 'fast-check';
import {
  KernelError, MIB, PAGES_PER_SECTION, PAGES_PER_SUBSECTION, SECTION_MEMMAP_SIZE, STRUCT_PAGE_SIZE, TIB, nodeId, pfn, physAddr,
} from '@holdfast/lib';
import type { NodeId, Pfn, PhysAddr, Range } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { sparseInit } from './sparse.js';
import type { BlockRun, BootAllocator, MemoryRange, PageSource } from './sparse.js';

const frames = (start: number, end: number, nid = 0): MemoryRange => ({ start: pfn(start), end: pfn(end), nid: nodeId(nid) });
const range = (start: number, end: number): Range<Pfn> => ({ start: pfn(start), end: pfn(end) });

/** Gives out ascending addresses and keeps what it was asked for. */
function bootAllocator(): { alloc: BootAllocator; asked: [nid: number, mib: number][] } {
  const asked: [number, number][] = [];
  let next = 0x1000_0000;
  const alloc: BootAllocator = (nid, sizeBytes, align) => {
    expect(align).toBe(SECTION_MEMMAP_SIZE);
    asked.push([nid, sizeBytes / MIB]);
    const at = next;
    next += sizeBytes;
    return physAddr(at);
  };
  return { alloc, asked };
}

/** A page source that hands out adjacent blocks, at most `runLength` in a run, until `pages` are gone; keeps count. */
function pageSource(pages = Infinity, runLength = Infinity): PageSource & { readonly used: number } {
  let used = 0;
  let next = 0x100_0000_0000;
  return {
    get used() {
      return used;
    },
    allocBlocks(_nid: NodeId, order: number, count: number): BlockRun[] {
      if (used + count * 2 ** order > pages) throw new KernelError('ENOMEM', 'the test has no more pages');
      used += count * 2 ** order;
      const runs: BlockRun[] = [];
      for (let left = count; left > 0; ) {
        const now = Math.min(left, runLength);
        runs.push({ start: physAddr(next), count: now });
        // A gap, so that runs are never adjacent by chance.
        next += (now + 1) * 2 ** order * 4096;
        left -= now;
      }
      return runs;
    },
    freeBlocks(order, runs) {
      for (const { count } of runs) used -= count * 2 ** order;
    },
  };
}

describe('sections at boot', () => {
  it('cover all that memory touches, with one buffer for the consecutive sections of a node', () => {
    const { alloc, asked } = bootAllocator();
    const sections = sparseInit([frames(1, 0x9f), frames(0x100, 0x40000), frames(0x60000, 0x7ffe0), frames(0x7ffe0, 0xa0000, 1)], alloc);
    expect(asked).toEqual([[0, 24], [1, 8]]);
    expect(sections.early.map(({ start, end, nid }) => [start, end, nid])).toEqual([[0, 8, 0], [12, 16, 0], [16, 20, 1]]);
    expect(sections.memmapPhys(12)).toBe(0x1000_0000 + 8 * SECTION_MEMMAP_SIZE);
    expect(sections.memmapPhys(8)).toBeUndefined();
    expect(sections.structPagePhys(pfn(12 * PAGES_PER_SECTION + 5))).toBe(0x1000_0000 + 8 * SECTION_MEMMAP_SIZE + 5 * STRUCT_PAGE_SIZE);
  });

  it('start a new buffer when nodes alternate', () => {
    const { alloc, asked } = bootAllocator();
    sparseInit([frames(0, 0x8000), frames(0x8000, 0x10000, 1), frames(0x10000, 0x18000)], alloc);
    expect(asked).toEqual([[0, 2], [1, 2], [0, 2]]);
  });

  it('give a struct page to each frame of a touched section, but online are only the 2 MiB units with RAM', () => {
    // 100 MiB of pmem at 1 GiB, between RAM: the golden case b-pmem-100m.
    const sections = sparseInit([frames(1, 0x9f), frames(0x100, 0x40000), frames(0x46400, 0x7ffe0)], bootAllocator().alloc);
    expect([0, 0x9f, 0x40000, 0x463ff, 0x7ffff, 0x80000].map((frame) => sections.pfnValid(pfn(frame)))).toEqual([true, true, true, true, true, false]);
    expect([0, 0x9f, 0x3ffff, 0x40000, 0x463ff, 0x46400, 0x7ffff, 0x80000].map((frame) => sections.pfnIsOnline(pfn(frame))))
      .toEqual([true, true, true, false, false, true, true, false]);
  });

  it('cost no more for 16 TB of RAM than for 1 GB', () => {
    const { alloc, asked } = bootAllocator();
    const sections = sparseInit([frames(0, (16 * TIB) / 4096)], alloc);
    expect([sections.early.length, asked]).toEqual([1, [[0, 256 * 1024]]]);
    expect(sections.pfnIsOnline(pfn((16 * TIB) / 4096 - 1))).toBe(true);
  });
});

describe('device memory', () => {
  const S = PAGES_PER_SECTION;

  it('borrows the struct pages of an early section, and takes 2 MiB for a whole one and single pages for a piece of another', () => {
    const sections = sparseInit([frames(0, S + 512)], bootAllocator().alloc);
    const source = pageSource();
    sections.addRange(range(S + 1024, 2 * S), nodeId(0), source);
    expect(source.used).toBe(0);
    expect(sections.structPagePhys(pfn(S + 1024))).toBe(sections.memmapPhys(1)! + 1024 * STRUCT_PAGE_SIZE);
    sections.addRange(range(2 * S, 4 * S + 512), nodeId(0), source);
    expect(source.used).toBe(2 * 512 + 8);
    expect([2, 3, 4].map((nr) => sections.memmapPhys(nr) !== undefined)).toEqual([true, true, false]);
    expect([sections.pfnValid(pfn(4 * S + 511)), sections.pfnValid(pfn(4 * S + 512))]).toEqual([true, false]);
    expect(sections.pfnIsOnline(pfn(2 * S))).toBe(false);
    sections.removeRange(range(2 * S, 4 * S + 512), source);
    expect([source.used, sections.pfnValid(pfn(2 * S))]).toEqual([0, false]);
  });

  it.each([
    ['a start inside a 2 MiB unit', 4 * S + 1, 5 * S, 'EINVAL'],
    ['an end inside one', 4 * S, 5 * S + 1, 'EINVAL'],
    ['nothing', 4 * S, 4 * S, 'EINVAL'],
    ['RAM', 0, S, 'EEXIST'],
    ['a unit that has some RAM', S, S + 512, 'EEXIST'],
    ['another device', 3 * S, 4 * S, 'EEXIST'],
    ['more than there are pages for', 4 * S, 40 * S, 'ENOMEM'],
    ['a tail for which there are no pages', 4 * S, 8 * S + 512, 'ENOMEM'],
  ])('refuses %s and leaves nothing behind', (_what, start, end, code) => {
    const sections = sparseInit([frames(0, S + 1)], bootAllocator().alloc);
    const source = pageSource(4 * 512);
    sections.addRange(range(2 * S, 3 * S + 512), nodeId(0), pageSource());
    expect(() => sections.addRange(range(start, end), nodeId(0), source)).toThrow(expect.objectContaining({ code }));
    expect([source.used, sections.pfnValid(pfn(4 * S)), sections.pfnValid(pfn(6 * S))]).toEqual([0, false, false]);
  });

  it('of 400 TB is one range, added and removed in a moment', () => {
    const sections = sparseInit([frames(0, S)], bootAllocator().alloc);
    const source = pageSource();
    const all = range(S, S + (400 * TIB) / 4096);
    sections.addRange(all, nodeId(0), source);
    expect(source.used).toBe((400 * TIB) / 64 / 4096);
    expect(sections.structPagePhys(pfn(all.end - 1))! % STRUCT_PAGE_SIZE).toBe(0);
    sections.removeRange(all, source);
    expect(source.used).toBe(0);
  });

  it('matches a model that keeps each 2 MiB unit, for any ranges added and removed', () => {
    const UNITS = 6 * 64;
    const step = fc.record({ remove: fc.boolean(), start: fc.nat(UNITS), length: fc.integer({ min: 1, max: 150 }) });
    fc.assert(fc.property(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 3 }), (steps, runLength) => {
      const ramUnits = [0, 1, 2, 130];
      const sections = sparseInit([frames(0, 3 * 512 - 7), frames(130 * 512 + 3, 130 * 512 + 9)], bootAllocator().alloc);
      const source = pageSource(Infinity, runLength);
      const model = new Map<number, Range<Pfn>>();
      for (const { remove, start, length } of steps) {
        if (remove) {
          const added = model.get(start);
          if (!added) continue;
          sections.removeRange(added, source);
          for (const [unit, owner] of model) if (owner === added) model.delete(unit);
          continue;
        }
        const units = Array.from({ length }, (_, i) => start + i);
        const added = range(start * 512, (start + length) * 512);
        const free = units.every((unit) => !model.has(unit) && !ramUnits.includes(unit));
        if (free) {
          sections.addRange(added, nodeId(0), source);
          for (const unit of units) model.set(unit, added);
        } else {
          expect(() => sections.addRange(added, nodeId(0), source)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
        }
      }
      const seen = new Set<PhysAddr>();
      for (let unit = 0; unit < UNITS + 150; unit++) {
        const early = unit < 64 || (unit >= 128 && unit < 192);
        for (const frame of [unit * 512, unit * 512 + 511].map(pfn)) {
          expect(sections.pfnValid(frame)).toBe(early || model.has(unit));
          expect(sections.pfnIsOnline(frame)).toBe(ramUnits.includes(unit));
          const phys = sections.structPagePhys(frame);
          expect(phys !== undefined).toBe(sections.pfnValid(frame));
          if (phys === undefined) continue;
          expect(seen.has(phys), 'two frames share a struct page').toBe(false);
          seen.add(phys);
        }
      }
      const memmapPages = [...model.keys()].filter((unit) => !(unit < 64 || (unit >= 128 && unit < 192))).length * (PAGES_PER_SUBSECTION / 64);
      expect(source.used).toBe(memmapPages);
    }), { numRuns: 60 });
  });
});
