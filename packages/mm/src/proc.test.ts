import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Pfn, nodeId } from '@holdfast/lib';
import { bootMm } from '../test/test-mm.js';
import { GFP_KERNEL } from './gfp.js';
import { formatBuddyinfo, formatPagetypeinfo } from './proc-buddyinfo.js';
import { formatKpageflags } from './proc-kpageflags.js';
import { formatMeminfo, formatNodeMeminfo } from './proc-meminfo.js';
import { formatZoneinfo } from './proc-zoneinfo.js';
import { ZONE_NORMAL } from './zone-layout.js';

const NODE0 = nodeId(0);
const captured = (name: string): string => readFileSync(new URL(`../test/proc-6.1/${name}.txt`, import.meta.url), 'utf8');

/** The machine of the captures: 1 GiB, and a DIMM of 512 MiB online in Normal. */
function machine(): ReturnType<typeof bootMm>['mm'] {
  const { mm } = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: 0x3ffe0 }], { reserve: [[0x4000, 0x4000 + 32_496]] });
  for (let block = 32; block < 36; block++) mm.onlinePages((block * 32_768) as Pfn, ((block + 1) * 32_768) as Pfn, NODE0, ZONE_NORMAL);
  return mm;
}

/** A text without what it counts. */
const shape = (text: string): string => text.replace(/ +\d+$/gm, ' #');
/** Lines that depend on the history of a running system. */
const settled = (text: string): string[] => text.split('\n').filter((line) => !/pages free|nr_|numa_/.test(line));
/** The capture was taken without them. */
const withoutPagesets = (text: string): string => text.replace(/^ {2}pagesets\n(?: {4}cpu: \d+\n(?: {14}.*\n){3} {2}vm stats threshold: \d+\n)+/gm, '');
const ONE_CPU = { count: 1, countOf: () => 1 };

describe('/proc/zoneinfo', () => {
  it('is what Linux shows of the same memory, but for what ran on it', () => {
    const mm = machine();
    expect(settled(withoutPagesets(formatZoneinfo(mm.nodes.values(), ONE_CPU)))).toEqual(settled(captured('zoneinfo')));
  });

  it('has all of its lines, in order', () => {
    expect(shape(withoutPagesets(formatZoneinfo(machine().nodes.values(), ONE_CPU)))).toBe(shape(captured('zoneinfo')));
  });

  // Of a real 6.1 with three CPUs, two of them on node 0 and none on node 2.
  it.each([
    { nid: 0, low: 71, managed: 3840, high: 35, batch: 1, threshold: 4 },
    { nid: 0, low: 8907, managed: 484_095, high: 4453, batch: 63, threshold: 20 },
    { nid: 1, low: 4793, managed: 257_942, high: 4793, batch: 63, threshold: 16 },
    { nid: 2, low: 14_385, managed: 773_893, high: 4795, batch: 63, threshold: 24 },
  ])('sizes the per-cpu lists of $managed pages on node $nid', ({ nid, low, managed, high, batch, threshold }) => {
    const [node] = machine().nodes.values();
    const zone = { ...node!.zones[1]!, nid: nodeId(nid), managed, watermark: { ...node!.zones[1]!.watermark, low } };
    const text = formatZoneinfo([{ ...node!, zones: [zone] }], { count: 3, countOf: (of) => [2, 1, 0][of]! });
    const sets = [0, 1, 2].map((cpu) => `    cpu: ${cpu}\n              count: 0\n              high:  ${high}\n              batch: ${batch}\n  vm stats threshold: ${threshold}\n`);
    expect(text).toContain(`\n  pagesets\n${sets.join('')}  node_unreclaimable:  0\n`);
  });
});

describe('/proc/buddyinfo and /proc/pagetypeinfo', () => {
  it('count the free blocks', () => {
    const mm = machine();
    mm.allocPages(GFP_KERNEL, 0, NODE0);
    expect(formatBuddyinfo(mm.nodes.values())).toBe(
      [
        'Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1      3 \n',
        'Node 0, zone    DMA32      0      0      0      0      1      1      1      1      2      1    219 \n',
        'Node 0, zone   Normal      1      1      1      1      1      1      1      1      1      1    127 \n',
      ].join(''),
    );
  });

  it('look as in Linux', () => {
    const mm = machine();
    const widths = (text: string): string[] => text.split('\n').map((line) => line.replace(/\d/g, '#').replace(/[ #]{5,}/g, (run) => `<${run.length}>`));
    expect(widths(formatBuddyinfo(mm.nodes.values()))).toEqual(widths(captured('buddyinfo')));
    expect(widths(formatPagetypeinfo(mm.nodes.values()))).toEqual(widths(captured('pagetypeinfo')));
  });

  it('count as many pageblocks as Linux', () => {
    const mm = machine();
    const blocks = (text: string): number[] =>
      text.split('Number of blocks type')[1]!.split('\n').slice(1, 4).map((line) => line.trim().split(/\s+/).slice(4).reduce((sum, count) => sum + Number(count), 0));
    expect(blocks(formatPagetypeinfo(mm.nodes.values()))).toEqual(blocks(captured('pagetypeinfo')));
    mm.allocPages(GFP_KERNEL, 0, NODE0);
    expect(blocks(formatPagetypeinfo(mm.nodes.values()))).toEqual(blocks(captured('pagetypeinfo')));
  });

  it('stop counting at 100000', () => {
    const { mm } = bootMm([{ start: 0x10_0000, end: 0x10_0000 + 2 ** 28 }]);
    expect(formatPagetypeinfo(mm.nodes.values())).toContain('type      Movable      0      0      0      0      0      0      0      0      0      0 >100000 \n');
    expect(formatBuddyinfo(mm.nodes.values())).toContain(' 262144 \n');
  });
});

describe('/proc/meminfo', () => {
  /** A text with its numbers as hashes, in their columns. */
  const columns = (text: string): string => text.replace(/(?<=:)( +)(\d+)(?=$| kB)/gm, (_, blanks: string, digits: string) => '#'.repeat(blanks.length + digits.length));

  it('has the lines and columns of Linux, and its MemTotal', () => {
    const text = formatMeminfo([...machine().nodes.values()], { directMap4k: 26_496 });
    expect(columns(text)).toBe(columns(captured('meminfo')));
    expect(text.split('\n')[0]).toBe(captured('meminfo').split('\n')[0]);
    expect(text).toContain('DirectMap4k:       26496 kB\n');
  });

  it('has the lines and columns of a node', () => {
    const mm = machine();
    expect(columns(formatNodeMeminfo(NODE0, mm.nodes.get(NODE0)))).toBe(columns(captured('node0-meminfo')));
    expect(formatNodeMeminfo(nodeId(1), undefined)).toContain('Node 1 MemTotal:              0 kB\n');
  });

  it('tells what is available above all reserves', () => {
    const { mm } = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: 0x3ffe0 }]);
    const [dma, dma32] = mm.zones();
    const reserved = dma!.lowmemReserve[4]! + dma!.watermark.high + dma32!.watermark.high;
    expect(formatMeminfo([...mm.nodes.values()])).toContain(`MemAvailable: ${String((mm.totalRamPages() - reserved) * 4).padStart(10)} kB\n`);
  });
});

describe('kpageflags', () => {
  it('tells runs of frames', () => {
    const { mm } = bootMm([{ start: 1, end: 0x9f }, { start: 0x100, end: 0x8000 }]);
    expect(formatKpageflags([...mm.nodes.values()], mm.vmemmap)).toBe('0 256 reserved\n256 32512 -\n');
  });
});
