import { type KernelRelease, DEFAULT_RELEASE, KernelPanic, parseCmdline, parseRelease } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainFirmware } from './firmware.js';
import { finishE820EarlyParams, setupE820Memory } from './setup.js';
import type { E820Entry } from './entry.js';
import { E820_TYPE_SOFT_RESERVED as SR } from './types.js';

const e = (start: number, end: number, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end - start), type });

/** A guest of 2 GiB. */
const GUEST = [
  e(0, 0x9fc00, 1), e(0x9fc00, 0xa0000, 2), e(0xf0000, 0x100000, 2), e(0x100000, 0x7ffe0000, 1), e(0x7ffe0000, 0x80000000, 2),
  e(0xfffc0000, 0x1_0000_0000, 2), e(0xfd_0000_0000, 0x100_0000_0000, 2),
];

function bootWith(cmdline: string, entries: readonly E820Entry[] = GUEST, release: KernelRelease = DEFAULT_RELEASE) {
  const lines: string[] = [];
  const firmware = plainFirmware(entries);
  const setup = setupE820Memory({ firmware, params: parseCmdline(cmdline), release, printk: (line) => void lines.push(line), maxArchPfn: 2 ** 34 });
  finishE820EarlyParams(setup);
  return { setup, lines: lines.slice(entries.length + 1) };
}

/** The rows between 1 MiB and 4 GiB less the BIOS ROM, as `start-end:type`, the end inclusive. */
function rows(cmdline: string, entries: readonly E820Entry[] = GUEST, release: KernelRelease = DEFAULT_RELEASE): string {
  return bootWith(cmdline, entries, release)
    .setup.table.entries.filter(({ addr }) => addr >= 0x100000n && addr < 0xfffc0000n)
    .map(({ addr, size, type }) => `${addr.toString(16)}-${(addr + size - 1n).toString(16)}:${type}`)
    .join(' ');
}

const RESERVED_TAIL = '7ffe0000-7fffffff:2';

