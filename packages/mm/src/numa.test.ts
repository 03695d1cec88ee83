import { type NodeId, DEFAULT_RELEASE, GIB, MIB, NUMA_NO_NODE, PAGE_SIZE, nodeId, parseCmdline, parseRelease, pfn } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MEMBLOCK_HOTPLUG, type Memblock, type Numa, type NumaNeeds, type SratAffinity, createMemblock, initNuma, nearestOnlineNode } from './index.js';

const cpu = (pxm: number, apicId = pxm): SratAffinity['processors'][number] => ({ pxm, apicId, enabled: true, x2apic: false });
const ram = (pxm: number, start: number, end: number, flags: object = {}): SratAffinity['memory'][number] => ({
  pxm, start, length: end - start, enabled: true, hotPluggable: false, nonVolatile: false, ...flags,
});

interface Run {
  readonly numa: Numa;
  readonly log: string[];
  readonly memblock: Memblock;
}

/** Boot with memory at these ranges (bytes, exclusive ends). */
function run(memory: [number, number][], { cmdline = '', ...needs }: Partial<NumaNeeds> & { cmdline?: string } = {}): Run {
  const log: string[] = [];
  const memblock = createMemblock();
  for (const [start, end] of memory) memblock.add(start, end - start);
  const maxPfn = pfn(memblock.endOfDram() / PAGE_SIZE);
  const printk = (line: string): void => void log.push(line);
  const numa = initNuma({ memblock, maxPfn, params: parseCmdline(cmdline), release: DEFAULT_RELEASE, printk, ...needs });
  return { numa, log, memblock };
}

const isMerge = (line: string): boolean => line.startsWith('NUMA: Node');

