/** Processes on a running kernel: a mapping of /dev/pmem0, what its stores survive, and who may hold its pages. */
import { parseRelease } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type Kernel, MAP, PROT, type Process, Signal, readFile, resolvePath, writeFile } from '../src/index.js';
import { GIB, PMEM, bootedPc, pcMachine } from './fixture.js';

const MIB = 2 ** 20;
const RW = PROT.READ | PROT.WRITE;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function mapPmem(kernel: Kernel, { length = 4 * MIB, offset = 0, flags = MAP.SHARED } = {}): { process: Process; fd: number; address: number } {
  const process = kernel.createProcess('app');
  const fd = process.open('/dev/pmem0', { write: true, dax: true });
  return { process, fd, address: process.mmap(fd, { length, offset, prot: RW, flags }) };
}

function signalOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    if (error instanceof Signal) return `${error.signal} ${error.code}`;
    throw error;
  }
}

function errnoOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const free = (kernel: Kernel): string => /MemFree: +(\d+)/.exec(String(readFile(kernel.root, '/proc/meminfo')))![1]!;

describe('a process', () => {
  it('sees zeros in anonymous memory, and its own stores', () => {
    const process = bootedPc().createProcess('app');
    const address = process.mmap(null, { length: 3 * 4096 });
    expect(process.load(address + 4090, 12)).toEqual(new Uint8Array(12));
    process.store(address + 4090, text('across pages'));
    expect(process.load(address + 4090, 12)).toEqual(text('across pages'));
    process.munmap(address, 4096);
    expect(signalOf(() => process.load(address, 1))).toBe('SIGSEGV SEGV_MAPERR');
    process.mprotect(address + 4096, 4096, PROT.READ);
    expect(signalOf(() => process.store(address + 4096, Uint8Array.of(1)))).toBe('SIGSEGV SEGV_ACCERR');
  });

  it('may map no more for itself than RAM and swap have, unless it says that it will not use all', () => {
    const kernel = bootedPc();
    const process = kernel.createProcess('app');
    const total = Number(/MemTotal: +(\d+)/.exec(String(readFile(kernel.root, '/proc/meminfo')))![1]) * 1024;
    process.munmap(process.mmap(null, { length: total }), total);
    for (const flags of [MAP.PRIVATE, MAP.SHARED]) expect(errnoOf(() => process.mmap(null, { length: total + 4096, flags }))).toBe('ENOMEM');
    process.mmap(null, { length: total + 4096, flags: MAP.PRIVATE | MAP.NORESERVE });
    process.mmap(null, { length: total + 4096, prot: PROT.READ });
    process.mmap(process.open('/dev/pmem0', { write: true }), { length: total + 4096, prot: RW, flags: MAP.SHARED });
  });

  it('gives back every frame when it ends', () => {
    const kernel = bootedPc();
    const before = free(kernel);
    const { process, address } = mapPmem(kernel);
    process.store(address, text('x'));
    const heap = process.mmap(null, { length: MIB });
    process.store(heap, new Uint8Array(MIB));
    const child = process.fork();
    child.store(heap, text('child'));
    expect(process.load(heap, 5)).toEqual(new Uint8Array(5));
    expect(free(kernel)).not.toBe(before);
    child.exit();
    process.exit();
    expect(free(kernel)).toBe(before);
  });

  it('reads through the disk what it stored through a mapping', () => {
    const { process, fd, address } = mapPmem(bootedPc());
    process.store(address + 5000, text('hello'));
    const buffer = process.mmap(null, { length: 4096 });
    const disk = process.open('/dev/pmem0', { direct: true });
    expect(process.pread(disk, buffer, 512, 4608)).toBe(512);
    expect(process.load(buffer + 392, 5)).toEqual(text('hello'));
    expect(process.pread(fd, buffer, 5, 5000)).toBe(5);
    expect(process.load(buffer, 5)).toEqual(text('hello'));
  });

  it('spends virtual time on loads and stores', () => {
    const kernel = bootedPc();
    const { process, address } = mapPmem(kernel);
    const { clock } = kernel.machine;
    process.load(address + MIB, 1); // the fault, in a page that no partition scan has read
    const costs = [0, 1].map(() => {
      const start = clock.now;
      process.load(address + MIB + 1024, 64);
      return Math.round(clock.now - start);
    });
    expect(costs).toEqual([305, 21]); // from the medium, then from the cache
  });
});

