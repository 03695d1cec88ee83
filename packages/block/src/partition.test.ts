import fc from 'fast-check';
import { crc32 } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { addRamDisk, createHarness, errnoOf } from '../test/ramdisk.js';
import type { Harness, RamDisk } from '../test/ramdisk.js';
import { createQueue } from './gendisk.js';
import { addPartition, deletePartition, partitionName, partitionsOf } from './partition.js';
import { encodeGpt, parseGpt } from './partition-gpt.js';
import { encodeMbr, parseMsdos } from './partition-msdos.js';
import type { MbrPartition } from './partition-msdos.js';
import type { ParseResult, TableReader } from './partition-table.js';
import { defaultLimits, setLogicalBlockSize } from './queue-limits.js';

const KIB = 1024;
const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';
const UNIQUE = '11111111-2222-3333-4444-555555555555';
const DISK = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';

function readerOf(bytes: Uint8Array, logicalBlockSize = 512): TableReader {
  const nrSectors = Math.floor(bytes.length / 512);
  return { logicalBlockSize, nrSectors, readSector: (at) => (at >= 0 && at < nrSectors ? bytes.slice(at * 512, (at + 1) * 512) : undefined) };
}

const placesOf = (result: ParseResult): unknown => (typeof result === 'string' ? result : result.partitions.map(({ partno, start, nrSectors }) => [partno, start, nrSectors]));

/** A disk image with an MBR in each of the given sectors. */
function mbrDisk(tables: Record<number, MbrPartition[]>, sizeBytes = 512 * KIB): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (const [sector, entries] of Object.entries(tables)) encodeMbr(bytes.subarray(Number(sector) * 512, (Number(sector) + 1) * 512), entries, 0xdeadbeef);
  return bytes;
}

function gptDisk(options: Partial<Parameters<typeof encodeGpt>[0]> = {}, sizeBytes = 512 * KIB): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const partitions = [{ start: 40, end: 99, type: LINUX, unique: UNIQUE, name: 'data ä' }];
  for (const { offset, data } of encodeGpt({ nrSectors: sizeBytes / 512, diskGuid: DISK, partitions, ...options })) bytes.set(data, offset);
  return bytes;
}

describe('partition names', () => {
  it.each([['pmem0', 1, 'pmem0p1'], ['pmem0.1', 1, 'pmem0.1p1'], ['pmem0s', 1, 'pmem0s1'], ['sda', 12, 'sda12']])('%s %d is %s', (disk, partno, want) => {
    expect(partitionName(disk, partno)).toBe(want);
  });
});

