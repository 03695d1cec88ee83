/** Address spaces, faults and pins against a model: a map from page to what was last stored there. */
import { PAGE_SIZE, type Pfn } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEVICE_FRAMES, WITHOUT_PAGES, WITH_PAGES, bootUser } from '../test/test-user.js';
import {
  MAP, type MmStruct, type MmapFile, PROT, PTE, VM, createFileMmaps, createMmStruct, createPageTable, faultIn, getUserPages, getUserPfns, insertPfn, isSignal,
  pinUserPages,
} from './index.js';

const RW = PROT.READ | PROT.WRITE;
const ANON = MAP.PRIVATE | MAP.ANONYMOUS;

/** A file whose page n is frame `first + n` of a device. */
function deviceFile(first: number, { isFsDax = true } = {}): MmapFile {
  return {
    name: 'file', readable: true, writable: true, mmaps: createFileMmaps(), isFsDax,
    mmap(vma) {
      vma.flags |= VM.MIXEDMAP;
      const { memory } = vma.mm.pages;
      vma.ops = {
        fault(fault) {
          const frame = (first + fault.pgoff) as Pfn;
          if (fault.pgoff >= DEVICE_FRAMES) return 'sigbus';
          if (fault.cowPage === undefined) return insertPfn(fault, 0, frame, fault.write);
          memory.frame(fault.cowPage).set(memory.frame(frame));
          return 'cow';
        },
      };
    },
  };
}

/** A touch of one byte: what is there, or the signal. A write stores `value`. */
function touch(mm: MmStruct, address: number, value?: number): number | string {
  const leaf = faultIn(mm, address, value !== undefined);
  if (isSignal(leaf)) return leaf.signal;
  const bytes = mm.pages.memory.frame(leaf.pfn + Math.floor((address - leaf.start) / PAGE_SIZE));
  if (value !== undefined) bytes[address % PAGE_SIZE] = value;
  return bytes[address % PAGE_SIZE]!;
}

