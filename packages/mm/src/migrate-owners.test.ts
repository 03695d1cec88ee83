/** What offlining does with pages of the page cache and of processes: they move, as long as nobody holds them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MIB, PAGE_SIZE, type Pfn, nodeId, pfn } from '@holdfast/lib';
import { createDram, createMachine } from '@holdfast/machine';
import { addDevice } from '../test/page-cache.js';
import { bootMm } from '../test/test-mm.js';
import { faultIn, isSignal } from './handle-fault.js';
import {
  MAP, PROT, type MmStruct, ZONE_MOVABLE, ZONE_NORMAL, anonPageOwner, createDevicePagesMap, createMmStruct, createPageCache, createUserPages, filemapFile, pageCacheOwner, pinUserPages,
} from './index.js';
import { filemapRead, filemapWrite, openMapping } from './filemap.js';
import { filemapFdatawrite } from './page-writeback.js';
import { dropPagecache } from './truncate.js';

const NODE0 = nodeId(0);
/** RAM of boot: 64 MiB; then a block that comes and goes; memmaps behind both. */
const BOOT_END = 0x4000;
const BLOCK: [Pfn, Pfn] = [pfn(0x8000), pfn(0x10000)];
const MEMMAP_CHUNK = 0x10000 / 512;

function boot(index: typeof ZONE_MOVABLE | typeof ZONE_NORMAL = ZONE_MOVABLE) {
  const { memory } = createMachine({ media: [{ start: 0, medium: createDram(512 * MIB) }] });
  const test = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: BOOT_END }], { memory, firstMemmapChunk: MEMMAP_CHUNK });
  const { mm } = test;
  mm.onlinePages(...BLOCK, NODE0, index);
  const freePages = (): number => mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0);
  const cache = createPageCache({ pages: mm, home: NODE0, memmap: (section) => mm.vmemmap.memmap(section), pageWords: (pfn) => mm.vmemmap.pageWords(pfn), memory, clock: { now: 0 }, sparePages: freePages });
  const pages = createUserPages({ memory, mm, devicePages: createDevicePagesMap(), nid: NODE0, zeroFrame: pfn(16) });
  mm.movable.register(pageCacheOwner(cache));
  mm.movable.register(anonPageOwner(pages, mm.vmemmap));
  return { ...test, memory, cache, pages, freePages };
}

const inBlock = (frame: number): boolean => frame >= BLOCK[0] && frame < BLOCK[1];
const anon = (mm: MmStruct, count: number): number => mm.mmap({ length: count * PAGE_SIZE, prot: PROT.READ | PROT.WRITE, flags: MAP.PRIVATE | MAP.ANONYMOUS });

function frameAt(mm: MmStruct, address: number, write: boolean): Pfn {
  const leaf = faultIn(mm, address, write);
  if (isSignal(leaf)) throw new Error(leaf.signal);
  return leaf.pfn;
}

function store({ memory }: ReturnType<typeof boot>, mm: MmStruct, address: number, value: number): void {
  memory.frame(frameAt(mm, address, true)).fill(value);
}

