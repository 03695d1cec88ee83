/**
 * The rows of the thread of April 2015 that are about where struct pages lie, each by its number in the project's list of that thread.
 * Each tries its claim on a booted kernel, so that it fails when its design is taken out.
 */
import { BLK_STS, REQ_OP, allocBio, bioAddPage, submitBioWait } from '@holdfast/block';
import { KernelError, MIB, type PhysAddr, SECTION_SIZE, TIB, pfn, sector } from '@holdfast/lib';
import { createNvdimm } from '@holdfast/machine';
import { PAGE_DESIGNS } from '@holdfast/pmem';
import { describe, expect, test } from 'vitest';
import { type VfsBlockDevice, resolvePath } from '../../src/index.js';
import { GIB } from '../fixture.js';
import { PMEM_START, type PmemRig, bootPmem, errnoOf } from '../pmem-rig.js';

const FIRST = pfn(PMEM_START / 4096);

function messageOf(call: () => unknown): string {
  try {
    call();
    return '';
  } catch (error) {
    if (error instanceof KernelError) return error.message;
    throw error;
  }
}

describe('pages=none', () => {
  test('row 1: the v4.1 way costs no RAM and no byte of the device', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: GIB });
    const { pages } = rig.attached()!;
    expect([pages.ramPageBytes(), pages.devicePageBytes(), pages.dataSize]).toEqual([0, 0, GIB]);
  });

  test('row 1: the driver of v4.1 claims the range, maps it uncached, copies, and ends I/O behind its end with EIO', () => {
    const rig = bootPmem({ release: '4.1' });
    expect(rig.text('/proc/iomem')).toMatch(/^ +200000000-23fffffff : pmem$/m);
    expect([rig.memoryType(), rig.text('/sys/block/pmem0/queue/max_hw_sectors_kb'), rig.attached()!.pages.ramPageBytes()]).toEqual(['UC-', '512\n', 0]);
    rig.write(GIB - 4096, Uint8Array.of(1));
    expect([...rig.read(GIB - 4096, 2)]).toEqual([1, 0]);
    const { bdev } = resolvePath(rig.kernel.root, '/dev/pmem0').node as VfsBlockDevice;
    const read = (from: number): number => {
      const bio = allocBio(bdev, 1, REQ_OP.READ);
      bio.sector = sector(from / 512);
      bioAddPage(bio, pfn(MIB / 4096), 4096, 0);
      return submitBioWait(bio);
    };
    expect([read(GIB - 4096), read(GIB - 2048), read(GIB)]).toEqual([BLK_STS.OK, BLK_STS.IOERR, BLK_STS.IOERR]);
  });

  test('rows 8 and 9: a mapping has special entries, and get_user_pages finds no page: EFAULT', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    const device = rig.kernel.devicePages.at(FIRST)!;
    expect(device.pte).toBe('special');
    expect(errnoOf(() => device.getPage(FIRST, false))).toBe('EFAULT');
  });
});

describe('pages=ram', () => {
  test('rows 10 and 24: 1 TiB takes 16 GiB of RAM, to the byte', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: TIB, ramBytes: 32 * GIB });
    const before = rig.meminfo('MemFree');
    rig.switchTo('ram');
    expect(rig.attached()!.pages.ramPageBytes()).toBe(17_179_869_184);
    expect(before - rig.meminfo('MemFree')).toBe(17_179_869_184);
    expect(rig.attached()!.pages.dataSize).toBe(TIB);
  });

  test('row 11: 16 GiB of battery-backed DRAM cost 256 MiB', () => {
    expect(bootPmem({ cmdline: 'pmem.pages=ram', sizeBytes: 16 * GIB }).attached()!.pages.ramPageBytes()).toBe(256 * MIB);
  });

  test('row 13: 400 TiB need 6.25 TiB of RAM, and are refused with that figure', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 400 * TIB, physBits: 52 });
    rig.unbind();
    rig.param('pages', 'ram');
    expect(messageOf(() => rig.bind())).toContain('6.25 TiB');
    expect(errnoOf(() => rig.bind())).toBe('ENOMEM');
  });
});

describe('pages=dynamic', () => {
  test('row 16: 128 MiB get their 2 MiB at first use, and give them back with the last reference', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=dynamic' });
    const { pages } = rig.attached()!;
    const free = rig.meminfo('MemFree');
    pages.pages.getPage(FIRST, false);
    pages.pages.getPage(pfn(FIRST + 5), false);
    expect([pages.ramPageBytes(), free - rig.meminfo('MemFree')]).toEqual([2 * MIB, 2 * MIB]);
    pages.pages.getPage(pfn(FIRST + SECTION_SIZE / 4096), true);
    expect(pages.ramPageBytes()).toBe(4 * MIB);
    expect(errnoOf(() => rig.unbind())).toBe('EBUSY');
    pages.pages.putPage(FIRST);
    expect(pages.ramPageBytes()).toBe(4 * MIB);
    pages.pages.putPage(pfn(FIRST + 5));
    pages.pages.putPage(pfn(FIRST + SECTION_SIZE / 4096));
    expect([pages.ramPageBytes(), rig.meminfo('MemFree')]).toEqual([0, free]);
  });

  test('row 16: or all at once', () => {
    const { pages } = bootPmem({ cmdline: 'pmem.pages=dynamic' }).attached()!;
    pages.makeAllReady();
    expect(pages.ramPageBytes()).toBe(16 * MIB);
  });
});

