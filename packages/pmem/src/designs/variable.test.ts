import fc from 'fast-check';
import { GIB, MIB, TIB, pfn, type Pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { DEVICE_START, createDesignHost, structPageAt } from '../../test/design-host.js';
import { errnoOf } from '../../test/kernel.js';
import { variablePages } from './variable.js';

const FIRST = DEVICE_START / 4096;
const frame = (nr: number): Pfn => pfn(FIRST + nr);
const UNIT = 512;

describe('struct pages of variable size', () => {
  it.each([
    [TIB, 2 * MIB, 32 * MIB],
    [TIB, GIB, 65_536],
    [256 * MIB, undefined, 128 * 64],
    [400 * TIB, 2 * MIB, 12.5 * GIB],
    [400 * TIB, GIB, 400 * 1024 * 64],
  ])('for %d bytes in units of %s take %d bytes of RAM', (sizeBytes, unitBytes, ram) => {
    const rig = createDesignHost(sizeBytes);
    const attached = variablePages.attach(rig.device({ unitBytes }), rig.host);
    expect([attached.ramPageBytes(), rig.taken.frames * 4096]).toEqual([ram, ram]);
    attached.detach();
    expect(rig.taken.frames).toBe(0);
  });

  it.each([[256 * MIB, MIB], [256 * MIB, 4 * MIB], [256 * MIB, GIB], [256 * MIB + 4096, 2 * MIB]])(
    'for %d bytes in units of %d are refused', (sizeBytes, unitBytes) => {
      const rig = createDesignHost(sizeBytes);
      expect(errnoOf(() => variablePages.attach(rig.device({ unitBytes }), rig.host))).toBe('EINVAL');
      expect(rig.taken.frames).toBe(0);
    });

  it('count references in the 64 bytes of the unit, and take no memory for that', () => {
    const rig = createDesignHost();
    const attached = variablePages.attach(rig.device(), rig.host);
    const { calls } = rig.taken;
    for (const nr of [3 * UNIT, 3 * UNIT + 511, 3 * UNIT + 511]) attached.pages.getPage(frame(nr), false);
    const { phys, nrFrames } = attached.pageOf(frame(3 * UNIT + 40));
    const view = structPageAt(rig, phys);
    expect([nrFrames, view.getInt32(52, true), view.getBigUint64(32, true), view.getUint32(40, true)]).toEqual([UNIT, 4, BigInt(3 * UNIT), 9]);
    expect((view.getUint32(0, true) >>> 16) & 1).toBe(1); // PG_head
    expect([rig.taken.calls, attached.held()]).toEqual([calls, 3]);
  });

  it('give a frame that is held for good a struct page of its own, until the last reference to its unit goes', () => {
    const rig = createDesignHost();
    const attached = variablePages.attach(rig.device(), rig.host);
    const small = attached.ramPageBytes();
    attached.pages.getPage(frame(UNIT + 7), true);
    expect(attached.ramPageBytes()).toBe(small + 32 * 1024);
    const own = attached.pageOf(frame(UNIT + 7));
    const view = structPageAt(rig, own.phys);
    expect([own.nrFrames, view.getBigUint64(32, true), view.getInt32(52, true), (view.getUint32(0, true) >>> 16) & 1]).toEqual([1, BigInt(UNIT + 7), 2, 0]);
    expect(attached.pageOf(frame(7)).nrFrames).toBe(UNIT);
    attached.pages.getPage(frame(UNIT + 8), false);
    expect(structPageAt(rig, attached.pageOf(frame(UNIT + 8)).phys).getInt32(52, true)).toBe(2);
    attached.pages.putPage(frame(UNIT + 7));
    expect(attached.pageOf(frame(UNIT + 7)).nrFrames).toBe(1);
    attached.pages.putPage(frame(UNIT + 8));
    expect([attached.pageOf(frame(UNIT + 7)).nrFrames, attached.ramPageBytes()]).toEqual([UNIT, small]);
  });

  it('of 1 GiB are split step by step: 64 KiB for one frame, not 16 MiB', () => {
    const rig = createDesignHost(4 * GIB);
    const attached = variablePages.attach(rig.device({ unitBytes: GIB }), rig.host);
    const small = attached.ramPageBytes();
    attached.pages.getPage(frame(5), true);
    expect(attached.ramPageBytes() - small).toBe(64 * 1024);
    expect([5, UNIT + 5, 512 * UNIT].map((nr) => attached.pageOf(frame(nr)).nrFrames)).toEqual([1, UNIT, 512 * UNIT]);
    attached.pages.putPage(frame(5));
    expect(attached.ramPageBytes()).toBe(small);
  });

  it('that cannot be split for want of RAM stay as they were', () => {
    const rig = createDesignHost(4 * GIB);
    const attached = variablePages.attach(rig.device({ unitBytes: GIB }), rig.host);
    rig.room = rig.taken.frames + 12; // one step of the two
    const before = rig.taken.frames;
    expect(errnoOf(() => attached.pages.getPage(frame(5), true))).toBe('ENOMEM');
    expect([rig.taken.frames, attached.held(), attached.pageOf(frame(5)).nrFrames]).toEqual([before, 0, 512 * UNIT]);
    attached.pages.getPage(frame(5), false);
    attached.pages.putPage(frame(5));
  });

  it('are not joined by a split for want of RAM while another frame is held', () => {
    const rig = createDesignHost(4 * GIB);
    const attached = variablePages.attach(rig.device({ unitBytes: GIB }), rig.host);
    attached.pages.getPage(frame(5), true);
    rig.room = rig.taken.frames;
    expect(errnoOf(() => attached.pages.getPage(frame(3 * UNIT), true))).toBe('ENOMEM');
    expect(attached.pageOf(frame(5)).nrFrames).toBe(1);
    attached.pages.putPage(frame(5));
    attached.detach();
    expect(rig.taken.frames).toBe(0);
  });

  it('see a reference that is given back too often', () => {
    const rig = createDesignHost();
    const attached = variablePages.attach(rig.device(), rig.host);
    expect(() => attached.pages.putPage(frame(1))).toThrow('nobody holds it');
  });

  it('agree with a simple model through any references, and leak nothing', () => {
    const anyStep = fc.record({ nr: fc.constantFrom(0, 1, 511, 512, 513, 262_143, 262_144, 262_145), longterm: fc.boolean(), put: fc.boolean(), starve: fc.boolean() });
    fc.assert(fc.property(fc.constantFrom(2 * MIB, GIB), fc.array(anyStep, { maxLength: 40 }), (unitBytes, steps) => {
      const rig = createDesignHost(4 * GIB);
      const attached = variablePages.attach(rig.device({ unitBytes }), rig.host);
      const base = attached.ramPageBytes();
      const perUnit = unitBytes / 4096;
      const refs: number[] = [];
      const inUnit = (nr: number): number => refs.filter((each) => Math.floor(each / perUnit) === Math.floor(nr / perUnit)).length;
      for (const { nr, longterm, put, starve } of steps) {
        if (put) {
          const at = refs.indexOf(nr);
          if (at < 0) continue;
          refs.splice(at, 1);
          attached.pages.putPage(frame(nr));
        } else {
          rig.room = starve ? rig.taken.frames : Infinity;
          if (errnoOf(() => attached.pages.getPage(frame(nr), longterm)) === 'ok') refs.push(nr);
          else expect([longterm, starve]).toEqual([true, true]);
          if (longterm && !starve) expect(attached.pageOf(frame(nr)).nrFrames).toBe(1);
        }
        expect(attached.held()).toBe(refs.length);
        expect(attached.ramPageBytes()).toBe(rig.taken.frames * 4096);
        for (const each of [0, 512, 262_144]) {
          if (inUnit(each) === 0) expect(attached.pageOf(frame(each)).nrFrames).toBe(perUnit);
        }
      }
      while (refs.length > 0) attached.pages.putPage(frame(refs.pop()!));
      expect([attached.ramPageBytes(), attached.held()]).toEqual([base, 0]);
      attached.detach();
      expect(rig.taken.frames).toBe(0);
    }), { numRuns: 200 });
  });
});