describe('an MBR', () => {
  it('lists its primary partitions, with the disk signature as their uuid', () => {
    const result = parseMsdos(readerOf(mbrDisk({ 0: [{ type: 0x83, start: 63, count: 100 }, { type: 0, start: 0, count: 0 }, { type: 0x82, start: 200, count: 8, boot: 0x80 }] })), 'p');
    expect(result).toEqual({ text: ' p1 p3', warnings: [], partitions: [
      { partno: 1, start: 63, nrSectors: 100, uuid: 'deadbeef-01' },
      { partno: 3, start: 200, nrSectors: 8, uuid: 'deadbeef-03' },
    ] });
  });

  it('follows the chain of logical partitions from number 5 on; the extended one itself is two sectors', () => {
    const bytes = mbrDisk({
      0: [{ type: 0x83, start: 1, count: 9 }, { type: 0x05, start: 100, count: 300 }],
      100: [{ type: 0x83, start: 2, count: 50 }, { type: 0x05, start: 100, count: 100 }],
      200: [{ type: 0x83, start: 1, count: 60 }, { type: 0x0f, start: 200, count: 100 }],
      300: [{ type: 0x83, start: 1, count: 70 }],
    });
    const result = parseMsdos(readerOf(bytes), 'p');
    expect(placesOf(result)).toEqual([[1, 1, 9], [2, 100, 2], [5, 102, 50], [6, 201, 60], [7, 301, 70]]);
    expect(typeof result === 'string' ? '' : result.text).toBe(' p1 p2 < p5 p6 p7 >');
  });

  it('takes the third and fourth entry of a link only inside the bounds', () => {
    const none = { type: 0, start: 0, count: 0 };
    const bytes = mbrDisk({
      0: [{ type: 0x05, start: 100, count: 100 }],
      100: [none, none, { type: 0x83, start: 2, count: 50 }, { type: 0x83, start: 60, count: 50 }],
    });
    expect(placesOf(parseMsdos(readerOf(bytes), 'p'))).toEqual([[1, 100, 2], [5, 102, 50]]);
  });

  it('counts in logical blocks', () => {
    expect(placesOf(parseMsdos(readerOf(mbrDisk({ 0: [{ type: 0x83, start: 2, count: 10 }, { type: 0x05, start: 20, count: 4 }] }), 4096), 'p')))
      .toEqual([[1, 16, 80], [2, 160, 8]]);
  });

  it.each<[string, (bytes: Uint8Array) => void, unknown]>([
    ['without 55 aa', (bytes) => bytes.fill(0, 510, 512), 'other'],
    ['with a boot flag that is none', (bytes) => bytes.fill(1, 0x1be, 0x1bf), 'other'],
    ['of a FAT file system on the whole disk', (bytes) => bytes.set([0xeb, ...Array.from<number>({ length: 13 }).fill(0x90), 1, 0, 2, 0, 2, 0, 0, 0xf8]) ?? bytes.fill(1, 0x1be, 0x1bf), []],
    ['with an entry for GPT', (bytes) => bytes.fill(0xee, 0x1be + 4, 0x1be + 5), 'other'],
  ])('%s is left alone', (_name, spoil, want) => {
    const bytes = mbrDisk({ 0: [{ type: 0x83, start: 63, count: 100 }] });
    spoil(bytes);
    expect(placesOf(parseMsdos(readerOf(bytes), 'p'))).toEqual(want);
  });

  it('with links in a circle ends: at 100 empty ones, or at partition 255', () => {
    const empty = mbrDisk({ 0: [{ type: 0x05, start: 100, count: 100 }], 100: [{ type: 0x05, start: 0, count: 100 }] });
    expect(placesOf(parseMsdos(readerOf(empty), 'p'))).toEqual([[1, 100, 2]]);
    const full = mbrDisk({ 0: [{ type: 0x05, start: 100, count: 100 }], 100: [{ type: 0x83, start: 1, count: 1 }, { type: 0x05, start: 0, count: 100 }] });
    expect(placesOf(parseMsdos(readerOf(full), 'p'))).toHaveLength(1 + 251);
  });

  it('takes at most four entries', () => expect(errnoOf(() => encodeMbr(new Uint8Array(512), Array.from({ length: 5 }, () => ({ type: 1, start: 1, count: 1 }))))).toBe('EINVAL'));
});