describe('initNuma with a SRAT', () => {
  it('numbers nodes as proximity domains are met, processors first', () => {
    const srat = { processors: [cpu(7), cpu(3)], memory: [ram(5, 0, GIB), ram(3, GIB, 2 * GIB)] };
    const { numa, log } = run([[0, 2 * GIB]], { srat });
    expect([7, 3, 5, 9].map((pxm) => numa.pxmToNode(pxm))).toEqual([0, 1, 2, NUMA_NO_NODE]);
    expect(log.slice(0, 4)).toEqual([
      'SRAT: PXM 7 -> APIC 0x07 -> Node 0',
      'SRAT: PXM 3 -> APIC 0x03 -> Node 1',
      'ACPI: SRAT: Node 2 PXM 5 [mem 0x00000000-0x3fffffff]',
      'ACPI: SRAT: Node 1 PXM 3 [mem 0x40000000-0x7fffffff]',
    ]);
    expect([numa.possible, numa.withMemory, numa.online, numa.withCpu]).toEqual([[0, 1, 2], [1, 2], [0, 1, 2], [0, 1]]);
  });

  it('passes over disabled entries', () => {
    const srat = { processors: [{ ...cpu(1), enabled: false }], memory: [ram(9, 0, 4096, { enabled: false }), ram(4, 0, GIB)] };
    expect(run([[0, GIB]], { srat }).numa.possible).toEqual([0]);
  });

  it('writes four digits for an x2APIC, and no prefix before 4.8', () => {
    const srat = { processors: [{ ...cpu(0, 0x1a), x2apic: true }], memory: [ram(0, 0, GIB)] };
    const { log } = run([[0, GIB]], { srat, release: parseRelease('4.4.0') });
    expect(log.slice(0, 2)).toEqual(['SRAT: PXM 0 -> APIC 0x001a -> Node 0', 'SRAT: Node 0 PXM 0 [mem 0x00000000-0x3fffffff]']);
  });

  it('joins ranges of a node only where no other node lies between', () => {
    const srat = { processors: [], memory: [ram(0, 0, GIB), ram(1, GIB, 2 * GIB), ram(0, 2 * GIB, 3 * GIB), ram(0, 3 * GIB, 4 * GIB)] };
    expect(run([[0, 4 * GIB]], { srat }).log.filter(isMerge)).toEqual([
      'NUMA: Node 0 [mem 0x80000000-0xbfffffff] + [mem 0xc0000000-0xffffffff] -> [mem 0x80000000-0xffffffff]',
    ]);
  });

  it('keeps what holds no memory as the node of what may come', () => {
    const srat = { processors: [cpu(0)], memory: [ram(0, 0, GIB), ram(1, 4 * GIB, 8 * GIB, { hotPluggable: true })] };
    const { numa } = run([[0, GIB]], { srat });
    expect([numa.possible, numa.online]).toEqual([[0, 1], [0]]);
    expect([0, 4 * GIB, 8 * GIB].map((addr) => numa.physToTargetNode(addr))).toEqual([0, 1, NUMA_NO_NODE]);
    expect(numa.memoryAddPhysaddrToNid(4 * GIB)).toBe(0);
    expect(numa.maxPossiblePfn).toBe((8 * GIB) / PAGE_SIZE);
  });

  it('splits a range that reaches over the last page', () => {
    const { numa } = run([[0, GIB]], { srat: { processors: [], memory: [ram(0, 0, 2 * GIB)] } });
    expect(numa.physToTargetNode(GIB)).toBe(0);
  });

  it.each([
    {
      name: 'two nodes overlap',
      memory: [ram(0, 0, GIB), ram(1, GIB / 2, 2 * GIB)],
      line: 'NUMA: node 0 [mem 0x00000000-0x3fffffff] overlaps with node 1 [mem 0x20000000-0x7fffffff]',
    },
    { name: 'memory is left out', memory: [ram(0, 0, GIB)], line: 'NUMA: nodes only cover 1024MB of your 2048MB e820 RAM. Not used.' },
  ])('takes one node for all if $name', ({ memory, line }) => {
    const { numa, log } = run([[0, 2 * GIB]], { srat: { processors: [cpu(0), cpu(1)], memory } });
    expect(log).toContain(line);
    expect(log).toContain('No NUMA configuration found');
    expect([numa.possible, numa.withCpu, numa.pxmToNode(1)]).toEqual([[0], [0], NUMA_NO_NODE]);
  });

  it.each<[string, number, number[][]]>([
    ['as the SRAT lists them', 3, [[0, 2], [1]]],
    ['that the SRAT does not know in turn', 5, [[0, 2, 3], [1, 4]]],
    ['and leaves out those that are not there', 1, [[0], []]],
  ])('gives nodes their CPUs, %s', (_what, nrCpus, cpus) => {
    const srat = { processors: [cpu(0, 0), cpu(1, 1), cpu(0, 2)], memory: [ram(0, 0, GIB), ram(1, GIB, 2 * GIB)] };
    const { numa } = run([[0, 2 * GIB]], { srat, nrCpus });
    expect([0, 1].map((nid) => numa.cpusOf(nid as NodeId))).toEqual(cpus);
    expect(numa.withCpu).toEqual([0, 1].filter((nid) => cpus[nid]!.length > 0));
  });

  it('allows up to 1 MiB of memory without a node', () => {
    const { log } = run([[0, GIB]], { srat: { processors: [], memory: [ram(0, 0, GIB - MIB + 4096)] } });
    expect(log).not.toContain('No NUMA configuration found');
  });

  it.each([
    { cmdline: 'numa=off', line: 'NUMA turned off' },
    { cmdline: 'numa=noacpi', line: 'No NUMA configuration found' },
  ])('does not look at it with $cmdline', ({ cmdline, line }) => {
    const srat = { processors: [], memory: [ram(0, 0, GIB), ram(1, GIB, 2 * GIB)] };
    const { log } = run([[0, 2 * GIB]], { srat, cmdline });
    expect(log.slice(0, 2)).toEqual([line, 'Faking a node at [mem 0x0000000000000000-0x000000007fffffff]']);
  });

  it('keeps hot-pluggable marks off the nodes that hold anything reserved', () => {
    const srat = { processors: [], memory: [ram(0, 0, GIB, { hotPluggable: true }), ram(1, GIB, 2 * GIB, { hotPluggable: true })] };
    const memblock = createMemblock();
    memblock.add(0, 2 * GIB);
    memblock.reserve(16 * MIB, 32 * MIB);
    initNuma({ memblock, maxPfn: pfn((2 * GIB) / PAGE_SIZE), params: [], release: DEFAULT_RELEASE, printk: () => {}, srat });
    expect(memblock.memory.map(({ nid, flags }) => [nid, flags])).toEqual([[0, 0], [1, MEMBLOCK_HOTPLUG]]);
  });
});

