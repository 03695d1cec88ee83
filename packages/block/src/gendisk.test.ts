import { DEFAULT_RELEASE, parseRelease } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { addRamDisk, createHarness, errnoOf } from '../test/ramdisk.js';
import { badblocksAttribute, createBadblocks } from './badblocks.js';
import { registerBlkdev, unregisterBlkdev } from './block.js';
import { bdevReadOnly, bdevRwPage } from './block-device.js';
import { BLK_STS } from './blk-status.js';
import { diskAttributeGroups, formatPartitions, partitionAttributes } from './disk-attributes.js';
import { addDisk, createQueue, delDisk } from './gendisk.js';
import { addPartition } from './partition.js';
import { defaultLimits, setMaxHwSectors } from './queue-limits.js';
import { sector, pfn } from '@holdfast/lib';

const named = (attributes: readonly Attribute[], name: string): Attribute => attributes.find((attribute) => attribute.name === name)!;

describe('majors', () => {
  it('are given out from 254 down, and used again', () => {
    const { block } = createHarness();
    expect([registerBlkdev(block, 0, 'pmem'), registerBlkdev(block, 0, 'virtblk')]).toEqual([254, 253]);
    unregisterBlkdev(block, 254);
    expect(registerBlkdev(block, 0, 'pmem')).toBe(254);
    expect([...block.majors.values()].sort()).toEqual(['blkext', 'pmem', 'virtblk']);
  });

  it('can be asked for, once', () => {
    const { block } = createHarness();
    expect(registerBlkdev(block, 8, 'sd')).toBe(8);
    expect(errnoOf(() => registerBlkdev(block, 8, 'other'))).toBe('EBUSY');
    for (let i = 254; i > 0; i--) if (i !== 8) block.majors.set(i, 'x');
    expect(errnoOf(() => registerBlkdev(block, 0, 'none left'))).toBe('EBUSY');
  });
});

describe('disks', () => {
  it('take the smallest free extended minor, and give it back', () => {
    const harness = createHarness();
    const disks = ['a', 'b', 'c'].map((name) => addRamDisk(harness, { name }).disk);
    addPartition(disks[0]!, 1, 0, 8);
    expect(disks.map(({ part0 }) => `${part0.major}:${part0.minor}`)).toEqual(['259:0', '259:1', '259:2']);
    delDisk(disks[0]!);
    expect([...harness.block.extMinors]).toEqual([1, 2]);
    expect(addRamDisk(harness, { name: 'd' }).disk.part0.minor).toBe(0);
    expect(harness.block.disks.map(({ name }) => name)).toEqual(['b', 'c', 'd']);
  });

  it('are refused under a name that is taken, and for numbers of nobody', () => {
    const harness = createHarness();
    addRamDisk(harness);
    expect(errnoOf(() => addRamDisk(harness))).toBe('EEXIST');
    expect(errnoOf(() => addRamDisk(harness, { name: 'x', numbers: { major: 254, firstMinor: 0, minors: 16 } }))).toBe('EINVAL');
    expect(harness.block.disks).toHaveLength(1);
  });

  it('go once', () => {
    const { disk } = addRamDisk(createHarness());
    delDisk(disk);
    expect(() => delDisk(disk)).toThrow('BUG');
    expect(disk.part0.nrSectors).toBe(0);
  });

  it('pass single pages to drivers that take them', () => {
    const harness = createHarness();
    const { disk } = addRamDisk(harness);
    expect(bdevRwPage(disk.part0, sector(0), pfn(1), 0)).toBe(BLK_STS.NOTSUPP);
    const calls: number[] = [];
    const other = addDisk(harness.block, { name: 'x', queue: createQueue(), nrSectors: 0, ops: { submitBio() {}, rwPage: (_bdev, at) => (calls.push(at), BLK_STS.OK) } });
    other.part0.nrSectors = 100;
    expect(bdevRwPage(addPartition(other, 1, 40, 10), sector(8), pfn(1), 0)).toBe(BLK_STS.OK);
    expect(calls).toEqual([48]);
  });
});

describe('/proc/partitions', () => {
  it('lists what has a size, disks in the order of their coming', () => {
    const harness = createHarness();
    expect(formatPartitions(harness.block)).toBe('');
    const { disk } = addRamDisk(harness, { name: 'pmem1' });
    addPartition(disk, 2, 0, 100);
    addPartition(disk, 1, 100, 101);
    addRamDisk(harness, { name: 'pmem0', nrSectors: 2 ** 33 });
    addRamDisk(harness, { name: 'none', nrSectors: 0 });
    expect(formatPartitions(harness.block)).toBe([
      'major minor  #blocks  name', '',
      ' 259        0       1024 pmem1', ' 259        2         50 pmem1p1', ' 259        1         50 pmem1p2', ' 259        3 4294967296 pmem0', '',
    ].join('\n'));
  });
});

