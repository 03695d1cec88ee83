import { DEFAULT_RELEASE, GIB, MIB, createIomem, createResource, insertResource, nodeId, parseCmdline, parseRelease, pfn, physAddr } from '@holdfast/lib';
import type { Attribute, NodeId } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createMemoryBlocks } from './memory-block.js';
import type { MemoryBlocks, PageRun } from './memory-block.js';
import { hotplugPolicy } from './policy.js';
import { sparseInit } from './sparse.js';

const NODE0 = nodeId(0);
const run = (start: number, end: number, nid: NodeId = NODE0): PageRun => ({ start: pfn(start), end: pfn(end), nid });

/** 2 GiB on node 0 with a hole at its end, and 512 MiB on node 1 at 4 GiB. */
function setUp(blockSize = 128 * MIB): MemoryBlocks {
  const memory = [run(1, 0x9f), run(0x100, 0x7ffe0), run(0x100000, 0x120000, nodeId(1))];
  const iomem = createIomem();
  for (const { start, end } of memory) insertResource(iomem, createResource({ name: 'System RAM', start: start * 4096, end: end * 4096 - 1, systemRam: true }));
  const zone = (nid: number, index: number, name: string, startPfn: number, endPfn: number) => {
    return { nid: nodeId(nid), index, name, startPfn: pfn(startPfn), spanned: endPfn - startPfn, present: endPfn - startPfn };
  };
  const zones = [zone(0, 0, 'DMA', 1, 0x1000), zone(0, 1, 'DMA32', 0x1000, 0x7ffe0), zone(1, 2, 'Normal', 0x100000, 0x120000)];
  const device = { nid: nodeId(1), index: 4, name: 'Device', startPfn: pfn(0), spanned: 0x200000, present: 0 };
  const policy = hotplugPolicy([], DEFAULT_RELEASE, () => {});
  const sections = sparseInit(memory, () => physAddr(0));
  return createMemoryBlocks({ sections, blockSize, pageRuns: memory, onliner: { zones: () => [...zones, device] }, policy, iomem });
}

const find = (attributes: Attribute[], name: string): Attribute => attributes.find((attribute) => attribute.name === name)!;
const errno = (act: () => unknown): string => {
  try {
    act();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('memory blocks', () => {
  it('are there for each group of sections with memory', () => {
    const blocks = setUp();
    expect([...blocks.numbers()]).toEqual([...Array.from({ length: 16 }, (_, nr) => nr), 32, 33, 34, 35]);
    expect([blocks.count, blocks.has(15), blocks.has(16)]).toEqual([20, true, false]);
    expect([...setUp(GIB).numbers()]).toEqual([0, 1, 4]);
  });

  it('belong to a zone if one populated zone alone touches them, and to none otherwise', () => {
    const blocks = setUp();
    const zones = [0, 1, 15, 35].map((nr) => find(blocks.attributes(nr), 'valid_zones').show!());
    expect(zones).toEqual(['none\n', 'DMA32\n', 'DMA32\n', 'Normal\n']);
    expect(blocks.nodes(35)).toEqual([1]);
  });

  it.each<[nr: number, file: string, text: string, result: string]>([
    [1, 'state', 'online\n', 'EINVAL'],
    [1, 'state', 'online_movable', 'EINVAL'],
    [1, 'state', 'away', 'EINVAL'],
    [1, 'state', '', 'EINVAL'],
    [1, 'state', 'offline', 'EOPNOTSUPP'],
    [0, 'state', 'offline', 'EINVAL'], // two zones
    [15, 'state', 'offline', 'EINVAL'], // a hole at its end
    [1, 'online', '1\n', 'ok'],
    [1, 'online', '0\n', 'EOPNOTSUPP'],
    [0, 'online', '0', 'EINVAL'],
    [1, 'online', 'maybe', 'EINVAL'],
  ])('memory%d: a write to %s of %j gives %s', (nr, file, text, result) => {
    expect(errno(() => find(setUp().attributes(nr), file).store!(text))).toBe(result);
  });

  it.each([['0x100000000', 'EOPNOTSUPP'], ['0x100001000\n', 'EINVAL'], ['there', 'EINVAL'], ['', 'EINVAL']])('a probe of %j gives %s', (text, result) => {
    expect(errno(() => find(setUp().directoryAttributes(), 'probe').store!(text))).toBe(result);
  });

  it('remember what is to happen with new memory', () => {
    const auto = find(setUp().directoryAttributes(), 'auto_online_blocks');
    expect(auto.show!()).toBe('offline\n');
    auto.store!('online_movable\n');
    expect(auto.show!()).toBe('online_movable\n');
    expect(errno(() => auto.store!('sometimes'))).toBe('EINVAL');
    expect(auto.show!()).toBe('online_movable\n');
  });
});

describe('the hotplug policy', () => {
  it('reads the command line and ignores a state it does not know', () => {
    const policy = (cmdline: string) => hotplugPolicy(parseCmdline(cmdline), DEFAULT_RELEASE, () => {}).autoOnline;
    expect(['', 'memhp_default_state=online_kernel', 'memhp_default_state=never'].map(policy)).toEqual(['offline', 'online_kernel', 'offline']);
  });

  it.each([['6.1', 4], ['5.14', 1], ['4.1', 0]])('has on %s %d parameters', (release, count) => {
    expect(hotplugPolicy([], parseRelease(release), () => {}).parameters).toHaveLength(count);
  });
});
