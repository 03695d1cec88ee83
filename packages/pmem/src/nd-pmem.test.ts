import { readFileSync } from 'node:fs';
import { type Attribute, GIB, type KernelError, MIB, createIda, formatIomem, requestRegion } from '@holdfast/lib';
import { diskAttributeGroups, encodeGpt, formatPartitions, openBlockDevice, type Gendisk } from '@holdfast/block';
import { createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { PMEM_START, createKernel, deviceBytes, diskOf, errnoOf, machineWith, type TestKernel } from '../test/kernel.js';
import { createNdPmemDriver, type NdPmemNeeds } from './nd-pmem.js';
import { parsePmemMapping, type PmemMapping } from './pmem-mapping.js';

/** What /sys/block/pmem0 showed on Linux 6.1 over a range of e820 type 12. */
const LINUX = JSON.parse(readFileSync(new URL('../test/linux-6.1-pmem0.json', import.meta.url), 'utf8')) as Record<string, string>;

/** A kernel with the driver loaded. */
function load(options: Parameters<typeof createKernel>[0] & { needs?: Partial<NdPmemNeeds> } = {}): TestKernel {
  const kernel = createKernel(options);
  kernel.nvdimms.registerDriver(createNdPmemDriver({ ...kernel.needs, ...options.needs }));
  return kernel;
}

function withoutPages(needs: NdPmemNeeds): NdPmemNeeds {
  const rest: { -readonly [K in keyof NdPmemNeeds]: NdPmemNeeds[K] } = { ...needs };
  delete rest.pageHost;
  return rest;
}

/** What each file of a disk says, or with which errno it refuses. */
function attributesOf(disk: Gendisk): Record<string, string> {
  const read = ({ show }: Attribute): string => {
    try {
      return show!().trim();
    } catch (error) {
      return (error as KernelError).code;
    }
  };
  return Object.fromEntries(diskAttributeGroups(disk).flatMap(({ name, attributes }) => attributes.map((attribute) => [name === '' ? attribute.name : `${name}/${attribute.name}`, read(attribute)])));
}

describe('the dax minor of a disk', () => {
  it('is taken once the bus is idle, so that a device-dax of the same moment is first, and given back', () => {
    const daxMinors = createIda();
    const kernel = load({ needs: { daxMinors } });
    let early: number | undefined;
    kernel.nvdimms.later(() => {
      kernel.addRegion(PMEM_START, 16 * MIB);
      early = daxMinors.alloc();
    });
    expect([early, daxMinors.alloc()]).toEqual([0, 2]);
    kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    expect(daxMinors.alloc()).toBe(1);
  });

  it('is not taken of a disk that is gone by then', () => {
    const daxMinors = createIda();
    const kernel = load({ needs: { daxMinors } });
    kernel.nvdimms.later(() => {
      kernel.addRegion(PMEM_START, 16 * MIB);
      kernel.nvdimms.later(() => kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem'));
    });
    expect(daxMinors.alloc()).toBe(0);
  });
});

describe('nd_pmem on a legacy range', () => {
  it('shows what Linux 6.1 shows, and the two files of its own', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 16 * MIB);
    expect(attributesOf(diskOf(kernel))).toEqual({ ...LINUX, size: '32768', dev: '259:0', badblocks: '', 'dax/write_cache': '1' });
    expect(formatPartitions(kernel.block)).toBe('major minor  #blocks  name\n\n 259        0      16384 pmem0\n');
  });

  it('claims the range, gives it struct pages, and warns', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 16 * MIB);
    expect(formatIomem(kernel.iomem)).toBe('100000000-100ffffff : Persistent Memory (legacy)\n  100000000-100ffffff : namespace0.0\n');
    expect(kernel.devicePages).toEqual([{ start: PMEM_START, sizeBytes: 16 * MIB }]);
    expect(kernel.log).toEqual(['<4>nd_pmem namespace0.0: unable to guarantee persistence of writes']);
    expect(diskOf(kernel).parent?.name).toBe('namespace0.0');
  });

  it('undoes all of it when it is unbound, and comes back with its bytes under the same name', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 16 * MIB);
    openBlockDevice(diskOf(kernel).part0).pwrite(Uint8Array.of(1, 2, 3), 5);
    kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    expect(kernel.machine.undecided()).toEqual([]);
    expect([kernel.block.disks, kernel.devicePages, [...kernel.block.extMinors]]).toEqual([[], [], []]);
    expect(formatIomem(kernel.iomem)).not.toContain('namespace');
    expect(() => kernel.machine.cpu.map(PMEM_START as never, 4096, 'UC')).not.toThrow();
    kernel.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    expect(diskOf(kernel).part0.minor).toBe(0);
    expect([...deviceBytes(kernel, 5, 3)]).toEqual([1, 2, 3]);
  });

  it('numbers disks by region, and finds partitions', () => {
    const kernel = load();
    for (const { offset, data } of encodeGpt({
      nrSectors: 8 * 2048, diskGuid: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      partitions: [{ start: 2048, end: 4095, type: '0fc63daf-8483-4772-8e79-3d69d8477de4', unique: '11111111-2222-3333-4444-555555555555' }],
    })) kernel.machine.memory.write((PMEM_START + 8 * MIB + offset) as never, data);
    kernel.addRegion(PMEM_START, 8 * MIB);
    kernel.addRegion(PMEM_START + 8 * MIB, 8 * MIB);
    expect(kernel.log).toContain(' pmem1: p1');
    expect(formatPartitions(kernel.block).split('\n').slice(2)).toEqual([
      ' 259        0       8192 pmem0', ' 259        1       8192 pmem1', ' 259        2       1024 pmem1p1', '',
    ]);
  });

  it.each([
    // start, size: as memmap= gave them to a real kernel
    { start: 0x4001_0000, size: 512 * MIB, range: '[mem 0x40010000-0x6000ffff flags 0x200]' },
    { start: 0x3e90_0000, size: 3 * MIB, range: '[mem 0x3e900000-0x3ebfffff flags 0x200]' },
    { start: 0x4000_0400, size: 0x1000_0800, range: '[mem 0x40000400-0x50000bff flags 0x200]' },
  ])('refuses $range, whose ends are not 2 MiB-aligned', ({ start, size, range }) => {
    const machine = machineWith(createNvdimm({ sizeBytes: MIB }));
    machine.attach({ start: GIB - 64 * MIB, medium: createNvdimm({ sizeBytes: 768 * MIB }) });
    const kernel = load({ machine });
    kernel.addRegion(start, size);
    expect(kernel.log).toEqual([`<3>nd_pmem namespace0.0: ${range} misaligned, unable to map`, expect.stringContaining('nd_pmem: probe of namespace0.0 failed with error -95')]);
    expect(kernel.block.disks).toEqual([]);

    // Without struct pages there is nothing to be aligned.
    const plain = load({ machine, mapping: 'wb' });
    plain.addRegion(start, size);
    expect(diskOf(plain).part0.nrSectors).toBe(Math.floor(size / 512));
    expect(diskOf(plain).queue.dax).toBe(false);
  });

  it('stays away from a range that something else claims', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START + 8 * MIB, 4 * MIB);
    kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    requestRegion(kernel.iomem, PMEM_START + 10 * MIB, 4096, 'other driver');
    expect(errnoOf(() => kernel.nvdimms.bus.bind('namespace0.0', 'nd_pmem'))).toBe('EBUSY');
    expect(kernel.log.slice(-3)).toEqual([
      '<4>nd_pmem namespace0.0: unable to guarantee persistence of writes',
      '<4>nd_pmem namespace0.0: could not reserve region [mem 0x100800000-0x100bfffff]',
      expect.stringContaining('failed with error -16'),
    ]);
  });
});