describe('a mapping through the page cache', () => {
  it('shows what read and write see, and reaches the disk with fsync', () => {
    const kernel = bootedPc();
    const process = kernel.createProcess('app');
    const fd = process.open('/dev/pmem0', { write: true });
    const address = process.mmap(fd, { length: MIB, prot: RW });
    const buffer = process.mmap(null, { length: 4096 });
    process.store(buffer, text('by write'));
    process.pwrite(fd, buffer, 8, 4096);
    expect(process.load(address + 4096, 8)).toEqual(text('by write'));
    for (const word of ['by store', 'once more']) {
      process.store(address + 8192, text(word));
      process.msync(address, MIB);
      const direct = process.open('/dev/pmem0', { direct: true });
      process.pread(direct, buffer, 4096, 8192);
      expect(process.load(buffer, word.length)).toEqual(text(word));
    }
    expect(process.pin(address, 4096, { longterm: true }).pfns).toHaveLength(1);
    writeFile(kernel.root, '/sys/bus/nd/drivers/nd_pmem/unbind', 'namespace0.0');
    expect(signalOf(() => process.load(address, 1))).toBe('SIGBUS BUS_ADRERR');
  });
});

describe('O_DIRECT from a mapping', () => {
  it('writes DAX memory with struct pages to a disk, and is refused without them', () => {
    for (const [release, want] of [['6.1', 'none'], ['4.1', 'EFAULT']] as const) {
      const { process, address } = mapPmem(bootedPc({ release: parseRelease(release) }));
      process.store(address, text('from here'));
      const disk = process.open('/dev/pmem0', { write: true, direct: true });
      expect(errnoOf(() => process.pwrite(disk, address, 8192, 64 * MIB))).toBe(want);
      if (want === 'none') expect(process.load(process.mmap(process.open('/dev/pmem0', { dax: true }), { offset: 64 * MIB, length: 4096 }), 9)).toEqual(text('from here'));
      expect(errnoOf(() => process.pwrite(disk, address + 100, 512, 0))).toBe('EINVAL');
    }
  });
});

