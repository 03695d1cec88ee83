import { GIB, MIB, formatIomem, nodeId, pfn, requestRegion } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errno, file, setUp } from '../test/small-machine.js';
import { createStaticGroup } from './memory-group.js';

const NODE0 = nodeId(0);
/** The first address behind all memory. */
const TOP = 0x1_2000_0000;
const BLOCK = 128 * MIB;

const states = ({ blocks }: ReturnType<typeof setUp>): string[] => [...blocks.numbers()].filter((nr) => nr >= 36).map((nr) => `${nr} ${file(blocks, nr, 'state').show!().trim()}`);
const added = ({ iomem }: ReturnType<typeof setUp>): string[] => formatIomem(iomem).split('\n').filter((line) => line.startsWith('12') || line.startsWith('13') || line.startsWith(' '));

describe('addMemory', () => {
  it('makes a resource, struct pages and blocks that are offline', () => {
    const machine = setUp();
    machine.hotplug.addMemory(NODE0, TOP, 2 * BLOCK);
    expect(states(machine)).toEqual(['36 offline', '37 offline']);
    expect(added(machine)).toEqual(['120000000-12fffffff : System RAM']);
    expect(machine.taken()).toBe(2 * 512);
    expect([machine.sections.pfnValid(pfn(0x120000)), machine.sections.pfnIsOnline(pfn(0x120000))]).toEqual([true, false]);
    expect(machine.firmwareMap).toEqual(['120000000-130000000']);
    expect(machine.blocks.nodes(36)).toEqual([0]);
  });

  it.each<[what: string, start: number, size: number, nid: number, code: string, log: string]>([
    ['half a block', TOP, 64 * MIB, 0, 'EINVAL', 'Block size [0x8000000] unaligned hotplug range: start 0x120000000, size 0x4000000'],
    ['blocks that begin inside one', TOP + 200 * MIB, BLOCK, 0, 'EINVAL', 'Block size [0x8000000] unaligned hotplug range: start 0x12c800000, size 0x8000000'],
    ['nothing, for which no row of /proc/iomem can be had', TOP, 0, 0, 'EEXIST', ''],
    ['what is there', 0x1_0000_0000, BLOCK, 0, 'EEXIST', ''],
    ['more than the direct map reaches', 2 ** 46 - BLOCK, 2 * BLOCK, 0, 'E2BIG', 'Hotplug memory [0x3ffff8000000-0x400008000000] exceeds maximum addressable range [0x0-0x3fffffffffff]'],
    ['a node that cannot be', TOP, BLOCK, 7, 'EINVAL', 'WARNING: node 7 was absent from the node_possible_map'],
  ])('refuses %s, and leaves nothing behind', (_what, start, size, nid, code, log) => {
    const machine = setUp();
    const before = formatIomem(machine.iomem);
    expect(errno(() => machine.hotplug.addMemory(nodeId(nid), start, size))).toBe(code);
    expect(machine.log.join()).toBe(log);
    expect([formatIomem(machine.iomem), machine.taken(), states(machine)]).toEqual([before, 0, []]);
  });

  it('goes online at once where the policy says so', () => {
    const machine = setUp({ cmdline: 'memhp_default_state=online_movable' });
    machine.hotplug.addMemory(NODE0, TOP, 2 * BLOCK);
    expect(states(machine)).toEqual(['36 online', '37 online']);
    expect(machine.onliner.events).toEqual(['node 0', '+ 1179648-1212416 Movable', '+ 1212416-1245184 Movable']);
  });

  it('names what a driver adds, below what the driver holds, and tells firmware nothing', () => {
    const machine = setUp();
    const region = requestRegion(machine.iomem, TOP, GIB, 'dax0.0');
    region.busy = false;
    machine.hotplug.addMemoryDriverManaged(NODE0, TOP, BLOCK, 'System RAM (kmem)');
    expect(added(machine)).toEqual(['120000000-15fffffff : dax0.0', '  120000000-127ffffff : System RAM (kmem)']);
    expect(machine.firmwareMap).toEqual([]);
    expect(errno(() => machine.hotplug.addMemoryDriverManaged(NODE0, TOP + BLOCK, BLOCK, 'System RAM'))).toBe('EINVAL');
    machine.hotplug.removeMemory(TOP, BLOCK);
    expect(added(machine)).toEqual(['120000000-15fffffff : dax0.0']);
  });

  it('makes one row of what touches, if asked to', () => {
    const machine = setUp();
    for (const start of [TOP + BLOCK, TOP, TOP + 2 * BLOCK]) machine.hotplug.addMemoryDriverManaged(NODE0, start, BLOCK, 'System RAM (virtio_mem)', { mergeResource: true });
    expect(added(machine)).toEqual(['120000000-137ffffff : System RAM (virtio_mem)']);
    machine.hotplug.removeMemory(TOP + BLOCK, BLOCK);
    expect(added(machine)).toEqual(['120000000-127ffffff : System RAM (virtio_mem)', '130000000-137ffffff : System RAM (virtio_mem)']);
  });
});

