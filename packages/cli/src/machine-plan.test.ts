import { DEFAULT_RELEASE, GIB, MIB, TIB } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planMachine } from './machine-plan.js';
import { pcMap, pmemLines } from './pc-map.js';

const plan = (e820: string, cmdline = '', images = new Map<number, string>()) => planMachine({ firmware: { e820 }, cmdline, release: DEFAULT_RELEASE, images });
const nvdimms = (e820: string, cmdline = '', images?: Map<number, string>) => plan(e820, cmdline, images).media.filter(({ kind }) => kind === 'nvdimm');

describe('planMachine', () => {
  it.each([
    { name: 'firmware with pmem', e820: pcMap(4 * GIB, [GIB]), cmdline: '', want: [[5 * GIB, 6 * GIB]] },
    { name: 'a range that the user protects', e820: pcMap(8 * GIB), cmdline: 'memmap=1G!4G', want: [[4 * GIB, 5 * GIB]] },
    { name: 'ranges that touch', e820: pcMap(8 * GIB), cmdline: 'memmap=1G!4G memmap=1G!5G', want: [[4 * GIB, 6 * GIB]] },
    { name: 'a range that is retyped', e820: pcMap(8 * GIB), cmdline: 'memmap=1G%4G-1+12', want: [[4 * GIB, 5 * GIB]] },
    { name: 'a range where nothing is', e820: pcMap(GIB), cmdline: 'memmap=1G!64G', want: [[64 * GIB, 65 * GIB]] },
    { name: 'no pmem at all', e820: pcMap(GIB), cmdline: 'memmap=64M$512M', want: [] },
  ])('gives $name non-volatile media', ({ e820, cmdline, want }) => {
    expect(nvdimms(e820, cmdline).map(({ start, end }) => [start, end])).toEqual(want);
  });

  it('keeps ranges with images of their own apart', () => {
    const e820 = pcMap(4 * GIB, [GIB, GIB]);
    const images = new Map([[5 * GIB, 'a'], [6 * GIB, 'b']]);
    expect(nvdimms(e820, '', images)).toEqual([
      { kind: 'nvdimm', start: 5 * GIB, end: 6 * GIB, image: 'a' },
      { kind: 'nvdimm', start: 6 * GIB, end: 7 * GIB, image: 'b' },
    ]);
  });

  it('takes 5-level paging where the map needs it', () => {
    expect(plan(pcMap(4 * GIB)).physBits).toBe(46);
    expect(plan([pcMap(4 * GIB), ...pmemLines(5 * GIB, [400 * TIB])].join('\n')).physBits).toBe(52);
  });

  it('never lets two media overlap', () => {
    const size = fc.integer({ min: 1, max: 64 }).map((count) => count * 4 * MIB);
    fc.assert(
      fc.property(fc.array(fc.tuple(size, fc.integer({ min: 0, max: 3000 })), { maxLength: 6 }), size, (protects, memory) => {
        const cmdline = protects.map(([bytes, at]) => `memmap=${bytes}!${at}M`).join(' ');
        const media = [...plan(pcMap(GIB + memory), cmdline).media].sort((a, b) => a.start - b.start);
        for (const [index, { start, end }] of media.entries()) {
          expect(start).toBeLessThan(end);
          if (index > 0) expect(media[index - 1]!.end).toBeLessThanOrEqual(start);
        }
      }),
    );
  });
});

describe('pcMap', () => {
  it('splits memory around the hole below 4 GiB', () => {
    expect(pcMap(6 * GIB).split('\n').filter((row) => row.endsWith('usable'))).toEqual([
      'BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable',
      'BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable',
      'BIOS-e820: [mem 0x0000000100000000-0x00000001bfffffff] usable',
    ]);
  });
  it('refuses a machine that no PC is', () => expect(() => pcMap(MIB)).toThrow('a PC needs at least 2M'));
});