describe('distances', () => {
  const srat = { processors: [], memory: [ram(0, 0, GIB), ram(1, GIB, 2 * GIB)] };
  const between = ({ distance }: Numa): number[] => [distance(nodeId(0), nodeId(0)), distance(nodeId(0), nodeId(1)), distance(nodeId(1), nodeId(0))];

  it('are 10 and 20 without a SLIT', () => expect(between(run([[0, 2 * GIB]], { srat }).numa)).toEqual([10, 20, 20]));

  it('are those of the SLIT, announced before the nodes are cleaned up', () => {
    const { numa, log } = run([[0, 2 * GIB]], { srat, slit: { distances: [[10, 17], [28, 10]] } });
    expect(between(numa)).toEqual([10, 17, 28]);
    expect(log[2]).toBe('NUMA: Initialized distance table, cnt=2');
  });

  it.each([{ distances: [[11, 20], [20, 10]] }, { distances: [[10, 10], [20, 10]] }])('are not those of a SLIT without sense', (slit) => {
    const { numa, log } = run([[0, 2 * GIB]], { srat, slit });
    expect(between(numa)).toEqual([10, 20, 20]);
    expect(log).toContain('ACPI: SLIT table looks invalid. Not used.');
  });

  it('name the nearest online node of one that is not', () => {
    const distance = (_: NodeId, to: NodeId): number => [10, 40, 30, 30][to]!;
    expect(nearestOnlineNode(nodeId(0), [1, 2, 3].map(nodeId), distance)).toBe(2);
    expect(nearestOnlineNode(nodeId(3), [1, 2, 3].map(nodeId), distance)).toBe(3);
  });
});

describe('NODE_DATA', () => {
  it('lies as high in its node as there is room', () => {
    const memblock = createMemblock();
    memblock.add(0x1000, 0x9e000);
    memblock.add(0x100000, 0x3fee0000);
    for (const [start, end] of [[0, 0x100000], [0x1000000, 0x4411000], [0x3f21a000, 0x3ffe0000]] as const) memblock.reserve(start, end - start);
    const log: string[] = [];
    initNuma({ memblock, maxPfn: pfn(0x3ffe0), params: [], release: DEFAULT_RELEASE, printk: (line) => log.push(line) });
    expect(log.at(-1)).toBe('NODE_DATA(0) allocated [mem 0x3f1ef000-0x3f219fff]');
  });

  it('says so when it had to go to another node', () => {
    const srat = { processors: [], memory: [ram(0, 0, 8192), ram(1, 8192, GIB)] };
    expect(run([[0, GIB]], { srat }).log).toContain('    NODE_DATA(0) on node 1');
  });

  it('is announced by the architecture before 3.18', () => {
    const { log } = run([[0x10000, GIB]], { release: parseRelease('3.6.11'), nodeDataBytes: 0x14000 });
    expect(log.slice(2)).toEqual(['Initmem setup node 0 [mem 0x00000000-0x3fffffff]', '  NODE_DATA [mem 0x3ffec000-0x3fffffff]']);
  });
});