describe('memmap= on a guest of 2 GiB, as Linux 6.1 did it', () => {
  it.each([
    ['memmap=512M!1G', `100000-3fffffff:1 40000000-5fffffff:12 60000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=256M!512M memmap=256M!768M', `100000-1fffffff:1 20000000-2fffffff:12 30000000-3fffffff:12 40000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=64M!1000M', `100000-3e7fffff:1 3e800000-427fffff:12 42800000-7ffdffff:1 ${RESERVED_TAIL}`],
    [
      'memmap=1M!0x30000800,3K!0x31000400',
      `100000-300007ff:1 30000800-301007ff:12 30100800-310003ff:1 31000400-31000fff:12 31001000-7ffdffff:1 ${RESERVED_TAIL}`,
    ],
    ['memmap=512M%1G-1+7', `100000-3fffffff:1 40000000-5fffffff:7 60000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=512M%1G+0xefffffff', `100000-3fffffff:1 40000000-5fffffff:${SR} 60000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=512M%1G-1', `100000-3fffffff:1 60000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=512M%1G', `100000-3fffffff:1 60000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=128M#1G', `100000-3fffffff:1 40000000-47ffffff:3 48000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=128M$1G', `100000-3fffffff:1 40000000-47ffffff:2 48000000-7ffdffff:1 ${RESERVED_TAIL}`],
    [
      'memmap=64M!1G,32M$1500M,16M#1600M',
      `100000-3fffffff:1 40000000-43ffffff:12 44000000-5dbfffff:1 5dc00000-5fbfffff:2 5fc00000-63ffffff:1 64000000-64ffffff:3 65000000-7ffdffff:1 ${RESERVED_TAIL}`,
    ],
    ['mem=512M', `100000-1fffffff:1 ${RESERVED_TAIL}`],
    ['memmap=700M', `100000-2bbfffff:1 ${RESERVED_TAIL}`],
    ['memmap=300M!1800M', '100000-707fffff:1 70800000-7ffdffff:12 7ffe0000-7fffffff:12 80000000-833fffff:12'],
    ['memmap=exactmap,640K@0,1023M@1M,256M!1G', '100000-3fffffff:1 40000000-4fffffff:12'],
    ['mem=512M memmap=512M@1G', `100000-1fffffff:1 40000000-5fffffff:1 ${RESERVED_TAIL}`],
    ['memmap=512M@1G mem=512M', `100000-1fffffff:1 ${RESERVED_TAIL}`],
    ['memmap=64M@2000M', `100000-7ffdffff:1 ${RESERVED_TAIL} 80000000-80ffffff:1`],
    ['memmap=512M%1G-1+7x', `100000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=512M!1Gx', `100000-3fffffff:1 40000000-5fffffff:12 60000000-7ffdffff:1 ${RESERVED_TAIL}`],
    ['memmap=abc memmap=!4G memmap=0!1G memmap= memmap', `100000-7ffdffff:1 ${RESERVED_TAIL}`],
  ])('%s', (cmdline, want) => expect(rows(cmdline)).toBe(want));

  it('below 1 MiB', () => {
    expect(bootWith('memmap=64K!64K').setup.table.entries.slice(0, 3)).toEqual([e(0, 0x10000, 1), e(0x10000, 0x20000, 12), e(0x20000, 0x9fc00, 1)]);
  });

  it('over reserved memory of its own making: PRAM wins, and is cut at the loser’s end', () => {
    const guest4g = [e(0, 0x9fc00, 1), e(0x100000, 0xbffe0000, 1), e(0xbffe0000, 0xc0000000, 2)];
    expect(rows('memmap=1G!1G memmap=512M$1G', guest4g)).toBe('100000-3fffffff:1 40000000-5fffffff:12 60000000-7fffffff:12 80000000-bffdffff:1 bffe0000-bfffffff:2');
    expect(rows('memmap=512M@3G memmap=1G!512M mem=2G', guest4g)).toBe('100000-1fffffff:1 20000000-5fffffff:12 60000000-7fffffff:1 bffe0000-bfffffff:2');
  });

  it('takes a lone suffix for a size of zero, and then has no RAM left', () => {
    expect(rows('memmap=garbage')).toBe(RESERVED_TAIL);
    expect(rows('memmap=foo')).toBe(`100000-7ffdffff:1 ${RESERVED_TAIL}`);
  });
});

describe('what the log says of memmap= and mem=', () => {
  it.each([
    ['memmap=foo', undefined],
    ['memmap=0!1G', []],
    ['mem=512M', ['e820: remove [mem 0x20000000-0xfffffffffffffffe] usable']],
    ['mem=0', [`Malformed early option 'mem'`]],
    ['memmap=512M%1G', ['e820: remove [mem 0x40000000-0x5fffffff] ']],
    ['memmap=256M%1G-2+12', ['e820: update [mem 0x40000000-0x4fffffff] reserved ==> persistent (type 12)']],
  ])('%s', (cmdline, before) => {
    const { lines } = bootWith(cmdline);
    if (before === undefined) return expect(lines).toEqual([]);
    expect(lines.slice(0, before.length + 1)).toEqual([...before, 'user-defined physical RAM map:']);
  });

  it('a malformed mem= that never touches the map prints no user map', () => {
    expect(bootWith('mem').lines).toEqual([`Malformed early option 'mem'`]);
    expect(bootWith('mem=nopentium').lines).toEqual(['mem=nopentium ignored! (only supported on x86_32)', `Malformed early option 'mem'`]);
  });

  it('remembers the limit of mem= for hot-added memory', () => {
    expect(bootWith('mem=512M').setup.maxMemSize).toBe(2 ** 29);
    expect(bootWith('memmap=512M').setup.maxMemSize).toBeUndefined();
  });
});

describe('a user map that leaves the kernel nothing', () => {
  it.each(['memmap=exactmap', 'memmap=exactmap memmap=1024M@0', 'memmap=exactmap,1024M@0'])('%s panics', (cmdline) => {
    expect(() => bootWith(cmdline)).toThrow(new KernelPanic('Invalid user supplied memory map'));
  });

  it('a type converted to itself is a BUG', () => {
    expect(() => bootWith('memmap=1G%1G-1+1')).toThrow(KernelPanic);
  });
});

describe('older releases', () => {
  it('before 4.18 take % for the end of a plain size, before 4.1 ! too', () => {
    expect(rows('memmap=512M%1G-1+7', GUEST, parseRelease('4.17'))).toBe(`100000-1fffffff:1 ${RESERVED_TAIL}`);
    expect(rows('memmap=512M!1G', GUEST, parseRelease('4.0'))).toBe(`100000-1fffffff:1 ${RESERVED_TAIL}`);
  });

  it('before 5.8 tell where RAM ended before exactmap hides it', () => {
    const { lines } = bootWith('memmap=exactmap,640K@0,512M@1M', GUEST, parseRelease('4.9'));
    expect(lines.slice(0, 2)).toEqual(['e820: last_pfn = 0x7ffe0 max_arch_pfn = 0x400000000', 'e820: user-defined physical RAM map:']);
  });
});

describe('any command line', () => {
  const word = fc.oneof(fc.string({ maxLength: 12 }), fc.stringMatching(/^[0-9a-fxKMGTPE!@#$%+,-]{0,16}$/));
  it('gives a sorted map within 64 bits, or one of two panics', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('memmap=', 'mem=', 'memmap=exactmap,', 'memmap'), word)), (options) => {
      try {
        const { entries } = bootWith(options.map((option) => option.join('')).join(' ')).setup.table;
        for (const { addr, size } of entries) expect(addr >= 0n && addr < 2n ** 64n && size > 0n).toBe(true);
        for (const [index, { addr }] of entries.entries()) {
          const before = entries[index - 1];
          expect(before === undefined || before.addr + before.size <= addr).toBe(true);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(KernelPanic);
        expect((error as Error).message).toMatch(/^Invalid user supplied memory map$|^kernel BUG at arch\/x86\/kernel\/e820\.c: memmap=/);
      }
    }));
  });
});
