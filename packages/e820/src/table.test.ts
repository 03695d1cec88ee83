import { readFileSync } from 'node:fs';
import { DEFAULT_RELEASE, type LogLevel, BugError, silentPrintk } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { E820Entry } from './entry.js';
import { createE820Table, mappedAll, mappedAny, rangeAdd, rangeRemove, rangeUpdate } from './table.js';
import { updateTable } from './update-table.js';

const e = (start: number, end: number, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end - start), type });
const silent = { printk: silentPrintk, release: DEFAULT_RELEASE };

function recorder() {
  const lines: [string, LogLevel | undefined][] = [];
  return { lines, log: { release: DEFAULT_RELEASE, printk: (text: string, level?: LogLevel) => void lines.push([text, level]) } };
}

describe('rangeUpdate', () => {
  it.each([
    {
      name: 'a middle',
      map: [e(0, 0x10000, 1)],
      range: [0x4000, 0x6000, 1, 12],
      want: [e(0, 0x4000, 1), e(0x4000, 0x6000, 12), e(0x6000, 0x10000, 1)],
    },
    {
      name: 'a head, whose entry keeps its place',
      map: [e(0x1000, 0x5000, 1)],
      range: [0, 0x2000, 1, 2],
      want: [e(0x2000, 0x5000, 1), e(0x1000, 0x2000, 2)],
    },
    { name: 'a tail', map: [e(0x1000, 0x5000, 1)], range: [0x4000, 0x8000, 1, 2], want: [e(0x1000, 0x4000, 1), e(0x4000, 0x5000, 2)] },
    { name: 'an entry that lies in it', map: [e(1, 2, 1), e(3, 4, 2)], range: [0, 9, 1, 3], want: [e(1, 2, 3), e(3, 4, 2)] },
  ])('retypes $name', ({ map, range: [start, end, from, to], want }) => {
    const table = createE820Table(map);
    const changed = rangeUpdate(table, BigInt(start!), BigInt(end! - start!), from!, to!, silent);
    // The raw order is the kernel's: pieces are appended, heads stay.
    expect([...table.entries].sort(byAddress)).toEqual([...want].sort(byAddress));
    expect(table.entries[0]).toEqual(want[0]);
    expect(changed).toBe(want.filter(({ type }) => type === to).reduce((sum, { size }) => sum + size, 0n));
  });

  it('says so even where nothing has the type', () => {
    const { lines, log } = recorder();
    const table = createE820Table([e(0, 0x8000_0000, 1)]);
    expect(rangeUpdate(table, 0x4000_0000n, 0x1000_0000n, 2, 12, log)).toBe(0n);
    expect(lines).toEqual([['e820: update [mem 0x40000000-0x4fffffff] reserved ==> persistent (type 12)', 7]]);
    expect(table.entries).toEqual([e(0, 0x8000_0000, 1)]);
  });

  it('refuses to retype a type to itself', () => {
    expect(() => rangeUpdate(createE820Table(), 0n, 1n, 1, 1, silent)).toThrow(BugError);
  });
});

describe('rangeRemove', () => {
  it('cuts a typed range out of what it meets', () => {
    const table = createE820Table([e(0x2000, 0x6000, 1), e(0x8000, 0x9000, 1)]);
    expect(rangeRemove(table, 0x5000n, 0x3800n, 1, silent)).toBe(0x1800n);
    expect(table.entries).toEqual([e(0x2000, 0x5000, 1), e(0x8800, 0x9000, 1)]);
  });

  it('leaves zeros where an entry goes whole, until the next update', () => {
    const table = createE820Table([e(0, 0x1000, 1), e(0x1000, 0x2000, 2)]);
    rangeRemove(table, 0n, 0x10000n, undefined, silent);
    expect(table.entries).toEqual([e(0, 0, 0), e(0, 0, 0)]);
    expect(updateTable(table, DEFAULT_RELEASE)).toBe(true);
    expect(table.entries).toEqual([]);
  });

  it('ends its lines as the kernel does: a clamped end is one short, and no type leaves a blank', () => {
    const { lines, log } = recorder();
    rangeRemove(createE820Table(), 0x2000_0000n, 2n ** 64n - 1n, 1, log);
    rangeRemove(createE820Table(), 0x4000_0000n, 0x2000_0000n, undefined, log);
    expect(lines.map(([text]) => text)).toEqual([
      'e820: remove [mem 0x20000000-0xfffffffffffffffe] usable',
      'e820: remove [mem 0x40000000-0x5fffffff] ',
    ]);
  });
});