describe('attributes of a disk', () => {
  it('follow the disk', () => {
    const { disk } = addRamDisk(createHarness(), { name: 'pmem0' });
    const groups = diskAttributeGroups(disk);
    expect(groups.map(({ name }) => name)).toEqual(['', 'queue', 'integrity', 'trace']);
    const own = (): (string | undefined)[] => ['size', 'ro', 'dev'].map((name) => named(groups[0]!.attributes, name).show!());
    expect(own()).toEqual(['2048\n', '0\n', '259:0\n']);
    disk.readOnly = true;
    disk.part0.nrSectors = 7;
    expect(own()).toEqual(['7\n', '1\n', '259:0\n']);
  });

  it('of a partition tell its place, and how far it is off the physical blocks', () => {
    const { disk } = addRamDisk(createHarness());
    Object.assign(disk.queue.limits, { physicalBlockSize: 4096, ioMin: 4096, maxDiscardSectors: 8, discardGranularity: 4096 });
    const shown = partitionAttributes(addPartition(disk, 1, 3, 100)).map(({ name, show }) => `${name}=${show!().trim()}`);
    expect(shown).toEqual([
      'partition=1', 'start=3', 'size=100', 'ro=0', 'dev=259:1', `stat=${Array(17).fill('0').join('        ')}`, 'inflight=0        0', 'alignment_offset=2560', 'discard_alignment=2560',
    ]);
  });

  const queueOf = (release: string): { queue: ReturnType<typeof createQueue>; attributes: readonly Attribute[] } => {
    const limits = defaultLimits();
    setMaxHwSectors(limits, 8192);
    const { disk } = addRamDisk(createHarness({ release: release === '' ? DEFAULT_RELEASE : parseRelease(release) }), { queue: createQueue(limits) });
    return { queue: disk.queue, attributes: diskAttributeGroups(disk)[1]!.attributes };
  };

  it('of the queue are fewer in 4.1, which has no write_cache to look at', () => {
    expect(queueOf('').attributes).toHaveLength(39);
    const old = queueOf('4.1').attributes.map(({ name }) => name);
    expect(old).toHaveLength(22);
    expect(old).not.toContain('write_cache');
  });

  it.each<[string, string, string]>([
    // written, then shown
    ['write_cache', 'write back\n', 'write back'],
    ['write_cache', 'write through', 'write through'],
    ['write_cache', 'none', 'write through'],
    ['max_sectors_kb', '4', '4'],
    ['max_sectors_kb', '4096\n', '4096'],
    ['read_ahead_kb', '130', '128'],
    ['nomerges', '2', '2'],
    ['nomerges', '3', '0'],
    ['rq_affinity', '2', '2'],
    ['rotational', '0', '0'],
    ['iostats', '7', '1'],
    ['add_random', '1', '1'],
    ['stable_writes', '1', '1'],
    ['scheduler', 'none', 'none'],
    ['discard_max_bytes', '0', '0'],
  ])('%s takes %j', (name, text, want) => {
    const attribute = named(queueOf('').attributes, name);
    attribute.store!(text);
    expect(attribute.show!()).toBe(`${want}\n`);
  });

  it.each<[string, string]>([
    ['write_cache', 'write'],
    ['max_sectors_kb', '3'],
    ['max_sectors_kb', '4097'],
    ['max_sectors_kb', '0x40'],
    ['read_ahead_kb', '-1'],
    ['read_ahead_kb', '4294967296'],
    ['nr_requests', '64'],
    ['io_poll', '1'],
    ['io_poll_delay', '1'],
    ['discard_max_bytes', '512'],
    ['rotational', ''],
  ])('%s refuses %j with EINVAL, and stays', (name, text) => {
    const attribute = named(queueOf('').attributes, name);
    const before = attribute.show!();
    expect(errnoOf(() => attribute.store!(text))).toBe('EINVAL');
    expect(attribute.show!()).toBe(before);
  });
});

it('a device is read-only by its own flag or the disk’s', () => {
  const { disk } = addRamDisk(createHarness());
  const part = addPartition(disk, 1, 0, 8);
  part.readOnly = true;
  expect([bdevReadOnly(disk.part0), bdevReadOnly(part)]).toEqual([false, true]);
  part.readOnly = false;
  disk.readOnly = true;
  expect([bdevReadOnly(disk.part0), bdevReadOnly(part)]).toEqual([true, true]);
});

describe('the badblocks file', () => {
  it('shows and takes ranges', () => {
    const badblocks = createBadblocks();
    const file = badblocksAttribute(badblocks);
    file.store!('16 8\n');
    file.store!('2 1');
    expect(file.show!()).toBe('2 1\n16 8\n');
  });

  it.each(['', '5', '5 0', 'a b', '-1 4', '1 2 3', '9007199254740991 1'])('refuses %j', (text) => {
    expect(errnoOf(() => badblocksAttribute(createBadblocks()).store!(text))).toBe('EINVAL');
  });
});
