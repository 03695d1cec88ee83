import fc from 'fast-check';
import { pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createFrames, errnoOf } from '../test/ramdisk.js';
import { readPfnSg, writePfnSg } from './pfn-scatterlist.js';
import { PFN, decodePfnT, encodePfnT, pfnHasPage, pfnIsDevmap } from './pfn-t.js';
import { defaultLimits } from './queue-limits.js';
import { sgAllocTable, sgJoin, sgPhys, sgSplit } from './scatterlist.js';
import type { SgTable } from './scatterlist.js';

describe('pfn_t', () => {
  it.each<[string, number, bigint, boolean, boolean]>([
    ['RAM', 0, 0x12345n, true, false],
    ['device memory without struct pages', PFN.DEV, 0x2000000000012345n, false, false],
    ['device memory with struct pages', PFN.DEV | PFN.MAP, 0x3000000000012345n, true, true],
    ['the last of a list', PFN.SG_LAST | PFN.DEV, 0x6000000000012345n, false, false],
    ['a link of a list', PFN.SG_CHAIN, 0x8000000000012345n, true, false],
    ['special', PFN.SPECIAL, 0x0800000000012345n, true, false],
  ])('of %s', (_name, flags, word, page, devmap) => {
    expect(encodePfnT(pfn(0x12345), flags)).toBe(word);
    expect(decodePfnT(word)).toEqual({ pfn: 0x12345, flags });
    expect([pfnHasPage(flags), pfnIsDevmap(flags)]).toEqual([page, devmap]);
  });

  it('has no other bits', () => expect(errnoOf(() => decodePfnT(1n << 58n))).toBe('EINVAL'));
});

type Range = readonly [addr: number, length: number, flags: number];
const tableOf = (ranges: readonly Range[]): SgTable => {
  const table = sgAllocTable(ranges.length);
  for (const [i, [addr, length, flags]] of ranges.entries()) {
    table.pfn[i] = Math.floor(addr / 4096);
    table.offset[i] = addr % 4096;
    table.length[i] = length;
    table.flags[i] = flags;
  }
  return table;
};
const rangesOf = (table: SgTable): Range[] => Array.from({ length: table.nents }, (_, i) => [sgPhys(table, i), table.length[i]!, table.flags[i]!]);
/** What a list says, whatever its entries: runs of one kind that do not go on from each other. */
const runsOf = (ranges: readonly Range[]): Range[] => {
  const runs: [number, number, number][] = [];
  for (const [addr, length, flags] of ranges) {
    const last = runs.at(-1);
    if (last && last[0] + last[1] === addr && last[2] === flags) last[1] += length;
    else runs.push([addr, length, flags]);
  }
  return runs;
};
const anyFlags = fc.constantFrom(0, PFN.DEV, PFN.DEV | PFN.MAP, PFN.DEV | PFN.SPECIAL);
const anyRanges = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 ** 40 }), fc.integer({ min: 1, max: 70_000 }), anyFlags), { minLength: 1, maxLength: 12 });
const frames = Array.from({ length: 8 }, (_, i) => pfn(100 + i * 3));

describe('a scatterlist by PFN', () => {
  it.each([1, 127, 128, 129, 254, 255, 256, 300])('of %d entries is chained over pages and read back as it was', (nents) => {
    const memory = createFrames();
    const ranges = Array.from({ length: nents }, (_, i): Range => [i * 12_288 + 5, 100 + i, i % 2 === 0 ? PFN.DEV : 0]);
    const table = tableOf(ranges);
    writePfnSg(memory, table, frames.slice(0, table.links.length));
    expect(rangesOf(readPfnSg(memory, frames[0]!))).toEqual(ranges);
  });

  it('lies in memory as 32 bytes an entry', () => {
    const memory = createFrames();
    writePfnSg(memory, tableOf([[0x5000 + 16, 4080, PFN.DEV]]), [frames[0]!]);
    const view = new DataView(memory.frame(frames[0]!).buffer);
    expect([view.getBigUint64(0, true), view.getUint32(8, true), view.getUint32(12, true), view.getBigUint64(16, true), view.getUint32(24, true)])
      .toEqual([0x6000000000000005n, 16, 4080, 0x5010n, 4080]);
  });

  it('survives splitting, joining and chaining unchanged', () => {
    fc.assert(fc.property(anyRanges, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }), fc.constantFrom(4096, 65_536, 2 ** 31), (ranges, cuts, maxSegmentSize) => {
      let parts = [tableOf(ranges)];
      for (const cut of cuts) {
        parts = parts.flatMap((part) => {
          const size = rangesOf(part).reduce((sum, [, length]) => sum + length, 0);
          const at = Math.floor(size * cut);
          return at > 0 && at < size ? sgSplit(part, at) : [part];
        });
      }
      const memory = createFrames();
      const joined = sgJoin(parts, { ...defaultLimits(), maxSegmentSize });
      writePfnSg(memory, joined, frames.slice(0, joined.links.length));
      expect(runsOf(rangesOf(readPfnSg(memory, frames[0]!)))).toEqual(runsOf(ranges));
      expect(runsOf(parts.flatMap(rangesOf))).toEqual(runsOf(ranges));
    }));
  });

  it.each([0, 300, 301])('of 300 bytes cannot be cut at byte %d', (at) => expect(errnoOf(() => sgSplit(tableOf([[0, 100, 0], [4096, 200, 0]]), at))).toBe('EINVAL'));

  it('never joins frames of different kinds', () => {
    const joined = sgJoin([tableOf([[0, 4096, PFN.DEV]]), tableOf([[4096, 4096, 0]]), tableOf([[8192, 4096, 0]])], defaultLimits());
    expect(rangesOf(joined)).toEqual([[0, 4096, PFN.DEV], [4096, 8192, 0]]);
  });

  it.each<[string, (view: DataView) => void]>([
    ['an entry of no bytes', (view) => view.setUint32(12, 0, true)],
    ['a chain that bites its tail', (view) => view.setBigUint64(0, encodePfnT(frames[0]!, PFN.SG_CHAIN), true)],
    ['an entry that is link and end', (view) => view.setBigUint64(0, encodePfnT(pfn(1), PFN.SG_CHAIN | PFN.SG_LAST), true)],
    ['unknown bits', (view) => view.setBigUint64(0, 1n << 55n, true)],
    ['a page without an end', (view) => {
      for (let slot = 0; slot < 128; slot++) {
        view.setBigUint64(slot * 32, 1n, true);
        view.setUint32(slot * 32 + 12, 512, true);
      }
    }],
  ])('is refused with %s', (_name, spoil) => {
    const memory = createFrames();
    writePfnSg(memory, tableOf([[0, 512, 0]]), [frames[0]!]);
    spoil(new DataView(memory.frame(frames[0]!).buffer));
    expect(errnoOf(() => readPfnSg(memory, frames[0]!))).toBe('EINVAL');
  });

  it('is read or refused, whatever the bytes', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(3)), { maxLength: 130 }), (words) => {
      const memory = createFrames();
      const view = new DataView(memory.frame(frames[0]!).buffer);
      for (const [i, [word, length]] of words.slice(0, 128).entries()) {
        view.setBigUint64(i * 32, word, true);
        view.setUint32(i * 32 + 12, length, true);
      }
      expect(['ok', 'EINVAL']).toContain(errnoOf(() => readPfnSg(memory, frames[0]!)));
    }));
  });
});