describe('a mapping of /dev/pmem0', () => {
  it('has large pages where it can', () => {
    const { process, address } = mapPmem(bootedPc());
    process.store(address, text('x'));
    expect(address % (2 * MIB)).toBe(0);
    expect(process.mm.pageTable.find(address)?.level).toBe(1);
    expect(process.mm.pageTable.find(address)!.flags & 0x1000).toBe(0x1000);
  });

  it('has 4 KiB pages without struct pages under 4.1, which nobody can hold', () => {
    const { process, address } = mapPmem(bootedPc({ release: parseRelease('4.1') }));
    process.store(address, text('x'));
    const leaf = process.mm.pageTable.find(address)!;
    expect([leaf.level, leaf.flags & 0x1200]).toEqual([0, 0x200]);
    expect(errnoOf(() => process.pin(address, 4096))).toBe('EFAULT');
  });

  it('lets its pages be held, but not for good', () => {
    const { process, address } = mapPmem(bootedPc());
    process.pin(address, 8192, { write: true }).put();
    expect(errnoOf(() => process.pin(address, 4096, { longterm: true }))).toBe('EOPNOTSUPP');
  });

  it('answers a load of lost bytes with SIGBUS, in each process, and a load beside them with bytes', () => {
    const machine = pcMachine();
    const kernel = bootedPc({ machine });
    const [one, other] = [mapPmem(kernel), mapPmem(kernel)];
    one.process.store(one.address, new Uint8Array(3 * 4096).fill(7));
    machine.poison.inject(PMEM.start + 4096 + 640, 1);
    const checks: number[] = [];
    machine.onMachineCheck((addr) => checks.push(addr));
    for (const { process, address } of [one, other]) {
      expect(process.load(address + 4096, 640)).toEqual(new Uint8Array(640).fill(7));
      expect(signalOf(() => process.load(address, 2 * 4096))).toBe('SIGBUS BUS_MCEERR_AR');
      expect(process.mm.pageTable.find(address + 4096)).toBeUndefined();
      expect(process.load(address + 4096 + 704, 64)).toEqual(new Uint8Array(64).fill(7));
    }
    expect(checks).toEqual([PMEM.start + 4096 + 640, PMEM.start + 4096 + 640]);
    const buffer = one.process.mmap(null, { length: 8192 });
    expect(one.process.pread(one.fd, buffer, 8192, 0)).toBe(4096 + 640);
    expect(errnoOf(() => one.process.pread(one.fd, buffer, 64, 4096 + 640))).toBe('EFAULT');
  });

  it('that is read-only is not shared with who could write to it', () => {
    const kernel = bootedPc();
    const { node } = resolvePath(kernel.root, '/dev/pmem0');
    if (node.kind !== 'block') throw new Error('/dev/pmem0 is no disk');
    node.open().readOnly = true;
    const process = kernel.createProcess('app');
    const [reader, writer] = [process.open('/dev/pmem0'), process.open('/dev/pmem0', { write: true })];
    const mapped = (fd: number, flags: number): string => errnoOf(() => process.mmap(fd, { length: 4096, prot: PROT.READ, flags }));
    expect([mapped(writer, MAP.SHARED), mapped(writer, MAP.PRIVATE), mapped(reader, MAP.SHARED)]).toEqual(['EINVAL', 'none', 'none']);
  });

  it('answers with SIGBUS when the device is gone, and behind its end', () => {
    const kernel = bootedPc();
    const { process, fd, address } = mapPmem(kernel);
    process.store(address, text('x'));
    const behind = process.mmap(fd, { offset: GIB - 4096, length: 8192 });
    expect(signalOf(() => process.load(behind, 4096))).toBe('none');
    expect(signalOf(() => process.load(behind + 4096, 1))).toBe('SIGBUS BUS_ADRERR');
    writeFile(kernel.root, '/sys/bus/nd/drivers/nd_pmem/unbind', 'namespace0.0');
    expect(signalOf(() => process.load(address, 1))).toBe('SIGBUS BUS_ADRERR');
  });

  it('loses only stores that were not written back', () => {
    let lost = 0;
    for (let seed = 0; seed < 12; seed++) {
      const machine = pcMachine();
      const { process, address } = mapPmem(bootedPc({ machine }));
      process.store(address, text('safe'));
      process.clwb(address, 4);
      process.sfence();
      process.store(address + 4096, text('risk'));
      process.storeNt(address + 8192, text('safe as well'));
      process.sfence();
      machine.powercut(seed);
      const { process: again, address: at } = mapPmem(bootedPc({ machine }));
      expect(again.load(at, 4)).toEqual(text('safe'));
      expect(again.load(at + 8192, 12)).toEqual(text('safe as well'));
      const risk = new TextDecoder().decode(again.load(at + 4096, 4));
      expect(['risk', '\0\0\0\0']).toContain(risk);
      if (risk !== 'risk') lost++;
    }
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThan(12);
  });

  it('is durable after msync today, and was not under 4.1', () => {
    const losses = (release: string): number => {
      let lost = 0;
      for (let seed = 0; seed < 6; seed++) {
        const machine = pcMachine();
        const options = { machine, release: parseRelease(release) };
        const { process, address } = mapPmem(bootedPc(options));
        process.store(address, text('data'));
        process.msync(address, 4096);
        machine.powercut(seed);
        const { process: again, address: at } = mapPmem(bootedPc(options));
        if (again.load(at, 4)[0] === 0) lost++;
      }
      return lost;
    };
    expect(losses('6.1')).toBe(0);
    expect(losses('4.1')).toBeGreaterThan(0);
  });
});