describe('anonymous pages', () => {
  it('leave the block, and keep their bytes for every process that has them', () => {
    const test = boot();
    const parent = createMmStruct(test.pages);
    const at = anon(parent, 3);
    for (let page = 0; page < 3; page++) store(test, parent, at + page * PAGE_SIZE, page + 1);
    const child = parent.fork();
    store(test, child, at, 9); // a copy of its own
    const frames = [parent, child].flatMap((mm) => [0, 1, 2].map((page) => frameAt(mm, at + page * PAGE_SIZE, false)));
    expect(frames.every(inBlock)).toBe(true);
    test.mm.offlinePages(...BLOCK);
    const after = [parent, child].map((mm) => [0, 1, 2].map((page) => frameAt(mm, at + page * PAGE_SIZE, false)));
    expect(after.flat().some(inBlock)).toBe(false);
    expect(after.map((all) => all.map((frame) => test.memory.frame(frame)[PAGE_SIZE - 1]))).toEqual([[1, 2, 3], [9, 2, 3]]);
    expect(after[0]!.slice(1)).toEqual(after[1]!.slice(1));
    store(test, child, at + PAGE_SIZE, 7); // still copied, not shared
    expect(test.memory.frame(frameAt(parent, at + PAGE_SIZE, false))[0]).toBe(2);
    const before = test.freePages();
    child.exit();
    parent.exit();
    expect(test.freePages()).toBeGreaterThan(before);
    expect(test.log).toEqual([]);
  });

  it('stay where somebody has pinned them, and so does the block', () => {
    const test = boot();
    const mm = createMmStruct(test.pages);
    const at = anon(mm, 1);
    const pinned = pinUserPages(mm, at, 1, { write: true });
    const frame = pinned.pfns[0]!;
    expect(() => test.mm.offlinePages(...BLOCK)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(test.log[0]).toBe(`migrating pfn ${frame.toString(16)} failed ret:1 `);
    expect(test.log.at(-1)).toBe('page dumped because: migration failure');
    expect(frameAt(mm, at, false)).toBe(frame);
    pinned.put();
    test.mm.offlinePages(...BLOCK);
    expect(inBlock(frameAt(mm, at, false))).toBe(false);
  });

  it('move after a split of their area, and private copies of a file do', () => {
    const test = boot();
    const device = addDevice(test.cache, MIB);
    device.bytes.fill(5);
    const mm = createMmStruct(test.pages);
    const at = anon(mm, 4);
    for (let page = 0; page < 4; page++) store(test, mm, at + page * PAGE_SIZE, page + 1);
    mm.munmap(at + PAGE_SIZE, PAGE_SIZE);
    const file = filemapFile(device.mapping, { name: 'dev', readable: true, writable: true });
    const copy = mm.mmap({ length: 4 * PAGE_SIZE, prot: PROT.READ | PROT.WRITE, flags: MAP.PRIVATE, file, offset: 8 * PAGE_SIZE });
    store(test, mm, copy + 2 * PAGE_SIZE, 8);
    test.mm.offlinePages(...BLOCK);
    const frames = [at, at + 2 * PAGE_SIZE, at + 3 * PAGE_SIZE, copy + 2 * PAGE_SIZE].map((address) => frameAt(mm, address, false));
    expect(frames.some(inBlock)).toBe(false);
    expect(frames.map((frame) => test.memory.frame(frame)[0])).toEqual([1, 3, 4, 8]);
  });
});

describe('pages of the page cache', () => {
  it('leave the block as they are: dirty, active, mapped', () => {
    const test = boot(ZONE_NORMAL);
    const device = addDevice(test.cache, MIB);
    const file = openMapping(device.mapping);
    test.mm.offlinePages(...BLOCK); // page tables are not to lie there: the kernel's own pages cannot move
    const mm = createMmStruct(test.pages);
    const low = anon(mm, 1);
    store(test, mm, low, 6);
    test.mm.onlinePages(...BLOCK, NODE0, ZONE_NORMAL);
    const at = mm.mmap({ address: low - 8 * PAGE_SIZE, length: 8 * PAGE_SIZE, prot: PROT.READ | PROT.WRITE, flags: MAP.SHARED, file: filemapFile(device.mapping, { name: 'dev', readable: true, writable: true }) });
    filemapWrite(file, new Uint8Array(PAGE_SIZE).fill(1), 0);
    for (let turn = 0; turn < 3; turn++) filemapRead(openMapping(device.mapping), new Uint8Array(10), 4 * PAGE_SIZE);
    store(test, mm, at + PAGE_SIZE, 2);
    const flags = (index: number): readonly string[] => test.mm.vmemmap.readPage(device.mapping.folios.get(index)!.pfn)!.flagNames;
    const before = [0, 1, 4].map(flags);
    expect(before).toEqual([['uptodate', 'dirty', 'lru'], ['uptodate', 'dirty', 'lru'], ['referenced', 'uptodate', 'lru', 'active']]);
    expect([...device.mapping.folios.values()].every((folio) => inBlock(folio.pfn))).toBe(true);
    test.mm.offlinePages(...BLOCK);
    expect([...device.mapping.folios.values()].some((folio) => inBlock(folio.pfn))).toBe(false);
    expect([0, 1, 4].map(flags)).toEqual(before);
    expect(frameAt(mm, at + PAGE_SIZE, false)).toBe(device.mapping.folios.get(1)!.pfn);
    store(test, mm, at + PAGE_SIZE, 3);
    filemapFdatawrite(device.mapping);
    expect([device.bytes[0], device.bytes[PAGE_SIZE]]).toEqual([1, 3]);
    mm.exit();
    const [cached, free] = [device.mapping.folios.size, test.freePages()];
    dropPagecache(test.cache);
    expect(test.freePages()).toBeGreaterThanOrEqual(free + cached);
    expect([test.cache.frames.size, test.log]).toEqual([0, []]);
  });

  it('stay while somebody holds one', () => {
    const test = boot(ZONE_NORMAL);
    const device = addDevice(test.cache, MIB);
    filemapWrite(openMapping(device.mapping), new Uint8Array(PAGE_SIZE).fill(1), 0);
    const { pfn: held } = device.mapping.folios.get(0)!;
    test.pages.pinPage(held);
    expect(() => test.mm.offlinePages(...BLOCK)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(test.log.at(-1)).toBe('page dumped because: migration failure');
    test.pages.unpinPage(held);
    test.mm.offlinePages(...BLOCK);
    expect(inBlock(device.mapping.folios.get(0)!.pfn)).toBe(false);
  });
});

it('no byte is lost, whoever stores, reads, forks and exits while the block comes and goes', () => {
  const step = fc.record({ kind: fc.constantFrom('store', 'store', 'write', 'read', 'fork', 'exit', 'offline', 'online', 'sync'), page: fc.nat(7), who: fc.nat(3), value: fc.integer({ min: 1, max: 255 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const test = boot();
    const device = addDevice(test.cache, 8 * PAGE_SIZE);
    const file = openMapping(device.mapping);
    const written = new Uint8Array(8);
    const first = createMmStruct(test.pages);
    const at = anon(first, 8);
    let people = [{ mm: first, bytes: new Uint8Array(8) }];
    let online = true;
    for (const { kind, page, who, value } of steps) {
      const { mm, bytes } = people[who % people.length]!;
      if (kind === 'store') {
        store(test, mm, at + page * PAGE_SIZE, value);
        bytes[page] = value;
      }
      if (kind === 'write') {
        filemapWrite(file, new Uint8Array(PAGE_SIZE).fill(value), page * PAGE_SIZE);
        written[page] = value;
      }
      if (kind === 'read') {
        const got = new Uint8Array(1);
        filemapRead(file, got, page * PAGE_SIZE);
        expect(got[0]).toBe(written[page]);
      }
      if (kind === 'fork' && people.length < 4) people.push({ mm: mm.fork(), bytes: bytes.slice() });
      if (kind === 'exit' && people.length > 1) {
        mm.exit();
        people = people.filter((one) => one.mm !== mm);
      }
      if (kind === 'sync') filemapFdatawrite(device.mapping);
      if (kind === 'offline' && online) {
        test.mm.offlinePages(...BLOCK);
        online = false;
      }
      if (kind === 'online' && !online) {
        test.mm.onlinePages(...BLOCK, NODE0, ZONE_MOVABLE);
        online = true;
      }
      for (const one of people) expect(Array.from({ length: 8 }, (_, nr) => test.memory.frame(frameAt(one.mm, at + nr * PAGE_SIZE, false))[0])).toEqual([...one.bytes]);
    }
    filemapFdatawrite(device.mapping);
    expect(Array.from({ length: 8 }, (_, nr) => device.bytes[nr * PAGE_SIZE])).toEqual([...written]);
    for (const { mm } of people) mm.exit();
    dropPagecache(test.cache);
    expect(test.freePages()).toBe(test.mm.totalRamPages());
    if (online) test.mm.offlinePages(...BLOCK);
  }), { numRuns: 30 });
});