describe('a GPT', () => {
  it.each([512, 4096])('lists its partitions, in logical blocks of %d', (logicalBlockSize) => {
    const scale = logicalBlockSize / 512;
    const bytes = gptDisk({ logicalBlockSize }, 1024 * KIB);
    expect(parseGpt(readerOf(bytes, logicalBlockSize), 'p')).toEqual({
      text: ' p1', warnings: [],
      partitions: [{ partno: 1, start: 40 * scale, nrSectors: 60 * scale, uuid: UNIQUE, label: 'data d' }],
    });
  });

  const HEADER = 512;
  const resign = (bytes: Uint8Array, at: number): void => {
    new DataView(bytes.buffer).setUint32(at + 16, 0, true);
    new DataView(bytes.buffer).setUint32(at + 16, crc32(bytes.subarray(at, at + 92)), true);
  };
  const spoilers: [string, (bytes: Uint8Array, view: DataView) => void][] = [
    ['signature', (bytes) => bytes.fill(0, HEADER, HEADER + 1)],
    ['header size below 92', (_, view) => view.setUint32(HEADER + 12, 91, true)],
    ['header size above the block', (_, view) => view.setUint32(HEADER + 12, 513, true)],
    ['header CRC', (_, view) => view.setUint32(HEADER + 16, 1, true)],
    ['own LBA', (bytes, view) => [view.setBigUint64(HEADER + 24, 2n, true), resign(bytes, HEADER)]],
    ['first usable LBA behind the end', (bytes, view) => [view.setBigUint64(HEADER + 40, 2n ** 63n, true), resign(bytes, HEADER)]],
    ['last usable LBA behind the end', (bytes, view) => [view.setBigUint64(HEADER + 48, 1024n, true), resign(bytes, HEADER)]],
    ['last usable before the first', (bytes, view) => [view.setBigUint64(HEADER + 48, 3n, true), resign(bytes, HEADER)]],
    ['entry size other than 128', (bytes, view) => [view.setUint32(HEADER + 84, 256, true), resign(bytes, HEADER)]],
    ['array behind the end', (bytes, view) => [view.setBigUint64(HEADER + 72, 2n ** 62n, true), resign(bytes, HEADER)]],
    ['array of 4 GiB', (bytes, view) => [view.setUint32(HEADER + 80, 2 ** 32 - 1, true), resign(bytes, HEADER)]],
    ['array CRC', (bytes) => bytes.fill(1, 1024 + 300, 1024 + 301)],
  ];

  it.each(spoilers)('is not believed with a bad %s, and the alternate is not asked, unless `gpt` says so', (_name, spoil) => {
    const bytes = gptDisk();
    spoil(bytes, new DataView(bytes.buffer));
    expect(parseGpt(readerOf(bytes), 'p')).toBe('other');
    const forced = parseGpt(readerOf(bytes), 'p', { forceGpt: true });
    expect(placesOf(forced)).toEqual([[1, 40, 60]]);
    expect(typeof forced === 'string' ? [] : forced.warnings).toEqual(['Primary GPT is invalid, using alternate GPT.']);
  });

  it('warns about a broken alternate and goes on with the primary', () => {
    const bytes = gptDisk();
    bytes.fill(0, bytes.length - 512);
    const result = parseGpt(readerOf(bytes), 'p');
    expect(placesOf(result)).toEqual([[1, 40, 60]]);
    expect(typeof result === 'string' ? [] : result.warnings).toEqual(['Alternate GPT is invalid, using primary GPT.']);
  });

  it('on a disk that has grown says where the alternate is', () => {
    const bytes = new Uint8Array(600 * KIB);
    bytes.set(gptDisk());
    const result = parseGpt(readerOf(bytes), 'p');
    expect(placesOf(result)).toEqual([[1, 40, 60]]);
    expect(typeof result === 'string' ? [] : result.warnings).toEqual([
      'GPT:Primary header thinks Alt. header is not at the end of the disk.', 'GPT:1023 != 1199',
      'GPT:Alternate GPT header not at the end of the disk.', 'GPT:1023 != 1199',
      'GPT: Use GNU Parted to correct GPT errors.',
    ]);
  });

  it('needs the protective MBR, unless `gpt` says so', () => {
    const bytes = gptDisk();
    bytes.fill(0, 0, 512);
    expect(parseGpt(readerOf(bytes), 'p')).toBe('other');
    expect(placesOf(parseGpt(readerOf(bytes), 'p', { forceGpt: true }))).toEqual([[1, 40, 60]]);
  });

  it('skips entries that are empty, turned round or off the disk', () => {
    const bytes = gptDisk();
    const view = new DataView(bytes.buffer);
    const template = bytes.slice(1024, 1152);
    const place = (index: number, start: bigint, end: bigint): void => {
      bytes.set(template, 1024 + index * 128);
      view.setBigUint64(1024 + index * 128 + 32, start, true);
      view.setBigUint64(1024 + index * 128 + 40, end, true);
    };
    place(1, 60n, 50n);
    place(2, 60n, 5000n);
    place(3, 2n ** 63n, 2n ** 63n);
    place(5, 200n, 200n);
    view.setUint32(HEADER + 88, crc32(bytes.subarray(1024, 1024 + 16384)), true);
    resign(bytes, HEADER);
    expect(placesOf(parseGpt(readerOf(bytes), 'p'))).toEqual([[1, 40, 60], [6, 200, 1]]);
  });

  it.each([
    ['before the usable blocks', { start: 33, end: 99 }],
    ['behind them', { start: 40, end: 991 }],
    ['turned round', { start: 99, end: 40 }],
  ])('is not written for a partition %s', (_name, place) => {
    expect(errnoOf(() => gptDisk({ partitions: [{ ...place, type: LINUX, unique: UNIQUE }] }))).toBe('EINVAL');
  });
});

