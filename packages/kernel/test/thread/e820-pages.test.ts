/**
 * Row 10 of the thread of April 2015: struct pages for E820 ranges made by boot, as the patches did that were not merged.
 */
import { MIB, parseRelease, pfn } from '@holdfast/lib';
import { createDram, createMachine, createNvdimm, createPciMemory } from '@holdfast/machine';
import { createPciHost } from '@holdfast/pci';
import { createPmemCard } from '@holdfast/pmem-pci';
import { describe, expect, test } from 'vitest';
import { type Kernel, PROT, boot, readFile } from '../../src/index.js';
import { GIB, e820Text, logTexts } from '../fixture.js';
import { PMEM_START, bootPmem, errnoOf } from '../pmem-rig.js';

const PAGE = 4096;
const FIRST = PMEM_START / PAGE;
const DATA = 256 * MIB;

/** Two ranges of 1 GiB; logs and panics, too. */
function bootTwo(cmdline: string, { release, ramBytes = 2 * GIB }: { release?: string; ramBytes?: number } = {}): ReturnType<typeof boot> {
  const media = [PMEM_START, PMEM_START + 2 * GIB].map((start) => ({ start, medium: createNvdimm({ sizeBytes: GIB }) }));
  const machine = createMachine({ media: [{ start: 0, medium: createDram(ramBytes) }, ...media] });
  const e820 = e820Text([
    { start: 0, end: 0x9fc00, type: 'usable' },
    { start: 0x100000, end: ramBytes, type: 'usable' },
    ...media.map(({ start }) => ({ start, end: start + GIB, type: 'persistent (type 12)' })),
  ]);
  return boot({ machine, firmware: { e820 }, cmdline, ...(release ? { release: parseRelease(release) } : {}) });
}

/** Of zone Normal of node 0. */
function normalZone(kernel: Kernel): number[] {
  const zone = /zone +Normal\n[^]*?managed +\d+/.exec(readFile(kernel.root, '/proc/zoneinfo') as string)?.[0] ?? '';
  return ['spanned', 'present', 'managed'].map((field) => Number(new RegExp(`${field} +(\\d+)`).exec(zone)?.[1] ?? 0));
}

describe('pages=e820-pages', () => {
  test('row 10: sections are present, spanned by zone Normal and reserved; the memmap is in RAM, and nobody gets a page', () => {
    const without = bootPmem({ cmdline: 'pmem.pages=none' });
    const rig = bootPmem({ cmdline: 'pmem.pages=e820-pages' });
    const [, present, managed] = normalZone(without.kernel);
    // RAM ends at 6 GiB, and the device at 9.
    expect(normalZone(rig.kernel)).toEqual([(PMEM_START + GIB - 4 * GIB) / PAGE, present! + GIB / PAGE, managed! - GIB / 64 / PAGE]);
    expect(without.meminfo('MemTotal') - rig.meminfo('MemTotal')).toBe(GIB / 64);
    expect(rig.text('/proc/iomem')).toBe(without.text('/proc/iomem'));
    expect(rig.text(`/sys/devices/system/memory/memory${PMEM_START / (128 * MIB)}/state`)).toBe('online\n');
    expect(rig.attached()).toMatchObject({ design: 'e820-pages' });
    expect([rig.attached()!.pages.ramPageBytes(), rig.attached()!.pages.dataSize]).toEqual([GIB / 64, GIB]);
  });

  test('row 10: the pages may be held, and come back; the disk may be bound with and without them, and never with others', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=e820-pages' });
    const free = rig.meminfo('MemFree');
    const process = rig.kernel.createProcess('database');
    const dax = process.mmap(process.open('/dev/pmem0', { write: true, dax: true }), { length: MIB, offset: DATA, prot: PROT.READ | PROT.WRITE });
    process.store(dax, new Uint8Array(PAGE).fill(10));
    const pinned = process.pin(dax, PAGE, { write: true });
    expect(pinned.pfns).toEqual([FIRST + DATA / PAGE]);
    expect(errnoOf(() => rig.unbind())).toBe('EBUSY');
    pinned.put();
    const direct = process.open('/dev/pmem0', { write: true, direct: true });
    process.pwrite(direct, dax, PAGE, DATA + MIB);
    process.exit();
    rig.switchTo('none');
    expect(rig.read(DATA + MIB, PAGE)).toEqual(new Uint8Array(PAGE).fill(10));
    expect(errnoOf(() => rig.switchTo('ram'))).toBe('EEXIST');
    rig.switchTo('e820-pages');
    rig.attached()!.pages.pages.getPage(pfn(FIRST), false);
    rig.attached()!.pages.pages.putPage(pfn(FIRST));
    expect(rig.meminfo('MemFree')).toBe(free);
  });

  test('row 10: for the devices that the command line names, the first range being pmem0', () => {
    const { kernel } = bootTwo('pmem.pages=none,pmem1:e820-pages');
    expect([...kernel!.pmem].map(([disk, { design }]) => `${disk} ${design}`)).toEqual(['pmem0 none', 'pmem1 e820-pages']);
    expect([hasBlock(kernel!, PMEM_START), hasBlock(kernel!, PMEM_START + 2 * GIB)]).toEqual([false, true]);
  });

  test('row 10: not for a device that boot has not given any, and not for one on PCI', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    expect(errnoOf(() => rig.switchTo('e820-pages'))).toBe('EOPNOTSUPP');
    const machine = createMachine({ media: [{ start: 0, medium: createDram(2 * GIB) }] });
    const pci = createPciHost(machine);
    pci.plug(createPmemCard(createPciMemory({ sizeBytes: GIB })), 4);
    const { kernel } = boot({ machine, pci, firmware: { e820: e820Text([{ start: 0, end: 0x9fc00, type: 'usable' }, { start: 0x100000, end: 2 * GIB, type: 'usable' }]) }, cmdline: 'pmem.pages=e820-pages' });
    expect(kernel!.pmem.size).toBe(0);
  });

  test('row 10: last_pfn counts the ranges then, as 4.1 to 4.3 always do', () => {
    const lastPfn = (cmdline: string, release: string): string => /last_pfn = (0x[0-9a-f]+)/.exec(logTexts(bootTwo(cmdline, { release })).join('\n'))![1]!;
    const [ram, all] = ['0x80000', `0x${((PMEM_START + 3 * GIB) / PAGE).toString(16)}`];
    expect(['4.1', '4.3', '4.4', '6.1'].map((release) => lastPfn('pmem.pages=none', release))).toEqual([all, all, ram, ram]);
    expect(['4.1', '4.4', '6.1'].map((release) => lastPfn('pmem.pages=e820-pages', release))).toEqual([all, all, all]);
  });

  test('row 10: without room for the memmap a kernel dies at boot, as for RAM of its own', () => {
    const rig = (): unknown => bootPmem({ cmdline: 'pmem.pages=e820-pages', sizeBytes: 1024 * GIB });
    expect(rig).toThrowError(/panic: .*memory map backing failed/);
  });
});

function hasBlock({ root }: Kernel, start: number): boolean {
  return errnoOf(() => readFile(root, `/sys/devices/system/memory/memory${start / (128 * MIB)}/state`)) === 'ok';
}
