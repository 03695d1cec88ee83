import { describe, expect, test } from 'vitest';
import { pmemDisk } from '../../test/fixture.js';
import type { NbdDisk } from '../disk.js';
import { NBD } from '../protocol.js';
import { createFaultPlan } from './fault-plan.js';
import type { FaultSpec } from './fault-spec.js';

const MIB = 2 ** 20;
const inner = pmemDisk(4 * MIB);
const slab = inner.allocSlab();

function faulty(...specs: FaultSpec[]): { disk: NbdDisk; plan: ReturnType<typeof createFaultPlan> } {
  const plan = createFaultPlan(() => 'sda');
  const disk = plan.wrap('sda', inner);
  for (const spec of specs) plan.add(spec);
  inner.writeZeroes(0, MIB, false, true);
  return { disk, plan };
}

const fill = (disk: NbdDisk, sector: number, value: number, sectors = 1): number => {
  slab.bytes.fill(value, 0, sectors * 512);
  return disk.write(slab, 0, sector * 512, sectors * 512, false);
};
/** The first byte of each sector, or an error. */
const look = (disk: NbdDisk, sector: number, sectors = 1): number[] | string => {
  const error = disk.read(slab, 0, sector * 512, sectors * 512);
  return error === NBD.OK ? Array.from({ length: sectors }, (_, i) => slab.bytes[i * 512]!) : `error ${error}`;
};

describe('faults', () => {
  test('error: the request fails and nothing of it is done', () => {
    const { disk } = faulty({ kind: 'error', op: 'write', error: 'ENOSPC' });
    expect([fill(disk, 0, 7), look(disk, 0), disk.flush()]).toEqual([NBD.ENOSPC, [0], NBD.OK]);
  });

  test('error in a range of sectors meets what touches it, holes too', () => {
    const { disk, plan } = faulty({ kind: 'error', op: 'read', firstSector: 4, lastSector: 5 });
    expect([look(disk, 0, 4), look(disk, 3, 2), look(disk, 5), look(disk, 6)]).toEqual([[0, 0, 0, 0], 'error 5', 'error 5', [0]]);
    expect(disk.extent(2 * MIB, MIB).state).toBe(0);
    expect(plan.list()[0]).toMatchObject({ fault: 1, matched: 2, met: 2 });
  });

  test.each<[string, Partial<FaultSpec>, string]>([
    ['the third one only', { nth: 3 }, '..x.......'],
    ['at most twice', { times: 2 }, 'xx........'],
    ['always', {}, 'xxxxxxxxxx'],
    ['never for another export', { export: 'sdb' }, '..........'],
  ])('%s', (_, spec, wanted) => {
    const { disk } = faulty({ kind: 'error', ...spec });
    expect(Array.from({ length: 10 }, () => (disk.flush() === NBD.OK ? '.' : 'x')).join('')).toBe(wanted);
  });

  test('by chance: about as often as it says, and the same for the same seed', () => {
    const run = (seed: number): string => {
      const { disk } = faulty({ kind: 'error', op: 'flush', probability: 0.25, seed });
      return Array.from({ length: 400 }, () => (disk.flush() === NBD.OK ? '.' : 'x')).join('');
    };
    expect(run(1)).toBe(run(1));
    expect(run(1)).not.toBe(run(2));
    expect(run(1).replaceAll('.', '').length).toBeGreaterThan(60);
    expect(run(1).replaceAll('.', '').length).toBeLessThan(140);
  });

  test('torn: the first sectors of a write and never all, answered as if all were written', () => {
    const kept = new Set<number>();
    for (let seed = 0; seed < 40; seed++) {
      const { disk } = faulty({ kind: 'torn', seed });
      expect(fill(disk, 0, 9, 8)).toBe(NBD.OK);
      const sectors = look(disk, 0, 8) as number[];
      const count = sectors.indexOf(0);
      expect(sectors).toEqual(sectors.map((_, i) => (i < count ? 9 : 0)));
      kept.add(count);
    }
    expect([...kept].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test('lost: answered, and not done', () => {
    const { disk } = faulty({ kind: 'lost', op: 'write', firstSector: 2, lastSector: 2 });
    expect([fill(disk, 1, 5), fill(disk, 2, 5), look(disk, 0, 4)]).toEqual([NBD.OK, NBD.OK, [0, 5, 0, 0]]);
  });

  test('a lost flush takes the FUA from writes, too', () => {
    const asked: string[] = [];
    const plan = createFaultPlan(() => 'sda');
    const disk = plan.wrap('sda', {
      ...inner,
      minBlock: 512,
      flush: () => (asked.push('flush'), NBD.OK),
      write: (_slab, _at, _offset, _length, fua) => (asked.push(`write ${fua}`), NBD.OK),
    });
    plan.add({ kind: 'lost', op: 'flush', times: 2 });
    disk.flush();
    for (let i = 0; i < 2; i++) disk.write(slab, 0, 0, 512, true);
    disk.flush();
    expect(asked).toEqual(['write false', 'write true', 'flush']);
  });

  test('misdirected: a write lands elsewhere, whole and in the disk; a read comes from elsewhere', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { disk, plan } = faulty({ kind: 'misdirected', op: 'write', seed, times: 1 });
      inner.writeZeroes(0, inner.sizeBytes, false, true);
      expect(fill(disk, 3, 6, 2)).toBe(NBD.OK);
      const found: number[] = [];
      for (let offset = 0; offset < inner.sizeBytes; offset += MIB) {
        inner.read(slab, 0, offset, MIB);
        for (let at = 0; at < MIB; at += 512) if (slab.bytes[at] === 6) found.push((offset + at) / 512);
      }
      expect(found).toHaveLength(2);
      expect(found[1]).toBe(found[0]! + 1);
      expect(found[0]).not.toBe(3);
      expect(plan.list()[0]!.met).toBe(1);
    }
  });

  test('bitrot: one bit turns and stays turned until its sector is written, or the fault is cleared', () => {
    const { disk, plan } = faulty({ kind: 'bitrot', firstSector: 1, lastSector: 1, nth: 1, seed: 3 });
    const bits = (): number => {
      disk.read(slab, 0, 0, 4096);
      return slab.bytes.subarray(0, 4096).reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
    };
    expect([bits(), bits(), bits()]).toEqual([1, 1, 1]);
    expect(slab.bytes.subarray(512, 1024).some((byte) => byte !== 0)).toBe(true);
    fill(disk, 0, 0);
    expect(bits()).toBe(1);
    fill(disk, 1, 0);
    expect(bits()).toBe(0);
    plan.add({ kind: 'bitrot', nth: 1 });
    expect(bits()).toBe(1);
    plan.clear(2);
    expect(bits()).toBe(0);
  });

  test('delay: asked for each request that matches, the longest counts', () => {
    const { disk } = faulty({ kind: 'delay', delayMs: 5, op: 'read' }, { kind: 'delay', delayMs: 20, op: 'read', nth: 2 });
    expect([disk.delayMs!('read', 0, 512), disk.delayMs!('read', 0, 512), disk.delayMs!('write', 0, 512)]).toEqual([5, 20, 0]);
  });

  test('clearing one, all, and one that is not there', () => {
    const { plan } = faulty({ kind: 'error' }, { kind: 'torn' }, { kind: 'lost' });
    expect(plan.clear(2)).toBe(1);
    expect(plan.list().map(({ fault }) => fault)).toEqual([1, 3]);
    expect(() => plan.clear(2)).toThrow('there is no fault 2');
    expect([plan.clear(), plan.count]).toEqual([2, 0]);
  });
});
