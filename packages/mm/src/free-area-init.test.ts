import { type KernelRelease, DEFAULT_RELEASE, GIB, MIB, PAGES_PER_SECTION, PAGE_SIZE, TIB, nodeId, parseCmdline, parseRelease, pfn } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type FreeAreaNeeds, type Memblock, type ZoneLayout,
  MEMBLOCK_HOTPLUG, ZONE_DMA, ZONE_MOVABLE, ZONE_NAMES, createMemblock, findDmaReserve, freeAreaInit, holeReportOf, logZonelists, nodeFallbackOrders,
} from './index.js';

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly nid: number;
}

const LOW_MEMORY: Piece = { start: 1, end: 0x9f, nid: 0 };

/** A machine with memory at these page frames. */
function machine(pieces: readonly Piece[]): Memblock {
  const memblock = createMemblock();
  for (const { start, end, nid } of pieces) memblock.add(start * PAGE_SIZE, (end - start) * PAGE_SIZE, nodeId(nid));
  memblock.reserve(0, MIB);
  return memblock;
}

function layOut(memblock: Memblock, options: Partial<FreeAreaNeeds> & { cmdline?: string; possible?: number[] } = {}): { layout: ZoneLayout; log: string[] } {
  const { cmdline = '', possible = [], ...needs } = options;
  const log: string[] = [];
  const withMemory = [...new Set(memblock.memory.map(({ nid }) => nid))].sort((a, b) => a - b);
  const numa = { withMemory, online: withMemory, possible: [...new Set([...withMemory, ...possible.map(nodeId)])].sort((a, b) => a - b) };
  const maxPfn = pfn(memblock.endOfDram() / PAGE_SIZE);
  const layout = freeAreaInit({ memblock, maxPfn, numa, params: parseCmdline(cmdline), release: DEFAULT_RELEASE, printk: (line) => log.push(line), ...needs });
  return { layout, log };
}

/** Movable starts by node. */
function movableStarts(pieces: readonly Piece[], cmdline: string, memblock = machine(pieces)): Record<number, number> {
  const { layout } = layOut(memblock, { cmdline });
  return Object.fromEntries(layout.nodes.filter((node) => node.movableStartPfn !== undefined).map((node) => [node.nid, node.movableStartPfn!]));
}

const TWO_GIB: Piece[] = [LOW_MEMORY, { start: 0x100, end: 0x7ffe0, nid: 0 }];
const SIX_GIB: Piece[] = [LOW_MEMORY, { start: 0x100, end: 0xbffe0, nid: 0 }, { start: 0x100000, end: 0x1c0000, nid: 0 }];
const TWO_NODES: Piece[] = [LOW_MEMORY, { start: 0x100, end: 0x40000, nid: 0 }, { start: 0x40000, end: 0xbffe0, nid: 1 }];

describe('kernelcore, movablecore and movable_node', () => {
  it.each([
    { name: '2 GiB', pieces: TWO_GIB, cmdline: 'kernelcore=512M', want: { 0: 0x20400 } },
    { name: '2 GiB', pieces: TWO_GIB, cmdline: 'movablecore=512M', want: { 0: 0x60000 } },
    { name: '6 GiB', pieces: SIX_GIB, cmdline: 'kernelcore=50%', want: { 0: 0x100400 } },
    { name: '6 GiB', pieces: SIX_GIB, cmdline: 'movablecore=50%', want: { 0: 0x100000 } },
    { name: 'two nodes', pieces: TWO_NODES, cmdline: 'kernelcore=1G', want: { 0: 0x20400, 1: 0x60000 } },
    { name: 'a node too small for its share', pieces: TWO_NODES, cmdline: 'kernelcore=2560M', want: { 1: 0xa0400 } },
    { name: 'the stricter of two', pieces: TWO_GIB, cmdline: 'kernelcore=512M movablecore=1G', want: { 0: 0x40000 } },
    { name: 'more than there is', pieces: TWO_GIB, cmdline: 'kernelcore=4G', want: {} },
    { name: 'all of it', pieces: TWO_GIB, cmdline: 'movablecore=4G', want: {} },
    { name: 'nothing', pieces: TWO_GIB, cmdline: 'kernelcore=0 movablecore=', want: {} },
    { name: 'no mirrored memory', pieces: TWO_GIB, cmdline: 'kernelcore=mirror', want: {} },
  ])('$name, $cmdline', ({ pieces, cmdline, want }) => expect(movableStarts(pieces, cmdline)).toEqual(want));

  it('begins where hot-pluggable memory does with movable_node, and then hears nothing else', () => {
    const memblock = machine(TWO_NODES);
    memblock.mark(0x40000 * PAGE_SIZE, 0x7ffe0 * PAGE_SIZE, MEMBLOCK_HOTPLUG);
    expect(movableStarts([], 'movable_node kernelcore=512M', memblock)).toEqual({ 1: 0x40000 });
  });
});

