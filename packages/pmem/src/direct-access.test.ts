import { GIB, MIB, physAddr } from '@holdfast/lib';
import { addPartition, BLK_STS, createBadblocks, type BlockDevice } from '@holdfast/block';
import { createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { PMEM_START, createKernel, diskOf, errnoOf, machineWith } from '../test/kernel.js';
import { directAccess, directAccess41 } from './direct-access.js';
import type { PmemDevice } from './pmem-io.js';
import { createPlatformPmem } from './platform-pmem.js';

function device(sizeBytes: number, dataOffset = 0): { pmem: PmemDevice; bdev: BlockDevice } {
  const kernel = createKernel({ machine: machineWith(createNvdimm({ sizeBytes })), release: '4.1' });
  kernel.platform.registerDriver(createPlatformPmem(kernel.needs).driver);
  kernel.platform.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start: PMEM_START, end: PMEM_START + sizeBytes - 1 }] });
  const mapping = kernel.machine.cpu.map(physAddr(PMEM_START), sizeBytes, 'UC-');
  const pmem: PmemDevice = {
    memory: kernel.machine.memory, mapping, dataOffset, dataSize: sizeBytes - dataOffset, badblocks: createBadblocks(),
    flush: () => BLK_STS.OK, clearPoison: () => 0, flushEachWrite: false,
  };
  return { pmem, bdev: diskOf(kernel).part0 };
}

describe('direct access, today', () => {
  it('reaches from a page of the data area to its end', () => {
    const { pmem } = device(64 * MIB, 18 * MIB);
    expect(directAccess(pmem, 0, 1, 'access')).toEqual({ offset: 18 * MIB, pfn: 0x101200, nrPages: (46 * MIB) / 4096 });
    expect(directAccess(pmem, 100, 1, 'access')).toEqual({ offset: 18 * MIB + 409600, pfn: 0x101264, nrPages: (46 * MIB) / 4096 - 100 });
  });

  it.each<[number, number, 'access' | 'recovery', number | string]>([
    // with sectors 16 to 23 bad: page, pages, mode
    [0, 512, 'access', 'EIO'],
    [0, 512, 'recovery', 2],
    [2, 1, 'recovery', 1],
    [4, 10, 'access', 10],
    [0, 2, 'access', 2],
    [1, 2, 'access', 'EIO'],
  ])('around a bad page: %d, %d pages, %s gives %s', (pgoff, nrPages, mode, want) => {
    const { pmem } = device(16 * MIB);
    pmem.badblocks.set(16, 8);
    if (typeof want === 'number') expect(directAccess(pmem, pgoff, nrPages, mode).nrPages).toBe(want);
    else expect(errnoOf(() => directAccess(pmem, pgoff, nrPages, mode))).toBe(want);
  });
});

describe('direct access, v4.1', () => {
  it.each<[number, number, unknown]>([
    [8, 4096, { offset: 4096, pfn: 0x100001, sizeBytes: 4096 }],
    [0, GIB, { offset: 0, pfn: 0x100000, sizeBytes: GIB }],
    [1, 4096, 'EINVAL'],
    [2097144, 4096, { offset: GIB - 4096, pfn: 0x13ffff, sizeBytes: 4096 }],
    [2097144, 4097, 'ERANGE'],
    [2097152, 1, 'ERANGE'],
  ])('of sector %d, %d bytes', (sector, sizeBytes, want) => {
    const { pmem, bdev } = device(GIB);
    if (typeof want === 'string') expect(errnoOf(() => directAccess41(pmem, bdev, sector, sizeBytes))).toBe(want);
    else expect(directAccess41(pmem, bdev, sector, sizeBytes)).toEqual(want);
  });

  it('of a partition counts from its start, which must be on a page', () => {
    const { pmem, bdev } = device(16 * MIB);
    expect(directAccess41(pmem, addPartition(bdev.disk, 1, 16, 100), 8, 4096)).toMatchObject({ offset: 12288 });
    expect(errnoOf(() => directAccess41(pmem, addPartition(bdev.disk, 2, 200 + 63, 100), 0, 4096))).toBe('EINVAL');
  });
});
