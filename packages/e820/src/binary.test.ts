import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeE820Binary, parseE820Binary } from './binary.js';
import type { E820Entry } from './entry.js';

const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
const anyEntry: fc.Arbitrary<E820Entry> = fc.record({ addr: u64, size: u64, type: fc.nat(0xffffffff) });

const RAM: E820Entry = { addr: 0n, size: 0x9fc00n, type: 1 };
const PMEM: E820Entry = { addr: 0x1_0000_0000n, size: 0x4000_0000n, type: 7 };

function zeropage(entries: readonly E820Entry[], setupDataHead = 0n, count = entries.length): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x002, 0xfc00, true);
  view.setUint32(0x1e0, 0x1f0000, true);
  view.setUint8(0x1e8, count);
  bytes.set([0x48, 0x64, 0x72, 0x53], 0x202);
  view.setBigUint64(0x250, setupDataHead, true);
  bytes.set(encodeE820Binary(entries), 0x2d0);
  return bytes;
}

/** A setup_data node with its payload, as bytes. */
function node(next: bigint, type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, next, true);
  view.setUint32(8, type, true);
  view.setUint32(12, payload.length, true);
  bytes.set(payload, 16);
  return bytes;
}

function memoryOf(nodes: Record<string, Uint8Array>) {
  return (addr: bigint, length: number): Uint8Array => {
    for (const [base, bytes] of Object.entries(nodes)) {
      const offset = addr - BigInt(base);
      if (offset >= 0n && offset < BigInt(bytes.length)) return bytes.subarray(Number(offset), Number(offset) + length);
    }
    return new Uint8Array(0);
  };
}

describe('a binary memory map', () => {
  it('holds an entry in 20 bytes, little-endian', () => {
    const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    expect(hexOf(encodeE820Binary([PMEM]))).toBe('0000000001000000' + '0000004000000000' + '07000000');
  });

  it('comes back as it was written, whatever it holds', () => {
    fc.assert(fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 40 }), (entries) => {
      expect(parseE820Binary(encodeE820Binary(entries)).entries).toEqual(entries);
    }));
  });

  it('is read out of a zero page, with the older BIOS calls beside it', () => {
    const firmware = parseE820Binary(zeropage([RAM, PMEM]));
    expect(firmware).toMatchObject({ entries: [RAM, PMEM], altMemKib: 0x1f0000, extMemKib: 0xfc00, extended: [], setupData: [] });
  });

  it('goes on in setup_data, whose nodes are memory to keep', () => {
    const readPhysical = memoryOf({ 0x1000: node(0x2000n, 7, new Uint8Array(8)), 0x2000: node(0n, 1, encodeE820Binary([PMEM])) });
    expect(parseE820Binary(zeropage([RAM], 0x1000n), readPhysical)).toMatchObject({
      entries: [RAM],
      extended: [PMEM],
      setupData: [{ start: 0x1000n, end: 0x1018n }, { start: 0x2000n, end: 0x2024n }],
    });
  });

  it.each([
    ['no bytes', new Uint8Array(0), undefined, /0 bytes: expected a multiple of 20/],
    ['a cut entry', new Uint8Array(39), undefined, /39 bytes: expected a multiple of 20/],
    ['a page without the magic', new Uint8Array(4096), undefined, /4096 bytes: expected .*'HdrS' at 0x202/],
    ['too many entries', zeropage([], 0n, 200), undefined, /byte 0x1e8: 200 e820 entries, expected at most 128/],
    ['a list that loops', zeropage([RAM], 0x1000n), memoryOf({ 0x1000: node(0x1000n, 7, new Uint8Array(0)) }), /no end after 1024 nodes/],
    ['a list that leads nowhere', zeropage([RAM], 0x1000n), memoryOf({}), /setup_data at byte 0: expected 16 bytes, 0 are left/],
    [
      'a node cut short', zeropage([RAM], 0x1000n), memoryOf({ 0x1000: node(0n, 1, new Uint8Array(60)).subarray(0, 40) }),
      /e820 entry at byte 20: expected 20 bytes, 4 are left/,
    ],
  ])('is refused: %s', (_, bytes, readPhysical, message) => {
    expect(() => parseE820Binary(bytes, readPhysical)).toThrow(KernelError);
    expect(() => parseE820Binary(bytes, readPhysical)).toThrow(message);
  });

  it('of any bytes is read, or refused with EINVAL', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 0, maxLength: 64 }), (bytes, memory) => {
      const page = zeropage([], 0x10n);
      page.set(bytes, 0x1e0);
      page.set([0x48, 0x64, 0x72, 0x53], 0x202);
      for (const [data, read] of [[bytes, undefined], [page, () => memory]] as const) {
        try {
          expect(parseE820Binary(data, read)).toHaveProperty('entries');
        } catch (error) {
          expect(error).toMatchObject({ code: 'EINVAL' });
        }
      }
    }));
  });
});
