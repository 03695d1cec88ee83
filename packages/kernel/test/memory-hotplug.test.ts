/** Memory hot-plug over real zones: what memory-hotplug decides and mm does, against a model that knows single blocks only. */
import { DEFAULT_RELEASE, MIB, SECTION_MEMMAP_SIZE, createIomem, createResource, formatIomem, insertResource, nodeId, parseCmdline, pfn, physAddr } from '@holdfast/lib';
import type { NodeId } from '@holdfast/lib';
import { type MemoryHotplug, createMemoryHotplug, hotplugPolicy, sparseInit } from '@holdfast/memory-hotplug';
import { GFP_KERNEL, type Mm, createMemblock, createMemoryOnline, createMm, freeAreaInit } from '@holdfast/mm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const NODE0 = nodeId(0);
const BLOCK_PAGES = 32768;
const BLOCK = 128 * MIB;
const FIRST = 32;
const RAM = [{ start: 1, end: 0x9f }, { start: 0x100, end: 0x3ffe0 }];

/** Live zones of 1 GiB on node 0; node 1 is possible. */
function bootMm(log: string[]): Mm {
  const memblock = createMemblock();
  for (const { start, end } of RAM) memblock.add(start * 4096, (end - start) * 4096, NODE0);
  memblock.reserve(0, MIB);
  const possible = [NODE0, nodeId(1)];
  const numa = { withMemory: [NODE0], possible, online: [NODE0] };
  const chunks = new Map<number, Uint8Array>();
  const mm = createMm({
    memory: { chunk: (nr) => chunks.get(nr) ?? chunks.set(nr, new Uint8Array(SECTION_MEMMAP_SIZE)).get(nr)! },
    memmapPhys: (sectionNr) => physAddr(sectionNr * SECTION_MEMMAP_SIZE),
    layout: freeAreaInit({ memblock, maxPfn: pfn(0x3ffe0), numa, params: [], release: DEFAULT_RELEASE, printk: () => {} }),
    fallbackOrders: () => new Map(possible.map((nid) => [nid, [nid, ...possible.filter((other) => other !== nid)]])),
    printk: (line) => void log.push(line),
  });
  mm.freeAll(memblock.freeRanges());
  return mm;
}

function boot(cmdline = ''): { mm: Mm; hotplug: MemoryHotplug; iomem: () => string; log: string[]; online: NodeId[]; withMemory: Set<number> } {
  const log: string[] = [];
  const mm = bootMm(log);
  const online = [NODE0];
  const withMemory = new Set([0]);
  const setOnline = (nid: NodeId, isOnline: boolean): void => void (isOnline ? online.push(nid) : online.splice(online.indexOf(nid), 1));
  const numa = { online, withCpu: [NODE0], setOnline, setMemory: (nid: NodeId, has: boolean) => void (has ? withMemory.add(nid) : withMemory.delete(nid)) };
  const onliner = createMemoryOnline({
    mm, numa, onNodeZonelists: (nid) => log.push(`lists of node ${nid}`), onZonePopulated: (zone) => log.push(`zone ${zone.name} of node ${zone.nid}`),
  });
  const iomem = createIomem();
  for (const { start, end } of RAM) insertResource(iomem, createResource({ name: 'System RAM', start: start * 4096, end: end * 4096 - 1, systemRam: true, busy: true }));
  const pageRuns = RAM.map(({ start, end }) => ({ start: pfn(start), end: pfn(end), nid: NODE0 }));
  const hotplug = createMemoryHotplug({
    sections: sparseInit(pageRuns, () => physAddr(0)),
    source: { allocBlocks: () => [{ start: physAddr(0), count: 1 }], freeBlocks: () => {} },
    onliner,
    policy: hotplugPolicy(parseCmdline(cmdline), DEFAULT_RELEASE, () => {}),
    blockSize: BLOCK,
    pageRuns,
    iomem,
    maxPhysAddr: 2 ** 46,
    possibleNodes: [NODE0, nodeId(1)],
    addressToNode: () => NODE0,
    printk: (line) => log.push(line),
    release: DEFAULT_RELEASE,
  });
  return { mm, hotplug, iomem: () => formatIomem(iomem), log, online, withMemory };
}

/** Start, span, present and managed frames of a zone, in blocks. */
function zone(mm: Mm, nid: NodeId, index: 2 | 3): number[] {
  const { startPfn, spanned, present, managed } = mm.zone(nid, index);
  return [startPfn, spanned, present, managed].map((pages) => pages / BLOCK_PAGES);
}

