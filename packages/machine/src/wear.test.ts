import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { CachedLines } from './cached-lines.js';
import { type Machine, type Mapping, type Medium, CHUNK_SIZE, createClock, createMachine, createNvdimm, mediumFigures } from './index.js';
import { MediaController } from './media-controller.js';
import { PageWear } from './wear.js';

function boot(sizeBytes = 2 ** 40): { machine: Machine; medium: Medium; m: Mapping } {
  const medium = createNvdimm({ sizeBytes });
  const machine = createMachine({ media: [{ start: CHUNK_SIZE, medium }] });
  return { machine, medium, m: machine.cpu.map(physAddr(CHUNK_SIZE), sizeBytes, 'WB') };
}

const bytes = new Uint8Array(CHUNK_SIZE);

describe('page wear', () => {
  it('is what a plain map of pages counts, for stores and for whole ranges', () => {
    const step = fc.oneof(
      fc.record({ page: fc.nat(5000), lines: fc.integer({ min: 1, max: 16 }) }),
      fc.record({ start: fc.nat(2000), length: fc.constantFrom(1, 512, 513, 3000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const wear = new PageWear(16);
        const model = new Map<number, number>();
        const count = (page: number, lines: number): void => void model.set(page, (model.get(page) ?? 0) + lines);
        for (const s of steps) {
          if ('page' in s) {
            wear.add(s.page, s.lines);
            count(s.page, s.lines);
          } else {
            wear.addRange(s.start, s.start + s.length);
            for (let page = s.start; page < s.start + s.length; page++) count(page, 16);
          }
        }
        const classes = new Map<number, number>();
        for (const lines of model.values()) classes.set(lines, (classes.get(lines) ?? 0) + 1);
        expect(wear.histogram()).toEqual([...classes].map(([lines, pages]) => ({ lines, pages })).sort((a, b) => a.lines - b.lines));
        for (const page of [0, 511, 512, 2000, 4999]) expect(wear.pageWrites(page)).toBe(model.get(page) ?? 0);
      }),
      { numRuns: 50 },
    );
  });

  it('counts on past what a byte holds, and pages with the group that they were written with', () => {
    const wear = new PageWear(16);
    for (let i = 0; i < 300; i++) wear.addPage(17);
    wear.add(17, 3);
    wear.addPages(15, 33);
    expect([14, 15, 16, 17, 32, 33].map((page) => wear.pageWrites(page))).toEqual([0, 16, 16, 301 * 16 + 3, 16, 0]);
    expect(wear.histogram()).toEqual([{ lines: 16, pages: 17 }, { lines: 301 * 16 + 3, pages: 1 }]);
  });

  it('counts a page written whole as 16 lines of 256 bytes, and starts again at reset', () => {
    const { medium, m } = boot();
    m.writeFlushCache(3 * 4096, bytes, 0, 8192);
    expect([2, 3, 4, 5].map((page) => medium.wear.pageWrites(page))).toEqual([0, 16, 16, 0]);
    expect(medium.wear).toMatchObject({ bytesReceived: 8192, linesWritten: 32, lineBytes: 256 });
    expect(medium.wear.histogram()).toEqual([{ lines: 16, pages: 2 }]);
    medium.wear.reset();
    expect(medium.wear).toMatchObject({ bytesReceived: 0, linesWritten: 0, busyNs: 0 });
    expect(medium.wear.histogram()).toEqual([]);
  });
});

describe('the buffer of the media', () => {
  it.each(['nvdimm', 'nvdimm-n'] as const)('combines stores as a plain table of 64 lines does (%s)', (kind) => {
    const step = fc.oneof(
      fc.record({ at: fc.nat(12 * 4096), length: fc.integer({ min: 1, max: 9000 }) }),
      fc.record({ at: fc.nat(12).map((page) => page * 4096), length: fc.constantFrom(4096, 8192, 65536) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const controller = new MediaController(mediumFigures(kind));
        const clock = createClock();
        const slots: number[] = [];
        const pages = new Map<number, number>();
        for (const { at, length } of steps) {
          controller.receive(clock, at, length);
          for (let line = Math.floor(at / controller.lineBytes); line * controller.lineBytes < at + length; line++) {
            if (slots[line % 64] === line) continue;
            slots[line % 64] = line;
            const page = Math.floor((line * controller.lineBytes) / 4096);
            pages.set(page, (pages.get(page) ?? 0) + 1);
          }
        }
        expect(controller.linesWritten).toBe([...pages.values()].reduce((a, b) => a + b, 0));
        for (const [page, lines] of pages) expect(controller.pageWrites(page)).toBe(lines);
      }),
      { numRuns: 150 },
    );
  });
});

describe('cached stores', () => {
  it('wear the media when their lines are written back, however often they were stored to', () => {
    const { medium, machine, m } = boot();
    for (let i = 0; i < 1000; i++) m.write(0, bytes, 0, 64);
    expect(medium.wear.linesWritten).toBe(0);
    m.clwb(0, 64);
    m.clwb(0, 64);
    machine.cpu.sfence();
    expect(medium.wear).toMatchObject({ bytesReceived: 64, linesWritten: 1 });
    expect(medium.bytesWritten).toBe(64_000);
  });

  it('wear them when the cache needs the room, and at power-off', () => {
    const { medium, machine, m } = boot();
    for (let offset = 0; offset < 40 * 2 ** 20; offset += CHUNK_SIZE) m.write(offset, bytes, 0, CHUNK_SIZE);
    expect(medium.wear.bytesReceived).toBe(8 * 2 ** 20);
    machine.poweroff();
    expect(medium.wear.bytesReceived).toBe(40 * 2 ** 20);
  });

  it('are in the cache as a plain set of lines has it', () => {
    const LINES_PER_PAGE = 64;
    const SECTORS = 8192;
    // Pages of a few groups, and those that take their places in the cache; pieces of pages, and groups of 16 whole ones.
    const page = fc.tuple(fc.nat(33), fc.constantFrom(0, 0, SECTORS)).map(([nr, far]) => nr + far);
    const place = fc.oneof(
      fc.record({ at: fc.tuple(page, fc.nat(4095)).map(([nr, within]) => nr * 4096 + within), length: fc.integer({ min: 1, max: 9000 }) }),
      fc.record({ at: page.map((nr) => nr * 4096), length: fc.constantFrom(4096, 65536, 131072) }),
      fc.record({ at: fc.constantFrom(0, 16, SECTORS).map((nr) => nr * 4096), length: fc.constantFrom(65536, 131072) }),
    );
    const step = fc.tuple(fc.constantFrom('load', 'load', 'store', 'drop', 'writeBack'), place).map(([op, { at, length }]) => ({ op, at, length }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const written: number[] = [];
        const lines = new CachedLines((addr, length) => {
          for (let at = addr; at < addr + length; at += 64) written.push(at / 64);
        });
        const [valid, dirty] = [new Set<number>(), new Set<number>()];
        for (const { op, at, length } of steps) {
          const touched = Array.from({ length: Math.floor((at + length - 1) / 64) - Math.floor(at / 64) + 1 }, (_, i) => Math.floor(at / 64) + i);
          const evicted: number[] = [];
          if (op === 'load' || op === 'store') {
            for (const line of touched) {
              const away = SECTORS * LINES_PER_PAGE * (line < SECTORS * LINES_PER_PAGE ? 1 : -1);
              const first = line - (line % LINES_PER_PAGE) + away;
              for (let other = first; other < first + LINES_PER_PAGE; other++) {
                if (valid.delete(other) && dirty.delete(other)) evicted.push(other);
              }
            }
          }
          written.length = 0;
          if (op === 'load') expect(lines.load(at, length)).toBe(64 * touched.filter((line) => !valid.has(line)).length);
          else lines[op as 'store'](at, length);
          expect(written).toEqual(op === 'writeBack' ? touched.filter((line) => dirty.has(line)) : evicted);
          for (const line of touched) {
            if (op === 'drop') valid.delete(line);
            else if (op !== 'writeBack') valid.add(line);
            if (op === 'store') dirty.add(line);
            else if (op !== 'load') dirty.delete(line);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('initialisation in bulk', () => {
  it('of the struct pages of 400 TiB takes its time and its wear, and no memory', () => {
    const { medium, machine } = boot(2 ** 43);
    const size = 6.25 * 2 ** 40;
    machine.chargeStores(physAddr(CHUNK_SIZE), size, 'WB');
    expect(machine.clock.now).toBeCloseTo(size / 2.3, -4);
    expect(medium.wear).toMatchObject({ bytesReceived: size, linesWritten: size / 256 });
    expect(medium.wear.pageWrites(size / 4096 - 1)).toBe(16);
    expect(medium.wear.histogram()).toEqual([{ lines: 16, pages: size / 4096 }]);
    expect(medium.bytesWritten).toBe(0); // not a byte moved
  });

  it('is counted to the byte where it is no whole page', () => {
    const { medium, machine } = boot();
    machine.chargeStores(physAddr(CHUNK_SIZE + 4000), 3 * 4096, 'WT');
    expect(medium.wear.bytesReceived).toBe(3 * 4096);
    expect([0, 1, 2, 3, 4].map((page) => medium.wear.pageWrites(page))).toEqual([1, 16, 16, 16, 0].with(3, 16));
    expect(() => machine.chargeStores(physAddr(0), 1, 'WB')).toThrow(expect.objectContaining({ code: 'EFAULT' }));
  });
});
