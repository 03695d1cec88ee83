import { type LogLevel, DEFAULT_RELEASE, parseCmdline, parseRelease, silentPrintk } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type E820Firmware, plainFirmware } from './firmware.js';
import { memblockRangesOf } from './memblock.js';
import { endOfRamPfn } from './pfn.js';
import { applyLateE820Edits, finishE820EarlyParams, setupE820Memory, trimE820Table } from './setup.js';
import type { E820Entry } from './entry.js';
import { createE820Table } from './table.js';
import { E820_TYPE_SOFT_RESERVED as SR } from './types.js';

const e = (start: number, end: number, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end - start), type });
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const KERNEL = { start: 16 * MIB, end: 64 * MIB };

function boot(firmware: Partial<E820Firmware>, cmdline = '', release = DEFAULT_RELEASE) {
  const lines: string[] = [];
  const levels = new Map<string, LogLevel | undefined>();
  const printk = (text: string, level?: LogLevel): void => {
    lines.push(text);
    levels.set(text, level);
  };
  const setup = setupE820Memory({ firmware: { ...plainFirmware([]), ...firmware }, params: parseCmdline(cmdline), release, printk, maxArchPfn: 2 ** 34 });
  return { setup, lines, levels };
}

describe('the firmware’s map', () => {
  it('is sorted before it is printed, and kept as it was for sysfs', () => {
    const { setup, lines } = boot({ entries: [e(MIB, GIB, 1), e(0, 0x9fc00, 1)] }, 'mem=512M');
    expect(lines.slice(0, 3)).toEqual([
      'BIOS-provided physical RAM map:',
      'BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable',
      'BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable',
    ]);
    expect(setup.firmwareEntries).toEqual([e(0, 0x9fc00, 1), e(MIB, GIB, 1)]);
    expect(setup.table.entries).toEqual([e(0, 0x9fc00, 1), e(MIB, GIB / 2, 1)]);
  });

  it.each([
    ['BIOS-e801', { entries: [e(0, GIB, 1)], altMemKib: 65536, extMemKib: 64512 }, 65536],
    ['BIOS-88', { entries: [], altMemKib: 0, extMemKib: 64512 }, 64512],
    ['BIOS-e801', { entries: [{ addr: 2n ** 64n - 1n, size: 2n, type: 1 }, e(0, GIB, 1)], altMemKib: 1024, extMemKib: 0 }, 1024],
  ])('gives way to %s where it is none', (who, firmware, kib) => {
    const { setup, lines } = boot(firmware);
    expect(setup.table.entries).toEqual([e(0, 0x9f000, 1), e(MIB, MIB + kib * 1024, 1)]);
    expect(lines[1]).toBe(`${who}: [mem 0x0000000000000000-0x000000000009efff] usable`);
  });

  it('is continued by what did not fit into the zero page', () => {
    const { setup, lines } = boot({ entries: [e(0, 0x9fc00, 1), e(MIB, GIB, 1)], extended: [e(GIB, 2 * GIB, 1), e(2 * GIB, 3 * GIB, 12)] });
    const want = [e(0, 0x9fc00, 1), e(MIB, 2 * GIB, 1), e(2 * GIB, 3 * GIB, 12)];
    expect(setup.table.entries).toEqual(want);
    expect(setup.firmwareEntries).toEqual(want);
    expect(lines.slice(3)).toEqual([
      'extended physical RAM map:',
      'extended: [mem 0x0000000000000000-0x000000000009fbff] usable',
      'extended: [mem 0x0000000000100000-0x000000007fffffff] usable',
      'extended: [mem 0x0000000080000000-0x00000000bfffffff] persistent (type 12)',
    ]);
  });
});