describe('range edits', () => {
  type Row = [addr: number, size: number, type: number];
  type Op = [name: 'update' | 'remove', start: number, size: number, oldType: number, newTypeOrCheck: number, changed: number];
  const { cases } = JSON.parse(readFileSync(new URL('../test/data/range-edit-vectors.json', import.meta.url), 'utf8')) as {
    cases: { in: Row[]; ops: Op[]; rc: number; out: Row[] }[];
  };

  it('do on 160 random tables what the functions of Linux 6.1 did', () => {
    expect(cases).toHaveLength(160);
    for (const vector of cases) {
      const table = createE820Table(vector.in.map(([addr, size, type]) => e(addr, addr + size, type)));
      for (const [name, start, size, oldType, last, changed] of vector.ops) {
        const got = name === 'update'
          ? rangeUpdate(table, BigInt(start), BigInt(size), oldType, last, silent)
          : rangeRemove(table, BigInt(start), BigInt(size), last === 0 ? undefined : oldType, silent);
        expect(got).toBe(BigInt(changed));
      }
      expect(updateTable(table, DEFAULT_RELEASE)).toBe(vector.rc === 0);
      expect(table.entries).toEqual(vector.out.map(([addr, size, type]) => e(addr, addr + size, type)));
    }
  });

  it('end for any 64-bit numbers, and keep every entry within 64 bits', () => {
    const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
    const entry = fc.record({ addr: u64, size: u64, type: fc.constantFrom(1, 2, 12) });
    fc.assert(fc.property(fc.array(entry, { maxLength: 8 }), u64, u64, fc.boolean(), (entries, start, size, isUpdate) => {
      const table = createE820Table(entries);
      if (isUpdate) rangeUpdate(table, start, size, 1, 12, silent);
      else rangeRemove(table, start, size, 1, silent);
      for (const each of table.entries) {
        expect(each.addr >= 0n && each.addr < 2n ** 64n && each.size >= 0n && each.size < 2n ** 64n).toBe(true);
      }
    }));
  });
});

describe('a table', () => {
  it('drops what exceeds its capacity, with a line', () => {
    const { lines, log } = recorder();
    const table = createE820Table([], 1);
    rangeAdd(table, 0n, 0x1000n, 1, log);
    rangeAdd(table, 0x1000n, 0x1000n, 1, log);
    expect(table.entries).toEqual([e(0, 0x1000, 1)]);
    expect(lines).toEqual([['too many entries; ignoring [mem 0x00001000-0x00001fff]', 3]]);
  });

  it('tells whether any or all of a range is mapped', () => {
    const table = createE820Table([e(0, 4, 1), e(4, 6, 2), e(6, 8, 1), e(9, 10, 1)]);
    expect(mappedAny(table, 3n, 5n, 2)).toBe(true);
    expect(mappedAny(table, 0n, 4n, 2)).toBe(false);
    expect(mappedAny(table, 8n, 9n)).toBe(false);
    expect(mappedAll(table, 0n, 4n, 1)).toBe(true);
    expect(mappedAll(table, 0n, 8n, 1)).toBe(false);
    expect(mappedAll(table, 1n, 8n)).toBe(true);
    expect(mappedAll(table, 7n, 10n)).toBe(false);
  });
});

function byAddress(a: E820Entry, b: E820Entry): number {
  return Number(a.addr - b.addr);
}
