import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError, MIB, PAGE_SIZE, nodeId } from '@holdfast/lib';
import { addDevice, createTestCache, flagsOf } from '../test/page-cache.js';
import { fileWriteAndWait, filemapRead, filemapWrite, openMapping } from './filemap.js';
import { countPageCache } from './page-cache-counts.js';
import { filemapFdatawrite, filemapWriteAndWait, runFlusher, syncPageCache } from './page-writeback.js';
import { destroyMapping, dropPagecache, invalidateInodePages2, truncateInodePages } from './truncate.js';
import { shrinkNode } from './vmscan.js';

const page = (value: number, length = PAGE_SIZE): Uint8Array => new Uint8Array(length).fill(value);

describe('a page that is written', () => {
  it('is dirty in its struct page and on no device, until somebody wants it there', () => {
    const test = createTestCache();
    const device = addDevice(test.cache, MIB);
    filemapWrite(openMapping(device.mapping), page(7), 2 * PAGE_SIZE);
    expect(flagsOf(test, device, 2)).toEqual(['dirty', 'lru', 'uptodate']);
    expect(device.seen).toEqual([]);
    expect(countPageCache(test.cache)).toMatchObject({ buffers: 1, cached: 0, dirty: 1 });
    filemapFdatawrite(device.mapping);
    expect(flagsOf(test, device, 2)).toEqual(['lru', 'uptodate']);
    expect(device.bytes[2 * PAGE_SIZE]).toBe(7);
  });

  it('reaches the device once, however often it was overwritten', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    const file = openMapping(device.mapping);
    for (let i = 0; i < 100; i++) filemapWrite(file, page(i), 0);
    expect(fileWriteAndWait(file)).toBeUndefined();
    expect(device.seen).toEqual(['write 0']);
    expect(cache.vmstat).toMatchObject({ nrDirtied: 1, nrWritten: 1 });
    expect(device.bytes[0]).toBe(99);
  });

  it('is read first if the write leaves some of it', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    device.bytes.fill(1);
    const file = openMapping(device.mapping);
    filemapWrite(file, page(2, 100), 50);
    expect(device.seen).toEqual(['read 0+1']);
    const got = new Uint8Array(200);
    filemapRead(file, got, 0);
    expect([got[49], got[50], got[149], got[150]]).toEqual([1, 2, 2, 1]);
  });

  it('need not be read at the ragged end of the device', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, PAGE_SIZE + 512);
    filemapWrite(openMapping(device.mapping), page(2, 512), PAGE_SIZE);
    filemapFdatawrite(device.mapping);
    expect(device.seen).toEqual(['write 1']);
  });

  it('goes when it has been dirty for 30 s, at the flusher’s next wake-up', () => {
    const { cache, clock } = createTestCache();
    const device = addDevice(cache, MIB);
    clock.now = 1e9;
    filemapWrite(openMapping(device.mapping), page(1), 0);
    clock.now = 30.9e9;
    runFlusher(cache);
    expect(device.seen).toEqual([]);
    clock.now = 31e9;
    runFlusher(cache);
    expect(device.seen).toEqual(['write 0']);
  });

  it('goes when a tenth of memory is dirty', () => {
    const { cache, freePages } = createTestCache();
    const device = addDevice(cache, 64 * MIB);
    const tenth = Math.floor(freePages() / 10);
    const file = openMapping(device.mapping);
    let most = 0;
    for (let at = 0; at < 64 * MIB; at += PAGE_SIZE) {
      filemapWrite(file, page(1), at);
      most = Math.max(most, device.mapping.dirty.size);
    }
    expect(most).toBeGreaterThan(tenth - 32);
    expect(most).toBeLessThan(tenth + 64);
    expect(device.seen.length).toBeGreaterThan(0);
  });
});