describe('freeAreaInit', () => {
  it('counts as the machine of the facts does', () => {
    const { layout } = layOut(machine([LOW_MEMORY, { start: 0x100, end: 0x3ffe0, nid: 0 }]));
    expect(layout.nodes[0]!.zones.map(({ spannedPages, presentPages, memmapPages, managedEstimate }) => [spannedPages, presentPages, memmapPages, managedEstimate])).toEqual([
      [4095, 3998, 64, 3776], [258016, 258016, 4032, 253984], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0],
    ]);
    expect([layout.totalPages, layout.policyZone]).toEqual([257760, 'DMA32']);
  });

  it('counts holes into a span only as far as its node reaches', () => {
    const span = (nid: number): number => layOut(machine([LOW_MEMORY, { start: 0x100, end: 0xc0000, nid: 0 }, { start: 0x100000, end: 0x1c0000, nid }])).layout.nodes[0]!.zones[1]!.spannedPages;
    expect([span(0), span(1)]).toEqual([0x100000 - 0x1000, 0xc0000 - 0x1000]);
  });

  it('prints empty zones, memoryless nodes and a zone Device that only some kernels have', () => {
    const { layout, log } = layOut(machine(TWO_GIB), { possible: [1] });
    expect(log.slice(3, 6)).toEqual(['  Normal   empty', '  Device   empty', 'Movable zone start for each node']);
    expect(log).toEqual(expect.arrayContaining(['Initializing node 1 as memoryless', 'Initmem setup node 1 as memoryless']));
    expect(layout.nodes[1]).toMatchObject({ nid: 1, presentPages: 0, spannedPages: 0, ranges: [], earlyPages: 0 });
    expect(layOut(machine(TWO_GIB), { release: parseRelease('4.1.15') }).log).not.toContain('  Device   empty');
  });

  it('stops early initialisation in the last zone of each node, at a section edge behind more than a section', () => {
    const early = (pieces: readonly Piece[], cmdline = ''): (number | undefined)[] => layOut(machine(pieces), { cmdline }).layout.nodes.map((node) => node.firstDeferredPfn);
    expect(early(TWO_GIB)).toEqual([0x10000]);
    expect(early(SIX_GIB)).toEqual([0x108000]);
    expect(early(TWO_NODES)).toEqual([0x10000, 0x48000]);
    expect(early(TWO_GIB, 'movablecore=512M')).toEqual([0x68000]);
    expect(early([LOW_MEMORY, { start: 0x100, end: 0x9000, nid: 0 }])).toEqual([undefined]);
    // Pages before a hole count too: the edge is the first behind 32768 of them.
    expect(early([LOW_MEMORY, { start: 0x100, end: 0x9800, nid: 0 }, { start: 0x14000, end: 0x20000, nid: 0 }])).toEqual([0x18000]);
  });

  it('takes what is reserved below 16 MiB from zone DMA', () => {
    const memblock = machine(TWO_GIB);
    expect(findDmaReserve(memblock)).toBe(158);
    memblock.reserve(0x200000, 4 * PAGE_SIZE + 1);
    expect(findDmaReserve(memblock)).toBe(163);
    expect(layOut(memblock).layout.nodes[0]!.zones[ZONE_DMA]!.managedEstimate).toBe(3998 - 64 - 163);
  });

  it('needs no more for 16 TiB than for 1 GiB', () => {
    const memblock = createMemblock();
    memblock.add(MIB, 3 * GIB, nodeId(0));
    for (let node = 0; node < 8; node++) memblock.add(4 * GIB + node * 2 * TIB, 2 * TIB, nodeId(node));
    const { layout } = layOut(memblock, { cmdline: 'kernelcore=10%' });
    expect(layout.nodes.reduce((sum, node) => sum + node.presentPages, 0)).toBe((3 * GIB + 16 * TIB) / PAGE_SIZE);
  });
});

