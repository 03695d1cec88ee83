import { DEFAULT_RELEASE, nodeId, parseCmdline, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { modelOnliner } from '../test/model-onliner.js';
import { type MemoryGroup, createDynamicGroup, createStaticGroup } from './memory-group.js';
import { zoneForPfnRange } from './online-policy.js';
import { type OnlineType, hotplugPolicy } from './policy.js';

const BLOCK = 32768;
const FOUR_GIB = 32; // as a block number
const NAMES = ['DMA', 'DMA32', 'Normal', 'Movable'];
/** 2 GiB of boot RAM; `movable` and `normal` blocks `[start, end)` of hot-plugged memory. */
const zonesWith = ({ movable, normal }: { movable?: [number, number]; normal?: [number, number] } = {}) => {
  const onliner = modelOnliner([[0, 0, 1, 0x1000], [0, 1, 0x1000, 0x7ffe0]]);
  const online = (range: [number, number] | undefined, index: number): void => {
    if (range) onliner.onlinePages({ start: pfn(range[0] * BLOCK), end: pfn(range[1] * BLOCK), nrVmemmap: 0, nrKept: 0, early: false }, { nid: nodeId(0), index });
  };
  online(movable, 3);
  online(normal, 2);
  return onliner.zones();
};

function choose(block: number, type: OnlineType, cmdline: string, zones = zonesWith(), group?: MemoryGroup, groups: MemoryGroup[] = group ? [group] : []): string {
  const range = { start: pfn(block * BLOCK), end: pfn((block + 1) * BLOCK) };
  const policy = hotplugPolicy(parseCmdline(cmdline), DEFAULT_RELEASE, () => {});
  const onlineZoneOf = (frame: number): number | undefined => zones.find(({ index, startPfn, spanned }) => index > 1 && frame >= startPfn && frame < startPfn + spanned)?.index;
  return NAMES[zoneForPfnRange({ range, nid: nodeId(0), type, group }, { zones, policy, groups, onlineZoneOf })]!;
}

describe('the zone of new memory', () => {
  it.each<[what: string, block: number, type: OnlineType, cmdline: string, zones: Parameters<typeof zonesWith>[0], zone: string]>([
    ['as kernel memory is the low zone that it lies in', 6, 'online_kernel', '', {}, 'DMA32'],
    ['as kernel memory is Normal above all low zones', FOUR_GIB, 'online_kernel', '', {}, 'Normal'],
    ['as movable memory is Movable, wherever it lies', 6, 'online_movable', '', {}, 'Movable'],
    ['goes on with the zone around it', 6, 'online', '', {}, 'DMA32'],
    ['goes on with Movable between two blocks of it', 41, 'online', '', { movable: [40, 43] }, 'Movable'],
    ['is a kernel zone where there is none', FOUR_GIB, 'online', '', { movable: [40, 43] }, 'Normal'],
    ['is a kernel zone where two overlap', 7, 'online', '', { movable: [6, 9] }, 'DMA32'],
    ['is Movable where there is none, with movable_node', FOUR_GIB, 'online', 'movable_node', {}, 'Movable'],
    ['is that around it, with movable_node too', 6, 'online', 'movable_node', {}, 'DMA32'],
  ])('%s', (_what, block, type, cmdline, zones, zone) => {
    expect(choose(block, type, cmdline, zonesWith(zones))).toBe(zone);
  });
});

describe('auto-movable', () => {
  const AUTO = 'memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=';
  const dimm = (maxPages: number, presentMovable = 0, presentKernel = 0): MemoryGroup => ({ ...createStaticGroup(nodeId(0), maxPages), presentMovable, presentKernel });
  const GIB_PAGES = 262144;

  it.each<[what: string, ratio: number, group: MemoryGroup, zones: Parameters<typeof zonesWith>[0], zone: string]>([
    ['a DIMM of 1 GiB fits three times 2 GiB', 301, dimm(GIB_PAGES), {}, 'Movable'],
    ['half of 2 GiB is less than 1 GiB by a few pages', 50, dimm(GIB_PAGES), {}, 'Normal'],
    ['the first of three fits', 100, dimm(GIB_PAGES), {}, 'Movable'],
    ['the second does not', 100, dimm(GIB_PAGES), { movable: [32, 40] }, 'Normal'],
    ['nor does the third: hot-plugged kernel memory does not count', 100, dimm(GIB_PAGES), { movable: [32, 40], normal: [40, 48] }, 'Normal'],
    ['what is left of a DIMM counts, not all of it', 100, dimm(GIB_PAGES, 4 * BLOCK), { movable: [32, 36] }, 'Movable'],
    ['a DIMM with kernel memory in it stays so', 301, dimm(GIB_PAGES, 0, BLOCK), {}, 'Normal'],
    ['ratio 0 means never', 0, dimm(GIB_PAGES), {}, 'Normal'],
  ])('%s', (_what, ratio, group, zones, zone) => {
    expect(choose(48, 'online', `${AUTO}${ratio}`, zonesWith(zones), group)).toBe(zone);
  });

  it('keeps units of a growing device together, and lets its kernel memory count for itself alone', () => {
    const unit = createDynamicGroup(nodeId(0), 4 * BLOCK);
    expect(choose(33, 'online', `${AUTO}301`, zonesWith({ normal: [32, 33] }), unit)).toBe('Normal');
    expect(choose(33, 'online', `${AUTO}301`, zonesWith({ movable: [32, 33] }), unit)).toBe('Movable');
    const grown = { ...createDynamicGroup(nodeId(0), BLOCK), presentKernel: 10 * BLOCK };
    expect(choose(64, 'online', `${AUTO}100`, zonesWith({ movable: [32, 48] }), grown)).toBe('Movable');
    expect(choose(64, 'online', `${AUTO}100`, zonesWith({ movable: [32, 48] }), undefined, [grown])).toBe('Normal');
  });
});
