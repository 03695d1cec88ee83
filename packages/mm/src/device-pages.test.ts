import { describe, expect, test } from 'vitest';
import { pfn } from '@holdfast/lib';
import { type DevicePages, createDevicePagesMap } from './device-pages.js';

function range(start: number, end: number): DevicePages {
  return { start: pfn(start), end: pfn(end), owner: `dev${start}`, pte: 'special', ioByPfn: false, getPage: () => undefined, putPage: () => undefined };
}

describe('device pages', () => {
  test('a frame is found while its range is registered, up to its end', () => {
    const map = createDevicePagesMap();
    const pages = range(16, 32);
    const forget = map.register(pages);
    expect([15, 16, 31, 32].map((nr) => map.at(pfn(nr)))).toEqual([undefined, pages, pages, undefined]);
    forget();
    expect(map.at(pfn(16))).toBeUndefined();
  });

  test('an overlap is refused with the name of the owner, neighbours are not', () => {
    const map = createDevicePagesMap();
    map.register(range(16, 32));
    expect(() => map.register(range(31, 40))).toThrowError(/EBUSY|dev16/);
    expect(() => map.register(range(32, 40))).not.toThrow();
  });
});