describe('numa=fake=', () => {
  const faked = (log: string[]): string[] => log.filter((line) => line.startsWith('Faking node'));

  it.each([
    {
      spec: '512M',
      want: [
        'Faking node 0 at [mem 0x0000000000000000-0x000000001fffffff] (512MB)',
        'Faking node 1 at [mem 0x0000000020000000-0x000000003fffffff] (512MB)',
        'Faking node 2 at [mem 0x0000000040000000-0x000000005fffffff] (512MB)',
        'Faking node 3 at [mem 0x0000000060000000-0x000000007fffffff] (512MB)',
      ],
    },
    {
      spec: '1536M', // what is left would be too small for another node
      want: ['Faking node 0 at [mem 0x0000000000000000-0x000000007fffffff] (2048MB)'],
    },
    {
      spec: '5', // what rounding to 32 MiB takes off makes the first three larger; the last takes the rest
      want: [
        'Faking node 0 at [mem 0x0000000000000000-0x0000000019ffffff] (416MB)',
        'Faking node 1 at [mem 0x000000001a000000-0x0000000033ffffff] (416MB)',
        'Faking node 2 at [mem 0x0000000034000000-0x000000004dffffff] (416MB)',
        'Faking node 3 at [mem 0x000000004e000000-0x0000000065ffffff] (384MB)',
        'Faking node 4 at [mem 0x0000000066000000-0x000000007fffffff] (416MB)',
      ],
    },
    {
      spec: '2U',
      want: ['Faking node 0 at [mem 0x0000000000000000-0x000000003fffffff] (1024MB)', 'Faking node 1 at [mem 0x0000000040000000-0x000000007fffffff] (1024MB)'],
    },
  ])('$spec cuts 2 GiB', ({ spec, want }) => {
    const { numa, log, memblock } = run([[0, 2 * GIB]], { cmdline: `numa=fake=${spec}` });
    expect(faked(log)).toEqual(want);
    expect([numa.possible.length, numa.withCpu.length]).toEqual([want.length, want.length]);
    expect(memblock.memory.length).toBe(want.length);
    expect(log).toContain(`NUMA: Initialized distance table, cnt=${want.length}`);
  });

  it('goes round the physical nodes, and keeps their distances', () => {
    const srat = { processors: [cpu(0), cpu(1)], memory: [ram(0, 0, GIB), ram(1, GIB, 2 * GIB)] };
    const { numa } = run([[0, 2 * GIB]], { srat, cmdline: 'numa=fake=4' });
    expect([0, GIB / 2, GIB, GIB + GIB / 2].map((addr) => numa.physToTargetNode(addr))).toEqual([0, 2, 1, 3]);
    expect([1, 2, 3].map((to) => numa.distance(nodeId(0), nodeId(to)))).toEqual([20, 10, 20]);
  });

  it.each([
    { spec: '1000', line: 'Not enough memory for each node.  NUMA emulation disabled.' },
    { spec: '1M', line: 'Fake node size 1MB too small, increasing to 32MB' },
    { spec: '2000', line: 'numa=fake=2000 too large, reducing to 1024' },
  ])('$spec is answered in words', ({ spec, line }) => expect(run([[0, 2 * GIB]], { cmdline: `numa=fake=${spec}` }).log).toContain(line));

  it('ends, and leaves every byte with one node, whatever is asked of whatever memory', () => {
    const grain = 16 * MIB;
    const map = fc.array(fc.tuple(fc.nat(600), fc.integer({ min: 1, max: 80 })), { minLength: 1, maxLength: 6 });
    const spec = fc.oneof(
      fc.nat(2000).map(String),
      fc.nat(4096).map((size) => `${size}M`),
      fc.nat(20).map((count) => `${count}U`),
      fc.string({ maxLength: 8 }).filter((text) => !/[\s"]/.test(text)),
    );
    fc.assert(
      fc.property(map, spec, (pieces, text) => {
        const { numa, memblock } = run(pieces.map(([start, size]) => [start * grain, (start + size) * grain]), { cmdline: `numa=fake=${text}` });
        expect(memblock.memory.every(({ nid }) => numa.withMemory.includes(nid))).toBe(true);
        expect(numa.possible).toEqual(expect.arrayContaining([...numa.withMemory]));
      }),
      { numRuns: 150 },
    );
  });
});

describe('any SRAT', () => {
  it('leads to nodes that hold all memory', () => {
    const page = fc.nat(64).map((grains) => grains * MIB);
    const flag = fc.boolean();
    const entry = fc.record({ pxm: fc.nat(4), start: page, length: page, enabled: flag, hotPluggable: flag, nonVolatile: flag });
    const processors = fc.array(fc.record({ pxm: fc.nat(6), apicId: fc.nat(255), enabled: flag, x2apic: flag }), { maxLength: 4 });
    fc.assert(
      fc.property(fc.record({ processors, memory: fc.array(entry, { maxLength: 8 }) }), (srat) => {
        const { numa, memblock } = run([[MIB, 24 * MIB], [32 * MIB, 64 * MIB]], { srat });
        const ofMemory = new Set(memblock.memory.filter(({ start, end }) => end - start >= MIB).map(({ nid }) => nid));
        ofMemory.delete(NUMA_NO_NODE); // up to 1 MiB may be left out
        expect([...ofMemory].sort((a, b) => a - b)).toEqual(numa.withMemory);
        expect(numa.online).toEqual(expect.arrayContaining([...numa.withMemory]));
        expect(numa.maxPossiblePfn).toBeGreaterThanOrEqual((64 * MIB) / PAGE_SIZE);
      }),
    );
  });
});