describe('memory that is plugged', () => {
  it('brings a node online with its first memory, which has lists of its own before it is', () => {
    const { hotplug, mm, log, online, withMemory } = boot();
    hotplug.addMemory(nodeId(1), FIRST * BLOCK, 2 * BLOCK);
    expect([log, online, [...withMemory]]).toEqual([['lists of node 1'], [0, 1], [0]]);
    hotplug.onlineBlock(FIRST, 'online');
    expect([log.slice(1), [...withMemory], zone(mm, nodeId(1), 2)]).toEqual([['zone Normal of node 1'], [0, 1], [32, 1, 1, 1]]);
    hotplug.offlineBlock(FIRST);
    expect([[...withMemory], online]).toEqual([[0], [0, 1]]);
  });

  it('takes a node offline with its last block, even if that never was online', () => {
    const { hotplug, online } = boot();
    hotplug.addMemory(nodeId(1), FIRST * BLOCK, BLOCK);
    hotplug.addMemory(nodeId(1), (FIRST + 1) * BLOCK, BLOCK);
    hotplug.onlineBlock(FIRST, 'online');
    hotplug.removeMemory((FIRST + 1) * BLOCK, BLOCK);
    expect(online).toEqual([0, 1]);
    hotplug.offlineAndRemoveMemory(FIRST * BLOCK, BLOCK);
    expect(online).toEqual([0]);
  });

  it('stays with a frame that is in use, whose struct page is shown', () => {
    const { hotplug, mm, log } = boot();
    hotplug.addMemory(NODE0, FIRST * BLOCK, BLOCK);
    hotplug.onlineBlock(FIRST, 'online');
    const frame = mm.allocPages(GFP_KERNEL, 0, NODE0)!;
    expect(frame).toBeGreaterThanOrEqual(FIRST * BLOCK_PAGES);
    expect(() => hotplug.offlineBlock(FIRST)).toThrow(/in use/);
    const dump = log.slice(-5);
    expect(dump[0]).toMatch(new RegExp(`^page:[0-9a-f]{16} refcount:1 mapcount:0 mapping:0{16} index:0x0 pfn:0x${frame.toString(16)}$`));
    expect(dump.slice(1)).toEqual([
      'flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)',
      expect.stringMatching(/^raw: 0017ffffc0000000 [0-9a-f]{16} dead000000000122 0{16}$/) as string,
      'raw: 0000000000000000 0000000000000000 00000001ffffffff 0000000000000000',
      'page dumped because: unmovable page',
    ]);
    mm.freePages(frame, 0);
    expect(hotplug.offlineBlock(FIRST)).toBe(true);
  });

  it('counts as the kernel’s early memory only if boot had it', () => {
    const { hotplug, mm } = boot();
    const early = (): number => mm.zones().reduce((sum, { presentEarly }) => sum + presentEarly, 0);
    const atBoot = early();
    hotplug.addMemory(NODE0, FIRST * BLOCK, BLOCK);
    hotplug.onlineBlock(FIRST, 'online');
    expect(early()).toBe(atBoot);
    hotplug.offlineBlock(3);
    expect(early()).toBe(atBoot - BLOCK_PAGES);
  });
});

describe('any run of hot-plug steps over real zones', () => {
  const step = fc.record({
    what: fc.constantFrom('add' as const, 'online_kernel' as const, 'online_movable' as const, 'online' as const, 'offline' as const, 'remove' as const),
    block: fc.nat(7),
  });

  it('keeps spans, present and managed frames true, and ends where it began', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), fc.boolean(), (steps, memmapOnMemory) => {
        const { hotplug, mm, iomem, online } = boot('memory_hotplug.memmap_on_memory=1');
        const fresh = [iomem(), mm.totalRamPages()];
        const model = new Map<number, 0 | 2 | 3>(); // 0: offline
        for (const { what, block } of steps) {
          const nr = FIRST + block;
          const is = model.get(nr);
          if (what === 'add' && is === undefined) {
            hotplug.addMemory(NODE0, nr * BLOCK, BLOCK, { memmapOnMemory });
            model.set(nr, 0);
          } else if (what === 'remove' && is === 0) {
            hotplug.removeMemory(nr * BLOCK, BLOCK);
            model.delete(nr);
          } else if (what === 'offline' && is) {
            hotplug.offlineBlock(nr);
            model.set(nr, 0);
          } else if (what.startsWith('online') && is === 0) {
            const within = (index: 2 | 3): boolean => {
              const [start, spanned] = zone(mm, NODE0, index);
              return nr >= start! && nr < start! + spanned!;
            };
            const plain = within(3) && !within(2) ? 3 : 2;
            hotplug.onlineBlock(nr, what as 'online');
            model.set(nr, what === 'online' ? plain : what === 'online_movable' ? 3 : 2);
          }
          for (const index of [2, 3] as const) {
            const mine = [...model].filter(([, in_]) => in_ === index).map(([each]) => each);
            const [start, spanned, present, managed] = zone(mm, NODE0, index);
            expect(present).toBe(mine.length);
            expect(managed! * BLOCK_PAGES).toBe(mine.length * (BLOCK_PAGES - (memmapOnMemory ? 512 : 0)));
            if (mine.length === 0) expect([start, spanned]).toEqual([0, 0]);
            else expect([start, start! + spanned!]).toEqual([Math.min(...mine), Math.max(...mine) + 1]);
          }
        }
        for (const [nr, is] of model) {
          if (is) hotplug.offlineBlock(nr);
          hotplug.removeMemory(nr * BLOCK, BLOCK);
        }
        expect([iomem(), mm.totalRamPages()]).toEqual(fresh);
        expect(online).toEqual([NODE0]);
      }),
      { numRuns: 40 },
    );
  });
});
