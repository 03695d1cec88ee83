import { describe, expect, it } from 'vitest';
import { sector } from '@holdfast/lib';
import { addRamDisk, createHarness, errnoOf } from '../test/ramdisk.js';
import { allocBio, bioAddPage } from './bio.js';
import { REQ, REQ_OP } from './blk-types.js';
import type { BlockDevice } from './blk-types.js';
import { blockUevent, diskAttributeGroups, formatDiskstats, partitionAttributes } from './disk-attributes.js';
import { addPartition } from './partition.js';
import { submitBio } from './submit.js';
import { pfn } from '@holdfast/lib';

function io(bdev: BlockDevice, op: number, sectors: number): void {
  const bio = allocBio(bdev, 1, op);
  bio.sector = sector(0);
  if (sectors > 0) bioAddPage(bio, pfn(0x100), sectors * 512, 0);
  submitBio(bio);
}

const fieldsOf = (text: string): number[] => text.trim().split(/\s+/).map(Number);

describe('counts of I/O', () => {
  it('are kept while iostats is on, of a partition for its disk as well', () => {
    const harness = createHarness();
    const { disk } = addRamDisk(harness, { name: 'ram0' });
    const partition = addPartition(disk, 1, 8, 16, 'data');
    io(disk.part0, REQ_OP.WRITE, 8);
    disk.queue.ioStats = true;
    io(disk.part0, REQ_OP.READ, 2);
    io(partition, REQ_OP.WRITE, 4);
    disk.queue.writeCache = true;
    io(partition, REQ_OP.WRITE | REQ.PREFLUSH, 0);
    const statOf = (attributes: ReturnType<typeof partitionAttributes>): number[] => fieldsOf(attributes.find(({ name }) => name === 'stat')!.show!());
    expect(statOf(diskAttributeGroups(disk)[0]!.attributes as ReturnType<typeof partitionAttributes>)).toEqual([1, 0, 2, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(statOf(partitionAttributes(partition))).toEqual([0, 0, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(formatDiskstats(harness.block)).toBe(' 259       0 ram0 1 0 2 0 2 0 4 0 0 0 0 0 0 0 0 0 0\n 259       1 ram0p1 0 0 0 0 2 0 4 0 0 0 0 0 0 0 0 0 0\n');
  });

  it('tell the time that drivers took, in ticks of 4 ms', () => {
    const harness = createHarness();
    const { disk } = addRamDisk(harness, { name: 'ram0' });
    disk.queue.ioStats = true;
    const { submitBio: carryOut } = disk.ops;
    disk.ops.submitBio = (bio) => {
      harness.clock.now += 9_000_000;
      carryOut(bio);
    };
    io(disk.part0, REQ_OP.WRITE, 1);
    expect(fieldsOf(formatDiskstats(harness.block)).slice(7)).toEqual([1, 0, 1, 8, 0, 8, 8, 0, 0, 0, 0, 0, 0]);
  });
});

it('numbers disks one after the other, whichever have gone', () => {
  const harness = createHarness();
  const [first, second] = ['a', 'b'].map((name) => addRamDisk(harness, { name }).disk);
  expect([blockUevent(first!.part0), blockUevent(second!.part0)]).toEqual([['DEVTYPE=disk', 'DISKSEQ=1'], ['DEVTYPE=disk', 'DISKSEQ=2']]);
  expect(blockUevent(addPartition(second!, 3, 0, 8, 'root'))).toEqual(['DEVTYPE=partition', 'DISKSEQ=2', 'PARTN=3', 'PARTNAME=root']);
  expect(blockUevent(addPartition(second!, 4, 8, 8))).toEqual(['DEVTYPE=partition', 'DISKSEQ=2', 'PARTN=4']);
});

it.each<[string, string, number | 'EINVAL']>([
  ['100', 'rotational', 100], ['-1', 'rotational', 75_000], ['-1', 'flash', 2_000], ['0\n', 'flash', 0], ['-2', 'flash', 'EINVAL'], ['x', 'flash', 'EINVAL'],
])('takes wbt_lat_usec %j on a disk of %s', (text, kind, expected) => {
  const { disk } = addRamDisk(createHarness(), { name: 'ram0' });
  disk.queue.rotational = kind === 'rotational';
  const wbt = diskAttributeGroups(disk).find(({ name }) => name === 'queue')!.attributes.find(({ name }) => name === 'wbt_lat_usec')!;
  expect(errnoOf(() => wbt.show!())).toBe('EINVAL');
  if (expected === 'EINVAL') expect(errnoOf(() => wbt.store!(text))).toBe('EINVAL');
  else {
    wbt.store!(text);
    expect(wbt.show!()).toBe(`${expected}\n`);
  }
});
