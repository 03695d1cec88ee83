import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addRamDisk, createHarness, errnoOf } from '../test/ramdisk.js';
import type { Harness, RamDisk } from '../test/ramdisk.js';
import { bioEndWith } from './bio.js';
import { openBlockDevice } from './block-file.js';
import type { BlockDeviceFile } from './block-file.js';
import { BLK_STS } from './blk-status.js';
import { REQ, REQ_OP } from './blk-types.js';
import { createQueue } from './gendisk.js';
import { defaultLimits, setLogicalBlockSize } from './queue-limits.js';

const SIZE = 64 * 1024;

/** A plain toEqual of so many bytes takes seconds. */
const expectBytes = (actual: Uint8Array, expected: Uint8Array): void => expect(Buffer.compare(actual, expected)).toBe(0);

function open({ logicalBlockSize = 512, direct = false, sizeBytes = SIZE } = {}): { harness: Harness; ram: RamDisk; file: BlockDeviceFile } {
  const harness = createHarness();
  const limits = defaultLimits();
  setLogicalBlockSize(limits, logicalBlockSize);
  const ram = addRamDisk(harness, { bytes: Uint8Array.from({ length: sizeBytes }, (_, i) => i * 7), queue: createQueue(limits) });
  return { harness, ram, file: openBlockDevice(ram.disk.part0, { direct }) };
}

describe('an open block device', () => {
  it('tells its sizes', () => {
    const { file } = open({ logicalBlockSize: 4096 });
    expect([file.sizeBytes, file.logicalBlockSize, file.physicalBlockSize, file.readOnly]).toEqual([SIZE, 4096, 4096, false]);
  });

  // Each row as a real 6.1 answers; the same for buffered and direct I/O where both are given.
  it.each<[string, number, number, number | string, number | string]>([
    // call, offset, length, buffered, direct
    ['pread', 0, 4096, 4096, 4096],
    ['pread', 512, 512, 512, 512],
    ['pread', 100, 512, 512, 'EINVAL'],
    ['pread', 0, 100, 100, 'EINVAL'],
    ['pread', 0, 520, 520, 'EINVAL'],
    ['pread', SIZE - 512, 1024, 512, 512],
    ['pread', SIZE - 4096, 8192, 4096, 4096],
    ['pread', SIZE, 512, 0, 0],
    ['pread', SIZE + 4096, 4096, 0, 0],
    ['pread', -1, 512, 'EINVAL', 'EINVAL'],
    ['pwrite', 0, 4096, 4096, 4096],
    ['pwrite', 100, 512, 512, 'EINVAL'],
    ['pwrite', 4096, 1000, 1000, 'EINVAL'],
    ['pwrite', SIZE - 512, 1024, 512, 512],
    ['pwrite', SIZE, 512, 'ENOSPC', 'ENOSPC'],
    ['pwrite', SIZE + 4096, 4096, 'ENOSPC', 'ENOSPC'],
    ['pwrite', SIZE, 0, 0, 0],
  ])('%s(%d, %d bytes) gives %s, with O_DIRECT %s', (call, offset, length, buffered, direct) => {
    for (const [mode, want] of [[false, buffered], [true, direct]] as const) {
      const { file } = open({ direct: mode });
      const run = (): number => file[call as 'pread' | 'pwrite'](new Uint8Array(length), offset);
      if (typeof want === 'number') expect(run()).toBe(want);
      else expect(errnoOf(run)).toBe(want);
    }
  });

  it('holds the same bytes as a plain array, whatever is written where', () => {
    const write = fc.tuple(fc.nat(SIZE + 100), fc.oneof(fc.nat(600), fc.nat(SIZE)), fc.nat(255));
    fc.assert(fc.property(fc.constantFrom(512, 4096), fc.array(write, { maxLength: 8 }), write, (logicalBlockSize, writes, [readAt, readLength]) => {
      const { harness, ram, file } = open({ logicalBlockSize });
      const model = ram.bytes.slice();
      for (const [at, length, value] of writes) {
        const source = new Uint8Array(length).fill(value);
        const fits = Math.min(length, SIZE - at);
        if (fits <= 0) continue;
        expect(file.pwrite(source, at)).toBe(fits);
        model.fill(value, at, at + fits);
      }
      expectBytes(ram.bytes, model);
      const target = new Uint8Array(readLength).fill(0xee);
      const count = file.pread(target, readAt);
      const expected = new Uint8Array(readLength).fill(0xee);
      expected.set(model.subarray(readAt, readAt + readLength));
      expect(count).toBe(Math.max(0, Math.min(readLength, SIZE - readAt)));
      expectBytes(target, expected);
      expect(harness.pages.outstanding).toBe(0);
    }), { numRuns: 40 });
  });

  it('moves large requests through 128 KiB of bounce pages', () => {
    const { ram, file } = open({ sizeBytes: 1024 * 1024 });
    const target = new Uint8Array(300 * 1024);
    expect(file.pread(target, 1000)).toBe(target.length);
    expectBytes(target, ram.bytes.subarray(1000, 1000 + target.length));
    expect(Math.max(...ram.seen.map(({ sizeBytes }) => sizeBytes))).toBe(128 * 1024);
  });

  it('reports an error at once, or what it moved before the error', () => {
    const { harness, ram, file } = open({ sizeBytes: 1024 * 1024 });
    ram.badSector = 300;
    expect(file.pread(new Uint8Array(300 * 1024), 0)).toBe(128 * 1024);
    expect(errnoOf(() => file.pread(new Uint8Array(512), 300 * 512))).toBe('EIO');
    expect(errnoOf(() => file.pwrite(new Uint8Array(512), 300 * 512))).toBe('EIO');
    expect(errnoOf(() => file.pwrite(new Uint8Array(5), 300 * 512))).toBe('EIO');
    expect(harness.pages.outstanding).toBe(0);
  });

  it('that is read-only gives EPERM; a disk that is so as such cannot be set otherwise', () => {
    const { ram, file } = open();
    file.readOnly = true;
    expect(errnoOf(() => file.pwrite(new Uint8Array(1), 0))).toBe('EPERM');
    file.readOnly = false;
    expect(file.pwrite(new Uint8Array(1), 0)).toBe(1);
    ram.disk.readOnly = true;
    file.readOnly = false;
    expect([file.readOnly, errnoOf(() => file.pwrite(new Uint8Array(1), 0))]).toEqual([true, 'EPERM']);
  });
});

