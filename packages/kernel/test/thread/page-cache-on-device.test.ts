/**
 * Row 44, from the discussion that followed the thread of April 2015: the page cache's entry for a page of the disk is the device's own page,
 * written through, made when first used, and never written back.
 */
import { MIB, physAddr } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BlockFile, MAP, PROT, type Process, type VfsBlockDevice, resolvePath, writeFile } from '../../src/index.js';
import { GIB } from '../fixture.js';
import { PMEM_START, type PmemRig, bootPmem, errnoOf } from '../pmem-rig.js';

const PAGE = 4096;
const DATA = 256 * MIB;
const CMDLINE = 'pmem.pages=page-cache';
const bytes = (value: number, length = PAGE): Uint8Array => new Uint8Array(length).fill(value);

function open({ kernel }: PmemRig, options: { direct?: boolean } = {}): BlockFile {
  return (resolvePath(kernel.root, '/dev/pmem0').node as VfsBlockDevice).open(options);
}

/** A process that has the disk open as any file, and mapped from {@link DATA} on. */
function mapped({ kernel }: PmemRig, flags: number = MAP.SHARED): { process: Process; fd: number; at: number } {
  const process = kernel.createProcess('database');
  const fd = process.open('/dev/pmem0', { write: true });
  return { process, fd, at: process.mmap(fd, { length: 4 * MIB, offset: DATA, prot: PROT.READ | PROT.WRITE, flags }) };
}

const inRam = (rig: PmemRig): number[] => ['MemFree', 'Buffers', 'Cached', 'Dirty', 'Writeback'].map((field) => rig.meminfo(field));

