import fc from 'fast-check';
import { GIB, MIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { memoryNamespace } from '../test/memory-namespace.js';
import { type InfoBlock, INFO_BLOCK_SIGNATURE, decodeInfoBlock, encodeInfoBlock, superBlockChecksum } from './info-block.js';
import { type InfoBlockExpectation, type PfnNamespace, type PfnSettings, X86_64_LIMITS, checkInfoBlock, readInfoBlock } from './info-block-check.js';
import { NULL_UUID } from './uuid.js';

const UUID = '00112233-4455-6677-8899-aabbccddeeff';
const NAMESPACE: PfnNamespace = { name: 'namespace0.0', start: 4 * GIB, sizeBytes: GIB, uuid: undefined };
const SETTINGS: PfnSettings = { uuid: UUID, mode: 'pmem', align: 2 * MIB };
const BLOCK: Omit<InfoBlock, 'checksum'> = {
  signature: INFO_BLOCK_SIGNATURE.pfn,
  uuid: UUID,
  parentUuid: NULL_UUID,
  flags: 0,
  versionMajor: 1,
  versionMinor: 4,
  dataOffset: BigInt(18 * MIB),
  nrPfns: 257536n,
  mode: 2,
  startPad: 0,
  endTrunc: 0,
  align: 2 * MIB,
  pageSize: 4096,
  pageStructSize: 64,
};
const DAX = { signature: INFO_BLOCK_SIGNATURE.dax };

/** What checking a changed block says: a refusal, or what it adopts. */
const check = (change: Partial<InfoBlock>, expected: Partial<InfoBlockExpectation> = {}) =>
  checkInfoBlock(encodeInfoBlock({ ...BLOCK, ...change }), { kind: 'pfn', namespace: NAMESPACE, ...expected });

describe('info blocks', () => {
  it('carry the known checksum', () => {
    expect(decodeInfoBlock(encodeInfoBlock(BLOCK)).checksum).toBe(0x72608d344abc140an);
  });

  it('are adopted whole by a probe', () => {
    expect(check({})).toEqual({
      valid: { uuid: UUID, mode: 'pmem', align: 2 * MIB, dataOffset: 18 * MIB, nrPfns: 257536, startPad: 0, endTrunc: 0 },
    });
  });

  it.each<{ name: string; change: Partial<InfoBlock>; expected?: Partial<InfoBlockExpectation>; code: string; log?: string }>([
    { name: 'the other signature', change: DAX, code: 'ENODEV' },
    { name: 'another parent', change: { parentUuid: UUID }, code: 'ENODEV' },
    { name: 'no parent, on a namespace with a UUID', change: {}, expected: { namespace: { ...NAMESPACE, uuid: UUID } }, code: 'ENODEV' },
    { name: 'mode 0', change: { mode: 0 }, code: 'ENXIO' },
    { name: 'mode 3, before the page size', change: { mode: 3, pageSize: 65536 }, code: 'ENXIO' },
    { name: 'larger pages', change: { pageSize: 65536 }, code: 'EOPNOTSUPP', log: 'init failed, page size mismatch 65536' },
    { name: 'smaller struct pages', change: { pageStructSize: 56 }, code: 'EOPNOTSUPP', log: 'init failed, struct page size mismatch 56' },
    {
      name: 'a kernel with larger struct pages',
      change: {},
      expected: { limits: { ...X86_64_LIMITS, structPageSize: 128 } },
      code: 'EOPNOTSUPP',
      log: 'init failed, struct page size mismatch 64',
    },
    {
      name: 'devdax: an alignment that cannot be mapped',
      change: { ...DAX, align: 4 * MIB },
      expected: { kind: 'dax' },
      code: 'EOPNOTSUPP',
      log: 'init failed, alignment mismatch: 2097152:4194304',
    },
    { name: 'another instance', change: {}, expected: { settings: { ...SETTINGS, uuid: NULL_UUID } }, code: 'ENODEV' },
    { name: 'another alignment', change: {}, expected: { settings: { ...SETTINGS, align: GIB } }, code: 'EOPNOTSUPP', log: 'init failed, settings mismatch' },
    { name: 'another mode', change: {}, expected: { settings: { ...SETTINGS, mode: 'ram' } }, code: 'EOPNOTSUPP', log: 'init failed, settings mismatch' },
    {
      name: 'an alignment beyond the namespace',
      change: { align: GIB },
      expected: { namespace: { ...NAMESPACE, sizeBytes: 512 * MIB } },
      code: 'EOPNOTSUPP',
      log: 'alignment: 40000000 exceeds capacity 20000000',
    },
    { name: 'data behind the end', change: { dataOffset: BigInt(GIB) }, code: 'EOPNOTSUPP', log: 'pfn array size exceeds capacity of namespace0.0' },
    { name: 'data past 64 bits', change: { dataOffset: 2n ** 64n - 4096n }, code: 'EOPNOTSUPP', log: 'pfn array size exceeds capacity of namespace0.0' },
    { name: 'data off its alignment', change: { dataOffset: BigInt(17 * MIB) }, code: 'EOPNOTSUPP', log: 'bad offset: 0x1100000 dax disabled align: 0x200000' },
    {
      name: 'data off the page',
      change: { dataOffset: BigInt(18 * MIB + 2048), align: 2048 },
      code: 'EOPNOTSUPP',
      log: 'bad offset: 0x1200800 dax disabled align: 0x800',
    },
    {
      name: 'a start that moved',
      change: { align: 4096 },
      expected: { namespace: { ...NAMESPACE, start: 4 * GIB + MIB } },
      code: 'EOPNOTSUPP',
      log: 'resource start misaligned',
    },
    { name: 'a padded start off the grain', change: { align: 4096, startPad: 4096 }, code: 'EOPNOTSUPP', log: 'resource start misaligned' },
    { name: 'an end off the grain', change: { endTrunc: 4096 }, code: 'EOPNOTSUPP', log: 'resource end misaligned' },
    {
      name: 'nothing left between the ends',
      change: { endTrunc: 2048 * MIB },
      code: 'EOPNOTSUPP',
      log: 'pfn array size exceeds capacity of namespace0.0',
    },
  ])('are refused for $name', ({ change, expected, code, log }) => {
    const result = check(change, expected);
    expect('refused' in result && { code: result.refused.code, log: result.refused.log }).toEqual({ code, log });
  });

  it.each<{ name: string; change: Partial<InfoBlock>; expected?: Partial<InfoBlockExpectation>; want: object }>([
    { name: 'pages of another size, with the map in RAM', change: { mode: 1, pageSize: 65536, pageStructSize: 1 }, want: { mode: 'ram' } },
    { name: 'fsdax: an alignment that cannot be mapped as one', change: { align: 64 * 1024 }, want: { align: 64 * 1024 } },
    { name: '1.3: no page sizes yet', change: { versionMinor: 3, pageSize: 0, pageStructSize: 0 }, want: { mode: 'pmem' } },
    { name: '1.1: no alignment yet, it is the highest bit of dataoff', change: { versionMinor: 1, align: 4096 }, want: { align: 16 * MIB, endTrunc: 0 }, expected: { namespace: { ...NAMESPACE, start: 4 * GIB - 2 * MIB } } },
    {
      name: '1.0: no padding yet',
      change: { versionMinor: 0, startPad: 1, endTrunc: 1, dataOffset: BigInt(16 * MIB) },
      want: { align: 16 * MIB, startPad: 0, endTrunc: 0 },
    },
    { name: 'padding of old kernels', change: { startPad: 2 * MIB, endTrunc: 2 * MIB }, want: { startPad: 2 * MIB, endTrunc: 2 * MIB } },
    { name: 'any major version', change: { versionMajor: 7 }, want: { mode: 'pmem' } },
  ])('are taken with $name', ({ change, expected, want }) => expect(check(change, expected)).toMatchObject({ valid: want }));

  it('cannot be read: ENXIO; and nothing on the media at all: ENODEV', () => {
    const io = memoryNamespace(GIB);
    expect(readInfoBlock(io, { kind: 'pfn', namespace: NAMESPACE })).toMatchObject({ refused: { code: 'ENODEV' } });
    io.lost = [{ start: 8000, end: 8001 }];
    expect(readInfoBlock(io, { kind: 'pfn', namespace: NAMESPACE })).toMatchObject({ refused: { code: 'ENXIO' } });
    expect(readInfoBlock(memoryNamespace(4096), { kind: 'pfn', namespace: NAMESPACE })).toMatchObject({ refused: { code: 'ENXIO' } });
  });
});

describe('hostile info blocks', () => {
  it('with any byte changed are no block at all', () => {
    const valid = encodeInfoBlock(BLOCK);
    for (let at = 0; at < valid.length; at++) {
      const damaged = valid.slice();
      damaged[at]! ^= 1 << at % 8;
      expect(checkInfoBlock(damaged, { kind: 'pfn', namespace: NAMESPACE })).toMatchObject({ refused: { code: 'ENODEV' } });
    }
  });

  it('with a right checksum are refused, or describe a place for data inside the namespace', () => {
    let [nrValid, nrRefused] = [0, 0];
    const u32 = fc.oneof(fc.constantFrom(0, 1, 2, 4096, 2 * MIB, GIB, 2 ** 32 - 1), fc.nat(2 ** 32 - 1));
    const u64 = fc.oneof(fc.constantFrom(0n, BigInt(2 * MIB), BigInt(18 * MIB), 2n ** 64n - 1n), fc.bigInt(0n, 2n ** 64n - 1n));
    const field = fc.oneof(
      fc.tuple(fc.constantFrom('dataOffset', 'nrPfns'), u64),
      fc.tuple(fc.constantFrom('mode', 'startPad', 'endTrunc', 'align', 'pageSize', 'flags'), u32),
      fc.tuple(fc.constant('versionMinor'), fc.nat(6)),
    );
    const change = fc.array(field, { maxLength: 4 }).map((fields) => Object.fromEntries(fields) as Partial<InfoBlock>);
    fc.assert(
      fc.property(change, fc.constantFrom('pfn' as const, 'dax' as const), (fields, kind) => {
        const result = check({ ...fields, signature: INFO_BLOCK_SIGNATURE[kind] }, { kind });
        if ('refused' in result) {
          nrRefused++;
          expect(['ENODEV', 'ENXIO', 'EOPNOTSUPP']).toContain(result.refused.code);
          return;
        }
        nrValid++;
        const { dataOffset, startPad, endTrunc } = result.valid;
        expect(dataOffset + startPad + endTrunc).toBeLessThanOrEqual(GIB);
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(nrValid, nrRefused)).toBeGreaterThan(50);
  });

  it('are summed without their own checksum', () => {
    const bytes = encodeInfoBlock(BLOCK);
    expect(superBlockChecksum(bytes.slice().fill(0xff, 4088))).toBe(superBlockChecksum(bytes));
  });
});