describe('errors of writeback', () => {
  it('are told once to each file that was open, and to the first that comes later', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    const [a, b] = [openMapping(device.mapping), openMapping(device.mapping)];
    device.badWrites.add(0);
    filemapWrite(a, page(1), 0);
    syncPageCache(cache);
    const late = openMapping(device.mapping);
    expect([a, b, late].map((file) => fileWriteAndWait(file))).toEqual(['EIO', 'EIO', 'EIO']);
    expect([a, b, late, openMapping(device.mapping)].map((file) => fileWriteAndWait(file))).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('take no other page with them, and leave the page clean with its data', () => {
    const test = createTestCache();
    const device = addDevice(test.cache, MIB);
    const file = openMapping(device.mapping);
    filemapWrite(file, page(9, 3 * PAGE_SIZE), 0);
    device.badWrites.add(1);
    expect(fileWriteAndWait(file)).toBe('EIO');
    expect([0, 1, 2].map((index) => device.bytes[index * PAGE_SIZE])).toEqual([9, 0, 9]);
    expect(flagsOf(test, device, 1)).toEqual(['error', 'lru', 'uptodate']);
  });

  it('are told once to callers without a file', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    filemapWrite(openMapping(device.mapping), page(1), 0);
    device.badWrites.add(0);
    expect(filemapWriteAndWait(device.mapping)).toBe('EIO');
    expect(filemapWriteAndWait(device.mapping)).toBeUndefined();
  });
});

describe('reading', () => {
  it('asks the device once, and ahead: 4 pages, then 8, 16, 32', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    const file = openMapping(device.mapping);
    for (let at = 0; at < 70 * PAGE_SIZE; at += PAGE_SIZE) filemapRead(file, page(0), at);
    expect(device.seen).toEqual(['read 0+4', 'read 4+8', 'read 12+16', 'read 28+32', 'read 60+32', 'read 92+32']);
    for (let at = 0; at < 70 * PAGE_SIZE; at += PAGE_SIZE) filemapRead(file, page(0), at);
    expect(device.seen).toHaveLength(6);
  });

  it('reads nothing ahead at random places', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    const file = openMapping(device.mapping);
    for (const index of [100, 20, 200, 60]) filemapRead(file, page(0), index * PAGE_SIZE);
    expect(device.seen).toEqual(['read 100+1', 'read 20+1', 'read 200+1', 'read 60+1']);
  });

  it('gives what is before a page that cannot be read, then the error', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    const file = openMapping(device.mapping);
    device.badReads.add(2);
    expect(filemapRead(file, page(0, 4 * PAGE_SIZE), 0)).toBe(2 * PAGE_SIZE);
    expect(() => filemapRead(file, page(0), 2 * PAGE_SIZE)).toThrow(KernelError);
    device.badReads.clear();
    expect(filemapRead(file, page(0), 2 * PAGE_SIZE)).toBe(PAGE_SIZE);
  });
});

describe('memory', () => {
  it('comes back when somebody needs it, active pages last, and none is lost', () => {
    const { cache, mm, freePages } = createTestCache(0x2000);
    const before = freePages();
    const device = addDevice(cache, 64 * MIB);
    const file = openMapping(device.mapping);
    const hot = page(0);
    filemapWrite(file, page(1), 0);
    for (let at = PAGE_SIZE; at < 60 * MIB; at += PAGE_SIZE) {
      filemapWrite(file, hot.fill(at / PAGE_SIZE), at);
      if (at % MIB === 0) {
        filemapRead(file, hot, 0);
        file.ra.prevPos = -1;
      }
    }
    expect(mm.zones().every(({ buddy, watermark }) => buddy.freePages >= watermark.min)).toBe(true);
    expect(cache.vmstat.pgsteal).toBeGreaterThan(1000);
    expect(device.mapping.folios.has(0)).toBe(true);
    expect(freePages() + device.mapping.folios.size).toBe(before);
    syncPageCache(cache);
    for (let at = PAGE_SIZE; at < 60 * MIB; at += PAGE_SIZE) expect(device.bytes[at]).toBe((at / PAGE_SIZE) % 256);
    destroyMapping(device.mapping);
    expect(freePages()).toBe(before);
  });

  it('is not taken from dirty pages by who may not do I/O', () => {
    const { cache } = createTestCache();
    const device = addDevice(cache, MIB);
    filemapWrite(openMapping(device.mapping), page(1, MIB), 0);
    expect(shrinkNode(cache, nodeId(0), 1000, false)).toBe(0);
    expect(shrinkNode(cache, nodeId(0), 1000, true)).toBe(MIB / PAGE_SIZE);
    expect(device.bytes[MIB - 1]).toBe(1);
  });
});

