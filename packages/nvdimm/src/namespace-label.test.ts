import { MIB, fletcher64 } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { capturedMedia, capturedSection } from '../test/captured-media.js';
import { interleaveSetCookies } from './interleave-set.js';
import { ABSTRACTION_GUID, type NamespaceLabel, PERSISTENT_MEMORY_GUID, claimClassOf, decodeLabel, encodeLabel, labelIsValid } from './namespace-label.js';

const LABEL: NamespaceLabel = {
  uuid: '00112233-4455-6677-8899-aabbccddeeff',
  name: 'caf\xe9',
  flags: 0,
  nlabel: 2,
  position: 1,
  isetCookie: 0xaaaaaaad33333334n,
  lbaSize: 4096,
  dpa: 2 ** 40,
  rawSize: 512 * MIB,
  slot: 3,
  align: 0,
  typeGuid: PERSISTENT_MEMORY_GUID,
  abstractionGuid: ABSTRACTION_GUID.pfn,
};

describe('labels', () => {
  it('of v1.2 come back whole', () => expect(decodeLabel(encodeLabel(LABEL, 256))).toEqual(LABEL));

  it('put a UUID in text order, and GUIDs in mixed order', () => {
    const bytes = Buffer.from(encodeLabel(LABEL, 256));
    expect(bytes.toString('hex', 0, 16)).toBe('00112233445566778899aabbccddeeff');
    expect(bytes.toString('hex', 128, 144)).toBe('79d3f066f3b47440ac430d3318b78cdb');
    expect(bytes.toString('hex', 144, 160)).toBe('ba0064269ffb7746bcb0968f11d0d225');
  });

  it('of v1.1 leave out what has no room', () => {
    const { typeGuid, abstractionGuid, ...rest } = decodeLabel(encodeLabel(LABEL, 128));
    expect({ ...rest, typeGuid: PERSISTENT_MEMORY_GUID, abstractionGuid: ABSTRACTION_GUID.pfn }).toEqual(LABEL);
    expect([typeGuid, abstractionGuid]).toEqual([ABSTRACTION_GUID.none, ABSTRACTION_GUID.none]);
  });

  it('end a name of 63 characters with a NUL', () => {
    const long = 'n'.repeat(80);
    expect(decodeLabel(encodeLabel({ ...LABEL, name: long }, 128)).name).toBe(long.slice(0, 63));
  });

  it('are believed in their own slot only', () => {
    for (const labelSize of [128, 256] as const) {
      const bytes = encodeLabel(LABEL, labelSize);
      expect([labelIsValid(bytes, 3), labelIsValid(bytes, 2)]).toEqual([true, false]);
    }
  });

  it('of v1.2 are not believed with any bit flipped; v1.1 has nothing to tell it by', () => {
    const bytes = encodeLabel(LABEL, 256);
    for (let bit = 0; bit < 256 * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(labelIsValid(damaged, 3)).toBe(false);
    }
    expect(labelIsValid(encodeLabel(LABEL, 128).fill(7, 0, 16), 3)).toBe(true);
  });

  it('are what Linux wrote for a namespace of 512 MiB', () => {
    const captured = capturedSection(capturedMedia('d-multi.four'), 'label-area').subarray(512 + 128, 512 + 256);
    const label = decodeLabel(captured);
    expect(label).toMatchObject({ name: 'first', flags: 0, nlabel: 1, position: 0, isetCookie: 0x2468ac00123456n, lbaSize: 512, rawSize: 512 * MIB, slot: 1 });
    expect(encodeLabel(label, 128)).toEqual(captured);
  });

  it('name a class by its GUID', () => {
    expect([ABSTRACTION_GUID.btt2, ABSTRACTION_GUID.none, PERSISTENT_MEMORY_GUID].map(claimClassOf)).toEqual(['btt2', 'none', undefined]);
  });
});

describe('interleave set cookies', () => {
  const dimm = (regionOffset: number, serial: number, vendor = 0) => ({ regionOffset, serial, vendor, manufacturingDate: 0, manufacturingLocation: 0 });

  it("are those that Linux shows for QEMU's DIMMs", () => {
    expect(interleaveSetCookies([dimm(0, 0x123456, 0x8086)])).toMatchObject({ cookie1: 0x2468ac00123456n, cookie2: 0xba90120012b4dcn });
    expect(interleaveSetCookies([dimm(0, 0x123457, 0x8086)]).cookie1).toBe(0x2468ae00123457n);
  });

  it('sort by offset, whatever the order of the table', () => {
    const set = [dimm(0, 0x11111111), dimm(2 ** 32, 0x22222222)];
    expect(interleaveSetCookies(set).cookie1).toBe(0xaaaaaaad33333334n);
    expect(interleaveSetCookies(set.reverse()).cookie1).toBe(0xaaaaaaad33333334n);
  });

  it('have an alternative that compares offsets as bytes, low byte first', () => {
    const { cookie1, altCookie } = interleaveSetCookies([dimm(1, 2), dimm(256, 1)]);
    const records = (...words: number[]): bigint => fletcher64(new Uint8Array(Uint32Array.from(words).buffer));
    expect(cookie1).toBe(records(1, 0, 2, 0, 256, 0, 1, 0));
    expect(altCookie).toBe(records(256, 0, 1, 0, 1, 0, 2, 0));
  });
});