describe('hostile tables', () => {
  const bases = [gptDisk(), mbrDisk({ 0: [{ type: 5, start: 1, count: 900 }], 1: [{ type: 0x83, start: 1, count: 2 }, { type: 5, start: 3, count: 9 }], 4: [{ type: 5, start: 0, count: 9 }] })];

  it('give a result with numbered, non-empty partitions at whole places, or none; never a throw or a hang', () => {
    const anyDamage = fc.array(fc.tuple(fc.nat(6 * KIB), fc.nat(255), fc.nat(3)), { maxLength: 40 });
    fc.assert(fc.property(fc.nat(1), anyDamage, fc.boolean(), fc.constantFrom(512, 4096), (base, damage, forceGpt, blockSize) => {
      const bytes = bases[base]!.slice();
      // Most damage to the interesting bytes, and CRCs put right again, so that it is not all caught by the first check.
      for (const [at, value, where] of damage) bytes[[at, 0x1be + (at % 66), 512 + (at % 92), 1024 + (at % 256)][where]!] = value;
      new DataView(bytes.buffer).setUint32(512 + 88, crc32(bytes.subarray(1024, 1024 + 16384)), true);
      new DataView(bytes.buffer).setUint32(512 + 16, 0, true);
      new DataView(bytes.buffer).setUint32(512 + 16, crc32(bytes.subarray(512, 604)), true);
      for (const parse of [() => parseGpt(readerOf(bytes, blockSize), 'p', { forceGpt }), () => parseMsdos(readerOf(bytes, blockSize), 'p')]) {
        const result = parse();
        if (typeof result === 'string') continue;
        const numbers = result.partitions.map(({ partno }) => partno);
        expect(new Set(numbers).size).toBe(numbers.length);
        for (const { partno, start, nrSectors } of result.partitions) {
          expect(partno >= 1 && partno < 256 && Number.isSafeInteger(start) && start >= 0 && Number.isSafeInteger(nrSectors) && nrSectors > 0).toBe(true);
        }
      }
    }));
  });

  it('of pure noise are nobody’s', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 0, maxLength: 2048 }), (bytes) => {
      for (const result of [parseGpt(readerOf(bytes), 'p', { forceGpt: true }), parseMsdos(readerOf(bytes), 'p')]) {
        if (typeof result !== 'string') expect(bytes[510]).toBe(0x55);
      }
    }));
  });
});

