import { MIB, pfn, physAddr } from '@holdfast/lib';
import { BLK_STS, REQ, REQ_OP, allocBio, bioAddPage, createBadblocks, submitBioWait, type BlkStatus, type Gendisk } from '@holdfast/block';
import { createNvdimm, type Mapping, type PersistenceDomain } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { testPmemDisk } from '../test/conformance.js';
import { DATA_PFN, PMEM_START, createKernel, dataBio, deviceBytes, diskOf, fillFrames, machineWith, run, type TestKernel } from '../test/kernel.js';
import { createNdPmemDriver } from './nd-pmem.js';
import { pmemOperations, type PmemDevice } from './pmem-io.js';
import { PMEM_MAPPINGS, type PmemMapping } from './pmem-mapping.js';
import { createPlatformPmem } from './platform-pmem.js';

const { READ, WRITE } = REQ_OP;

function attach(lineage: '4.1' | '6.1', mapping: PmemMapping, pmem = createNvdimm({ sizeBytes: 16 * MIB }), persistence: PersistenceDomain = 'memory_controller'): { kernel: TestKernel; disk: Gendisk } {
  const kernel = createKernel({ machine: machineWith(pmem, { persistence }), release: lineage, mapping });
  if (lineage === '4.1') {
    kernel.platform.registerDriver(createPlatformPmem(kernel.needs).driver);
    kernel.platform.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start: PMEM_START, end: PMEM_START + 16 * MIB - 1 }] });
  } else {
    kernel.nvdimms.registerDriver(createNdPmemDriver(kernel.needs));
    kernel.addRegion(PMEM_START, 16 * MIB);
  }
  return { kernel, disk: diskOf(kernel) };
}

for (const lineage of ['4.1', '6.1'] as const) {
  for (const mapping of PMEM_MAPPINGS) testPmemDisk(`${lineage}, ${mapping}`, () => attach(lineage, mapping));
}

describe('a power cut', () => {
  /** Write a pattern page by page, `sync` or not, cut the power, boot again; how many of the 64 pages came through, over some seeds. */
  function survivors(lineage: '4.1' | '6.1', mapping: PmemMapping, sync: boolean, persistence?: PersistenceDomain): number[] {
    return Array.from({ length: 8 }, (_, seed) => {
      const pmem = createNvdimm({ sizeBytes: 16 * MIB });
      const { kernel, disk } = attach(lineage, mapping, pmem, persistence);
      fillFrames(kernel, 0xab, 1);
      for (let page = 0; page < 64; page++) run(disk.part0, WRITE, page * 8, 4096);
      if (sync) expect(submitBioWait(allocBio(disk.part0, 0, WRITE | REQ.PREFLUSH | REQ.SYNC))).toBe(BLK_STS.OK);
      kernel.machine.powercut(seed);
      const whole = (page: number): boolean => deviceBytes(kernel, page * 4096, 4096).every((byte) => byte === 0xab);
      return Array.from({ length: 64 }, (_, page) => whole(page)).filter(Boolean).length;
    });
  }
  const ALL = Array.from({ length: 8 }, () => 64);

  it.each(PMEM_MAPPINGS)('keeps all that was flushed, mapped %s', (mapping) => expect(survivors('6.1', mapping, true)).toEqual(ALL));

  it.each<[string, '4.1' | '6.1', PmemMapping, boolean]>([
    ['today’s driver, uncached: each store is done when it returns', '6.1', 'uc', true],
    ['today’s driver, write-through', '6.1', 'wt', false],
    ['today’s driver, write-combining', '6.1', 'wc', false],
    ['today’s driver, write-back', '6.1', 'wb', false],
    ['today’s driver, with struct pages', '6.1', 'pages', false],
    ['v4.1, uncached, as it was', '4.1', 'uc', true],
    ['v4.1, write-through', '4.1', 'wt', true],
    ['v4.1, write-combining', '4.1', 'wc', false],
    ['v4.1, write-back, which is why it was not', '4.1', 'wb', false],
  ])('without a flush: %s, keeps everything: %s %s %s', (_name, lineage, mapping, keepsAll) => {
    const kept = survivors(lineage, mapping, false);
    if (keepsAll) expect(kept).toEqual(ALL);
    else expect(Math.min(...kept)).toBeLessThan(64);
  });

  it('takes even what v4.1 was asked to flush, mapped write-back: it has no flush to give', () => {
    expect(Math.min(...survivors('4.1', 'wb', true))).toBeLessThan(64);
  });

  it('takes nothing from the caches where the platform saves those, too', () => {
    expect(survivors('4.1', 'wb', false, 'cpu_cache')).toEqual(ALL);
  });

  it('keeps each write that a 4.2 kernel has completed: its driver fences behind each', () => {
    const pmem = createNvdimm({ sizeBytes: 16 * MIB });
    const kernel = createKernel({ machine: machineWith(pmem), release: '4.2', mapping: 'wb' });
    kernel.nvdimms.registerDriver(createNdPmemDriver(kernel.needs));
    kernel.addRegion(PMEM_START, 16 * MIB);
    expect(diskOf(kernel).queue.writeCache).toBe(false);
    fillFrames(kernel, 7, 1);
    run(diskOf(kernel).part0, WRITE, 0, 4096);
    expect(kernel.machine.undecided()).toEqual([]);
  });

  it('keeps what a FUA write has completed, and what came before a PREFLUSH', () => {
    const { kernel, disk } = attach('6.1', 'wb');
    fillFrames(kernel, 1, 1);
    run(disk.part0, WRITE | REQ.FUA, 0, 4096);
    expect(kernel.machine.undecided()).toEqual([]);
    run(disk.part0, WRITE, 8, 4096);
    expect(kernel.machine.undecided()).not.toEqual([]);
    run(disk.part0, WRITE | REQ.PREFLUSH, 16, 4096);
    expect(kernel.machine.undecided().every(({ addr }) => addr >= PMEM_START + 8192)).toBe(true);
  });
});

