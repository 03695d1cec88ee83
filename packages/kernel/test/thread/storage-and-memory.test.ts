/**
 * The rows of the thread of April 2015 that are about what persistent memory is used for, and how it is reached: storage behind the page
 * cache, memory with struct pages, cards, memory types. Each tries its claim on a booted kernel.
 */
import { MIB, type PhysAddr, pfn } from '@holdfast/lib';
import { type MemoryType, createDram, createMachine, createNvdimm, createPciMemory } from '@holdfast/machine';
import { createPciHost } from '@holdfast/pci';
import { createPmemCard } from '@holdfast/pmem-pci';
import { describe, expect, test } from 'vitest';
import { type BlockFile, PROT, type Process, boot, readFile, resolvePath } from '../../src/index.js';
import { GIB, e820Text, kernelOf } from '../fixture.js';
import { PMEM_START, type PmemRig, bootPmem, errnoOf } from '../pmem-rig.js';

const PAGE = 4096;
const FIRST = pfn(PMEM_START / PAGE);
const DATA = 256 * MIB; // where no partition scan looks

function disk(rig: PmemRig, direct = false): BlockFile {
  const { node } = resolvePath(rig.kernel.root, '/dev/pmem0');
  if (node.kind !== 'block') throw new Error('no disk');
  return node.open({ direct });
}

const bytes = (value: number, length = PAGE): Uint8Array => new Uint8Array(length).fill(value);

/** A process with a DAX mapping of the disk from {@link DATA} on, and a buffer in RAM. */
function daxProcess(rig: PmemRig): { process: Process; dax: number; ram: number; direct: number } {
  const process = rig.kernel.createProcess('database');
  const prot = PROT.READ | PROT.WRITE;
  const dax = process.mmap(process.open('/dev/pmem0', { write: true, dax: true }), { length: MIB, offset: DATA, prot });
  const ram = process.mmap(null, { length: MIB, prot });
  return { process, dax, ram, direct: process.open('/dev/pmem0', { write: true, direct: true }) };
}

describe('what firmware tells', () => {
  test('row 2: type 12 is persistent memory, and neighbours stay apart', () => {
    const machine = createMachine({ media: [{ start: 0, medium: createDram(2 * GIB) }, { start: 4 * GIB, medium: createNvdimm({ sizeBytes: 2 * GIB }) }] });
    const e820 = e820Text([
      { start: 0, end: 2 * GIB, type: 'usable' },
      { start: 4 * GIB, end: 5 * GIB, type: 'persistent (type 12)' },
      { start: 5 * GIB, end: 6 * GIB, type: 'persistent (type 12)' },
    ]);
    const { kernel } = boot({ machine, firmware: { e820 }, cmdline: '' });
    const iomem = readFile(kernel!.root, '/proc/iomem') as string;
    expect(iomem.match(/^\S+ : Persistent Memory \(legacy\)$/gm)).toEqual([
      '100000000-13fffffff : Persistent Memory (legacy)',
      '140000000-17fffffff : Persistent Memory (legacy)',
    ]);
    expect([...kernel!.pmem.keys()]).toEqual(['pmem0', 'pmem1']);
  });
});

