import { DEFAULT_RELEASE, KernelError, PAGE_SIZE, parseRelease, silentPrintk } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SwapDevice, createSwap, encodeSwapHeader, readSwapHeader } from './index.js';

const UUID = Uint8Array.from({ length: 16 }, (_, i) => i);

interface FakeDevice extends SwapDevice {
  readonly closed: boolean;
}

function device(nrPages: number, header: Uint8Array = encodeSwapHeader({ nrPages, uuid: UUID }), rotational = false): FakeDevice {
  let closed = false;
  return {
    sizeBytes: nrPages * PAGE_SIZE,
    rotational,
    pread(target) {
      target.set(header.subarray(0, target.length));
      return Math.min(target.length, header.length);
    },
    close: () => (closed = true),
    get closed() {
      return closed;
    },
  };
}

/** A header with one 32-bit word changed. */
function headerWith(at: number, word: number): Uint8Array {
  const page = encodeSwapHeader({ nrPages: 100, uuid: UUID });
  new DataView(page.buffer).setUint32(at, word, true);
  return page;
}

function refusal(page: Uint8Array, devicePages = 100): { code: string; log: string[] } {
  const log: string[] = [];
  try {
    readSwapHeader(page, devicePages, (line) => log.push(line));
  } catch (error) {
    if (error instanceof KernelError) return { code: error.code, log };
    throw error;
  }
  return { code: 'accepted', log };
}

describe('readSwapHeader', () => {
  it('counts the pages behind the header', () => {
    expect(readSwapHeader(encodeSwapHeader({ nrPages: 100, uuid: UUID, label: 'swap' }), 100, silentPrintk)).toBe(99);
  });

  it('reads what a machine of the other byte order made', () => {
    const page = headerWith(1024, 0x0100_0000);
    const view = new DataView(page.buffer);
    view.setUint32(1028, 99, false);
    expect(readSwapHeader(page, 100, silentPrintk)).toBe(99);
  });

  it('leaves out bad pages', () => {
    const page = headerWith(1032, 2);
    const view = new DataView(page.buffer);
    view.setUint32(1536, 7, true);
    view.setUint32(1540, 8, true);
    expect(readSwapHeader(page, 100, silentPrintk)).toBe(97);
  });

  it.each<[string, Uint8Array, string[]]>([
    ['no signature', new Uint8Array(PAGE_SIZE), ['Unable to find swap-space signature']],
    ['another version', headerWith(1024, 2), ['Unable to handle swap header version 2']],
    ['no pages', headerWith(1028, 0), ['Empty swap-file']],
    ['more pages than the device has', headerWith(1028, 100), ['Swap area shorter than signature indicates']],
    ['more bad pages than fit', headerWith(1032, 638), []],
    ['a bad page that is the header', headerWith(1032, 1), []],
  ])('refuses %s', (_what, page, log) => {
    expect(refusal(page)).toEqual({ code: 'EINVAL', log });
  });

  it('takes or refuses any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1023).map((word) => word * 4), fc.nat(0xffffffff)), { maxLength: 8 }), (changes) => {
        const page = encodeSwapHeader({ nrPages: 100, uuid: UUID });
        const view = new DataView(page.buffer);
        for (const [at, word] of changes) view.setUint32(at, word, true);
        expect(['accepted', 'EINVAL']).toContain(refusal(page).code);
      }),
    );
  });
});

describe('swap areas', () => {
  it('are listed and logged as on Linux', () => {
    const log: string[] = [];
    const swap = createSwap((line) => log.push(line), DEFAULT_RELEASE);
    swap.swapon('/dev/pmem0', device(31744));
    swap.swapon('/dev/sda', device(4 * 2 ** 20, undefined, true), 5);
    expect(log).toEqual([
      'Adding 126972k swap on /dev/pmem0.  Priority:-2 extents:1 across:126972k SSFS',
      'Adding 16777212k swap on /dev/sda.  Priority:5 extents:1 across:16777212k FS',
    ]);
    expect(swap.format()).toBe(
      'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'
      + '/dev/pmem0                              partition\t126972\t\t0\t\t-2\n'
      + '/dev/sda                                partition\t16777212\t0\t\t5\n',
    );
    expect(swap.totalPages).toBe(31743 + 4 * 2 ** 20 - 1);
  });

  it('close up behind one that goes, and use its place again', () => {
    const swap = createSwap(silentPrintk, DEFAULT_RELEASE);
    const first = device(100);
    swap.swapon('/dev/a', first);
    swap.swapon('/dev/b', device(100));
    swap.swapoff('/dev/a');
    expect(first.closed).toBe(true);
    swap.swapon('/dev/c', device(100));
    const rows = swap.format().split('\n').slice(1, -1).map((row) => row.split(/\s+/));
    expect(rows.map((row) => [row[0], row[4]])).toEqual([['/dev/c', '-3'], ['/dev/b', '-2']]);
  });

  it('let go of what they refuse', () => {
    const swap = createSwap(silentPrintk, parseRelease('6.6'));
    const blank = device(100, new Uint8Array(PAGE_SIZE));
    expect(() => swap.swapon('/dev/a', blank)).toThrow(KernelError);
    expect(blank.closed).toBe(true);
    expect(() => swap.swapoff('/dev/a')).toThrow('/dev/a is no swap area');
    expect(swap.totalPages).toBe(0);
  });
});
