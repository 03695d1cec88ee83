import { describe, expect, it } from 'vitest';
import { PAGE_SIZE, nodeId } from '@holdfast/lib';
import { createPageCache } from '@holdfast/mm';
import { type RamDisk, addRamDisk, createHarness, errnoOf } from '../test/ramdisk.js';
import { BLK_STS, REQ_OP, addPartition, bioEndWith, blkdevGet, blkdevPut, delDisk, openBlockDevice, opOf } from './index.js';

/** A disk behind a page cache whose struct pages are a plain array. */
function cachedDisk(): RamDisk & { readonly log: string[]; failWrites: boolean } {
  const memmap = new Int32Array(32_768 * 16);
  const base = createHarness();
  const pageCache = createPageCache({
    pages: { allocPages: () => base.pages.allocPages(0), freePages: (first) => base.pages.freePages(first, 0), registerShrinker: () => {} },
    home: nodeId(0),
    pageWords: () => new Int32Array(16),
    memmap: () => memmap,
    memory: base.memory,
    clock: base.clock,
    sparePages: () => 100_000,
  });
  const harness = createHarness({ pageCache, memory: base.memory, pages: base.pages, clock: base.clock });
  const state = { log: harness.log, failWrites: false };
  const ram: RamDisk = addRamDisk({ ...harness, memory: base.memory }, {
    intercept(bio) {
      if (!cached.failWrites || opOf(bio.opf) !== REQ_OP.WRITE) return false;
      bioEndWith(bio, BLK_STS.IOERR);
      return true;
    },
  });
  const cached = Object.assign(ram, state);
  return cached;
}

const bytes = (value: number, length: number): Uint8Array => new Uint8Array(length).fill(value);
const writes = ({ seen }: RamDisk): number[] => seen.filter(({ op, sizeBytes }) => opOf(op) === REQ_OP.WRITE && sizeBytes > 0).map(({ sector }) => sector);

describe('a device that is open', () => {
  it('keeps what is written in RAM, and writes it at the last close', () => {
    const ram = cachedDisk();
    const [a, b] = [openBlockDevice(ram.disk.part0), openBlockDevice(ram.disk.part0)];
    a.pwrite(bytes(3, 100), 5000);
    a.close();
    a.close();
    expect(writes(ram)).toEqual([]);
    const got = new Uint8Array(1);
    b.pread(got, 5000);
    expect(got[0]).toBe(3);
    b.close();
    expect(writes(ram)).toEqual([8]);
    expect(ram.bytes[5000]).toBe(3);
    expect(ram.disk.part0.mapping).toBeUndefined();
  });

  it('flushes the device at fsync, and not at close', () => {
    const ram = cachedDisk();
    ram.disk.queue.writeCache = true;
    const file = openBlockDevice(ram.disk.part0);
    file.pwrite(bytes(1, 4096), 0);
    file.fsync();
    const flushes = (): number => ram.seen.filter(({ sizeBytes }) => sizeBytes === 0).length;
    expect(flushes()).toBe(1);
    file.pwrite(bytes(2, 4096), 0);
    file.close();
    expect([flushes(), ram.bytes[0]]).toEqual([1, 2]);
  });

  it('is written before it goes, and then no file on it reads or writes', () => {
    const ram = cachedDisk();
    const file = openBlockDevice(ram.disk.part0);
    file.pwrite(bytes(7, 10), 0);
    delDisk(ram.disk);
    expect(ram.bytes[0]).toBe(7);
    expect(file.pread(bytes(0, 10), 0)).toBe(0);
    expect(errnoOf(() => file.pwrite(bytes(1, 10), 0))).toBe('ENOSPC');
    file.close();
    expect(errnoOf(() => openBlockDevice(ram.disk.part0))).toBe('ENXIO');
  });

  it('has a cache of its own beside that of its partition, as on Linux', () => {
    const ram = cachedDisk();
    const part = addPartition(ram.disk, 1, 8, 8);
    const [whole, p1] = [openBlockDevice(ram.disk.part0), openBlockDevice(part)];
    const got = new Uint8Array(1);
    whole.pread(got, PAGE_SIZE);
    p1.pwrite(bytes(9, 1), 0);
    p1.fsync();
    whole.pread(got, PAGE_SIZE);
    expect([got[0], ram.bytes[PAGE_SIZE]]).toEqual([0, 9]);
    whole.flushBuffers();
    whole.pread(got, PAGE_SIZE);
    expect(got[0]).toBe(9);
  });

  it('tells of a page that could not be written: once by fsync, and in the log', () => {
    const ram = cachedDisk();
    const file = openBlockDevice(ram.disk.part0);
    file.pwrite(bytes(1, 4096), 8192);
    ram.failWrites = true;
    expect(errnoOf(() => file.fsync())).toBe('EIO');
    expect(errnoOf(() => file.fsync())).toBe('ok');
    expect(ram.log).toContain('<3>Buffer I/O error on dev ram0, logical block 2, lost async page write');
  });

  it('gives EIO for a page that cannot be read, and no other', () => {
    const ram = cachedDisk();
    const file = openBlockDevice(ram.disk.part0);
    ram.badSector = 24;
    expect(file.pread(bytes(0, 8 * 4096), 0)).toBe(3 * 4096);
    expect(errnoOf(() => file.pread(bytes(0, 1), 3 * 4096))).toBe('EIO');
    expect(ram.log).toContain('<3>Buffer I/O error on dev ram0, logical block 3, async page read');
  });
});

describe('direct and buffered I/O on one device', () => {
  it('see each other’s data', () => {
    const ram = cachedDisk();
    const cached = openBlockDevice(ram.disk.part0);
    const direct = openBlockDevice(ram.disk.part0, { direct: true });
    const got = new Uint8Array(512);
    cached.pwrite(bytes(1, 4096), 0);
    direct.pread(got, 512);
    expect(got[0]).toBe(1);
    direct.pwrite(bytes(2, 512), 512);
    cached.pread(got, 512);
    expect(got[0]).toBe(2);
    cached.pread(got, 0);
    expect(got[0]).toBe(1);
    cached.pwrite(bytes(3, 10), 600);
    cached.zeroout(512, 512);
    cached.pread(got, 512);
    expect(got.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a claim', () => {
  it.each([
    ['the same device', 0, 0, 'EBUSY'],
    ['the disk of a partition', 0, 1, 'EBUSY'],
    ['a partition of the disk', 1, 0, 'EBUSY'],
    ['another partition', 1, 2, 'ok'],
  ])('of %s', (_, held, wanted, want) => {
    const { disk } = cachedDisk();
    const devices = [disk.part0, addPartition(disk, 1, 8, 8), addPartition(disk, 2, 16, 8)];
    blkdevGet(devices[held]!, 'ext4');
    expect(errnoOf(() => openBlockDevice(devices[wanted]!, { exclusive: 'me' }))).toBe(want);
    openBlockDevice(devices[wanted]!).close();
    blkdevPut(devices[held]!, 'ext4');
    openBlockDevice(devices[held]!, { exclusive: 'me' }).close();
    expect(devices.map(({ openers, holder }) => [openers, holder])[held]).toEqual([0, undefined]);
  });
});