it('drop_caches and direct I/O forget clean pages; truncate forgets dirty ones, too', () => {
  const { cache } = createTestCache();
  const device = addDevice(cache, MIB);
  const file = openMapping(device.mapping);
  filemapRead(file, page(0, 4 * PAGE_SIZE), 0);
  filemapWrite(file, page(5), 0);
  const cached = device.mapping.folios.size;
  expect(dropPagecache(cache)).toBe(cached - 1);
  expect(invalidateInodePages2(device.mapping, 0, PAGE_SIZE)).toBe(false);
  truncateInodePages(device.mapping);
  expect(countPageCache(cache)).toMatchObject({ buffers: 0, dirty: 0 });
  expect(device.bytes[0]).toBe(0);
});

type Step = { do: 'write' | 'read' | 'fsync' | 'flush' | 'drop' | 'cut'; at: number; length: number; value: number };
const SIZE = 6 * PAGE_SIZE + 512;
const anyStep: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom('write', 'write', 'write', 'read', 'fsync', 'flush', 'drop', 'cut'),
  at: fc.nat(SIZE - 1),
  length: fc.integer({ min: 1, max: 3 * PAGE_SIZE }),
  value: fc.integer({ min: 1, max: 255 }),
});

it('reads what was written, and keeps through a power cut all that fsync returned for', () => {
  fc.assert(fc.property(fc.array(anyStep, { minLength: 30, maxLength: 60 }), (steps) => {
    const test = createTestCache();
    const before = test.freePages();
    const { cache } = test;
    let device = addDevice(cache, SIZE);
    let file = openMapping(device.mapping);
    let now = new Uint8Array(SIZE);
    let synced = now.slice();
    /** Bytes that were written since fsync: after a cut they may be old or new. */
    let unsure = new Map<number, Set<number>>();
    for (const { do: what, at, length, value } of steps) {
      const end = Math.min(at + length, SIZE);
      if (what === 'write') {
        filemapWrite(file, page(value, end - at), at);
        now.fill(value, at, end);
        for (let i = at; i < end; i++) unsure.set(i, (unsure.get(i) ?? new Set()).add(value));
      } else if (what === 'read') {
        const got = new Uint8Array(end - at);
        expect(filemapRead(file, got, at)).toBe(end - at);
        expect(got).toEqual(now.subarray(at, end));
      } else if (what === 'fsync') {
        expect(fileWriteAndWait(file)).toBeUndefined();
        synced = now.slice();
        unsure = new Map();
      } else if (what === 'flush') {
        test.clock.now += 40e9;
        runFlusher(cache);
      } else if (what === 'drop') {
        dropPagecache(cache);
      } else {
        const kept = device.bytes;
        for (let i = 0; i < SIZE; i++) if (kept[i] !== synced[i] && !unsure.get(i)?.has(kept[i]!)) expect.fail(`byte ${i}: ${kept[i]}, and fsync had returned for ${synced[i]}`);
        destroyMapping(device.mapping); // its RAM is gone
        now = kept.slice();
        synced = kept.slice();
        unsure = new Map();
        device = addDevice(cache, SIZE);
        device.bytes.set(kept);
        file = openMapping(device.mapping);
      }
    }
    destroyMapping(device.mapping);
    expect(test.freePages()).toBe(before);
  }), { numRuns: 20 });
});