describe('fsync', () => {
  it.each<[string, number, string]>([['OK', BLK_STS.OK, 'ok'], ['NOTSUPP', BLK_STS.NOTSUPP, 'ok'], ['IOERR', BLK_STS.IOERR, 'EIO']])('sends an empty PREFLUSH; %s', (_name, status, want) => {
    const harness = createHarness();
    const ram = addRamDisk(harness, { intercept: (bio) => (bioEndWith(bio, status as 0), true) });
    ram.disk.queue.writeCache = true;
    expect(errnoOf(() => openBlockDevice(ram.disk.part0).fsync())).toBe(want);
    expect(ram.seen).toEqual([{ op: REQ_OP.WRITE | REQ.PREFLUSH | REQ.SYNC, sector: 0, sizeBytes: 0 }]);
  });
});

describe('BLKDISCARD and BLKZEROOUT', () => {
  it('discard is not supported, wherever it points', () => {
    const { file } = open();
    for (const at of [0, 100, SIZE]) expect(errnoOf(() => file.discard(at, 4096))).toBe('EOPNOTSUPP');
  });

  it('discard reaches a device that can', () => {
    const { ram, file } = open();
    ram.disk.queue.limits.maxDiscardSectors = 1000;
    file.discard(4096, 8192);
    expect(ram.seen).toEqual([{ op: REQ_OP.DISCARD, sector: 8, sizeBytes: 8192 }]);
  });

  it.each<[number, number, number, string]>([
    // logical block, offset, length
    [512, 0, SIZE, 'ok'],
    [512, 512, 512, 'ok'],
    [512, 100, 512, 'EINVAL'],
    [512, 0, 100, 'EINVAL'],
    [512, SIZE, 512, 'EINVAL'],
    [512, SIZE - 512, 1024, 'EINVAL'],
    [4096, 512, 4096, 'EINVAL'],
    [4096, 4096, 512, 'EINVAL'],
    [4096, 4096, 4096, 'ok'],
  ])('with blocks of %d, zeroout of [%d, +%d) is %s', (logicalBlockSize, at, length, want) => {
    const { ram, file } = open({ logicalBlockSize });
    const model = ram.bytes.slice();
    expect(errnoOf(() => file.zeroout(at, length))).toBe(want);
    if (want === 'ok') model.fill(0, at, at + length);
    expectBytes(ram.bytes, model);
  });

  it('zeroout of more than one bio holds goes in several', () => {
    const { ram, file } = open({ sizeBytes: 1536 * 1024 });
    file.zeroout(0, 1536 * 1024);
    expect(ram.seen.map(({ sizeBytes }) => sizeBytes / 1024)).toEqual([1024, 512]);
    expectBytes(ram.bytes, new Uint8Array(ram.bytes.length));
  });

  it('zeroout of a read-only device is EPERM', () => {
    const { file } = open();
    file.readOnly = true;
    expect(errnoOf(() => file.zeroout(0, 512))).toBe('EPERM');
  });
});
