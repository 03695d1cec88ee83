import { GIB, KIB, MIB, TIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type BttInfo, bttCapacity, bttInfoIsSane, bttInfoIsValid, bttVersion, decodeBttInfo, encodeBttInfo, planArenas } from './btt-info.js';
import { NULL_UUID } from './uuid.js';

const UUID = '00112233-4455-6677-8899-aabbccddeeff';

describe('bttCapacity', () => {
  it.each([
    // size, then 512 v2, 512 v1.1, 4096 v2, 4096 v1.1, 520 v2, 4104 v2; 0: too small
    [16 * MIB, 16487424, 0, 15683584, 0, 14653440, 15425536],
    [16 * MIB + 4 * KIB, 16491520, 16487424, 15687680, 15683584, 14657024, 15429632],
    [32 * MIB, 33134592, 33130496, 32444416, 32440320, 29464064, 31928320],
    [64 * MIB, 66428928, 66424832, 65966080, 65961984, 59084288, 64933888],
    [256 * MIB, 266194944, 266190848, 267096064, 267091968, 236807168, 262971392],
    [GIB, 1065258496, 1065254400, 1071616000, 1071611904, 947698176, 1055129600],
    [16 * GIB, 17046532096, 17046528000, 17162031104, 17162027008, 15165520896, 16898236416],
    [512 * GIB, 545493981184, 545493977088, 549218385920, 549218381824, 485301527552, 540776976384],
    [TIB, 1090987962368, 1090987958272, 1098436771840, 1098436767744, 970603055104, 1081553952768],
  ])('of %i bytes', (size, v2x512, v1x512, v2x4096, v1x4096, v2x520, v2x4104) => {
    expect([
      bttCapacity(size, 512, 'btt2'), bttCapacity(size, 512, 'btt'), bttCapacity(size, 4096, 'btt2'), bttCapacity(size, 4096, 'none'),
      bttCapacity(size, 520, 'btt2'), bttCapacity(size, 4104, 'btt2'),
    ]).toEqual([v2x512, v1x512, v2x4096, v1x4096, v2x520, v2x4104]);
    expect(bttCapacity(size, 4160, 'btt2')).toBe(v2x4104);
  });

  it.each([
    // v1.1, seen on Linux 6.1: size, then 512, 520, 4096, 4160
    [32 * MIB, 33130496, 29459968, 32440320, 31924224],
    [128 * MIB, 133013504, 118321664, 133005312, 130945024],
    [512 * MIB, 532545536, 473767424, 535265280, 527020032],
    [3 * GIB, 3196090880, 2843404288, 3216998400, 3167539200],
  ])('of %i bytes, as Linux had it', (size, ...want) => {
    expect([512, 520, 4096, 4160].map((lbaSize) => bttCapacity(size, lbaSize, 'btt'))).toEqual(want);
  });
});

describe('planArenas', () => {
  it.each([
    { size: 16 * MIB, lbaSize: 4096, want: { internalNlba: 4085, externalNlba: 3829, mapOffset: 16740352, logOffset: 16756736, info2Offset: 16773120 } },
    { size: 1073737728, lbaSize: 512, want: { internalNlba: 2080831, externalNlba: 2080575, mapOffset: 1065394176, logOffset: 1073717248, info2Offset: 1073733632 } },
    { size: 512 * GIB, lbaSize: 4096, want: { internalNlba: 134086776, externalNlba: 134086520, mapOffset: 549219446784, logOffset: 549755793408, info2Offset: 549755809792 } },
  ])('cuts $size bytes for sectors of $lbaSize', ({ size, lbaSize, want }) => expect(planArenas(size, lbaSize)).toMatchObject([{ ...want, nextOffset: 0 }]));

  it('chains arenas of 512 GiB, and leaves a rest below 16 MiB unused', () => {
    const sizes = (rawSize: number) => planArenas(rawSize, 4096).map(({ sizeBytes, nextOffset }) => [sizeBytes, nextOffset]);
    expect(sizes(TIB - 4096)).toEqual([[512 * GIB, 512 * GIB], [512 * GIB - 4096, 0]]);
    expect(sizes(512 * GIB + 16 * MIB)).toEqual([[512 * GIB, 512 * GIB], [16 * MIB, 0]]);
    expect(sizes(512 * GIB + 16 * MIB - 1)).toEqual([[512 * GIB, 0]]);
    expect(sizes(16 * MIB - 1)).toEqual([]);
  });
});

describe('BTT info blocks', () => {
  const [layout] = planArenas(GIB, 4096);
  const INFO: BttInfo = {
    ...layout!,
    nextOffset: 0n,
    dataOffset: BigInt(layout!.dataOffset),
    mapOffset: BigInt(layout!.mapOffset),
    logOffset: BigInt(layout!.logOffset),
    info2Offset: BigInt(layout!.info2Offset),
    signature: 'BTT_ARENA_INFO',
    uuid: UUID,
    parentUuid: NULL_UUID,
    flags: 0,
    versionMajor: 2,
    versionMinor: 0,
    nfree: 256,
    infoSize: 4096,
    checksum: 0x0226cf1921fcc096n,
  };

  it('carry the known checksum', () => {
    const decoded = decodeBttInfo(encodeBttInfo(INFO));
    expect(INFO).toMatchObject(decoded);
  });

  it('go with any namespace if their parent is zero, and with theirs otherwise', () => {
    const owned = encodeBttInfo({ ...INFO, parentUuid: UUID });
    expect([bttInfoIsValid(encodeBttInfo(INFO), UUID), bttInfoIsValid(encodeBttInfo(INFO), undefined)]).toEqual([true, true]);
    expect([bttInfoIsValid(owned, UUID), bttInfoIsValid(owned, NULL_UUID), bttInfoIsValid(owned, undefined)]).toEqual([true, false, false]);
  });

  it('with any byte changed are invalid', () => {
    const valid = encodeBttInfo(INFO);
    for (let at = 0; at < valid.length; at++) {
      const damaged = valid.slice();
      damaged[at]! ^= 1 << at % 8;
      expect(bttInfoIsValid(damaged, undefined)).toBe(false);
    }
  });

  it.each<[string, Partial<BttInfo>]>([
    ['data over the info block', { dataOffset: 0n }],
    ['data over the map', { internalNlba: INFO.internalNlba + 300 }],
    ['larger blocks than the data area has', { internalLbaSize: 8192 }],
    ['sectors larger than blocks', { externalLbaSize: 4224 }],
    ['more blocks than there are', { externalNlba: INFO.internalNlba + 1 }],
    ['a map over the flog', { logOffset: INFO.mapOffset + 4096n }],
    ['a flog over the second info block', { nfree: 2 ** 32 - 1 }],
    ['more free blocks than a kernel could hold, with room for them', { nfree: 2 ** 32 - 1, info2Offset: 2n ** 51n }],
    ['a next arena inside this one', { nextOffset: 4096n }],
    ['offsets past 2^52', { info2Offset: 2n ** 63n }],
  ])('that describe %s are not sane', (_, change) => {
    expect(bttInfoIsSane(INFO)).toBe(true);
    expect(bttInfoIsSane({ ...INFO, ...change })).toBe(false);
  });

  it('have their version and place by claim class', () => {
    expect(bttVersion('btt2')).toEqual({ major: 2, minor: 0, initialOffset: 0 });
    expect(bttVersion('btt')).toEqual(bttVersion('none'));
  });
});