describe('through the page cache', () => {
  test.each([2, 50])('row 3: %d overwrites of a page are one write of the device, and cost a page of RAM', (times) => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    const file = disk(rig);
    const [free, before] = [rig.meminfo('MemFree'), rig.pmem.bytesWritten];
    for (let i = 0; i < times; i++) file.pwrite(bytes(i), DATA);
    expect([rig.pmem.bytesWritten - before, free - rig.meminfo('MemFree')]).toEqual([0, PAGE]);
    file.fsync();
    expect(rig.pmem.bytesWritten - before).toBe(PAGE);
    // A hit does not touch the device.
    const busy = rig.pmem.wear.busyNs;
    file.pread(bytes(0), DATA);
    expect(rig.pmem.wear.busyNs).toBe(busy);
  });

  test('row 4: O_DIRECT from a buffer in RAM works in every design, from a mapping only where there are pages', () => {
    const outcomes = ['none', 'device'].map((design) => {
      const { process, dax, ram, direct } = daxProcess(bootPmem({ cmdline: `pmem.pages=${design}` }));
      process.store(ram, bytes(4));
      process.store(dax, bytes(5));
      return [ram, dax].map((buffer, i) => errnoOf(() => process.pwrite(direct, buffer, PAGE, DATA + (i + 8) * PAGE)));
    });
    expect(outcomes).toEqual([['ok', 'EFAULT'], ['ok', 'ok']]);
  });

  test('row 5: the media wear by lines of 256 bytes, eight times less behind the cache', () => {
    const wear = [true, false].map((direct) => {
      const rig = bootPmem({ cmdline: 'pmem.pages=none' });
      const file = disk(rig, direct);
      // More pages than the medium's own buffer holds.
      for (let round = 0; round < 8; round++) for (let page = 0; page < 64; page++) file.pwrite(bytes(round), DATA + page * PAGE);
      file.fsync();
      return rig.pmem.wear.pageWrites(DATA / PAGE + 63);
    });
    expect(wear).toEqual([8 * 16, 16]);
  });
});

describe('direct access', () => {
  test('row 6: loads and stores reach the medium where it is, past the page cache', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    const { process, dax } = daxProcess(rig);
    const cached = rig.meminfo('Buffers') + rig.meminfo('Cached');
    process.store(dax + 8, Uint8Array.of(1, 2, 3));
    const there = new Uint8Array(3);
    rig.machine.memory.read((PMEM_START + DATA + 8) as PhysAddr, there);
    expect([...there]).toEqual([1, 2, 3]);
    expect(rig.meminfo('Buffers') + rig.meminfo('Cached')).toBe(cached);
  });

  test('row 7: with struct pages a node has a zone of device frames: spanned, and never present or managed', () => {
    const device = (rig: PmemRig): string[] => /zone +Device\n[^]*?managed +\d+/.exec(rig.text('/proc/zoneinfo'))![0].match(/(spanned|present|managed) +\d+/g)!.map((line) => line.replace(/ +/, ' '));
    const frames = GIB / PAGE;
    expect(device(bootPmem({ cmdline: 'pmem.pages=none' }))).toEqual(['spanned 0', 'present 0', 'managed 0']);
    expect(device(bootPmem({ cmdline: 'pmem.pages=ram' }))).toEqual([`spanned ${frames}`, 'present 0', 'managed 0']);
  });
});

describe('a card on the PCI bus', () => {
  const RAM = [{ start: 0, end: 0x9fc00, type: 'usable' }, { start: 0x100000, end: 2 * GIB, type: 'usable' }];
  const bootCard = (cmdline: string): NonNullable<ReturnType<typeof boot>['kernel']> => {
    const machine = createMachine({ media: [{ start: 0, medium: createDram(2 * GIB) }] });
    const pci = createPciHost(machine);
    pci.plug(createPmemCard(createPciMemory({ sizeBytes: GIB })), 4);
    return kernelOf(boot({ machine, pci, firmware: { e820: e820Text(RAM) }, cmdline }));
  };

  test('row 12: pages in RAM are for the e820 map and refuse it, dynamic ones and those on the device do not', () => {
    const refused = bootCard('pmem.pages=ram');
    expect(refused.pmem.size).toBe(0);
    for (const design of ['dynamic', 'device', 'none']) {
      expect([...bootCard(`pmem.pages=${design}`).pmem.values()].map((attached) => attached.design)).toEqual([design]);
    }
  });

  test('row 17: is a disk as any other', () => {
    const kernel = bootCard('pmem.pages=dynamic');
    const { node } = resolvePath(kernel.root, '/dev/pmem0');
    if (node.kind !== 'block') throw new Error('no disk');
    const file = node.open({ direct: true });
    file.pwrite(bytes(17), DATA);
    const back = bytes(0);
    file.pread(back, DATA);
    expect(back).toEqual(bytes(17));
  });
});