describe('pages=device', () => {
  test.each([
    [GIB, 18 * MIB],
    [2 * GIB, 34 * MIB],
    [TIB, 0x400200000],
    [400 * TIB, 0x64000200000],
  ])('rows 25 and 34: %d bytes give %d for the array, and no RAM', (sizeBytes, devicePageBytes) => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes, physBits: 52 });
    const free = rig.meminfo('MemFree');
    rig.switchTo('device');
    const { pages } = rig.attached()!;
    expect([pages.devicePageBytes(), pages.ramPageBytes(), pages.dataSize]).toEqual([devicePageBytes, 0, sizeBytes - devicePageBytes]);
    expect(rig.meminfo('MemFree')).toBe(free);
  });

  test('rows 31 and 33: a struct page is 64 bytes of the device, and a reference is counted there', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=device' });
    const { pages } = rig.attached()!;
    pages.pages.getPage(pfn(FIRST + 7), false);
    pages.pages.getPage(pfn(FIRST + 7), true);
    expect([6, 7, 8].map((index) => refcountOnDevice(rig, index))).toEqual([1, 3, 1]);
    pages.pages.putPage(pfn(FIRST + 7));
    pages.pages.putPage(pfn(FIRST + 7));
    expect(refcountOnDevice(rig, 7)).toBe(1);
  });

  test('row 35: an array of another kernel is refused, and made anew when that is asked for', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=device' });
    const header = PMEM_START + GIB - 4096;
    const bytes = new Uint8Array(4096);
    rig.machine.memory.read(header as never, bytes);
    expect(String.fromCharCode(...bytes.subarray(0, 14))).toBe('HOLDFAST_PAGES');
    rig.unbind();
    // The same header, as a kernel with a struct page of 128 bytes would have written it.
    new DataView(bytes.buffer).setUint32(44, 128, true);
    rechecksum(bytes);
    rig.machine.memory.chunk(Math.floor(header / (2 * MIB))).set(bytes, 2 * MIB - 4096);
    expect(messageOf(() => rig.bind())).toContain('struct page size 128');
    expect(errnoOf(() => rig.bind())).toBe('EOPNOTSUPP');
    rig.param('page_area', 'rebuild');
    rig.bind();
    expect(rig.attached()!.pages.dataSize).toBe(GIB - 18 * MIB);
  });

  test('row 36: the array is fresh after a boot, the data are not', () => {
    const pmem = createNvdimm({ sizeBytes: GIB });
    const first = bootPmem({ cmdline: 'pmem.pages=device', pmem });
    first.write(4096, Uint8Array.of(1, 2, 3));
    first.attached()!.pages.pages.getPage(FIRST, true);
    // It is in the persistence domain, as if somebody had written it back.
    expect(refcountOnDevice(first, 0)).toBe(2);
    first.machine.powercut(1);
    const again = bootPmem({ cmdline: 'pmem.pages=device', pmem, machine: first.machine });
    expect([...again.read(4096, 3)]).toEqual([1, 2, 3]);
    expect(again.kernel.devicePages.at(FIRST)).toBeDefined();
    expect(again.attached()!.pages.held()).toBe(0);
    again.attached()!.pages.pages.getPage(FIRST, false);
    expect(refcountOnDevice(again, 0)).toBe(2);
    again.attached()!.pages.pages.putPage(FIRST);
    again.unbind();
  });

  test('bytes that are nobody\'s are not taken, unless that is asked for', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    rig.write(GIB - 10 * MIB, Uint8Array.of(7));
    rig.unbind();
    rig.param('pages', 'device');
    expect(messageOf(() => rig.bind())).toMatch(/byte 0x3f600000 .*pmem\.page_area=overwrite/);
    expect(errnoOf(() => rig.bind())).toBe('EBUSY');
    rig.param('page_area', 'overwrite');
    rig.bind();
    expect(rig.attached()!.design).toBe('device');
  });
});

describe('pages=hotplug', () => {
  test('rows 26 to 28: a part becomes RAM that the rest takes its struct pages from; the sizes add up', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 64 * GIB });
    const [total, free] = [rig.meminfo('MemTotal'), rig.meminfo('MemFree')];
    rig.switchTo('hotplug');
    const { pages } = rig.attached()!;
    const ram = 64 * GIB - pages.dataSize;
    expect(ram).toBe(GIB);
    // Its own struct pages, a 64th, lie in it, and so does the header; in blocks of 4 MiB.
    expect(rig.meminfo('MemTotal') - total).toBe(ram - 20 * MIB);
    expect(pages.ramPageBytes()).toBe((63 * GIB) / 64);
    expect(rig.meminfo('MemFree') - free).toBe(ram - 20 * MIB - (63 * GIB) / 64);
    expect(rig.text('/proc/iomem')).toContain('System RAM (pmem)');
    rig.switchTo('none');
    expect([rig.meminfo('MemTotal'), rig.meminfo('MemFree')]).toEqual([total, free]);
    expect(rig.text('/proc/iomem')).not.toContain('System RAM (pmem)');
  });

  test('row 27: less than a 64th is refused', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 64 * GIB });
    rig.unbind();
    rig.param('pages', 'hotplug');
    rig.param('ram_bytes', 'pmem0:512M');
    expect(messageOf(() => rig.bind())).toContain('expected at least 1 GiB');
  });
});

