import { pfn, sector } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { addRamDisk, createHarness } from '../test/ramdisk.js';
import { allocBio, bioAddPage, bioChain, bioEndIo, bioEndWith } from './bio.js';
import { BLK_STS } from './blk-status.js';
import { BIO, REQ, REQ_OP } from './blk-types.js';
import type { Bio, BlockDevice } from './blk-types.js';
import { delDisk } from './gendisk.js';
import { addPartition } from './partition.js';
import { submitBio, submitBioAsync, submitBioNoacct, submitBioWait } from './submit.js';

const { READ, WRITE } = REQ_OP;

function dataBio(bdev: BlockDevice, opf: number, at: number, sizeBytes = 4096): Bio {
  const bio = allocBio(bdev, 4, opf);
  bio.sector = sector(at);
  bioAddPage(bio, pfn(1), sizeBytes, 0);
  return bio;
}

function emptyBio(bdev: BlockDevice, opf: number, sectors = 0): Bio {
  const bio = allocBio(bdev, 0, opf);
  bio.sizeBytes = sectors * 512;
  return bio;
}

describe('submitBio', () => {
  it('hands a bio to the driver and reports how it ended', () => {
    const harness = createHarness();
    const ram = addRamDisk(harness);
    harness.memory.frame(1).fill(7);
    expect(submitBioWait(dataBio(ram.disk.part0, WRITE, 8))).toBe(BLK_STS.OK);
    expect([ram.bytes[4095], ram.bytes[4096], ram.bytes[8191], ram.bytes[8192]]).toEqual([0, 7, 7, 0]);
    ram.badSector = 9;
    expect(submitBioWait(dataBio(ram.disk.part0, READ, 8))).toBe(BLK_STS.IOERR);
  });

  it.each<[string, number, number]>([
    ['READ', READ | REQ.NOWAIT, BLK_STS.NOTSUPP],
    ['DISCARD', REQ_OP.DISCARD, BLK_STS.NOTSUPP],
    ['SECURE_ERASE', REQ_OP.SECURE_ERASE, BLK_STS.NOTSUPP],
    ['WRITE_ZEROES', REQ_OP.WRITE_ZEROES, BLK_STS.NOTSUPP],
    ['FLUSH as an operation', REQ_OP.FLUSH, BLK_STS.NOTSUPP],
    ['ZONE_APPEND', REQ_OP.ZONE_APPEND, BLK_STS.NOTSUPP],
    ['ZONE_RESET_ALL', REQ_OP.ZONE_RESET_ALL, BLK_STS.NOTSUPP],
  ])('refuses what the queue cannot do: %s', (_name, opf, want) => {
    const ram = addRamDisk(createHarness());
    expect(submitBioWait(emptyBio(ram.disk.part0, opf, 8))).toBe(want);
    expect(ram.seen).toEqual([]);
  });

  it.each([REQ_OP.DISCARD, REQ_OP.WRITE_ZEROES, REQ_OP.SECURE_ERASE, READ | REQ.NOWAIT])('lets through what it can (%d)', (opf) => {
    const ram = addRamDisk(createHarness());
    const { queue } = ram.disk;
    Object.assign(queue.limits, { maxDiscardSectors: 8, maxWriteZeroesSectors: 8, maxSecureEraseSectors: 8 });
    queue.nowait = true;
    expect(submitBioWait(emptyBio(ram.disk.part0, opf, 8))).toBe(BLK_STS.OK);
    expect(ram.seen).toHaveLength(1);
  });

  it.each<[string, number, boolean, number[]]>([
    ['keeps PREFLUSH and FUA where there is a write cache', WRITE | REQ.PREFLUSH | REQ.FUA, true, [WRITE | REQ.PREFLUSH | REQ.FUA]],
    ['strips them where there is none', WRITE | REQ.PREFLUSH | REQ.FUA, false, [WRITE]],
  ])('%s', (_name, opf, writeCache, want) => {
    const ram = addRamDisk(createHarness());
    ram.disk.queue.writeCache = writeCache;
    expect(submitBioWait(dataBio(ram.disk.part0, opf, 0))).toBe(BLK_STS.OK);
    expect(ram.seen.map(({ op }) => op)).toEqual(want);
  });

  it('completes an empty flush at once where there is no write cache', () => {
    const ram = addRamDisk(createHarness());
    expect(submitBioWait(emptyBio(ram.disk.part0, WRITE | REQ.PREFLUSH))).toBe(BLK_STS.OK);
    expect(ram.seen).toEqual([]);
    ram.disk.queue.writeCache = true;
    submitBioWait(emptyBio(ram.disk.part0, WRITE | REQ.PREFLUSH));
    expect(ram.seen).toHaveLength(1);
  });

  it('warns about a write to a read-only device, and lets it through; an empty flush passes silently', () => {
    const harness = createHarness();
    const ram = addRamDisk(harness);
    ram.disk.readOnly = true;
    ram.disk.queue.writeCache = true;
    submitBioWait(emptyBio(ram.disk.part0, WRITE | REQ.PREFLUSH));
    expect(harness.log).toEqual([]);
    expect(submitBioWait(dataBio(ram.disk.part0, WRITE, 0))).toBe(BLK_STS.OK);
    expect(harness.log).toEqual(['<4>Trying to write to read-only block-device ram0']);
    expect(ram.seen).toHaveLength(2);
  });

  it.each<[string, number, number, boolean]>([
    ['the last page', 2040, 4096, true],
    ['one sector past the end', 2041, 4096, false],
    ['from the end on', 2048, 512, false],
    ['far behind it', 2 ** 40, 512, false],
    ['nothing at the end', 2048, 0, true],
    ['more than the device', 0, 1024 * 1024 + 512, false],
  ])('checks the end: %s', (_name, at, sizeBytes, fits) => {
    const harness = createHarness({ comm: () => 'dd' });
    const ram = addRamDisk(harness);
    const bio = sizeBytes > 0 ? dataBio(ram.disk.part0, READ, at, sizeBytes) : emptyBio(ram.disk.part0, READ);
    bio.sector = sector(at);
    expect(submitBioWait(bio)).toBe(fits ? BLK_STS.OK : BLK_STS.IOERR);
    const lines = ['dd: attempt to access beyond end of device', `ram0: rw=0, sector=${at}, nr_sectors = ${sizeBytes / 512} limit=2048`];
    expect(harness.log).toEqual(fits ? [] : lines);
  });

  it('logs ten such lines in five seconds, then counts', () => {
    const harness = createHarness();
    const ram = addRamDisk(harness);
    for (let i = 0; i < 25; i++) submitBioWait(dataBio(ram.disk.part0, READ, 9999));
    expect(harness.log).toHaveLength(20);
    harness.clock.now = 6e9;
    submitBioWait(dataBio(ram.disk.part0, READ, 9999));
    expect(harness.log.slice(20)).toEqual([
      '<4>bio_check_eod: 15 callbacks suppressed',
      'swapper/0: attempt to access beyond end of device',
      'ram0: rw=0, sector=9999, nr_sectors = 8 limit=2048',
    ]);
  });

  it('moves a partition’s bio to the disk’s sectors, once, inside the partition only', () => {
    const harness = createHarness();
    const ram = addRamDisk(harness);
    const part = addPartition(ram.disk, 1, 100, 50);
    const bio = dataBio(part, READ, 42);
    expect(submitBioWait(bio)).toBe(BLK_STS.OK);
    expect(ram.seen[0]?.sector).toBe(142);
    expect(bio.flags & BIO.REMAPPED).not.toBe(0);
    expect(submitBioWait(dataBio(part, READ, 43))).toBe(BLK_STS.IOERR);
    expect(harness.log[1]).toBe('ram0p1: rw=0, sector=43, nr_sectors = 8 limit=50');
  });

  it('ends bios for a disk that is gone with IOERR', () => {
    const ram = addRamDisk(createHarness());
    delDisk(ram.disk);
    expect(submitBioWait(dataBio(ram.disk.part0, READ, 0))).toBe(BLK_STS.IOERR);
  });
});

