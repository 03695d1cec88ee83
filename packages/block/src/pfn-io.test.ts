import fc from 'fast-check';
import { pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { addRamDisk, createHarness } from '../test/ramdisk.js';
import { allocBio, bioAddPage, bioAddPfn, bioEndWith, resetBio, reuseBio } from './bio.js';
import { bioSplitToLimits, splitBio, splitPoint } from './bio-split.js';
import { BLK_STS } from './blk-status.js';
import { BIO, REQ_OP, VEC } from './blk-types.js';
import type { Bio, IoLayer } from './blk-types.js';
import { createBvecIter, nextSegment, startIter } from './bvec.js';
import { createQueue } from './gendisk.js';
import { addPartition } from './partition.js';
import { declareIoLayers, ioLayersOf, whoNeedsPages } from './pfn-io.js';
import { PFN } from './pfn-t.js';
import { defaultLimits } from './queue-limits.js';
import { mapBiosToSg, sgAllocTable, sgPhys } from './scatterlist.js';
import { submitBio, submitBioWait } from './submit.js';

const TAKES: IoLayer = { name: 'copy', takesPageless: true, does: 'copies' };
const NEEDS: IoLayer = { name: 'checksum', takesPageless: false, does: 'maps by struct page' };
const queueOf = (...layers: IoLayer[]): ReturnType<typeof createQueue> => {
  const queue = createQueue();
  declareIoLayers(queue, layers);
  return queue;
};

describe('a bio over frames without struct pages', () => {
  it.each<[string, number, boolean]>([
    ['device memory without struct pages', PFN.DEV, true],
    ['device memory with struct pages', PFN.DEV | PFN.MAP, false],
    ['RAM', 0, false],
  ])('is marked when it gets %s: flags %d, %s', (_name, flags, marked) => {
    const bio = allocBio(undefined, 2, REQ_OP.READ);
    bioAddPage(bio, pfn(1), 4096, 0);
    bioAddPfn(bio, pfn(9), flags, 4096, 0);
    expect((bio.flags & BIO.PAGELESS) !== 0).toBe(marked);
  });

  it('stays marked in both parts of a split and when it is run again, not when it is emptied', () => {
    const bio = allocBio(undefined, 1, REQ_OP.READ);
    bioAddPfn(bio, pfn(9), PFN.DEV, 8192, 0);
    const front = splitBio(bio, 8);
    expect([front.flags & BIO.PAGELESS, bio.flags & BIO.PAGELESS]).toEqual([BIO.PAGELESS, BIO.PAGELESS]);
    reuseBio(bio, undefined, REQ_OP.READ, bio.sector);
    expect(bio.flags).toBe(BIO.PAGELESS);
    resetBio(bio, undefined, REQ_OP.READ);
    expect(bio.flags).toBe(0);
  });

  it('does not join frames with and without struct pages, though they follow each other', () => {
    const bio = allocBio(undefined, 4, REQ_OP.READ);
    for (const [frame, flags] of [[1, 0], [2, PFN.DEV], [3, PFN.DEV], [4, 0]] as const) bioAddPfn(bio, pfn(frame), flags, 4096, 0);
    expect(bio.vcnt).toBe(3);
    const table = sgAllocTable(4);
    mapBiosToSg([bio], defaultLimits(), table);
    expect([...table.flags.subarray(0, table.nents)]).toEqual([0, PFN.DEV, 0]);
  });
});

describe('thread row 14: block I/O by PFN', () => {
  it('moves bytes of frames that have no struct page, through a partition and splits', () => {
    const harness = createHarness();
    const limits = { ...defaultLimits(), maxSectors: 8 };
    const queue = createQueue(limits);
    declareIoLayers(queue, [TAKES]);
    const pieces: number[] = [];
    const ram = addRamDisk(harness, { queue, intercept(bio) {
      const piece = bioSplitToLimits(bio, limits)!;
      const iter = createBvecIter();
      startIter(iter, piece);
      while (nextSegment(iter, piece)) ram.bytes.set(harness.memory.frame(iter.pfn).subarray(iter.offset, iter.offset + iter.len), iter.sector * 512);
      pieces.push(piece.flags & BIO.PAGELESS);
      bioEndWith(piece, BLK_STS.OK);
      return true;
    } });
    const partition = addPartition(ram.disk, 1, 16, 64);
    const device = pfn(0x100000);
    for (let i = 0; i < 3; i++) harness.memory.frame(device + i).fill(i + 1);
    const bio = allocBio(partition, 1, REQ_OP.WRITE);
    bioAddPfn(bio, device, PFN.DEV, 3 * 4096, 0);
    expect(submitBioWait(bio)).toBe(BLK_STS.OK);
    expect(pieces).toEqual([BIO.PAGELESS, BIO.PAGELESS, BIO.PAGELESS]);
    expect([0, 1, 2].map((i) => ram.bytes[(16 + i * 8) * 512])).toEqual([1, 2, 3]);
  });
});

describe('thread row 15: the whole I/O path has to opt in', () => {
  it.each<[string, IoLayer[], number]>([
    ['no layer has said anything', [], BLK_STS.NOTSUPP],
    ['all layers take it', [TAKES, TAKES], BLK_STS.OK],
    ['one layer needs pages', [TAKES, NEEDS], BLK_STS.NOTSUPP],
  ])('a page-less bio, where %s, ends with %j', (_name, layers, want) => {
    const { disk } = addRamDisk(createHarness(), { queue: queueOf(...layers) });
    const run = (flags: number): number => {
      const bio = allocBio(disk.part0, 1, REQ_OP.READ);
      bioAddPfn(bio, pfn(7), flags, 4096, 0);
      return submitBioWait(bio);
    };
    expect([run(PFN.DEV), run(PFN.DEV | PFN.MAP), run(0)]).toEqual([want, BLK_STS.OK, BLK_STS.OK]);
  });

  it('never reaches a driver that needs pages', () => {
    const { disk, seen } = addRamDisk(createHarness(), { queue: queueOf(NEEDS) });
    const bio = allocBio(disk.part0, 1, REQ_OP.WRITE);
    bioAddPfn(bio, pfn(7), PFN.DEV, 4096, 0);
    submitBio(bio);
    expect(seen).toEqual([]);
  });

  it('tells who stands in the way, disk by disk', () => {
    const harness = createHarness();
    const disks = [['a', [TAKES]], ['b', [TAKES, NEEDS]], ['c', []]] as const;
    for (const [name, layers] of disks) addRamDisk(harness, { name, queue: queueOf(...layers) });
    expect(whoNeedsPages(harness.block.disks).map(({ disk, layer }) => `${disk}: ${layer}`)).toEqual(['b: checksum', 'c: driver of c']);
    expect(ioLayersOf(harness.block.disks[1]!).map(({ name }) => name)).toEqual(['bio', 'partition remap', 'split', 'scatterlist', 'copy', 'checksum']);
  });
});

describe('any list of PFN ranges', () => {
  const anyRange = fc.record({ frame: fc.nat(60), sectors: fc.integer({ min: 1, max: 40 }), flags: fc.constantFrom(0, PFN.DEV, PFN.DEV | PFN.MAP) });
  const bytesOf = (pieces: Iterable<readonly [addr: number, length: number, flags: number]>): string[] => {
    const out: string[] = [];
    for (const [addr, length, flags] of pieces) for (let at = 0; at < length; at += 512) out.push(`${addr + at}/${flags}`);
    return out;
  };
  /** Flags come from the table: the iterator's frame lies in one of its entries. */
  const entriesOf = (bio: Bio): [number, number, number][] => {
    const table = sgAllocTable(1000);
    mapBiosToSg([bio], { ...defaultLimits(), maxSegmentSize: 2 ** 31 }, table);
    return Array.from({ length: table.nents }, (_, i) => [sgPhys(table, i), table.length[i]!, table.flags[i]!]);
  };

  it('survives filling, splitting and merging unchanged', () => {
    fc.assert(fc.property(fc.array(anyRange, { minLength: 1, maxLength: 8 }), fc.constantFrom(8, 16, 64), (ranges, maxSectors) => {
      const bio = allocBio(undefined, 8, REQ_OP.READ);
      for (const { frame, sectors, flags } of ranges) bioAddPfn(bio, pfn(frame), flags, sectors * 512, 0);
      const want = bytesOf(ranges.map(({ frame, sectors, flags }) => [frame * 4096, sectors * 512, flags] as const));
      const table = bio.vecs.slice();
      const limits = { ...defaultLimits(), maxSectors };
      const pieces: Bio[] = [];
      for (let cut = splitPoint(bio, limits); cut > 0; cut = splitPoint(bio, limits)) pieces.push(splitBio(bio, cut));
      pieces.push(bio);
      expect(bytesOf(pieces.flatMap(entriesOf))).toEqual(want);
      expect(bio.vecs).toEqual(table);
      const marked = ranges.some(({ flags }) => flags === PFN.DEV);
      expect(pieces.every(({ flags }) => ((flags & BIO.PAGELESS) !== 0) === marked)).toBe(true);
      const merged = sgAllocTable(2000);
      mapBiosToSg(pieces, { ...defaultLimits(), maxSegmentSize: 2 ** 31 }, merged);
      expect(bytesOf(Array.from({ length: merged.nents }, (_, i) => [sgPhys(merged, i), merged.length[i]!, merged.flags[i]!]))).toEqual(want);
      expect(merged.nents).toBeLessThanOrEqual(bio.vecs.length / VEC.WORDS);
    }));
  });
});