describe('pages=add-section', () => {
  test('row 30: 2 MiB for each 128 MiB from the area, and nothing from RAM', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    const free = rig.meminfo('MemFree');
    rig.switchTo('add-section');
    expect([rig.attached()!.pages.devicePageBytes(), rig.meminfo('MemFree')]).toEqual([8 * 2 * MIB + 2 * MIB, free]);
  });
});

describe('the choice', () => {
  test('row 39: each device has its own word, for its pages and for its memory type, and others have theirs', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=pmem0:device,ram pmem.mapping=pmem0:wt,uc' });
    expect([rig.attached()!.design, rig.memoryType()]).toEqual(['device', 'WT']);
    rig.unbind();
    expect(errnoOf(() => rig.param('pages', 'pmem0:nowhere'))).toBe('EINVAL');
    rig.param('pages', 'pmem1:device,none');
    rig.bind();
    expect(rig.attached()!.design).toBe('none');
  });

  test('row 40: the kernel is built with a default, which a parameter overrules', () => {
    const config = { pmem: { defaultPages: 'dynamic', defaultMapping: 'wt' } } as const;
    const built = bootPmem({ config });
    const told = bootPmem({ config, cmdline: 'pmem.pages=none pmem.mapping=uc' });
    expect([built, told].map((rig) => [rig.attached()!.design, rig.memoryType()])).toEqual([['dynamic', 'WT'], ['none', 'UC-']]);
  });

  test('row 41: with pages is one of the ways to map; a device changes it when it is bound again', () => {
    const rig = bootPmem({ cmdline: 'pmem.mapping=pages' });
    const ramPageBytes = (): number => rig.attached()!.pages.ramPageBytes();
    rig.param('mapping', 'wb');
    expect(ramPageBytes()).toBe(16 * MIB);
    rig.unbind();
    rig.bind();
    expect(ramPageBytes()).toBe(0);
  });

  test('rows 20, 38 and 42: one driver has all of them, and shows the same bytes under each', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none' });
    rig.write(8192, Uint8Array.of(4, 5, 6));
    /** How 1 GiB is mapped by DAX, and what its struct pages take of RAM and of the device. */
    const designs: Readonly<Record<string, readonly [string, number, number]>> = {
      device: ['devmap', 0, 18 * MIB],
      ram: ['devmap', 16 * MIB, 0],
      hotplug: ['devmap', 14 * MIB, 2 * MIB],
      dynamic: ['devmap', 0, 0],
      'add-section': ['devmap', 0, 18 * MIB],
      temporary: ['devmap', 1024 * 64, 0],
      variable: ['devmap', 512 * 64, 0],
      pfn: ['special', 0, 0],
      'page-cache': ['devmap', 0, 18 * MIB],
      none: ['special', 0, 0],
    };
    expect([...Object.keys(designs), 'e820-pages'].sort()).toEqual(Object.keys(PAGE_DESIGNS).sort());
    for (const [design, costs] of Object.entries(designs)) {
      rig.switchTo(design);
      const { pages } = rig.attached()!;
      expect([rig.attached()!.design, pages.pages.pte, pages.ramPageBytes(), pages.devicePageBytes(), ...rig.read(8192, 3)]).toEqual([design, ...costs, 4, 5, 6]);
    }
  });

  test('without a word all is as in Linux', () => {
    const rig = bootPmem();
    expect(rig.attached()!.design).toBeUndefined();
    expect([rig.attached()!.pages.ramPageBytes(), rig.attached()!.pages.dataSize]).toEqual([16 * MIB, GIB]);
  });
});

/** _refcount of the struct page of a frame, where design `device` keeps it. */
function refcountOnDevice({ machine, attached }: PmemRig, frame: number): number {
  const word = new Uint8Array(4);
  machine.memory.read((PMEM_START + attached()!.pages.dataSize + frame * 64 + 52) as PhysAddr, word);
  return new DataView(word.buffer).getInt32(0, true);
}

/** Fletcher64 of the header with its checksum zero, written by hand. */
function rechecksum(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setBigUint64(4088, 0n, true);
  let [lo, hi] = [0, 0n];
  for (let at = 0; at < bytes.length; at += 4) {
    lo = (lo + view.getUint32(at, true)) >>> 0;
    hi += BigInt(lo);
  }
  view.setBigUint64(4088, ((hi & 0xffffffffn) << 32n) | BigInt(lo), true);
}