const errnoOf = (run: () => unknown): string => {
  try {
    run();
    return 'ok';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
};

describe('page tables', () => {
  /** Frames far above 4 GiB, where shifts would fail. */
  const anyLeaf = fc.record({ page: fc.nat({ max: 2000 }), slot: fc.constantFrom(0, 1, 511, 2 ** 18, 2 ** 27 - 1), pfn: fc.nat({ max: 2 ** 31 }), large: fc.boolean() });

  it('say what a map would say, and leave no table behind', () => {
    fc.assert(fc.property(fc.array(anyLeaf, { maxLength: 60, size: 'max' }), (leaves) => {
      const frames = new Map<number, Uint8Array>();
      let next = 1;
      const table = createPageTable({
        memory: { frame: (pfn) => frames.get(pfn)! },
        allocTable: () => (frames.set(next, new Uint8Array(PAGE_SIZE)), next++ as Pfn),
        freeTable: (pfn) => void frames.delete(pfn),
      });
      const model = new Map<number, { pfn: number; size: number }>();
      const covering = (address: number): [number, { pfn: number; size: number }] | undefined =>
        [...model].find(([start, { size }]) => address >= start && address < start + size);
      for (const { page, slot, pfn, large } of leaves) {
        const size = large ? 512 * PAGE_SIZE : PAGE_SIZE;
        const address = Math.floor(((slot * 2 ** 20 + page * PAGE_SIZE) % (2 ** 47 - 2 ** 30)) / size) * size;
        if (large ? [...model.keys()].some((start) => start >= address && start < address + size && model.get(start)!.size !== size) : (covering(address)?.[1].size ?? size) !== size) {
          const [start, { size: there }] = covering(address) ?? [address, { size }];
          table.clear(address, address + size);
          for (const key of [...model.keys()]) if (key < address + size && key + model.get(key)!.size > address) model.delete(key);
          expect(table.find(start)).toBe(model.has(start) ? expect.anything() : undefined);
          expect(there).toBeGreaterThan(0);
          continue;
        }
        const frame = large ? Math.floor(pfn / 512) * 512 : pfn;
        table.set(address, large ? 1 : 0, frame, PTE.RW | PTE.DEVMAP);
        model.set(address, { pfn: frame, size });
      }
      for (const [start, { pfn, size }] of model) {
        expect(table.find(start + size - 1)).toMatchObject({ start, pfn, level: size === PAGE_SIZE ? 0 : 1, flags: expect.any(Number) });
      }
      const seen: number[] = [];
      table.forEach(0, 2 ** 47, ({ start }) => seen.push(start));
      expect(seen).toEqual([...model.keys()].sort((a, b) => a - b));
      table.clear(0, 2 ** 47);
      expect(table.nrTables).toBe(1);
      table.free();
      expect(frames.size).toBe(0);
    }), { numRuns: 60 });
  });

  it('keep x86-64’s bits', () => {
    const frames = Array.from({ length: 5 }, () => new Uint8Array(PAGE_SIZE));
    let next = 0;
    const table = createPageTable({ memory: { frame: (pfn) => frames[pfn]! }, allocTable: () => ++next as Pfn, freeTable: () => {} });
    table.set(3 * PAGE_SIZE, 0, 0xf_1234_5678, PTE.RW | PTE.USER | PTE.SPECIAL | PTE.DEVMAP | PTE.NX);
    const entries = frames.slice(1).map((bytes, level) => new DataView(bytes.buffer).getBigUint64(level === 3 ? 24 : 0, true));
    expect(entries).toEqual([0x2067n, 0x3067n, 0x4067n, 0x8400_f123_4567_8207n]);
    const large = createPageTable({ memory: { frame: (pfn) => frames[pfn - 5]!.fill(0) }, allocTable: () => ++next as Pfn, freeTable: () => {} });
    large.set(0, 1, 0x200, PTE.RW);
    expect(new DataView(frames[2]!.buffer).getBigUint64(0, true)).toBe(0x20_0083n);
  });
});

describe('address spaces', () => {
  type Step = { kind: 'map' | 'unmap' | 'store' | 'load' | 'fork' | 'exit' | 'protect'; who: number; page: number; count: number; value: number; shared: boolean };
  const anyStep: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom('map', 'unmap', 'store', 'store', 'store', 'load', 'load', 'fork', 'exit', 'protect'),
    who: fc.nat({ max: 3 }), page: fc.nat({ max: 11 }), count: fc.integer({ min: 1, max: 6 }), value: fc.integer({ min: 1, max: 255 }), shared: fc.boolean(),
  });
  const BASE = 0x10000000;

  it('behave as maps of pages that fork copies, and give back every frame', () => {
    const { pages, freePages } = bootUser();
    fc.assert(fc.property(fc.array(anyStep, { maxLength: 60, size: 'max' }), (steps) => {
      const before = freePages();
      interface Page { file: boolean; shared: boolean; index: number; own: number | undefined; write: boolean }
      const file = deviceFile(WITH_PAGES);
      for (let nr = 0; nr < 16; nr++) pages.memory.frame(WITH_PAGES + nr).fill(0);
      const fileBytes = new Map<number, number>();
      const processes: { mm: MmStruct; model: Map<number, Page> }[] = [{ mm: createMmStruct(pages), model: new Map() }];
      for (const { kind, who, page, count, value, shared } of steps) {
        const process = processes[who % processes.length];
        if (!process) break;
        const { mm, model } = process;
        const address = BASE + page * PAGE_SIZE;
        const there = model.get(page);
        switch (kind) {
          case 'map': {
            const isFile = value % 2 === 0;
            const flags = MAP.FIXED | (shared && isFile ? MAP.SHARED : MAP.PRIVATE) | (isFile ? 0 : MAP.ANONYMOUS);
            mm.mmap({ address, length: count * PAGE_SIZE, prot: RW, flags, ...(isFile ? { file, offset: page * PAGE_SIZE } : {}) });
            for (let nr = page; nr < page + count; nr++) model.set(nr, { file: isFile, shared: shared && isFile, index: nr, own: undefined, write: true });
            break;
          }
          case 'unmap':
            mm.munmap(address, count * PAGE_SIZE);
            for (let nr = page; nr < page + count; nr++) model.delete(nr);
            break;
          case 'protect': {
            const all = Array.from({ length: count }, (_, nr) => model.get(page + nr));
            const got = errnoOf(() => mm.mprotect(address, count * PAGE_SIZE, shared ? RW : PROT.READ));
            expect(got).toBe(all.every((each) => each !== undefined) ? 'ok' : 'ENOMEM');
            if (got === 'ok') for (const each of all) each!.write = shared;
            break;
          }
          case 'store':
            expect(touch(mm, address, value)).toBe(there?.write ? value : 'SIGSEGV');
            if (there?.write && there.shared) fileBytes.set(there.index, value);
            else if (there?.write) there.own = value;
            break;
          case 'load':
            expect(touch(mm, address)).toBe(there ? (there.own ?? (there.file ? (fileBytes.get(there.index) ?? 0) : 0)) : 'SIGSEGV');
            break;
          case 'fork':
            if (processes.length < 4) processes.push({ mm: mm.fork(), model: new Map([...model].map(([nr, each]) => [nr, { ...each }])) });
            break;
          case 'exit':
            mm.exit();
            processes.splice(processes.indexOf(process), 1);
            break;
        }
      }
      for (const { mm, model } of processes) {
        for (const [nr, each] of model) expect(touch(mm, BASE + nr * PAGE_SIZE)).toBe(each.own ?? (each.file ? (fileBytes.get(each.index) ?? 0) : 0));
        mm.exit();
      }
      expect([...file.mmaps.areas]).toEqual([]);
      expect(freePages()).toBe(before);
    }), { numRuns: 150 });
  });

  it('end a store with SIGKILL when there is no memory left, and lose nothing', () => {
    const { pages, freePages } = bootUser({ ramEnd: 0x1000 });
    const before = freePages();
    const mm = createMmStruct(pages);
    const address = mm.mmap({ length: 2 ** 30, prot: RW, flags: ANON });
    let last: number | string = 0;
    for (let at = address; at < address + 2 ** 30 && typeof last === 'number'; at += PAGE_SIZE) last = touch(mm, at, 1);
    expect(last).toBe('SIGKILL');
    mm.exit();
    expect(freePages()).toBe(before);
  });

  it.each([
    [{ length: 0, prot: RW, flags: ANON }, 'EINVAL'],
    [{ length: 4096, prot: RW, flags: MAP.ANONYMOUS }, 'EINVAL'],
    [{ length: 4096, prot: RW, flags: MAP.PRIVATE }, 'EBADF'],
    [{ length: 2 ** 47, prot: RW, flags: ANON }, 'ENOMEM'],
    [{ length: 4096, prot: RW, flags: ANON | MAP.FIXED, address: 100 }, 'EINVAL'],
    [{ length: 4096, prot: RW, flags: MAP.SHARED, offset: 100, file: deviceFile(WITH_PAGES) }, 'EINVAL'],
    [{ length: 4096, prot: RW, flags: MAP.SHARED_VALIDATE | MAP.SYNC, file: deviceFile(WITH_PAGES) }, 'EOPNOTSUPP'],
    [{ length: 4096, prot: RW, flags: MAP.SHARED | MAP.SYNC, file: deviceFile(WITH_PAGES) }, 'ok'],
    [{ length: 4096, prot: RW, flags: MAP.SHARED, file: { ...deviceFile(WITH_PAGES), writable: false } }, 'EACCES'],
    [{ length: 4096, prot: RW, flags: MAP.PRIVATE, file: { ...deviceFile(WITH_PAGES), writable: false } }, 'ok'],
    [{ length: 4096, prot: PROT.READ, flags: MAP.SHARED, file: { ...deviceFile(WITH_PAGES), readable: false } }, 'EACCES'],
  ])('mmap of %j answers %s', (request, want) => {
    expect(errnoOf(() => createMmStruct(bootUser().pages).mmap(request))).toBe(want);
  });
});