describe('the map of a starting kernel', () => {
  const MAP = [e(0, 0x9fc00, 1), e(MIB, GIB, 1)];

  it('keeps setup_data out of RAM’s way, and in memblock', () => {
    const { setup, lines } = boot({ entries: MAP, setupData: [{ start: 0x2000_0018n, end: 0x2000_1018n }] });
    finishE820EarlyParams(setup);
    expect(lines.slice(3)).toEqual([
      'e820: update [mem 0x20000018-0x20001017] usable ==> usable',
      'extended physical RAM map:',
      'reserve setup_data: [mem 0x0000000000000000-0x000000000009fbff] usable',
      'reserve setup_data: [mem 0x0000000000100000-0x0000000020000017] usable',
      'reserve setup_data: [mem 0x0000000020000018-0x0000000020001017] usable',
      'reserve setup_data: [mem 0x0000000020001018-0x000000003fffffff] usable',
    ]);
    expect(memblockRangesOf(setup.table).map(({ end }) => end)).toEqual([0x9fc00, 0x2000_0018, 0x2000_1018, GIB]);
  });

  it('gets the kernel’s own range back where the user took it', () => {
    const { setup, lines, levels } = boot({ entries: MAP }, 'memmap=1G!0');
    finishE820EarlyParams(setup);
    const limits = trimE820Table(setup, KERNEL);
    expect(lines.slice(-5)).toEqual([
      '.text .data .bss are not marked as E820_TYPE_RAM!',
      'e820: remove [mem 0x01000000-0x03ffffff] ',
      'e820: update [mem 0x00000000-0x00000fff] usable ==> reserved',
      'e820: remove [mem 0x000a0000-0x000fffff] usable',
      'last_pfn = 0x4000 max_arch_pfn = 0x400000000',
    ]);
    expect(limits).toEqual({ maxPfn: 0x4000, maxLowPfn: 0x4000 });
    expect([lines.at(-5), lines.at(-3), lines.at(-1)].map((line) => levels.get(line!))).toEqual([4, 7, undefined]);
  });

  it('tells the end of low RAM where there is RAM above 4 GiB', () => {
    const { setup, lines } = boot({ entries: [...MAP, e(4 * GIB, 5 * GIB, 1)] });
    expect(trimE820Table(setup, KERNEL)).toEqual({ maxPfn: 0x140000, maxLowPfn: 0x40000 });
    expect(lines.slice(-2)).toEqual(['last_pfn = 0x140000 max_arch_pfn = 0x400000000', 'last_pfn = 0x40000 max_arch_pfn = 0x400000000']);
  });

  it('loses what no MTRR covers, and says where RAM ends now', () => {
    const { setup, lines } = boot({ entries: [...MAP, e(4 * GIB, 5 * GIB, 1)], mtrrTrim: [{ start: 4n * 2n ** 30n + 2n ** 29n, end: 5n * 2n ** 30n }] });
    expect(trimE820Table(setup, KERNEL)).toEqual({ maxPfn: 0x120000, maxLowPfn: 0x40000 });
    expect(lines).toContain("WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing 512MB of RAM.");
    expect(lines.slice(-8)).toEqual([
      'modified physical RAM map:',
      'modified: [mem 0x0000000000000000-0x0000000000000fff] reserved',
      'modified: [mem 0x0000000000001000-0x000000000009fbff] usable',
      'modified: [mem 0x0000000000100000-0x000000003fffffff] usable',
      'modified: [mem 0x0000000100000000-0x000000011fffffff] usable',
      'modified: [mem 0x0000000120000000-0x000000013fffffff] reserved',
      'last_pfn = 0x120000 max_arch_pfn = 0x400000000',
      'last_pfn = 0x40000 max_arch_pfn = 0x400000000',
    ]);
  });

  it('reserves late what EFI tables and graphics hold', () => {
    const { setup, lines } = boot({ entries: MAP });
    applyLateE820Edits(setup.table, [
      { kind: 'efi-reserve', start: 0x1000_0000n, end: 0x1000_1000n },
      { kind: 'graphics-stolen', start: 2n ** 30n, end: 2n ** 30n + 0x1000n },
    ], setup.log);
    expect(setup.table.entries.slice(2)).toEqual([e(0x1000_0000, 0x1000_1000, 2), e(0x1000_1000, GIB, 1), e(GIB, GIB + 0x1000, 2)]);
    expect(lines.slice(-2)).toEqual([
      'e820: update [mem 0x10000000-0x10000fff] usable ==> reserved',
      'Reserving Intel graphics memory at [mem 0x40000000-0x40000fff]',
    ]);
  });

  it.each([
    ['2.6.32', true, 0x10000], ['2.6.32', false, 0x1000], ['2.6.36', undefined, 0x1000], ['2.6.37', false, 0x10000], ['3.7', false, 0x10000],
    ['3.8', true, 0x1000],
  ])('in %s, a BIOS suspect of scribbling over low RAM: %s, has RAM begin at %i', (release, corruptsLowRam, want) => {
    const { setup } = boot({ entries: [e(0, GIB, 1)], ...(corruptsLowRam === undefined ? {} : { corruptsLowRam }) }, '', parseRelease(release));
    trimE820Table(setup, KERNEL);
    expect(setup.table.entries.find(({ type }) => type === 1)!.addr).toBe(BigInt(want));
  });

  it('speaks as its release did', () => {
    const { setup, lines } = boot({ entries: MAP }, 'mem=512M memmap=64M!512M', parseRelease('4.1.15'));
    finishE820EarlyParams(setup);
    trimE820Table(setup, KERNEL);
    expect(lines.filter((line) => /map:|last_pfn/.test(line))).toEqual([
      'e820: BIOS-provided physical RAM map:', 'e820: user-defined physical RAM map:', 'e820: last_pfn = 0x24000 max_arch_pfn = 0x400000000',
    ]);
  });
});

describe('endOfRamPfn', () => {
  const quiet = (release: string) => ({ printk: silentPrintk, release: parseRelease(release) });
  const table = createE820Table([e(0, 0x9fc00, 1), e(MIB, GIB + 0x800, 1), e(GIB + 0x800, 2 * GIB, 12), e(3 * GIB, 4 * GIB, 2)]);

  it('rounds down to whole frames, and counts RAM only', () => expect(endOfRamPfn(table, 2 ** 34, 2 ** 34, quiet('6.1'))).toBe(0x40000));
  it.each([['4.0', 0x40000], ['4.1', 0x80000], ['4.3.6', 0x80000], ['4.4', 0x40000]])('in %s', (release, want) => {
    expect(endOfRamPfn(table, 2 ** 34, 2 ** 34, quiet(release))).toBe(want);
  });
  it('stops at a limit, and at what the CPU can address', () => {
    expect(endOfRamPfn(table, 0x1000, 2 ** 34, quiet('6.1'))).toBe(0x1000);
    expect(endOfRamPfn(table, 2 ** 34, 0x2000, quiet('6.1'))).toBe(0x2000);
  });
});

describe('memblockRangesOf', () => {
  it('adds RAM, reserves soft-reserved memory, ignores the rest and what no x86 can address', () => {
    const beyond = { addr: 2n ** 52n - 0x1000n, size: 0x3000n, type: 1 };
    const table = createE820Table([e(0x1000, 0x9fc00, 1), e(MIB, GIB, 12), e(GIB, 2 * GIB, SR), beyond, { addr: 2n ** 60n, size: 1n, type: 1 }]);
    expect(memblockRangesOf(table)).toEqual([
      { start: 0x1000, end: 0x9fc00, kind: 'memory' },
      { start: GIB, end: 2 * GIB, kind: 'reserve' },
      { start: 2 ** 52 - 0x1000, end: 2 ** 52, kind: 'memory' },
    ]);
  });
});