describe('bad blocks', () => {
  /** Today's driver over bare parts, with poison that heals as told. */
  function poisoned({ clears = (length: number) => length, flush = (): BlkStatus => BLK_STS.OK } = {}): { kernel: TestKernel; disk: Gendisk; pmem: PmemDevice; events: string[] } {
    const { kernel, disk } = attach('6.1', 'wb');
    const events: string[] = [];
    const mapping: Mapping = kernel.machine.cpu.map(physAddr(PMEM_START), 16 * MIB, 'WB');
    const pmem: PmemDevice = {
      memory: kernel.machine.memory, mapping, dataOffset: 8192, dataSize: 16 * MIB - 8192, badblocks: createBadblocks(), flushEachWrite: false,
      flush: () => (events.push('flush'), flush()),
      clearPoison: (start, length) => (events.push(`clear ${start - PMEM_START} ${length}`), clears(length)),
    };
    return { kernel, pmem, events, disk: Object.assign(disk, { ops: pmemOperations(pmem) }) };
  }

  it('make reads of them fail, without touching the memory, and others not', () => {
    const { kernel, disk, pmem } = poisoned();
    pmem.badblocks.set(9, 1);
    fillFrames(kernel, 0xee, 1);
    expect(run(disk.part0, READ, 8, 4096)).toBe(BLK_STS.IOERR);
    expect(kernel.machine.memory.frame(DATA_PFN).every((byte) => byte === 0xee)).toBe(true);
    expect([run(disk.part0, READ, 8, 512), run(disk.part0, READ, 10, 512), run(disk.part0, READ, 9, 512)]).toEqual([BLK_STS.OK, BLK_STS.OK, BLK_STS.IOERR]);
  });

  it('are healed by a write over them, the bytes of the write exactly', () => {
    const { kernel, disk, pmem, events } = poisoned();
    pmem.badblocks.set(9, 20);
    fillFrames(kernel, 3, 1);
    expect(run(disk.part0, WRITE, 8, 4096)).toBe(BLK_STS.OK);
    expect(events).toEqual(['clear 12288 4096']);
    expect(pmem.badblocks.entries()).toEqual([[16, 13]]);
    expect(deviceBytes(kernel, 12288, 4096).every((byte) => byte === 3)).toBe(true);
  });

  it('that cannot be healed stop a write there: what was before is written, the rest not', () => {
    const { kernel, disk, pmem } = poisoned({ clears: () => -5 });
    pmem.badblocks.set(8, 8);
    fillFrames(kernel, 3, 3);
    expect(run(disk.part0, WRITE, 0, 3 * 4096)).toBe(BLK_STS.IOERR);
    expect([0, 1, 2].map((page) => deviceBytes(kernel, 8192 + page * 4096, 1)[0])).toEqual([3, 0, 0]);
    expect(pmem.badblocks.entries()).toEqual([[8, 8]]);
  });

  it('healed in part leave the rest bad, and nothing written', () => {
    const { kernel, disk, pmem } = poisoned({ clears: () => 1024 });
    pmem.badblocks.set(0, 8);
    fillFrames(kernel, 3, 1);
    expect(run(disk.part0, WRITE, 0, 4096)).toBe(BLK_STS.IOERR);
    expect(pmem.badblocks.entries()).toEqual([[2, 6]]);
    expect(deviceBytes(kernel, 8192, 4096).every((byte) => byte === 0)).toBe(true);
  });

  it('do not keep a FUA from flushing, and a failed flush is told before them', () => {
    const { disk, pmem, events } = poisoned({ flush: () => BLK_STS.RESOURCE });
    pmem.badblocks.set(0, 8);
    expect(run(disk.part0, READ | REQ.FUA, 0, 4096)).toBe(BLK_STS.RESOURCE);
    expect(events).toEqual(['flush']);
  });

  it('a failed PREFLUSH does not keep the data back, and a good FUA covers it up, as in Linux', () => {
    let calls = 0;
    const { kernel, disk } = poisoned({ flush: () => (calls++ === 0 ? BLK_STS.IOERR : BLK_STS.OK) });
    fillFrames(kernel, 4, 1);
    expect(run(disk.part0, WRITE | REQ.PREFLUSH | REQ.FUA, 0, 4096)).toBe(BLK_STS.OK);
    expect(deviceBytes(kernel, 8192, 1)[0]).toBe(4);
    calls = 0;
    expect(run(disk.part0, WRITE | REQ.PREFLUSH, 0, 4096)).toBe(BLK_STS.IOERR);
  });

  it('make a single page fail, which the caller then tries with a bio', () => {
    const { disk, pmem } = poisoned();
    pmem.badblocks.set(15, 1);
    expect(disk.ops.rwPage!(disk.part0, dataBio(disk.part0, READ, 8, 4096).sector, pfn(DATA_PFN), READ)).toBe(BLK_STS.IOERR);
  });

  it('in a bio of scattered pages count page by page', () => {
    const { kernel, disk, pmem } = poisoned({ clears: () => 0 });
    pmem.badblocks.set(8, 1);
    const bio = allocBio(disk.part0, 2, WRITE);
    fillFrames(kernel, 6, 4);
    bioAddPage(bio, pfn(DATA_PFN), 4096, 0);
    bioAddPage(bio, pfn(DATA_PFN + 2), 4096, 0);
    expect(submitBioWait(bio)).toBe(BLK_STS.IOERR);
    expect([deviceBytes(kernel, 8192, 1)[0], deviceBytes(kernel, 12288, 1)[0]]).toEqual([6, 0]);
  });
});