describe('a namespace of one page', () => {
  it('cannot be had: the request for its first 8 KiB reaches past its end', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 4096);
    const ns = kernel.bus.regions[0]!.namespaces[0]!;
    expect(kernel.log).toContainEqual(expect.stringContaining('misaligned, unable to map'));
    ns.forceRaw = true;
    expect(errnoOf(() => kernel.nvdimms.bus.bind('namespace0.0', 'nd_pmem'))).toBe('EBUSY');
    expect(kernel.log).toContainEqual('<4>nd_pmem namespace0.0: could not reserve region [mem 0x100000000-0x100000fff]');
  });
});

describe('nd_pmem on NVDIMMs', () => {
  it.each([
    { what: 'without flush hints', dimms: [{}], fua: '0' },
    { what: 'with them', dimms: [{ flushHints: true }], fua: '1' },
  ])('$what: fua $fua, no warning, no struct pages', ({ dimms, fua }) => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 16 * MIB, { pageMapAllowed: false, dimms });
    expect(attributesOf(diskOf(kernel))).toMatchObject({ 'queue/fua': fua, 'queue/dax': '0', 'queue/write_cache': 'write back' });
    expect([kernel.log, kernel.devicePages]).toEqual([[], []]);
  });

  it('that are not armed makes a disk that stays read-only', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 16 * MIB, { pageMapAllowed: false, dimms: [{ notArmed: true }] });
    expect(kernel.log).toEqual(['nd_pmem namespace0.0: region0 read-only, marking pmem0 read-only']);
    const file = openBlockDevice(diskOf(kernel).part0);
    file.readOnly = false;
    expect([file.readOnly, errnoOf(() => file.pwrite(new Uint8Array(1), 0))]).toEqual([true, 'EPERM']);
  });

  it('follow what is written to read_only, and say so', () => {
    const kernel = load();
    kernel.addRegion(PMEM_START, 16 * MIB, { pageMapAllowed: false, dimms: [{}] });
    const readOnly = kernel.bus.regions[0]!.attributes().find(({ name }) => name === 'read_only')!;
    for (const value of ['1', '1', '0']) readOnly.store!(value);
    expect(kernel.log).toEqual([
      'nd_pmem namespace0.0: region0 read-only, marking pmem0 read-only',
      'nd_pmem namespace0.0: region0 read-write, marking pmem0 read-write',
    ]);
    expect(attributesOf(diskOf(kernel))).toMatchObject({ ro: '0' });
    kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    readOnly.store!('1');
    expect(kernel.log).toHaveLength(2);
  });
});