describe('bios that drivers submit', () => {
  it('wait for the driver to return: lower devices first, then its own, then older ones', () => {
    const harness = createHarness();
    const order: string[] = [];
    const note = (bio: Bio): boolean => {
      order.push(`${bio.bdev!.name}@${bio.sector}`);
      bioEndIo(bio);
      return true;
    };
    const low = addRamDisk(harness, { name: 'low', intercept: note });
    const middle = addRamDisk(harness, { name: 'middle', intercept(bio) {
      if (bio.sector === 0) for (const [bdev, at] of [[middle.disk.part0, 8], [low.disk.part0, 16], [middle.disk.part0, 24], [low.disk.part0, 32]] as const) submitBio(dataBio(bdev, READ, at));
      return note(bio);
    } });
    const top = addRamDisk(harness, { name: 'top', intercept(bio) {
      submitBio(dataBio(middle.disk.part0, READ, 0));
      submitBio(dataBio(middle.disk.part0, READ, 40));
      return note(bio);
    } });
    submitBio(dataBio(top.disk.part0, READ, 0));
    expect(order).toEqual(['top@0', 'middle@0', 'low@16', 'low@32', 'middle@8', 'middle@24', 'middle@40']);
  });

  it('use one stack frame of each driver, however many follow one another', () => {
    let depth = 0;
    let deepest = 0;
    let left = 50_000;
    const ram = addRamDisk(createHarness(), { intercept(bio) {
      deepest = Math.max(deepest, ++depth);
      if (left-- > 0) {
        const next = dataBio(ram.disk.part0, READ, 0);
        bioChain(next, bio);
        submitBioNoacct(next);
      }
      bioEndIo(bio);
      depth--;
      return true;
    } });
    expect(submitBioWait(dataBio(ram.disk.part0, READ, 0))).toBe(BLK_STS.OK);
    expect([deepest, left]).toEqual([1, -1]);
  });

  it('may come from the end of another: an I/O loop that never returns to its caller', () => {
    const ram = addRamDisk(createHarness());
    let rounds = 0;
    const bio = dataBio(ram.disk.part0, READ, 0);
    bio.endIo = () => {
      if (++rounds < 20_000) submitBio(bio);
    };
    submitBio(bio);
    expect(rounds).toBe(20_000);
  });
});

describe('a device that completes later', () => {
  it('resolves the promise then, and is a bug for submitBioWait', async () => {
    const held: Bio[] = [];
    const ram = addRamDisk(createHarness(), { intercept: (bio) => held.push(bio) > 0 });
    const promise = submitBioAsync(dataBio(ram.disk.part0, READ, 0));
    bioEndWith(held[0]!, BLK_STS.TIMEOUT);
    expect(await promise).toBe(BLK_STS.TIMEOUT);
    expect(() => submitBioWait(dataBio(ram.disk.part0, READ, 0))).toThrow('has not completed the bio at once');
  });

  it('takes the next bio after a bug in a driver', () => {
    const ram = addRamDisk(createHarness(), { intercept: () => {
      throw new TypeError('driver bug');
    } });
    for (let i = 0; i < 2; i++) expect(() => submitBio(dataBio(ram.disk.part0, READ, 0))).toThrow('driver bug');
  });
});