/** The two ways to use a device, as pmem's README names them. */
const AS_STORAGE = 'pmem.pages=none';
const AS_MEMORY = 'pmem.pages=ram';

describe.each([AS_STORAGE, AS_MEMORY])('used with %s', (cmdline) => {
  test('rows 21 and 22: what fsync returned for is there after a power cut', () => {
    const first = bootPmem({ cmdline });
    first.write(DATA, bytes(21));
    const { process, dax } = daxProcess(first);
    process.store(dax + MIB / 2, bytes(22, 64));
    process.clwb(dax + MIB / 2, 64);
    process.sfence();
    first.machine.powercut(3);
    const again = bootPmem({ cmdline, pmem: first.pmem, machine: first.machine });
    expect(again.read(DATA, PAGE)).toEqual(bytes(21));
    expect(again.read(DATA + MIB / 2, 64)).toEqual(bytes(22, 64));
  });
});

describe('the two use cases', () => {
  test('row 21: as storage it costs no RAM for pages, and the page cache is in front of it', () => {
    const rig = bootPmem({ cmdline: AS_STORAGE });
    disk(rig).pwrite(bytes(1), DATA);
    expect([rig.attached()!.pages.ramPageBytes(), rig.meminfo('Dirty')]).toEqual([0, PAGE]);
  });

  test('row 22: as memory it costs a 64th of its size in RAM, is not buffered twice, and others may hold its pages', () => {
    const rig = bootPmem({ cmdline: AS_MEMORY });
    const { process, dax } = daxProcess(rig);
    const buffers = rig.meminfo('Buffers');
    process.store(dax, bytes(2));
    expect([rig.attached()!.pages.ramPageBytes(), rig.meminfo('Dirty'), rig.meminfo('Buffers')]).toEqual([GIB / 64, 0, buffers]);
    const pinned = process.pin(dax, PAGE, { write: true });
    expect(pinned.pfns).toEqual([FIRST + DATA / PAGE]);
    pinned.put();
  });
});

describe('the struct pages', () => {
  test('row 23: are 64 bytes each: the count of the next frame is 64 bytes on', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=device' });
    const { pages } = rig.attached()!;
    const refcount = (index: number): number => {
      const word = new Uint8Array(4);
      rig.machine.memory.read((PMEM_START + pages.dataSize + index * 64 + 52) as PhysAddr, word);
      return new DataView(word.buffer).getInt32(0, true);
    };
    pages.pages.getPage(pfn(FIRST + 100), false);
    expect([refcount(99), refcount(100), refcount(101)]).toEqual([1, 2, 1]);
    pages.pages.putPage(pfn(FIRST + 100));
    expect(bootPmem({ cmdline: 'pmem.pages=ram' }).attached()!.pages.ramPageBytes() / (GIB / PAGE)).toBe(64);
  });

  test('row 36: are stored at each attach, which costs time by where they lie, and wears the device', () => {
    const attach = (design: string): { ns: number; lines: number } => {
      const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 64 * GIB });
      rig.unbind();
      rig.param('pages', design);
      const [from, lines] = [rig.machine.clock.now, rig.pmem.wear.linesWritten];
      rig.bind();
      return { ns: rig.machine.clock.now - from, lines: rig.pmem.wear.linesWritten - lines };
    };
    const [none, ram, device] = [attach('none'), attach('ram'), attach('device')];
    // 1 GiB of struct pages: at 64 bytes/ns for one CPU, at 2.3 bytes/ns for one module.
    expect((ram.ns - none.ns) / (GIB / 64)).toBeCloseTo(1, 1);
    expect((device.ns - none.ns) / (GIB / 2.3)).toBeCloseTo(1, 1);
    expect([ram.lines, device.lines]).toEqual([none.lines, none.lines + GIB / 256 + 16]); // the header's 4 KiB
  });
});

