import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type MarkedZone, recomputeWatermarks } from './watermark.js';

type Managed = readonly [dma: number, dma32: number, normal: number, movable: number];

function zonesOf(managed: Managed): MarkedZone[] {
  return [...managed, 0].map((pages, index) => ({
    index: index as 0,
    present: pages,
    managed: pages,
    watermark: { min: 0, low: 0, high: 0 },
    lowmemReserve: [0, 0, 0, 0, 0],
  }));
}

function setManaged(zones: readonly MarkedZone[], managed: Managed): void {
  zones.forEach((zone, index) => Object.assign(zone, { present: managed[index] ?? 0, managed: managed[index] ?? 0 }));
}

const marksOf = (zones: readonly MarkedZone[]): number[][] =>
  zones.filter(({ managed }) => managed > 0).map(({ watermark: { min, low, high } }) => [min, low, high]);

// Of a real 6.1: managed pages of DMA, DMA32, Normal and Movable at each recompute, and what /proc/zoneinfo then showed.
const CAPTURES: { name: string; steps: Managed[]; marks: number[][]; protection: number[][] }[] = [
  {
    name: '1 GiB and a 512 MiB DIMM that goes online in Normal, block by block',
    steps: [1, 2, 3, 4].map((blocks) => [3840, 225_520, blocks * 32_768, 0] as const),
    marks: [[180, 225, 270], [10_571, 13_213, 15_855], [6144, 7680, 9216]],
    protection: [[0, 880, 1392, 1392, 1392], [0, 0, 512, 512, 512], [0, 0, 0, 0, 0]],
  },
  {
    name: 'a DIMM in Movable',
    steps: [1, 2, 3, 4].map((blocks) => [3840, 225_520, 0, blocks * 32_768] as const),
    marks: [[120, 150, 180], [7047, 8808, 10_569], [4096, 5120, 6144]],
    protection: [[0, 880, 880, 1392, 1392], [0, 0, 0, 512, 512], [0, 0, 0, 0, 0]],
  },
  {
    name: 'a block whose struct pages lie on itself is cut at a twentieth of memory',
    steps: [[3840, 225_520, 32_768, 0], [3840, 225_520, 65_280, 0], [3840, 225_520, 97_792, 0]],
    marks: [[190, 237, 284], [11_214, 14_017, 16_820], [4863, 6078, 7293]],
    protection: [[0, 880, 1262, 1262, 1262], [0, 0, 382, 382, 382], [0, 0, 0, 0, 0]],
  },
];

describe('recomputeWatermarks', () => {
  it.each(CAPTURES)('gives what Linux did: $name', ({ steps, marks, protection }) => {
    const zones = zonesOf([3840, 225_520, 0, 0]);
    recomputeWatermarks([zones]);
    for (const managed of steps) {
      setManaged(zones, managed);
      recomputeWatermarks([zones]);
    }
    expect(marksOf(zones)).toEqual(marks);
    expect(zones.filter(({ managed }) => managed > 0).map(({ lowmemReserve }) => lowmemReserve)).toEqual(protection);
  });

  it('keeps reserves inside a node and shares marks over all', () => {
    const nodes = [zonesOf([3840, 242_525, 131_072, 0]), zonesOf([0, 241_321, 131_072, 0])];
    recomputeWatermarks(nodes);
    expect(nodes.map(marksOf)).toEqual([
      [[144, 180, 216], [9108, 11_385, 13_662], [4922, 6152, 7382]],
      [[9062, 11_327, 13_592], [4922, 6152, 7382]],
    ]);
    expect(nodes[0]![0]!.lowmemReserve).toEqual([0, 947, 1459, 1459, 1459]);
    expect(nodes[1]![1]!.lowmemReserve).toEqual([0, 0, 512, 512, 512]);
  });

  it('never asks for more than there is, on any machine', () => {
    const pages = fc.integer({ min: 0, max: 2 ** 32 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4095 }), fc.integer({ min: 0, max: 1_044_480 }), pages, pages, (dma, dma32, normal, movable) => {
        const zones = zonesOf([dma, dma32, normal, movable]);
        recomputeWatermarks([zones]);
        for (const { managed, watermark: { min, low, high } } of zones) {
          expect(min).toBeLessThanOrEqual(low);
          expect(low).toBeLessThanOrEqual(high);
          if (managed > 2048) expect(min).toBeLessThan(managed);
        }
      }),
    );
  });
});
