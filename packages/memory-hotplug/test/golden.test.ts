/**
 * Memory blocks against a real Linux 6.1: 42 machines and command lines. The memory and zones of each are what that kernel reported;
 * which blocks there are, their nodes and zones is computed here.
 */
import { readFileSync } from 'node:fs';
import { DEFAULT_RELEASE, createIomem, nodeId, parseCmdline, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { createMemoryHotplug, hotplugPolicy, probeMemoryBlockSize, sparseInit } from '@holdfast/memory-hotplug';
import type { MemoryRange, ZoneView } from '@holdfast/memory-hotplug';
import { modelOnliner } from './model-onliner.js';

interface Golden {
  name: string;
  cmdline: string;
  blockSize: string;
  autoOnline: string;
  /** Those of the module memory_hotplug that differ from their defaults. */
  parameters: Record<string, string>;
  /** Frames [start, end) and node. */
  memory: [number, number, number][];
  /** Node, index, start, spanned, present of the populated zones. */
  zones: [number, number, number, number, number][];
  /** First and last block of a run, its nodes and valid_zones. */
  blocks: [number, number, number[], string][];
}

const GOLDEN = JSON.parse(readFileSync(new URL('memory-blocks.json', import.meta.url), 'utf8')) as Golden[];
const DEFAULT_PARAMETERS = { memmap_on_memory: 'N', online_policy: 'contig-zones', auto_movable_ratio: '301', auto_movable_numa_aware: 'Y' };
const ZONE_NAMES = ['DMA', 'DMA32', 'Normal', 'Movable', 'Device'];

describe('memory blocks are those of Linux 6.1 on', () => {
  it.each(GOLDEN)('$name', (golden) => {
    const memory: MemoryRange[] = golden.memory.map(([start, end, nid]) => ({ start: pfn(start), end: pfn(end), nid: nodeId(nid) }));
    const zones: ZoneView[] = golden.zones.map(([nid, index, startPfn, spanned, present]) => ({
      nid: nodeId(nid), index, name: ZONE_NAMES[index]!, startPfn: pfn(startPfn), spanned, present, presentEarly: present,
    }));
    const policy = hotplugPolicy(parseCmdline(golden.cmdline), DEFAULT_RELEASE, () => {});
    const maxPfn = memory.at(-1)!.end;
    const blockSize = probeMemoryBlockSize({ maxPfn, totalRam: 0, hypervisor: true, release: DEFAULT_RELEASE }, () => {});
    const sections = sparseInit(memory, () => 0 as never);
    const { blocks } = createMemoryHotplug({
      sections,
      source: { allocBlocks: () => [], freeBlocks: () => {} },
      blockSize,
      pageRuns: memory,
      onliner: { ...modelOnliner([]), zones: () => zones },
      policy,
      iomem: createIomem(),
      maxPhysAddr: 2 ** 46,
      possibleNodes: [],
      addressToNode: () => nodeId(0),
      printk: () => {},
      release: DEFAULT_RELEASE,
    });

    const value = (nr: number, name: string): string => blocks.attributes(nr).find((attribute) => attribute.name === name)!.show!().trimEnd();
    const seen = [...blocks.numbers()].map((nr) => [nr, blocks.nodes(nr), value(nr, 'valid_zones'), value(nr, 'phys_index'), value(nr, 'state')]);
    const want = golden.blocks.flatMap(([first, last, nodes, zone]) =>
      Array.from({ length: last - first + 1 }, (_, i) => [first + i, nodes, zone, (first + i).toString(16).padStart(8, '0'), 'online']),
    );
    expect(seen).toEqual(want);
    const directory = Object.fromEntries(blocks.directoryAttributes().map(({ name, show }) => [name, show?.().trimEnd()]));
    expect(directory).toEqual({ block_size_bytes: golden.blockSize, auto_online_blocks: golden.autoOnline, probe: undefined });
    expect(Object.fromEntries(policy.parameters.map(({ name, show }) => [name, show!().trimEnd()]))).toEqual({ ...DEFAULT_PARAMETERS, ...golden.parameters });
  });
});