describe('get_user_pages', () => {
  function setUp(): ReturnType<typeof bootUser> & { mm2: MmStruct; map: (file?: MmapFile, flags?: number, prot?: number) => number } {
    const user = bootUser();
    const mm2 = createMmStruct(user.pages);
    return { ...user, mm2, map: (file, flags = MAP.SHARED, prot = RW) => mm2.mmap({ length: 4 * PAGE_SIZE, prot, flags: file ? flags : ANON, ...(file ? { file } : {}) }) };
  }

  it.each([
    { what: 'anonymous memory', file: undefined, flags: { write: true }, want: 'ok' },
    { what: 'anonymous memory, for good', file: undefined, flags: { write: true, longterm: true }, want: 'ok' },
    { what: 'a frame with a struct page', file: deviceFile(WITH_PAGES), flags: { write: true }, want: 'ok' },
    { what: 'a special entry', file: deviceFile(WITHOUT_PAGES), flags: {}, want: 'EFAULT' },
    { what: 'a special entry, for good', file: deviceFile(WITHOUT_PAGES, { isFsDax: false }), flags: { longterm: true }, want: 'EFAULT' },
    { what: 'a file system’s DAX, for good', file: deviceFile(WITH_PAGES), flags: { longterm: true }, want: 'EOPNOTSUPP' },
    { what: 'a device’s DAX, for good', file: deviceFile(WITH_PAGES, { isFsDax: false }), flags: { longterm: true }, want: 'ok' },
  ])('of $what with $flags: $want', ({ file, flags, want }) => {
    const { mm2, map } = setUp();
    const address = map(file);
    for (const pin of [false, true]) expect(errnoOf(() => getUserPages(mm2, address, 1, { ...flags, pin }).put())).toBe(want);
  });

  it('refuses what is not mapped, or not for writing, and stops at the end', () => {
    const { mm2, map } = setUp();
    const address = map(deviceFile(WITH_PAGES), MAP.SHARED, PROT.READ);
    expect(errnoOf(() => getUserPages(mm2, 0x10000, 1))).toBe('EFAULT');
    expect(errnoOf(() => getUserPages(mm2, address, 1, { write: true }))).toBe('EFAULT');
    expect(getUserPages(mm2, address, 9).pfns).toEqual([0, 1, 2, 3].map((nr) => WITH_PAGES + nr));
  });

  it('gives frames by number where their owner lets I/O name them', () => {
    const { mm2, map, devicePages } = setUp();
    const forget = devicePages.register({
      start: 0x20000 as Pfn, end: 0x21000 as Pfn, owner: 'by number', pte: 'special', ioByPfn: true, getPage: () => {}, putPage: () => {},
    });
    const address = map(deviceFile(0x20000));
    expect(errnoOf(() => getUserPages(mm2, address, 1))).toBe('EFAULT');
    expect(getUserPfns(mm2, address, 2).pfns).toEqual([0x20000, 0x20001]);
    expect(errnoOf(() => getUserPfns(mm2, map(deviceFile(WITHOUT_PAGES)), 1))).toBe('EFAULT');
    forget();
  });

  it('counts pins, and takes all of them back', () => {
    const { mm2, map, pages, refs } = setUp();
    const anonymous = map();
    const device = map(deviceFile(WITH_PAGES));
    const pins = [pinUserPages(mm2, anonymous, 1, { write: true }), pinUserPages(mm2, device, 2)];
    const [frame] = pins[0]!.pfns;
    expect([pages.pageCount(frame!), pages.maybePinned(frame!), refs.get(WITH_PAGES), pages.deviceHolds(WITH_PAGES as Pfn)]).toEqual([1025, true, 1, 1]);
    for (const pin of pins) pin.put();
    expect([pages.pageCount(frame!), pages.maybePinned(frame!), refs.get(WITH_PAGES), pages.deviceHolds(WITH_PAGES as Pfn)]).toEqual([1, false, 0, 0]);
  });

  it('keeps a pinned page its owner’s through fork, and frees a page that outlives its process', () => {
    const { mm2, map, pages, freePages } = setUp();
    const address = map();
    touch(mm2, address, 1);
    const pin = pinUserPages(mm2, address, 1, { write: true });
    const child = mm2.fork();
    touch(mm2, address, 2);
    expect(mm2.pageTable.find(address)!.pfn).toBe(pin.pfns[0]); // what the device writes is what the owner sees
    expect([touch(mm2, address), touch(child, address)]).toEqual([2, 1]);
    child.exit();
    mm2.exit();
    const before = freePages();
    expect(pages.memory.frame(pin.pfns[0]!)[0]).toBe(2);
    pin.put();
    expect(freePages()).toBe(before + 1);
  });
});
