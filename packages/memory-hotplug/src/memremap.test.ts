import { createIomem, createResource, insertResource, nodeId, pfn, physAddr } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createDeviceMemory } from './memremap.js';
import type { DevPagemap, DeviceMemory } from './memremap.js';
import { sparseInit } from './sparse.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function setUp(): { memory: DeviceMemory; log: string[]; events: string[]; taken: () => number } {
  const iomem = createIomem();
  insertResource(iomem, createResource({ name: 'System RAM', start: 0, end: GIB - 1, systemRam: true, busy: true }));
  const log: string[] = [];
  const events: string[] = [];
  let taken = 0;
  const memory = createDeviceMemory({
    sections: sparseInit([{ start: pfn(0), end: pfn(GIB / 4096), nid: nodeId(0) }], () => physAddr(0)),
    source: {
      allocBlocks: (_nid, order, count) => {
        taken += count * 2 ** order;
        return [{ start: physAddr(64 * MIB), count }];
      },
      freeBlocks: (order, runs) => {
        for (const { count } of runs) taken -= count * 2 ** order;
      },
    },
    zoneDevice: {
      moveToZoneDevice: ({ start, end }, nid, pgmap) => events.push(`+ ${start}-${end} node ${nid} ${pgmap.owner}`),
      removeFromZoneDevice: ({ start, end }, nid) => events.push(`- ${start}-${end} node ${nid}`),
    },
    iomem,
    maxPhysAddr: 2 ** 46,
    printk: (text) => log.push(text),
  });
  return { memory, log, events, taken: () => taken };
}

const pgmap = (start: number, sizeBytes: number, owner = 'pmem0'): DevPagemap => ({ type: 'fs-dax', start: physAddr(start), sizeBytes, owner });

describe('memremapPages', () => {
  it('gives a range struct pages and puts it into ZONE_DEVICE; its undo takes both away', () => {
    const { memory, events, taken } = setUp();
    const release = memory.memremapPages(pgmap(4 * GIB, GIB), nodeId(0));
    expect(taken()).toBe(8 * 512);
    expect([0x100000, 0x13ffff, 0x140000].map((frame) => memory.pagemapOf(pfn(frame))?.owner)).toEqual(['pmem0', 'pmem0', undefined]);
    release();
    expect([taken(), memory.pagemapOf(pfn(0x100000))]).toEqual([0, undefined]);
    expect(events).toEqual(['+ 1048576-1310720 node 0 pmem0', '- 1048576-1310720 node 0']);
    expect(release).toThrow(/released twice/);
  });

  it('uses node 0 for a device that belongs to none', () => {
    const { memory, events } = setUp();
    memory.memremapPages(pgmap(4 * GIB, GIB), nodeId(-1));
    expect(events).toEqual(['+ 1048576-1310720 node 0 pmem0']);
  });

  it('lets two devices share a section', () => {
    const { memory } = setUp();
    memory.memremapPages(pgmap(4 * GIB, 6 * MIB, 'pmem0'), nodeId(0));
    memory.memremapPages(pgmap(4 * GIB + 6 * MIB, 2 * MIB, 'pmem1'), nodeId(0));
    expect(memory.pagemapOf(pfn(0x100000 + 3 * 512))?.owner).toBe('pmem1');
  });

  it.each([
    ['System RAM only', 2 * MIB, 2 * MIB, 'ENXIO', 'attempted on ram region 0x200000-0x3fffff'],
    ['some System RAM', GIB - 2 * MIB, 4 * MIB, 'ENXIO', 'attempted on mixed region 0x3fe00000-0x401fffff'],
    ['the first frame of another device', 4 * GIB, 2 * MIB, 'ENOMEM', 'Conflicting mapping in same section'],
    ['the last frame of another device', 4 * GIB - 2 * MIB, 4 * MIB, 'ENOMEM', 'Conflicting mapping in same section'],
    ['another device in its middle', 4 * GIB - 2 * MIB, GIB + 4 * MIB, 'EEXIST', undefined],
    ['a misaligned start', 8 * GIB + 4096, 2 * MIB - 4096, 'EINVAL', 'Misaligned __add_pages start: 0x200001 end: #2001ff'],
    ['a misaligned end', 8 * GIB, 3 * MIB, 'EINVAL', 'Misaligned __add_pages start: 0x200000 end: #2002ff'],
    ['addresses beyond the direct map', 2 ** 46 - 2 * MIB, 4 * MIB, 'EINVAL', 'Hotplug memory [0x3fffffe00000-0x4000001fffff] exceeds maximum addressable range [0x0-0x3fffffffffff]'],
  ])('refuses a range with %s', (_what, start, sizeBytes, code, line) => {
    const { memory, log, events, taken } = setUp();
    memory.memremapPages(pgmap(4 * GIB, GIB), nodeId(0));
    const before = [taken(), events.length];
    expect(() => memory.memremapPages(pgmap(start, sizeBytes, 'pmem1'), nodeId(0))).toThrow(expect.objectContaining({ code }));
    expect(log).toEqual(line === undefined ? [] : [line]);
    expect([taken(), events.length]).toEqual(before);
  });
});
