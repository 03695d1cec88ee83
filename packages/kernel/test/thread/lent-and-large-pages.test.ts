/**
 * Rows 18 and 19 of the thread of April 2015, which were mentioned there and never had code: struct pages lent to I/O in flight, and one
 * struct page for more than 4 KiB.
 */
import { MIB, pfn } from '@holdfast/lib';
import type { AttachedPages } from '@holdfast/pmem';
import { describe, expect, test } from 'vitest';
import { PROT } from '../../src/index.js';
import { GIB } from '../fixture.js';
import { PMEM_START, type PmemRig, bootPmem, errnoOf } from '../pmem-rig.js';

const TIB = 2 ** 40;
const PAGE = 4096;
const FIRST = PMEM_START / PAGE;
const DATA = 256 * MIB;

function mapped({ kernel }: PmemRig): { process: ReturnType<typeof kernel.createProcess>; dax: number } {
  const process = kernel.createProcess('database');
  const dax = process.mmap(process.open('/dev/pmem0', { write: true, dax: true }), { length: 64 * PAGE, offset: DATA, prot: PROT.READ | PROT.WRITE });
  return { process, dax };
}

describe('pages=temporary', () => {
  test.each([GIB, 64 * GIB, 400 * TIB])('row 18: the pool takes K times 64 bytes of RAM, whatever the size: %d bytes', (sizeBytes) => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes, physBits: 52 });
    const free = rig.meminfo('MemFree');
    rig.unbind();
    rig.param('pool_pages', '4096');
    rig.param('pages', 'temporary');
    rig.bind();
    expect([rig.attached()!.pages.ramPageBytes(), free - rig.meminfo('MemFree')]).toEqual([4096 * 64, 4096 * 64]);
  });

  test('row 18: a struct page is lent for as long as somebody holds its frame, and two who do share it', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=temporary pmem.pool_pages=64' });
    const { process, dax } = mapped(rig);
    process.store(dax, new Uint8Array(PAGE).fill(18));
    const lent = (): number => (rig.attached()!.pages as AttachedPages & { lent: number }).lent;
    const [one, two] = [process.pin(dax, 2 * PAGE), process.pin(dax + PAGE, 2 * PAGE)];
    expect([lent(), rig.attached()!.pages.held()]).toEqual([3, 4]);
    expect(errnoOf(() => rig.unbind())).toBe('EBUSY');
    one.put();
    expect(lent()).toBe(2);
    two.put();
    expect(lent()).toBe(0);
    expect(errnoOf(() => process.pin(dax, PAGE, { longterm: true }))).toBe('EOPNOTSUPP');
  });

  test('row 18: when all are lent, who asks is told EAGAIN, or waits until one comes back', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=temporary pmem.pool_pages=4' });
    const { process, dax } = mapped(rig);
    const pinned = process.pin(dax, 4 * PAGE);
    expect(errnoOf(() => process.pin(dax + 8 * PAGE, PAGE))).toBe('EAGAIN');
    const { pages, getPageWait } = rig.attached()!.pages as AttachedPages & { getPageWait(frame: number, granted: () => void): void };
    let granted = 0;
    getPageWait(FIRST + 100, () => granted++);
    expect(granted).toBe(0);
    pinned.put();
    expect(granted).toBe(1);
    pages.putPage(pfn(FIRST + 100));
    // O_DIRECT from more pages than there are goes in as many parts as it takes.
    const fd = process.open('/dev/pmem0', { write: true, direct: true });
    process.store(dax, new Uint8Array(32 * PAGE).fill(9));
    expect(process.pwrite(fd, dax, 32 * PAGE, DATA + 64 * PAGE)).toBe(32 * PAGE);
    expect(rig.read(DATA + 95 * PAGE, PAGE)).toEqual(new Uint8Array(PAGE).fill(9));
    expect(rig.attached()!.pages.held()).toBe(0);
  });
});

describe('pages=variable', () => {
  test.each([
    [PAGE, 64 * GIB, GIB],
    [2 * MIB, TIB, 32 * MIB],
    [GIB, TIB, 64 * 1024],
  ])('row 19: in units of %d bytes, a device of %d takes %d of RAM: 64 for each', (unit, sizeBytes, ramBytes) => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes });
    const free = rig.meminfo('MemFree');
    rig.unbind();
    rig.param('unit_bytes', String(unit));
    rig.param('pages', 'variable');
    rig.bind();
    expect([rig.attached()!.pages.ramPageBytes(), free - rig.meminfo('MemFree')]).toEqual([ramBytes, ramBytes]);
  });

  test('row 19: a unit is split where a frame is to be held for good, and joined again', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=variable' });
    const { pages, ramPageBytes, pageOf } = rig.attached()!.pages as AttachedPages & { pageOf(frame: number): { nrFrames: number } };
    const frame = pfn(FIRST + 5);
    const whole = ramPageBytes();
    pages.getPage(frame, false);
    expect([pageOf(frame).nrFrames, ramPageBytes()]).toEqual([512, whole]);
    pages.getPage(frame, true);
    expect([pageOf(frame).nrFrames, pageOf(FIRST + 512).nrFrames, ramPageBytes()]).toEqual([1, 512, whole + 512 * 64]);
    pages.putPage(frame);
    pages.putPage(frame);
    expect([pageOf(frame).nrFrames, ramPageBytes()]).toEqual([512, whole]);
  });
});