describe('the mapping of an nd_pmem disk', () => {
  it('is what the parameter says when it is bound, per device', () => {
    const params = { mapping: parsePmemMapping('wt,pmem1:uc') };
    const kernel = load({ needs: { params } });
    kernel.addRegion(PMEM_START, 8 * MIB);
    kernel.addRegion(PMEM_START + 8 * MIB, 8 * MIB);
    // A second mapping of a range gets the type of the first.
    const typeAt = (offset: number): string => {
      const mapping = kernel.machine.cpu.map((PMEM_START + offset) as never, 4096, 'UC-');
      kernel.machine.cpu.unmap(mapping);
      return mapping.type;
    };
    expect(typeAt(8 * MIB)).toBe('UC-');
    expect(typeAt(0)).toBe('WT');
    params.mapping = parsePmemMapping('uc');
    kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    kernel.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    expect(typeAt(0)).toBe('UC-');
  });

  it('may give struct pages to NVDIMMs, which Linux would not', () => {
    const kernel = load({ mapping: 'pages' });
    kernel.addRegion(PMEM_START, 16 * MIB, { pageMapAllowed: false });
    expect([kernel.devicePages.length, diskOf(kernel).queue.dax]).toEqual([1, true]);
  });

  it.each<PmemMapping | undefined>(['pages', undefined])('has no struct pages where the namespace is forced raw (configured: %s)', (mapping) => {
    const kernel = load({ mapping });
    kernel.addRegion(PMEM_START, 16 * MIB);
    kernel.nvdimms.bus.unbind('namespace0.0', 'nd_pmem');
    const namespace = kernel.nvdimms.bus.findDevice('namespace0.0');
    if (namespace?.type !== 'namespace') throw new Error('no namespace');
    namespace.forceRaw = true;
    kernel.nvdimms.bus.bind('namespace0.0', 'nd_pmem');
    expect([kernel.devicePages, diskOf(kernel).queue.dax]).toEqual([[], false]);
  });

  it('cannot be pages in a kernel that has none for devices, and leaves nothing behind', () => {
    const kernel = createKernel({ mapping: 'pages' });
    kernel.nvdimms.registerDriver(createNdPmemDriver(withoutPages(kernel.needs)));
    kernel.addRegion(PMEM_START, 16 * MIB);
    expect(kernel.log.at(-1)).toContain('failed with error -95');
    expect(formatIomem(kernel.iomem)).not.toContain('namespace');
  });
});
