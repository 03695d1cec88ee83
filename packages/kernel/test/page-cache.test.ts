/**
 * Double buffering, on the whole machine: what RAM takes in, what the medium is written, what a power cut leaves.
 */
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { type BlockFile, type Kernel, readFile, resolvePath, writeFile } from '../src/index.js';
import { GIB, PC, PMEM, bootedPc, e820Text } from './fixture.js';

const firmware = { e820: e820Text([...PC, PMEM]) };
const PAGE = 4096;

/** A PC, its medium, and the means to pull its plug. */
function pc() {
  const medium = createNvdimm({ sizeBytes: GIB });
  const machine = createMachine({ media: [{ start: 0, medium: createDram(3 * GIB) }, { start: 4 * GIB, medium: createDram(GIB) }, { start: PMEM.start, medium }] });
  const boot = (cmdline = ''): Kernel => bootedPc({ machine, firmware, cmdline });
  return { machine, medium, boot };
}

function openPmem(kernel: Kernel, direct = false): BlockFile {
  const { node } = resolvePath(kernel.root, '/dev/pmem0');
  if (node.kind !== 'block') throw new Error('no disk');
  return node.open({ direct });
}

const meminfo = (kernel: Kernel, line: string): number => Number(new RegExp(`^${line}: +(\\d+)`, 'm').exec(String(readFile(kernel.root, '/proc/meminfo')))![1]);
const vmstat = (kernel: Kernel, line: string): number => Number(new RegExp(`^${line} (\\d+)`, 'm').exec(String(readFile(kernel.root, '/proc/vmstat')))![1]);
const fill = (value: number, length = PAGE): Uint8Array => new Uint8Array(length).fill(value);

describe('wear', () => {
  it.each([1, 7, 100])('of %i overwrites of a page before writeback is that of one', (times) => {
    const { medium, boot } = pc();
    const kernel = boot();
    const file = openPmem(kernel);
    const before = medium.bytesWritten;
    for (let i = 0; i < times; i++) file.pwrite(fill(i), 0);
    expect(medium.bytesWritten).toBe(before);
    file.fsync();
    expect(medium.bytesWritten - before).toBe(PAGE);
    expect([vmstat(kernel, 'nr_dirtied'), vmstat(kernel, 'nr_written')]).toEqual([1, 1]);
  });

  it('of direct I/O is what the user wrote', () => {
    const { medium, boot } = pc();
    const file = openPmem(boot(), true);
    const before = medium.bytesWritten;
    for (let i = 0; i < 7; i++) file.pwrite(fill(i), 0);
    expect(medium.bytesWritten - before).toBe(7 * PAGE);
  });
});

describe('/proc/meminfo', () => {
  it('tells what is cached and dirty, until it is dropped, or the device is closed', () => {
    const kernel = pc().boot();
    const file = openPmem(kernel);
    const free = meminfo(kernel, 'MemFree');
    file.pwrite(fill(1, 8 * PAGE), 0);
    expect([meminfo(kernel, 'Buffers'), meminfo(kernel, 'Dirty'), free - meminfo(kernel, 'MemFree')]).toEqual([32, 32, 32]);
    writeFile(kernel.root, '/proc/sys/vm/drop_caches', '3\n');
    expect(meminfo(kernel, 'Buffers')).toBe(32);
    kernel.sleep(40e9);
    expect([meminfo(kernel, 'Buffers'), meminfo(kernel, 'Dirty')]).toEqual([32, 0]);
    writeFile(kernel.root, '/proc/sys/vm/drop_caches', '3\n');
    expect([meminfo(kernel, 'Buffers'), meminfo(kernel, 'MemFree')]).toEqual([0, free]);
    file.pwrite(fill(1), 0);
    file.close();
    expect([meminfo(kernel, 'Buffers'), meminfo(kernel, 'MemFree')]).toEqual([0, free]);
  });
});

describe('a power cut', () => {
  it('takes what was dirty, and nothing that fsync returned for', () => {
    const { machine, boot } = pc();
    let file = openPmem(boot());
    file.pwrite(fill(1), 0);
    file.fsync();
    file.pwrite(fill(2), 0);
    machine.powercut(1);
    file = openPmem(boot());
    const got = fill(0);
    file.pread(got, 0);
    expect(got).toEqual(fill(1));
  });
});
