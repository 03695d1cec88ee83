import { GIB, MIB, formatIomem, requestRegion } from '@holdfast/lib';
import { diskAttributeGroups, openBlockDevice } from '@holdfast/block';
import { createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { PMEM_START, createKernel, deviceBytes, diskOf, errnoOf, machineWith, type TestKernel } from '../test/kernel.js';
import { createPlatformPmem } from './platform-pmem.js';

function load(...ranges: [start: number, sizeBytes: number][]): TestKernel & { exit: () => void } {
  const machine = machineWith(createNvdimm({ sizeBytes: GIB }));
  machine.attach({ start: 8 * GIB, medium: createNvdimm({ sizeBytes: 512 * MIB + 300 }) });
  const kernel = createKernel({ machine, release: '4.1.15' });
  const { driver, exit } = createPlatformPmem(kernel.needs);
  const unregister = kernel.platform.registerDriver(driver);
  for (const [start, sizeBytes] of ranges) kernel.platform.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start, end: start + sizeBytes - 1 }] });
  return { ...kernel, exit: () => (unregister(), exit()) };
}

describe('v4.1 pmem', () => {
  it('makes a disk of each range, 16 minors each, without a sector that is not whole', () => {
    const kernel = load([4 * GIB, GIB], [8 * GIB, 512 * MIB + 300]);
    expect(kernel.block.disks.map(({ name, minors, part0 }) => [name, part0.nrSectors, part0.major, part0.minor, minors])).toEqual([
      ['pmem0', 2097152, 254, 0, 16],
      ['pmem1', 1048576, 254, 16, 16],
    ]);
    expect(kernel.block.majors.get(254)).toBe('pmem');
    expect(formatIomem(kernel.iomem)).toBe([
      '100000000-13fffffff : pmem.0.auto', '  100000000-13fffffff : pmem',
      '200000000-22000012b : pmem.1.auto', '  200000000-22000012b : pmem', '',
    ].join('\n'));
    expect(kernel.log).toEqual([]);
  });

  it('shows the limits of its time', () => {
    const kernel = load([PMEM_START, 16 * MIB]);
    const queue = diskAttributeGroups(diskOf(kernel))[1]!.attributes.map(({ name, show }) => [name, show!().trim()]);
    expect(Object.fromEntries(queue)).toEqual({
      add_random: '0', discard_granularity: '0', discard_max_bytes: '0', discard_zeroes_data: '0', hw_sector_size: '512', iostats: '0',
      logical_block_size: '512', max_hw_sectors_kb: '512', max_integrity_segments: '0', max_sectors_kb: '512', max_segment_size: '65536',
      max_segments: '128', minimum_io_size: '512', nomerges: '0', nr_requests: '128', optimal_io_size: '0', physical_block_size: '512',
      read_ahead_kb: '128', rotational: '1', rq_affinity: '0', scheduler: 'none', write_same_max_bytes: '0',
    });
  });

  it('never uses an index again: a device that is bound anew comes back as the next disk, with its bytes', () => {
    const kernel = load([PMEM_START, 16 * MIB]);
    openBlockDevice(diskOf(kernel).part0).pwrite(Uint8Array.of(42), 7);
    kernel.platform.unbind('pmem.0.auto', 'pmem');
    expect(formatIomem(kernel.iomem)).toBe('100000000-100ffffff : pmem.0.auto\n');
    kernel.platform.bind('pmem.0.auto', 'pmem');
    const disk = diskOf(kernel, 'pmem1');
    expect(disk.part0.minor).toBe(16);
    expect([...deviceBytes(kernel, 7, 1)]).toEqual([42]);
  });

  it('refuses a range that is taken, with EINVAL', () => {
    const kernel = load();
    kernel.platform.registerDevice({ kind: 'other', resources: [{ start: PMEM_START, end: PMEM_START + 16 * MIB - 1 }] });
    requestRegion(kernel.iomem, PMEM_START, 16 * MIB, 'busy');
    kernel.platform.registerDevice({ kind: 'pmem', id: 'auto', resources: [{ start: PMEM_START, end: PMEM_START + 16 * MIB - 1 }] });
    expect(kernel.log).toEqual(['<4>pmem pmem.0.auto: could not reserve region [0x0x0000000100000000:0x1000000]', expect.stringContaining('pmem: probe of pmem.0.auto failed with error -22')]);
    expect(kernel.block.disks).toEqual([]);
  });

  it.each([0, 2])('refuses a device of %d ranges, silently', (count) => {
    const kernel = load();
    const resources = Array.from({ length: count }, (_, i) => ({ start: PMEM_START + i * MIB, end: PMEM_START + i * MIB + 4095 }));
    kernel.platform.registerDevice({ kind: 'pmem', id: 'auto', resources });
    expect([kernel.block.disks, kernel.log]).toEqual([[], []]);
    expect(errnoOf(() => kernel.platform.bind('pmem.0.auto', 'pmem'))).toBe('ENODEV');
  });

  it('ends I/O behind the end itself, where the block layer does not look', () => {
    const kernel = load([PMEM_START, 16 * MIB]);
    const disk = diskOf(kernel);
    disk.part0.nrSectors = 0; // what the block layer takes for "unknown"
    expect(errnoOf(() => openBlockDevice({ ...disk.part0, nrSectors: 16 * 2048 + 1 }).pread(new Uint8Array(512), 16 * MIB))).toBe('EIO');
  });

  it('gives its disks and its major back', () => {
    const kernel = load([PMEM_START, 16 * MIB]);
    kernel.exit();
    expect([kernel.block.disks, kernel.block.majors.has(254)]).toEqual([[], false]);
  });
});