describe('pages=page-cache', () => {
  test('row 44: buffered reads and writes, and mappings, take no page of RAM: each is the device\'s own', () => {
    const rig = bootPmem({ cmdline: CMDLINE });
    const { process, fd, at } = mapped(rig);
    process.store(at, bytes(1)); // page tables
    const heap = process.mmap(null, { length: PAGE });
    process.store(heap, bytes(44));
    const before = inRam(rig);
    for (let page = 0; page < 256; page++) process.pwrite(fd, heap, PAGE, DATA + page * PAGE);
    process.pread(fd, heap, PAGE, DATA + MIB);
    expect(inRam(rig)).toEqual(before);
    expect(process.load(at + 255 * PAGE, PAGE)).toEqual(bytes(44));
    const pinned = process.pin(at + 3 * PAGE, PAGE, { write: true, longterm: true });
    expect(pinned.pfns).toEqual([(PMEM_START + DATA) / PAGE + 3]);
    expect(errnoOf(() => rig.unbind())).toBe('EBUSY');
    pinned.put();
    process.exit();
    rig.unbind();
    // As with any cache of copies: the same calls take a page of RAM each.
    const copies = bootPmem({ cmdline: 'pmem.pages=device' });
    const file = open(copies);
    const free = copies.meminfo('MemFree');
    file.pwrite(bytes(44, MIB), DATA);
    expect([free - copies.meminfo('MemFree'), copies.meminfo('Dirty')]).toEqual([MIB, MIB]);
  });

  test('row 44: a store is on the medium when it returns, by write or by mapping: nothing is written back, and a power cut takes nothing', () => {
    const outcomes = [CMDLINE, 'pmem.pages=device pmem.mapping=wb'].map((cmdline) => {
      const first = bootPmem({ cmdline });
      const { process, fd, at } = mapped(first);
      const heap = process.mmap(null, { length: PAGE });
      process.store(heap, bytes(4));
      const written = first.pmem.bytesWritten;
      process.pwrite(fd, heap, PAGE, DATA);
      process.store(at + PAGE, bytes(5, 64 * PAGE));
      const reached = first.pmem.bytesWritten - written;
      first.machine.powercut(3);
      const again = bootPmem({ cmdline, pmem: first.pmem, machine: first.machine });
      return { reached, left: [...new Set([...again.read(DATA, PAGE), ...again.read(DATA + PAGE, 64 * PAGE)])] };
    });
    expect(outcomes).toEqual([{ reached: 65 * PAGE, left: [4, 5] }, { reached: 0, left: [0] }]);
  });

  test('row 44: struct pages are made 2 MiB of the device at a time, when first used', () => {
    const attachNs = (design: string): number => {
      const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 64 * GIB });
      rig.unbind();
      rig.param('pages', design);
      const from = rig.machine.clock.now;
      rig.bind();
      return rig.machine.clock.now - from;
    };
    const unit = (2 * MIB) / 64;
    expect(attachNs('page-cache')).toBeLessThan(attachNs('device') / 1000);
    const rig = bootPmem({ cmdline: CMDLINE, sizeBytes: 64 * GIB });
    const lines = (use: () => void): number => {
      const from = rig.pmem.wear.linesWritten;
      use();
      return rig.pmem.wear.linesWritten - from;
    };
    const file = open(rig);
    const read = (at: number) => (): void => void file.pread(bytes(0), at);
    expect([lines(read(DATA)), lines(read(DATA + MIB)), lines(read(DATA + 2 * MIB))]).toEqual([unit / 256, 0, unit / 256]);
    const { pages } = rig.attached()!;
    const allLines = pages.dataSize / 64 / 256;
    // What the partition scan and the reads above have made is not made again.
    const rest = lines(() => pages.makeAllReady());
    expect([rest < allLines, rest > allLines * 0.999, lines(() => pages.makeAllReady())]).toEqual([true, true, 0]);
  });

  test('row 44: reads, writes, mappings, O_DIRECT and caches that are dropped see the same bytes as a model', () => {
    const step = fc.record({ how: fc.constantFrom('write', 'direct', 'store', 'private', 'drop', 'rebind'), page: fc.nat(15), value: fc.integer({ min: 1, max: 255 }) });
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const rig = bootPmem({ cmdline: CMDLINE });
      const model = new Uint8Array(16 * PAGE);
      let bench = mapped(rig);
      let file = open(rig);
      for (const { how, page, value } of steps) {
        const at = page * PAGE;
        if (how === 'write') file.pwrite(bytes(value, 100), DATA + at + 50);
        if (how === 'direct') open(rig, { direct: true }).pwrite(bytes(value), DATA + at);
        if (how === 'store') bench.process.store(bench.at + at, bytes(value, 10));
        if (how === 'private') {
          const own = mapped(rig, MAP.PRIVATE);
          own.process.store(own.at + at, bytes(value, 10));
          expect(own.process.load(own.at + at, PAGE)).toEqual(Uint8Array.from([...bytes(value, 10), ...model.subarray(at + 10, at + PAGE)]));
          own.process.exit();
        }
        if (how === 'drop') writeFile(rig.kernel.root, '/proc/sys/vm/drop_caches', '1');
        if (how === 'rebind') {
          bench.process.exit();
          file.close();
          rig.unbind();
          rig.bind();
          bench = mapped(rig);
          file = open(rig);
        }
        if (how === 'write') model.fill(value, at + 50, at + 150);
        if (how === 'direct') model.fill(value, at, at + PAGE);
        if (how === 'store') model.fill(value, at, at + 10);
        const seen = bytes(0, model.length);
        file.pread(seen, DATA);
        expect(Buffer.compare(seen, model)).toBe(0);
        expect(Buffer.compare(bench.process.load(bench.at, model.length), model)).toBe(0);
      }
    }), { numRuns: 25 });
  });

  test('a disk that goes while it is open and mapped takes its pages along', () => {
    const rig = bootPmem({ cmdline: CMDLINE });
    const { process, at } = mapped(rig);
    process.store(at, bytes(7));
    rig.unbind();
    expect(() => process.load(at, 1)).toThrowError(/SIGBUS/);
    rig.bind();
    expect(rig.read(DATA, PAGE)).toEqual(bytes(7));
  });

  test('bytes that are lost are EIO to read, and those around them are not', () => {
    const rig = bootPmem({ cmdline: CMDLINE });
    rig.machine.poison.inject(physAddr(PMEM_START + DATA + PAGE + 64), 64);
    const file = open(rig);
    expect(file.pread(bytes(0, 3 * PAGE), DATA)).toBe(PAGE + 64);
    expect(errnoOf(() => file.pread(bytes(0, 16), DATA + PAGE + 64))).toBe('EIO');
    expect(file.pread(bytes(0), DATA + 2 * PAGE)).toBe(PAGE);
  });

  test('a partition shows the same pages as its disk, and so does DAX', () => {
    const rig = bootPmem({ cmdline: CMDLINE });
    const table = bytes(0, 512);
    new DataView(table.buffer).setUint16(510, 0xaa55, true);
    table[450] = 0x83;
    new DataView(table.buffer).setUint32(454, DATA / 512, true);
    new DataView(table.buffer).setUint32(458, MIB / 512, true);
    rig.write(0, table);
    rig.unbind();
    rig.bind();
    const { process, at } = mapped(rig);
    process.store(at, bytes(9));
    const before = inRam(rig);
    const partition = (resolvePath(rig.kernel.root, '/dev/pmem0p1').node as VfsBlockDevice).open();
    partition.pwrite(bytes(8, 8), 8);
    expect(inRam(rig)).toEqual(before);
    const other = rig.kernel.createProcess('other');
    const dax = other.mmap(other.open('/dev/pmem0', { write: true, dax: true }), { length: 4 * MIB, offset: DATA, prot: PROT.READ | PROT.WRITE });
    other.store(dax + 16, bytes(7, 8));
    partition.flushBuffers();
    expect([...process.load(at, 32)]).toEqual([9, 8, 7, 9].flatMap((value) => [...bytes(value, 8)]));
  });
});
