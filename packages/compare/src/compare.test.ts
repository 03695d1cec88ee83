import { GIB, MIB, TIB } from '@holdfast/lib';
import { describe, expect, test } from 'vitest';
import { type DesignResult, PROBES, type ProbeName, WORKLOADS, type WorkloadName, compareDesigns, createRig, runProbes, runWorkload } from './index.js';

const resultsOf = (sizeBytes: number): Map<string, DesignResult> =>
  new Map(compareDesigns({ sizeBytes }).flatMap((row) => ('refused' in row ? [] : [[row.design, row]])));

describe('1 TiB', () => {
  const rows = resultsOf(TIB);

  test.each([
    ['none', 0, 0],
    ['ram', 16 * GIB, 0],
    ['dynamic', 16 * GIB, 0],
    ['device', 0, 0x400200000],
    ['add-section', 0, 0x400200000],
  ])('%s takes %d bytes of RAM and %d of the device', (design, ram, device) => {
    const row = rows.get(design)!;
    expect([row.ramPageBytes, row.devicePageBytes, row.usableBytes]).toEqual([ram, device, TIB - device]);
  });

  test('pages in RAM are 64 bytes for each 4 KiB of what the disk has, and so are those of a hot-plugged part', () => {
    expect(rows.get('ram')!.ramPageBytes).toBe((rows.get('ram')!.usableBytes / 4096) * 64);
    expect(rows.get('hotplug')!.ramPageBytes).toBe((rows.get('hotplug')!.usableBytes / 4096) * 64);
    expect(rows.get('hotplug')!.ramGainedBytes).toBeGreaterThan(15 * GIB);
  });

  test('an array is initialised at the speed of where it lies, or when it is first used', () => {
    const ns = (design: string): number => rows.get(design)!.firstIoNs;
    expect(ns('none')).toBeLessThan(1000);
    expect(ns('dynamic')).toBeLessThan(1000);
    expect(rows.get('dynamic')!.allPagesReadyNs).toBe(ns('ram'));
    expect(ns('device') / ns('ram')).toBeGreaterThan(20);
  });

  test('what works follows from struct pages, and was tried', () => {
    expect(rows.get('none')!.works).toMatchObject({ bufferedIo: 'yes', daxMmap: 'yes', getUserPages: 'EFAULT', directIoFromDax: 'EFAULT', dma: 'EOPNOTSUPP' });
    for (const design of ['ram', 'dynamic', 'device', 'hotplug', 'add-section']) {
      expect(rows.get(design)!.works).toMatchObject({ bufferedIo: 'yes', daxMmap: 'yes', getUserPages: 'yes', directIoFromDax: 'yes', dma: 'yes', longtermPin: 'EOPNOTSUPP' });
    }
    // RDMA that stays wants device-dax, whatever the disk was before.
    for (const { works } of rows.values()) expect(works.longtermPinDevDax).toBe('yes');
  });

  test('no design loses what fsync returned for, and each may lose what only a cache in RAM had', () => {
    for (const [design, { powerCut }] of rows) expect([design, powerCut]).toMatchObject([design, { fsyncedLost: 0, cachedLost: design === 'page-cache' ? 0 : powerCut.pages }]);
  });

  test('virtual time is told in whole nanoseconds', () => {
    for (const { firstIoNs, allPagesReadyNs } of rows.values()) expect([firstIoNs, allPagesReadyNs].every(Number.isInteger)).toBe(true);
  });
});

describe('400 TiB', () => {
  const rows = compareDesigns({ sizeBytes: 400 * TIB });

  test('pages in RAM are refused with what they would take, and the others go on', () => {
    const refused = rows.flatMap((row) => ('refused' in row ? [row] : []));
    expect(refused.map(({ design, refused: { errno, reason } }) => `${design} ${errno} ${/[\d.]+ TiB of RAM/.exec(reason)?.[0]}`)).toEqual(['ram ENOMEM 6.25 TiB of RAM']);
  });

  test('dynamic pages work there, though not all at once', () => {
    expect(rows.find(({ design }) => design === 'dynamic')).toMatchObject({ allPagesReadyNs: null, works: { getUserPages: 'yes' } });
  });
});

describe('workloads', () => {
  test.each(Object.keys(WORKLOADS) as WorkloadName[])('%s runs, and the media write what it says', (name) => {
    const rig = createRig({ sizeBytes: GIB, ramBytes: 4 * GIB });
    rig.attach('none', 'wb');
    const result = runWorkload(rig, name);
    expect(result.ns).toBeGreaterThan(0);
    const ratio = { 'overwrite-hot': 1 / 256, 'dax-log': 1, 'randread-4k': 0, 'seqread-128k': 0 }[name as string] ?? 1;
    expect(result.mediaBytesPerUserByte).toBeCloseTo(ratio, 1);
  });

  test('uncached stores cost more time than write-back ones', () => {
    const time = (mapping: 'uc' | 'wb'): number => {
      const rig = createRig({ sizeBytes: GIB, ramBytes: 4 * GIB });
      rig.attach('none', mapping);
      return runWorkload(rig, 'randread-4k').nsPerOperation;
    };
    expect(time('uc') / time('wb')).toBeGreaterThan(5);
  });
});

describe('what works on each bus', () => {
  const NO_PAGES = { getUserPages: 'EFAULT', splice: 'EFAULT' };
  const NO_NAMESPACE = { longtermPinDevDax: 'ENOENT' };
  /** What each probe finds; all others find `yes`. */
  const OTHERWISE: Readonly<Record<string, Partial<Record<ProbeName, string>>>> = {
    none: { ...NO_PAGES, directIoFromDax: 'EFAULT', dma: 'EOPNOTSUPP' },
    pfn: NO_PAGES,
  };

  test.each(['e820', 'nvdimm', 'pci'] as const)('%s', (bus) => {
    const rows = compareDesigns({ sizeBytes: GIB, ramBytes: 4 * GIB, bus });
    const refused = rows.flatMap((row) => ('refused' in row ? [`${row.design} ${row.refused.errno}`] : []));
    expect(refused).toEqual(bus === 'e820' ? [] : ['ram EOPNOTSUPP']);
    for (const row of rows) {
      if ('refused' in row) continue;
      const yes = Object.fromEntries(Object.keys(PROBES).map((name) => [name, 'yes']));
      expect({ design: row.design, works: row.works }).toEqual({ design: row.design, works: { ...yes, longtermPin: 'EOPNOTSUPP', ...(bus === 'pci' ? NO_NAMESPACE : {}), ...OTHERWISE[row.design] } });
    }
  });
});

test('probes find what does not work: a disk that is gone, a machine without its DMA engine', () => {
  const rig = createRig({ sizeBytes: GIB, ramBytes: 4 * GIB });
  const fresh = createRig({ sizeBytes: GIB, ramBytes: 4 * GIB });
  fresh.attach('ram', 'wb');
  (fresh.kernel.dma as unknown[]).length = 0;
  expect(runProbes(fresh, () => void fresh.attach('ram', 'wb'))).toMatchObject({ dma: 'ENODEV', bufferedIo: 'yes', removeWhileMapped: 'yes', poisonedPage: 'yes' });
  expect(() => createRig({ sizeBytes: GIB + MIB, ramBytes: 4 * GIB })).toThrowError(/128 MiB/);
  expect(() => rig.attach('none', 'no' as 'wb')).toThrowError(/EINVAL|expected/);
});