describe('I/O', () => {
  test('row 37: allocates no struct page where all are there; dynamic ones it does', () => {
    const taken = ['ram', 'device', 'dynamic'].map((design) => {
      const rig = bootPmem({ cmdline: `pmem.pages=${design}` });
      const { process, dax, ram, direct } = daxProcess(rig);
      process.store(dax, bytes(1));
      process.store(ram, bytes(2));
      const free = rig.meminfo('MemFree');
      for (let i = 0; i < 16; i++) process.pwrite(direct, ram, PAGE, DATA + (i + 8) * PAGE);
      const pinned = process.pin(dax, PAGE);
      const held = free - rig.meminfo('MemFree');
      pinned.put();
      return held;
    });
    expect(taken).toEqual([0, 0, 2 * MIB]);
  });
});

describe('a partition as RAM', () => {
  test('row 29: is made anew at each boot: its bytes are nobody\'s, its pages free, and the disk keeps its own', () => {
    const pmem = createNvdimm({ sizeBytes: 2 * GIB });
    const options = { cmdline: 'pmem.pages=hotplug pmem.ram_bytes=1G', pmem, sizeBytes: 2 * GIB };
    const first = bootPmem(options);
    const [total, free] = [first.meminfo('MemTotal'), first.meminfo('MemFree')];
    expect(first.text('/proc/iomem')).toContain(`${(PMEM_START + GIB).toString(16)}-${(PMEM_START + 2 * GIB - 1).toString(16)} : System RAM (pmem)`);
    first.write(DATA, bytes(29));
    first.machine.memory.chunk((PMEM_START + GIB + DATA) / (2 * MIB)).fill(0xaa); // somebody's secret
    first.machine.powercut(1);
    const again = bootPmem({ ...options, machine: first.machine });
    expect([again.meminfo('MemTotal'), again.meminfo('MemFree')]).toEqual([total, free]);
    expect(again.read(DATA, PAGE)).toEqual(bytes(29));
    expect(again.machine.memory.peekChunk((PMEM_START + GIB + DATA) / (2 * MIB))?.includes(0xaa) ?? false).toBe(false);
  });
});

describe('memory types', () => {
  const LINES = 64;
  /** What loads of a fresh page cost, in units of one line fill. */
  const loads = (type: MemoryType, grain: number, nr: number): number => {
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: GIB }) }] });
    const mapping = machine.cpu.map(0 as PhysAddr, GIB, type);
    const target = new Uint8Array(grain);
    const from = machine.clock.now;
    // Never two in the same 256 bytes one after the other, which the medium would have open.
    for (let i = 0; i < nr; i++) mapping.read(((i * 29) % nr) * grain, target, 0, grain);
    return (machine.clock.now - from) / 305;
  };

  test('row 32: uncached, a page is 512 loads from the medium; write-back and write-through, 64 line fills', () => {
    expect([loads('UC', 8, 512), loads('WB', 64, LINES), loads('WT', 64, LINES)]).toEqual([512, LINES, LINES]);
  });

  test('row 32: write-through each store goes to the medium; loads hit the cache', () => {
    const [wb, wt] = (['WB', 'WT'] as const).map((type) => {
      const medium = createNvdimm({ sizeBytes: GIB });
      const mapping = createMachine({ media: [{ start: 0, medium }] }).cpu.map(0 as PhysAddr, GIB, type);
      for (let i = 0; i < 10; i++) mapping.write(0, bytes(i, 64), 0, 64);
      return medium.wear.bytesReceived;
    });
    expect([wb, wt]).toEqual([0, 640]);
  });

  test('row 32: each is to be had for a disk', () => {
    for (const [word, type] of [['uc', 'UC-'], ['wc', 'WC'], ['wt', 'WT'], ['wb', 'WB']] as const) {
      const rig = bootPmem({ cmdline: `pmem.pages=none pmem.mapping=${word}` });
      rig.write(DATA, bytes(32));
      expect([rig.memoryType(), rig.read(DATA, PAGE)]).toEqual([type, bytes(32)]);
    }
  });
});