describe('a block that holds its own struct pages', () => {
  const machine = (blockSize = BLOCK) => setUp({ blockSize, cmdline: 'memory_hotplug.memmap_on_memory=1' });

  it('is one that is added alone, by a kernel that was told so', () => {
    expect([BLOCK, 2 * BLOCK].map((size) => machine().hotplug.supportsMemmapOnMemory(size))).toEqual([true, false]);
    expect(machine(GIB).hotplug.supportsMemmapOnMemory(GIB)).toBe(true);
    expect(setUp().hotplug.supportsMemmapOnMemory(BLOCK)).toBe(false);
    expect(errno(() => machine().hotplug.addMemory(NODE0, TOP, 2 * BLOCK, { memmapOnMemory: true }))).toBe('EINVAL');
  });

  it('takes no other memory, and keeps its first frames to itself', () => {
    const { hotplug, onliner, taken, sections } = machine();
    hotplug.addMemory(NODE0, TOP, BLOCK, { memmapOnMemory: true });
    expect([taken(), sections.memmapPhys(36)]).toEqual([0, TOP]);
    hotplug.onlineBlock(36, 'online');
    hotplug.offlineBlock(36);
    hotplug.removeMemory(TOP, BLOCK);
    expect(onliner.events).toEqual(['node 0', '+ 1179648-1212416 Normal but 512', '- 1179648-1212416 Normal', 'removed 1179648-1212416']);
  });
});

describe('removeMemory', () => {
  it('refuses while a block is online, as Linux says it', () => {
    const { hotplug, log } = setUp();
    hotplug.addMemory(NODE0, TOP, 2 * BLOCK);
    hotplug.onlineBlock(37, 'online');
    expect(errno(() => hotplug.removeMemory(TOP, 2 * BLOCK))).toBe('EBUSY');
    expect(log).toEqual(['removing memory fails, because memory [0x0000000128000000-0x000000012fffffff] is onlined']);
  });

  it('forgets a group with its last block', () => {
    const { hotplug } = setUp();
    const group = createStaticGroup(NODE0, 65536);
    hotplug.addMemory(NODE0, TOP, BLOCK, { group });
    hotplug.addMemory(NODE0, TOP + BLOCK, BLOCK, { group });
    hotplug.onlineBlock(36, 'online_movable');
    expect([group.presentMovable, group.presentKernel]).toEqual([32768, 0]);
    hotplug.offlineAndRemoveMemory(TOP, BLOCK);
    expect([group.presentMovable, hotplug.groups.has(group)]).toEqual([0, true]);
    hotplug.removeMemory(TOP + BLOCK, BLOCK);
    expect(hotplug.groups.size).toBe(0);
  });

  it('puts back what it took offline, if it cannot take all', () => {
    const { hotplug, onliner, blocks } = setUp();
    hotplug.addMemory(NODE0, TOP, 3 * BLOCK);
    for (const [nr, type] of [[36, 'online_movable'], [37, 'online_kernel'], [38, 'online_movable']] as const) hotplug.onlineBlock(nr, type);
    onliner.busy.add(38 * 32768);
    expect(errno(() => hotplug.offlineAndRemoveMemory(TOP, 3 * BLOCK))).toBe('EBUSY');
    expect([36, 37, 38].map((nr) => file(blocks, nr, 'valid_zones').show!())).toEqual(['Movable\n', 'Normal\n', 'Movable\n']);
  });
});

