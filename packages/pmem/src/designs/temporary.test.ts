import fc from 'fast-check';
import { MIB, TIB, pfn, type Pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { DEVICE_START, createDesignHost, structPageAt } from '../../test/design-host.js';
import { errnoOf } from '../../test/kernel.js';
import { temporaryPages } from './temporary.js';

const FIRST = DEVICE_START / 4096;
const frame = (nr: number): Pfn => pfn(FIRST + nr);

describe('a pool of struct pages', () => {
  it('takes the same RAM for any device', () => {
    for (const sizeBytes of [256 * MIB, TIB]) {
      const rig = createDesignHost(sizeBytes);
      const attached = temporaryPages.attach(rig.device({ poolPages: 640 }), rig.host);
      expect([attached.ramPageBytes(), rig.taken.frames]).toEqual([640 * 64, 10]);
      attached.detach();
      expect(rig.taken.frames).toBe(0);
    }
  });

  it('lends 64 real bytes that name the pool and the frame, and finds them both ways', () => {
    const rig = createDesignHost();
    const attached = temporaryPages.attach(rig.device({ poolPages: 128 }), rig.host);
    attached.pages.getPage(frame(77), false);
    attached.pages.getPage(frame(77), false);
    const page = attached.pageOf(frame(77))!;
    const view = structPageAt(rig, page);
    expect([view.getBigUint64(32, true), view.getInt32(48, true), view.getInt32(52, true)]).toEqual([77n, -1, 2]);
    expect(view.getBigUint64(8, true) - 0xffff888000000000n).toBe(256n * 1024n * 1024n);
    expect([attached.frameOf(page), attached.lent, attached.held()]).toEqual([frame(77), 1, 2]);
    attached.pages.putPage(frame(77));
    attached.pages.putPage(frame(77));
    expect([attached.pageOf(frame(77)), attached.frameOf(page), attached.lent]).toEqual([undefined, undefined, 0]);
    expect(structPageAt(rig, page).getInt32(52, true)).toBe(0);
  });

  it.each<[string, number, number, boolean]>([
    ['EFAULT', 65_536, 8, false],
    ['EFAULT', -1, 8, false],
    ['EOPNOTSUPP', 3, 8, true],
  ])('refuses with %s frame %d (pool %d, for good: %s), and holds nothing', (want, nr, poolPages, longterm) => {
    const rig = createDesignHost();
    const attached = temporaryPages.attach(rig.device({ poolPages }), rig.host);
    expect(errnoOf(() => attached.pages.getPage(frame(nr), longterm))).toBe(want);
    expect([attached.held(), attached.lent]).toEqual([0, 0]);
  });

  it('stays while a page is lent', () => {
    const rig = createDesignHost();
    const attached = temporaryPages.attach(rig.device(), rig.host);
    attached.pages.getPage(frame(1), false);
    expect(errnoOf(() => attached.detach())).toBe('EBUSY');
    attached.pages.putPage(frame(1));
    attached.detach();
    expect(rig.taken.frames).toBe(0);
  });

  it('is not for more struct pages than I/O could use, nor for more than there is RAM', () => {
    const rig = createDesignHost();
    expect(errnoOf(() => temporaryPages.attach(rig.device({ poolPages: 2 ** 20 + 1 }), rig.host))).toBe('EINVAL');
    rig.room = 15;
    expect(errnoOf(() => temporaryPages.attach(rig.device({ poolPages: 1024 }), rig.host))).toBe('ENOMEM');
  });

  it('serves who waits, first come first served, as struct pages come back', () => {
    const rig = createDesignHost();
    const attached = temporaryPages.attach(rig.device({ poolPages: 2 }), rig.host);
    const log: number[] = [];
    for (const nr of [1, 2, 3, 4, 1]) attached.getPageWait(frame(nr), () => log.push(nr));
    expect(log).toEqual([1, 2, 1]); // the second reference to frame 1 needs no page of its own
    expect(errnoOf(() => attached.pages.getPage(frame(9), false))).toBe('EAGAIN');
    attached.pages.putPage(frame(2));
    expect(log).toEqual([1, 2, 1, 3]);
    attached.pages.putPage(frame(1));
    expect(log).toHaveLength(4);
    attached.pages.putPage(frame(1));
    expect(log).toEqual([1, 2, 1, 3, 4]);
  });

  it('agrees with a simple model, and takes no memory on the way', () => {
    const anyStep = fc.record({ nr: fc.nat(11), put: fc.boolean(), wait: fc.boolean() });
    fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.array(anyStep, { maxLength: 60 }), (poolPages, steps) => {
      const rig = createDesignHost();
      const attached = temporaryPages.attach(rig.device({ poolPages }), rig.host);
      const { calls } = rig.taken;
      const refs = new Map<number, number>();
      const queue: number[] = [];
      const granted: number[] = [];
      const want: number[] = [];
      const grant = (nr: number): boolean => {
        if (!refs.has(nr) && refs.size === poolPages) return false;
        refs.set(nr, (refs.get(nr) ?? 0) + 1);
        return true;
      };
      for (const { nr, put, wait } of steps) {
        if (put) {
          const count = refs.get(nr);
          if (count === undefined) continue;
          if (count > 1) refs.set(nr, count - 1);
          else {
            refs.delete(nr);
            while (queue.length > 0 && grant(queue[0]!)) want.push(queue.shift()!);
          }
          attached.pages.putPage(frame(nr));
        } else if (wait) {
          if ((queue.length === 0 || refs.has(nr)) && grant(nr)) want.push(nr);
          else queue.push(nr);
          attached.getPageWait(frame(nr), () => granted.push(nr));
        } else {
          expect(errnoOf(() => attached.pages.getPage(frame(nr), false))).toBe(grant(nr) ? 'ok' : 'EAGAIN');
        }
        expect(granted).toEqual(want);
        expect([attached.lent, attached.held()]).toEqual([refs.size, [...refs.values()].reduce((sum, count) => sum + count, 0)]);
        const pages = [...refs].map(([lent, count]) => {
          const page = attached.pageOf(frame(lent))!;
          const view = structPageAt(rig, page);
          expect([attached.frameOf(page), view.getBigUint64(32, true), view.getInt32(52, true)]).toEqual([frame(lent), BigInt(lent), count]);
          return page;
        });
        expect(new Set(pages).size).toBe(pages.length);
      }
      expect(rig.taken.calls).toBe(calls);
      // Whoever waits is served on the way, too.
      while (attached.held() > 0) attached.pages.putPage([...Array(12).keys()].map(frame).find((each) => attached.pageOf(each) !== undefined)!);
      attached.detach();
      expect(rig.taken.frames).toBe(0);
    }), { numRuns: 200 });
  });
});
