import { MIB, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createVmemAltmap } from './vmem-altmap.js';

const PMD = 512;

describe('VmemAltmap', () => {
  it('fits the struct pages of 2 GiB into 34 MiB less the info block, to the last frame, as Linux lays a namespace out', () => {
    const altmap = createVmemAltmap(pfn(0x100000), { reserve: 2, free: 8702 });
    expect(altmap.take(PMD, 16)).toBe(0x1_0000_0000 + 2 * MIB);
    expect([altmap.alloc, altmap.align]).toEqual([8192, 510]);
    expect(() => altmap.take(1)).toThrow(/the device set 0 aside/);
    altmap.giveBack(8192);
    expect(altmap.alloc).toBe(0);
  });

  it('takes blocks one by one as it takes them together', () => {
    const [one, all] = [createVmemAltmap(pfn(3), { reserve: 1, free: 5000 }), createVmemAltmap(pfn(3), { reserve: 1, free: 5000 })];
    const first = one.take(PMD);
    one.take(PMD);
    expect(all.take(PMD, 2)).toBe(first);
    expect([one.alloc, one.align]).toEqual([all.alloc, all.align]);
  });

  it('pads each block to a multiple of its size', () => {
    const altmap = createVmemAltmap(pfn(0), { reserve: 1, free: 100 });
    expect([altmap.take(1), altmap.take(8), altmap.take(2)].map((at) => at / 4096)).toEqual([1, 8, 16]);
    expect([altmap.alloc, altmap.align]).toEqual([11, 6]);
  });

  it('gives nothing, and changes nothing, where a block does not fit', () => {
    const altmap = createVmemAltmap(pfn(0), { reserve: 0, free: 511 });
    expect(() => altmap.take(PMD)).toThrow(/511/);
    expect([altmap.alloc, altmap.align]).toEqual([0, 0]);
    expect(() => altmap.giveBack(1)).toThrow(/given back/);
  });
});