describe('any map', () => {
  // Grains that make zone limits, section edges and holes of all sizes likely, small enough to walk page by page.
  const SCALE = 64;
  const anyMap = fc
    .array(fc.record({ gap: fc.nat(700), size: fc.integer({ min: 1, max: 900 }), nid: fc.nat(2) }), { minLength: 1, maxLength: 7 })
    .map((steps) => {
      let at = 0;
      return steps.map(({ gap, size, nid }) => {
        const start = at + gap * SCALE;
        at = start + size * SCALE;
        return { start, end: at, nid };
      });
    });
  const anyCmdline = fc.oneof(fc.constant(''), fc.nat(3000).map((mib) => `kernelcore=${mib}M`), fc.nat(100).map((percent) => `movablecore=${percent}%`));

  it('has every page of memory in exactly one zone of its node', () => {
    fc.assert(
      fc.property(anyMap, anyCmdline, (pieces, cmdline) => {
        const { layout } = layOut(machine(pieces), { cmdline });
        for (const { nid, zones, presentPages, endPfn } of layout.nodes) {
          const own = pieces.filter((piece) => piece.nid === nid);
          expect(presentPages).toBe(own.reduce((sum, { start, end }) => sum + end - start, 0));
          expect(zones.reduce((sum, zone) => sum + zone.presentPages, 0)).toBe(presentPages);
          for (const zone of zones.filter((one) => one.spannedPages > 0)) {
            expect(zone.presentPages).toBeLessThanOrEqual(zone.spannedPages);
            expect(zone.startPfn + zone.spannedPages).toBeLessThanOrEqual(endPfn);
          }
          if (zones[ZONE_MOVABLE]!.spannedPages > 0) expect(zones[ZONE_MOVABLE]!.startPfn % 1024).toBe(0);
        }
      }),
    );
  });

  it('reports the holes that a walk over all pages finds', () => {
    fc.assert(
      fc.property(anyMap, anyCmdline, (pieces, cmdline) => {
        const memblock = machine(pieces);
        const { layout, log } = layOut(memblock, { cmdline });
        const present = new Set<number>();
        for (const { start, end } of pieces) for (let at = Math.floor(start / PAGES_PER_SECTION); at * PAGES_PER_SECTION < end; at++) present.add(at);
        const isPresent = (page: number): boolean => present.has(Math.floor(page / PAGES_PER_SECTION));
        const want: string[] = [];
        const count = (from: number, to: number, nid: number, zone: number): void => {
          let pages = 0;
          for (let page = from; page < to; page += SCALE) if (isPresent(page)) pages += SCALE;
          if (pages > 0) want.push(`On node ${nid}, zone ${ZONE_NAMES[zone]!}: ${pages} pages in unavailable ranges`);
        };
        let hole = 0;
        for (const { start, end, nid } of memblock.memory.map((region) => ({ start: region.start / PAGE_SIZE, end: region.end / PAGE_SIZE, nid: region.nid }))) {
          const zone = layout.nodes.find((node) => node.nid === nid)!.zones.findIndex((span) => span.startPfn <= start && start < span.startPfn + span.spannedPages);
          count(hole, start, nid, zone);
          hole = end;
        }
        const lastNode = layout.nodes.find((node) => node.nid === memblock.memory.at(-1)!.nid)!;
        count(hole, Math.ceil(hole / PAGES_PER_SECTION) * PAGES_PER_SECTION, lastNode.nid, lastNode.zones.findLastIndex((zone) => zone.presentPages > 0));
        expect(log.filter((line) => line.endsWith('unavailable ranges'))).toEqual(want);
        const sum = layout.unavailable.reduce((pages, { start, end }) => pages + end - start, 0);
        expect(want.reduce((pages, line) => pages + Number(/: (\d+) pages/.exec(line)![1]), 0)).toBe(sum);
      }),
      { numRuns: 60 },
    );
  });

  it('early-initialises what a walk over all pages would', () => {
    fc.assert(
      fc.property(anyMap, (pieces) => {
        const { layout } = layOut(machine(pieces));
        for (const { nid, zones, endPfn, firstDeferredPfn } of layout.nodes) {
          const last = zones.find((zone) => zone.spannedPages > 0 && zone.startPfn + zone.spannedPages === endPfn)!;
          let met = 0;
          let want: number | undefined;
          for (const { start, end } of pieces.filter((piece) => piece.nid === nid)) {
            for (let page = Math.max(start, last.startPfn); page < end && want === undefined; page += SCALE) {
              if (met + 1 > PAGES_PER_SECTION && page % PAGES_PER_SECTION === 0) want = page;
              met += SCALE;
            }
          }
          expect(firstDeferredPfn).toBe(want);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('releases', () => {
  it.each([['3.18', 0xffffffff], ['3.19', 0x7ffdffff]])('%s says that zone DMA32 of 2 GiB ends at %d', (release, want) => {
    const line = layOut(machine(TWO_GIB), { release: parseRelease(release) }).log.find((each) => each.startsWith('  DMA32'))!;
    expect(Number(/-(0x\w+)\]/.exec(line)![1])).toBe(want);
  });

  it.each([['3.10', undefined, false], ['3.10', 'mm', true], ['3.18', undefined, true], ['3.18', 'arch', false]] as const)('%s with nodes told by %s', (release, nodeReport, want) => {
    const { log } = layOut(machine(TWO_GIB), { release: parseRelease(release), nodeReport });
    expect(log.some((line) => line.startsWith('Initmem setup node 0'))).toBe(want);
  });

  it.each([
    ['3.6.11', 'none'], ['4.19', 'none'], ['4.20', 'sum'], ['5.11', 'sum'], ['5.12', 'zones'], ['5.14', 'each'], ['6.4', 'each'],
  ])('%s reports holes: %s', (release, want) => expect(holeReportOf(parseRelease(release))).toBe(want));

  it.each([
    ['4.18.0-80.7.2.el8_0.x86_64', 0], ['4.18.0-193.el8.x86_64', 32], ['4.18.0-240.1.1.el8_3.x86_64', 32], ['4.19.0-9-amd64', 32],
    ['4.20.0-rc3+', 0], ['5.3.0-29-generic', 0], ['5.4.0-99-generic', 32], ['5.6.6', 32],
  ])('%s counts %i pages behind the last', (release, want) => {
    const { log } = layOut(machine(TWO_GIB), { release: parseRelease(release), holeReport: 'sum' });
    expect(log.filter((line) => line.startsWith('Zeroed'))).toEqual([`Zeroed struct page in unavailable ranges: ${1 + 97 + want} pages`]);
  });

  it('5.12 counts the rest of a section that a zone ends in', () => {
    const { log } = layOut(machine(SIX_GIB), { release: parseRelease('5.12') });
    expect(log.filter((line) => line.endsWith('unavailable ranges'))).toEqual([
      `  DMA zone: ${1 + 97 + 0x8000 - 0x1000} pages in unavailable ranges`,
      '  DMA32 zone: 32 pages in unavailable ranges',
    ]);
  });
});

describe('zonelists', () => {
  const nodes = (...nids: number[]): ReturnType<typeof nodeId>[] => nids.map(nodeId);
  const orders = (needs: Parameters<typeof nodeFallbackOrders>[0]): number[][] => [...nodeFallbackOrders(needs).values()];
  const flat = (from: number, to: number): number => (from === to ? 10 : 20);

  it('spreads the load over equally distant nodes', () => {
    const all = nodes(0, 1, 2, 3);
    expect(orders({ possible: all, withMemory: all, distance: flat })).toEqual([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]);
  });

  it('goes to the nearest first', () => {
    const all = nodes(0, 1, 2);
    expect(orders({ possible: all, withMemory: all, distance: (from, to) => 10 + 10 * Math.abs(from - to) })).toEqual([[0, 1, 2], [1, 2, 0], [2, 1, 0]]);
  });

  it('lists a node without memory first for itself, and for nobody else', () => {
    expect(orders({ possible: nodes(0, 1), withMemory: nodes(0), distance: flat })).toEqual([[0], [1, 0]]);
  });

  it('asks nodes with CPUs last among equals', () => {
    const all = nodes(0, 1, 2);
    expect(orders({ possible: all, withMemory: all, withOnlineCpu: nodes(1), distance: flat })[0]).toEqual([0, 2, 1]);
  });

  it.each<[string, KernelRelease, number, string[]]>([
    ['6.1', DEFAULT_RELEASE, 5000, ['Fallback order for Node 0: 0 ', 'Built 1 zonelists, mobility grouping on.  Total pages: 5000', 'Policy zone: Normal']],
    ['a tiny machine', DEFAULT_RELEASE, 3071, ['Fallback order for Node 0: 0 ', 'Built 1 zonelists, mobility grouping off.  Total pages: 3071', 'Policy zone: Normal']],
    ['4.4', parseRelease('4.4.0'), 5000, ['Built 1 zonelists in Node order, mobility grouping on.  Total pages: 5000', 'Policy zone: Normal']],
  ])('are announced as %s does', (_name, release, totalPages, want) => {
    const log: string[] = [];
    logZonelists({ orders: new Map([[nodeId(0), nodes(0)]]), onlineCount: 1, totalPages, policyZone: 'Normal' }, release, (line) => log.push(line));
    expect(log).toEqual(want);
  });
});
