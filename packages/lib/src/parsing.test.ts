import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError, ascii, bytes, crc32, findParam, fletcher64, formatGuid, layout, memparse, parseCmdline, parseGuid, parseRelease, parseSize, parseUint, releaseAtLeast, seededRandom, u16, u32, u64, u8 } from './index.js';

describe('memparse', () => {
  it.each([
    { text: '4096', value: 4096n, rest: '' },
    { text: '64M!1G', value: 64n << 20n, rest: '!1G' },
    { text: '0x10000800!', value: 0x10000800n, rest: '!' },
    { text: '0X1fK', value: 0x1fn << 10n, rest: '' },
    { text: '010', value: 8n, rest: '' },
    { text: '09', value: 0n, rest: '9' },
    { text: '1g@4', value: 1n << 30n, rest: '@4' },
    { text: '2E', value: 2n << 60n, rest: '' },
    { text: '16E', value: 0n, rest: '' },
    { text: '-1', value: 0n, rest: '-1' },
    { text: 'abc', value: 0n, rest: 'abc' },
    { text: '0x', value: 0n, rest: 'x' },
    { text: '', value: 0n, rest: '' },
  ])("reads '$text' as the kernel does", ({ text, value, rest }) => expect(memparse(text)).toMatchObject({ value, rest }));

  it('never loses text: what it read and what it left make the whole', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(text.endsWith(memparse(text).rest)).toBe(true);
        expect(parseUint(text).found).toBe(parseUint(text).rest.length < text.length);
      }),
    );
  });
});

describe('parseSize', () => {
  it.each([
    ['4G', 4 * 2 ** 30],
    ['1.5T', 1.5 * 2 ** 40],
    ['128KiB', 131072],
    ['0x1000', 4096],
    [' 7 ', 7],
  ])("reads '%s'", (text, size) => expect(parseSize(text, 'size')).toBe(size));

  it.each(['', 'G', '4X', '-4G', '1.5', '16E', '1e9', '4 G G'])("refuses '%s', naming the option", (text) => {
    expect(() => parseSize(text, '--memory')).toThrow(/^--memory '.*': expected a size/);
  });
});

describe('parseCmdline', () => {
  it('cuts at blanks outside of quotes, and drops the quotes', () => {
    expect(parseCmdline('ro root=/dev/sda1 dyndbg="file a.c +p" "memmap=1G!4G" a=b=c')).toEqual([
      { name: 'ro', value: undefined },
      { name: 'root', value: '/dev/sda1' },
      { name: 'dyndbg', value: 'file a.c +p' },
      { name: 'memmap', value: '1G!4G' },
      { name: 'a', value: 'b=c' },
    ]);
  });

  it('leaves what follows a lone -- to init', () => {
    expect(parseCmdline('quiet -- single mem=1G').map(({ name }) => name)).toEqual(['quiet']);
  });

  it('finds the last of several, with - and _ alike', () => {
    const params = parseCmdline('memory-hotplug.online_policy=a memory_hotplug.online-policy=b nokaslr');
    expect(findParam(params, 'memory_hotplug.online_policy')).toBe('b');
    expect(findParam(params, 'nokaslr')).toBe('');
    expect(findParam(params, 'mem')).toBeUndefined();
  });

  it('takes any text', () => {
    fc.assert(fc.property(fc.string(), (text) => parseCmdline(text).length <= text.split(/\s+/).length));
  });
});

describe('parseRelease', () => {
  it.each([
    ['6.1', 6, 1],
    ['4.4.0-121-generic', 4, 4],
    ['5.14.0-570.23.1.el9_6.x86_64', 5, 14],
    ['4.20.0-rc3+', 4, 20],
    ['5.0.0-rc8-ga215ce8f0e00', 5, 0],
  ])('reads %s', (text, major, minor) => expect(parseRelease(text)).toMatchObject({ major, minor, text }));

  it.each(['', 'six', '6', '6.', 'v6.1', '6.1 beta'])("refuses '%s'", (text) => expect(() => parseRelease(text)).toThrow(KernelError));

  it('compares by number, not by text', () => {
    expect(releaseAtLeast(parseRelease('4.20'), 4, 3)).toBe(true);
    expect(releaseAtLeast(parseRelease('4.3'), 4, 20)).toBe(false);
    expect(releaseAtLeast(parseRelease('5.0'), 4, 20)).toBe(true);
  });
});

describe('layout', () => {
  const record = layout('record', 32, { kind: u8(0), length: u16(2), count: u32(4), base: u64(8), name: ascii(16, 8), guid: bytes(24, 8) });

  it('writes what it reads', () => {
    fc.assert(
      fc.property(
        fc.record({
          kind: fc.nat(255),
          length: fc.nat(65535),
          count: fc.nat(),
          base: fc.bigInt(0n, 2n ** 64n - 1n),
          name: fc.string({ unit: fc.constantFrom('a', 'Z', '0'), maxLength: 8 }),
          guid: fc.uint8Array({ minLength: 8, maxLength: 8 }),
        }),
        fc.nat(8),
        (value, at) => {
          const data = new Uint8Array(40);
          record.encode(value, data, at);
          expect(record.decode(data, at)).toEqual(value);
        },
      ),
    );
  });

  it('says which record, where, and how many bytes are missing', () => {
    expect(() => record.decode(new Uint8Array(40), 20)).toThrow('record at byte 20: expected 32 bytes, 20 are left');
  });
});

describe('sums and ids', () => {
  it('gives the CRC-32 of the check string', () => expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926));

  it('gives the checksum of an empty label index block as ndctl and the kernel compute it', () => {
    const block = new Uint8Array(256);
    const view = new DataView(block.buffer);
    block.set(new TextEncoder().encode('NAMESPACE_INDEX'));
    view.setUint32(20, 3, true);
    view.setBigUint64(32, 256n, true);
    view.setBigUint64(40, 256n, true);
    view.setBigUint64(48, 512n, true);
    view.setUint32(56, 4, true);
    view.setUint16(60, 1, true);
    view.setUint16(62, 1, true);
    block[72] = 0x0f;
    expect(fletcher64(block)).toBe(0xeb628633d7313a41n);
  });

  it('writes GUIDs with the first three fields swapped', () => {
    const text = '66f0d379-b4f3-4074-ac43-0d3318b78cdb';
    expect(parseGuid(text).subarray(0, 8)).toEqual(Uint8Array.of(0x79, 0xd3, 0xf0, 0x66, 0xf3, 0xb4, 0x74, 0x40));
    expect(formatGuid(parseGuid(text))).toBe(text);
    expect(() => parseGuid('66f0d379')).toThrow(/expected 8-4-4-4-12/);
  });

  it('draws the same numbers from the same seed, and others from another', () => {
    const draw = (seed: number): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 20 }, () => random.below(1000));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(new Set(Array.from({ length: 20 }, (_, seed) => draw(seed)[0])).size).toBeGreaterThan(10);
  });
});