describe('any run of adding, onlining, offlining and removing', () => {
  const step = fc.record({
    what: fc.constantFrom('add' as const, 'online' as const, 'online_movable' as const, 'offline' as const, 'remove' as const),
    at: fc.nat(9),
    count: fc.integer({ min: 1, max: 3 }),
  });

  it('agrees with a model of single blocks, and leaves nothing behind', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const machine = setUp();
        const { hotplug, blocks, iomem, onliner } = machine;
        const fresh = formatIomem(iomem);
        const model = new Map<number, 'offline' | 'Normal' | 'Movable'>();
        /** What was added as one, which is removed as one here. */
        const ranges = new Map<number, number>();
        for (const { what, at, count } of steps) {
          const first = 36 + at;
          const numbers = Array.from({ length: count }, (_, index) => first + index);
          if (what === 'add') {
            const free = numbers.every((nr) => !model.has(nr));
            expect(errno(() => hotplug.addMemory(NODE0, first * BLOCK, count * BLOCK))).toBe(free ? 'ok' : 'EEXIST');
            if (free) for (const nr of numbers) model.set(nr, 'offline');
            if (free) ranges.set(first, count);
          } else if (what === 'remove') {
            const size = ranges.get(first);
            if (size === undefined) continue;
            const mine = Array.from({ length: size }, (_, index) => first + index);
            const idle = mine.every((nr) => model.get(nr) === 'offline');
            expect(errno(() => hotplug.removeMemory(first * BLOCK, size * BLOCK))).toBe(idle ? 'ok' : 'EBUSY');
            if (idle) for (const nr of mine) model.delete(nr);
            if (idle) ranges.delete(first);
          } else if (model.has(first)) {
            const wasOnline = model.get(first) !== 'offline';
            const done = what === 'offline' ? hotplug.offlineBlock(first) : hotplug.onlineBlock(first, what === 'online' ? 'online_kernel' : what);
            expect(done).toBe(what === 'offline' ? wasOnline : !wasOnline);
            if (done) model.set(first, what === 'offline' ? 'offline' : what === 'online' ? 'Normal' : 'Movable');
          }
          const normal = onliner.zones().filter(({ nid, name }) => nid === 0 && name === 'Normal')[0]!;
          const movable = onliner.zones().filter(({ nid, name }) => nid === 0 && name === 'Movable')[0]!;
          const count_ = (zone: string): number => [...model.values()].filter((value) => value === zone).length * 32768;
          expect([normal.present, movable.present]).toEqual([count_('Normal'), count_('Movable')]);
          expect(machine.taken()).toBe(model.size * 512);
          for (let nr = 36; nr < 50; nr++) {
            expect(blocks.has(nr)).toBe(model.has(nr));
            expect(machine.sections.pfnIsOnline(pfn(nr * 32768))).toBe((model.get(nr) ?? 'offline') !== 'offline');
            if (model.has(nr)) expect(file(blocks, nr, 'state').show!()).toBe(model.get(nr) === 'offline' ? 'offline\n' : 'online\n');
          }
        }
        for (const nr of model.keys()) hotplug.offlineBlock(nr);
        for (const [first, count] of ranges) hotplug.removeMemory(first * BLOCK, count * BLOCK);
        expect([formatIomem(iomem), machine.taken(), machine.firmwareMap, blocks.count]).toEqual([fresh, 0, [], 20]);
      }),
      { numRuns: 60 },
    );
  });
});
