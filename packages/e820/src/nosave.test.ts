import { parseRelease } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { registerNosaveRegions } from './nosave.js';
import type { E820Entry } from './entry.js';
import { createE820Table } from './table.js';

const e = (start: number, end: number, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end - start), type });

const TABLE = createE820Table([
  e(0, 0x1000, 2), e(0x1000, 0x9fc00, 1), e(0x9fc00, 0xa0000, 2), e(0xf0000, 0x100000, 2), e(0x100000, 0x40000000, 1), e(0x40000000, 0x60000000, 12), e(0x60000000, 0x7ffe0000, 1),
]);

function linesOf(release: string, table = TABLE, limit = 0x7ffe0): string[] {
  const lines: string[] = [];
  registerNosaveRegions(table, limit, { printk: (line) => void lines.push(line), release: parseRelease(release) });
  return lines;
}

const BY_ENTRY = [
  '[mem 0x00000000-0x00000fff]', '[mem 0x0009f000-0x0009ffff]', '[mem 0x000a0000-0x000effff]', '[mem 0x000f0000-0x000fffff]',
  '[mem 0x40000000-0x5fffffff]',
];
const BY_RAM = ['[mem 0x00000000-0x00000fff]', '[mem 0x0009f000-0x000fffff]', '[mem 0x40000000-0x5fffffff]'];

describe('registerNosaveRegions', () => {
  it.each([
    ['6.1', 'PM: hibernation', BY_RAM],
    ['6.1.0-56-amd64', 'PM: hibernation', BY_RAM],
    ['6.1.192', 'PM: hibernation', BY_RAM],
    ['6.1.134', 'PM: hibernation', BY_ENTRY],
    ['6.4.7-1-cachyos', 'PM: hibernation', BY_ENTRY],
    ['6.14.2', 'PM: hibernation', BY_ENTRY],
    ['6.15', 'PM: hibernation', BY_RAM],
    ['5.15.181', 'PM: hibernation', BY_RAM],
    ['5.7.4', 'PM: hibernation', BY_ENTRY],
    ['5.5.13', 'PM', BY_ENTRY],
    ['4.4.0-210', 'PM', BY_ENTRY],
    ['3.19.5', 'PM', BY_ENTRY],
    ['3.16.0-4-amd64', 'PM', BY_ENTRY.slice(1)],
  ])('in %s', (release, prefix, want) => {
    expect(linesOf(release)).toEqual(want.map((range) => `${prefix}: Registered nosave memory: ${range}`));
  });

  it('took the first entry for RAM, and printed exclusive ends, in 3.6', () => {
    expect(linesOf('3.6.11').slice(0, 2)).toEqual([
      'PM: Registered nosave memory: 000000000009f000 - 00000000000a0000',
      'PM: Registered nosave memory: 00000000000a0000 - 00000000000f0000',
    ]);
  });

  it('goes by the rule of a later release where a distribution took it over', () => {
    const lines: string[] = [];
    registerNosaveRegions(TABLE, 0x7ffe0, { printk: (line) => void lines.push(line), release: parseRelease('5.14.0-570.el9') }, 'ram-gaps');
    expect(lines).toEqual(BY_RAM.map((range) => `PM: hibernation: Registered nosave memory: ${range}`));
  });

  it('goes to the end of memory, RAM or not', () => {
    const table = createE820Table([e(0, 0x100000, 1), e(0x100000, 0x300000, 12)]);
    const log = { printk: () => undefined, release: parseRelease('6.1') };
    expect(registerNosaveRegions(table, 0x300, log)).toEqual([{ start: 0x100, end: 0x300 }]);
    expect(registerNosaveRegions(table, 0x100, log)).toEqual([]);
  });
});
