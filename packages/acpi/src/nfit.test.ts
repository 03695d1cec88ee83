import { readFileSync } from 'node:fs';
import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NfitContents, SPA_GUIDS, encodeNfit, parseNfit, spaType } from './index.js';

const golden = JSON.parse(readFileSync(new URL('../test/golden-tables.json', import.meta.url), 'utf8')) as {
  nfit: Record<string, { table: string }>;
};
const goldenTable = (name: string): Uint8Array => new Uint8Array(Buffer.from(golden.nfit[name]!.table, 'base64'));

const GIB = 2 ** 30;
const QEMU_DIMM = { physicalId: 0, regionId: 0, regionOffset: 0, dpa: 0, interleaveIndex: 0, interleaveWays: 1, flags: 0 };
const QEMU_RANGE = { flags: 3, proximityDomain: 0, typeGuid: SPA_GUIDS.pm, memoryAttribute: 0x8008n };

describe('parseNfit', () => {
  it('reads the two DIMMs of a QEMU guest', () => {
    const nfit = parseNfit(goldenTable('d-two-dimms'));
    expect(nfit.spaRanges).toEqual([
      { ...QEMU_RANGE, rangeIndex: 2, address: 4 * GIB, length: GIB },
      { ...QEMU_RANGE, rangeIndex: 4, address: 5 * GIB, length: GIB / 2 },
    ]);
    expect(nfit.memoryMaps).toEqual([
      { ...QEMU_DIMM, deviceHandle: 1, rangeIndex: 2, controlRegionIndex: 3, regionSize: GIB },
      { ...QEMU_DIMM, deviceHandle: 2, rangeIndex: 4, controlRegionIndex: 5, regionSize: GIB / 2 },
    ]);
    expect(nfit.controlRegions.map(({ index, vendorId, serialNumber, interfaceCode }) => [index, vendorId, serialNumber, interfaceCode])).toEqual([
      [3, 0x8086, 0x123456, 0x301],
      [5, 0x8086, 0x123457, 0x301],
    ]);
    expect(nfit.capabilities).toBeUndefined();
  });

  it.each([
    { name: 'd-unarmed', what: 'the not-armed flag', read: () => parseNfit(goldenTable('d-unarmed')).memoryMaps[0]!.flags, want: 8 },
    { name: 'd-numa', what: 'the proximity domain', read: () => parseNfit(goldenTable('d-numa')).spaRanges[0]!.proximityDomain, want: 1 },
    { name: 'd-1g-default', what: 'a length of any number of bytes', read: () => parseNfit(goldenTable('d-1g-default')).spaRanges[0]!.length, want: 1073610752 },
    { name: 'd-persistence-mem', what: 'the platform capabilities', read: () => parseNfit(goldenTable('d-persistence-mem')).capabilities, want: { highestValidBit: 1, capabilities: 2 } },
  ])('reads $what of $name', ({ read, want }) => expect(read()).toEqual(want));

  it('reads a control region that ends early for want of windows', () => {
    const full = encodeNfit({ controlRegions: [aControlRegion(7)] });
    const short = full.slice(0, 40 + 32);
    new DataView(short.buffer).setUint32(4, short.length, true);
    new DataView(short.buffer).setUint16(42, 32, true);
    expect(parseNfit(fixChecksum(short)).controlRegions).toEqual([aControlRegion(7)]);
    new DataView(short.buffer).setUint16(40 + 30, 1, true);
    expect(() => parseNfit(fixChecksum(short))).toThrow(/NFIT at byte 40: control region with 1 windows \(type 4\) of 32 bytes, expected at least 80/);
  });

  it('skips structures of unknown types', () => {
    const bytes = encodeNfit({ smbios: [Uint8Array.of(1, 2, 3)], capabilities: { highestValidBit: 0, capabilities: 1 } });
    bytes[40] = 99;
    const nfit = parseNfit(fixChecksum(bytes));
    expect([nfit.smbios.length, nfit.capabilities?.capabilities]).toEqual([0, 1]);
  });

  it('reads back what encodeNfit wrote, all types', () => {
    fc.assert(fc.property(anyContents(), (contents) => void expect(parseNfit(encodeNfit(contents))).toMatchObject(contents)));
  });

  it('answers any damage with a table or with EINVAL that names it', () => {
    const tables = Object.keys(golden.nfit).map(goldenTable);
    const anyTable = fc.oneof(fc.constantFrom(...tables), anyContents().map(encodeNfit));
    const damage = fc.array(fc.tuple(fc.nat(800), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(anyTable, damage, fc.option(fc.nat(500), { nil: undefined }), fc.boolean(), (table, edits, end, mend) => {
        const bytes = table.slice(0, end);
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        if (mend && bytes.length > 9) fixChecksum(bytes);
        try {
          parseNfit(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(KernelError);
          expect((error as KernelError).code).toBe('EINVAL');
          expect((error as KernelError).message).toMatch(/^NFIT at byte \d+: .+, expected .+/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('spaType', () => {
  it('knows the eight types of range', () => {
    expect(Object.values(SPA_GUIDS).map(spaType)).toEqual(['volatile', 'pm', 'dcr', 'bdw', 'vdisk', 'vcd', 'pdisk', 'pcd']);
    expect(spaType('00000000-0000-0000-0000-000000000000')).toBeUndefined();
  });
});

function aControlRegion(index: number): NfitContents['controlRegions'][number] {
  return {
    index, vendorId: 1, deviceId: 2, revisionId: 3, subsystemVendorId: 4, subsystemDeviceId: 5, subsystemRevisionId: 6, validFields: 7,
    manufacturingLocation: 8, manufacturingDate: 9, serialNumber: 10, interfaceCode: 0x201,
  };
}

function anyContents(): fc.Arbitrary<NfitContents> {
  const u16 = fc.nat(0xffff);
  const u32 = fc.nat(0xffff_ffff);
  const size = fc.nat(2 ** 52);
  const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
  const few = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { maxLength: 3 });
  const range = { rangeIndex: u16, proximityDomain: u32, typeGuid: fc.constantFrom(...Object.values(SPA_GUIDS)), address: size, length: size, memoryAttribute: u64 };
  const windows = { count: fc.integer({ min: 1, max: 0xffff }), size, commandOffset: size, commandSize: size, statusOffset: size, statusSize: size, flags: u16 };
  return fc.record({
    spaRanges: few(fc.oneof(fc.record({ ...range, flags: fc.constant(2) }), fc.record({ ...range, flags: fc.constant(6), locationCookie: u64 }))),
    memoryMaps: few(
      fc.record({
        deviceHandle: u32, physicalId: u16, regionId: u16, rangeIndex: u16, controlRegionIndex: u16, regionSize: size, regionOffset: size, dpa: size,
        interleaveIndex: u16, interleaveWays: u16, flags: u16,
      }),
    ),
    interleaves: few(fc.record({ index: u16, lineSize: u32, lineOffsets: few(u32) })),
    smbios: few(fc.uint8Array({ maxLength: 20 })),
    controlRegions: few(
      fc.oneof(
        u16.map(aControlRegion),
        fc.tuple(u16, fc.record(windows)).map(([index, record]) => ({ ...aControlRegion(index), windows: record })),
      ),
    ),
    dataRegions: few(fc.record({ controlRegionIndex: u16, windows: u16, offset: size, size, capacity: size, startAddress: size })),
    flushHints: few(fc.record({ deviceHandle: u32, addresses: few(size) })),
    capabilities: fc.record({ highestValidBit: fc.nat(31), capabilities: u32 }),
  });
}

function fixChecksum(bytes: Uint8Array): Uint8Array {
  bytes[9] = 0;
  bytes[9] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return bytes;
}