describe('a new disk', () => {
  function scan(bytes: Uint8Array, { name = 'pmem0', blockSize = 512, forceGpt = false } = {}): { harness: Harness; ram: RamDisk; parts: unknown[] } {
    const harness = createHarness({ forceGpt });
    const limits = defaultLimits();
    setLogicalBlockSize(limits, blockSize);
    const ram = addRamDisk(harness, { name, bytes, queue: createQueue(limits) });
    return { harness, ram, parts: partitionsOf(ram.disk).map((part) => [part.name, part.startSector, part.nrSectors, `${part.major}:${part.minor}`]) };
  }

  it('shows its MBR partitions and says so, and gives its page back', () => {
    const { harness, parts } = scan(mbrDisk({ 0: [{ type: 0x83, start: 8, count: 100 }, { type: 0x83, start: 200, count: 100 }] }));
    expect(parts).toEqual([['pmem0p1', 8, 100, '259:1'], ['pmem0p2', 200, 100, '259:2']]);
    expect(harness.log).toEqual([' pmem0: p1 p2']);
    expect(harness.pages.outstanding).toBe(0);
  });

  it('under a BTT has the disk’s name in its log line', () => {
    const { harness, parts } = scan(gptDisk({ logicalBlockSize: 4096, partitions: [{ start: 40, end: 41, type: LINUX, unique: UNIQUE }] }), { name: 'pmem0s', blockSize: 4096 });
    expect(parts).toEqual([['pmem0s1', 320, 16, '259:1']]);
    expect(harness.log).toEqual([' pmem0s: pmem0s1']);
  });

  it('cuts what reaches over its end, and leaves out what starts there', () => {
    const { harness, parts } = scan(mbrDisk({ 0: [{ type: 0x83, start: 1000, count: 100 }, { type: 0x83, start: 1024, count: 1 }] }));
    expect(parts).toEqual([['pmem0p1', 1000, 24, '259:1']]);
    expect(harness.log).toEqual([
      ' pmem0: p1 p2',
      '<4>pmem0: p1 size 100 extends beyond EOD, truncated',
      '<4>pmem0: p2 start 1024 is beyond EOD, truncated',
    ]);
  });

  it('without a table says nothing', () => expect(scan(new Uint8Array(64 * KIB)).harness.log).toEqual([]));

  it('that cannot be read says so', () => {
    const harness = createHarness();
    const bytes = mbrDisk({ 0: [{ type: 0x83, start: 1, count: 1 }] });
    addRamDisk(harness, { name: 'pmem0', bytes, ops: { submitBio: (bio) => bio.endIo?.(Object.assign(bio, { status: 10 })) } });
    expect(harness.log).toEqual([' pmem0: unable to read partition table']);
  });

  it('smaller than a page is read to its end only', () => expect(scan(mbrDisk({ 0: [{ type: 0x83, start: 1, count: 1 }] }, 1024)).parts).toHaveLength(1));
});

describe('a partition', () => {
  it('has one of its disk’s minors, or an extended one', () => {
    const harness = createHarness();
    harness.block.majors.set(254, 'pmem');
    const { disk } = addRamDisk(harness, { numbers: { major: 254, firstMinor: 16, minors: 16 } });
    const numbers = [1, 15, 16, 17].map((partno) => addPartition(disk, partno, 0, 1)).map(({ major, minor }) => `${major}:${minor}`);
    expect(numbers).toEqual(['254:17', '254:31', '259:0', '259:1']);
    deletePartition(disk, 16);
    expect(addPartition(disk, 200, 0, 1).minor).toBe(0);
  });

  it.each([[0, 0, 1, 'EINVAL'], [256, 0, 1, 'EINVAL'], [1, 0, 0, 'EINVAL'], [1, -1, 2, 'EINVAL'], [1, 2047, 2, 'EINVAL'], [1, 2047, 1, 'ok'], [3, 0, 1, 'EBUSY']])(
    'number %d of [%d, +%d) is %s', (partno, start, nrSectors, want) => {
      const { disk } = addRamDisk(createHarness());
      addPartition(disk, 3, 0, 1);
      expect(errnoOf(() => addPartition(disk, partno, start, nrSectors))).toBe(want);
    });

  it('that is not there cannot be deleted', () => expect(errnoOf(() => deletePartition(addRamDisk(createHarness()).disk, 1))).toBe('ENXIO'));
});
