/** 2 GiB on node 0 with a hole at its end, and 512 MiB on node 1 at 4 GiB; struct pages come from nowhere, and are counted. */
import { DEFAULT_RELEASE, MIB, createIomem, createResource, insertResource, nodeId, parseCmdline, pfn, physAddr } from '@holdfast/lib';
import type { Attribute, NodeId, Resource } from '@holdfast/lib';
import { createMemoryHotplug, hotplugPolicy, sparseInit } from '@holdfast/memory-hotplug';
import type { MemoryBlocks, MemoryHotplug, PageRun, PageSource, Sections } from '@holdfast/memory-hotplug';
import { type ModelOnliner, modelOnliner } from './model-onliner.js';

export interface SmallMachine {
  readonly hotplug: MemoryHotplug;
  readonly blocks: MemoryBlocks;
  readonly sections: Sections;
  readonly onliner: ModelOnliner;
  readonly iomem: Resource;
  readonly log: string[];
  /** Frames that struct pages take. */
  readonly taken: () => number;
  readonly firmwareMap: string[];
}

export function setUp({ blockSize = 128 * MIB, cmdline = '' }: { blockSize?: number; cmdline?: string } = {}): SmallMachine {
  const run = (start: number, end: number, nid: NodeId = nodeId(0)): PageRun => ({ start: pfn(start), end: pfn(end), nid });
  const memory = [run(1, 0x9f), run(0x100, 0x7ffe0), run(0x100000, 0x120000, nodeId(1))];
  const iomem = createIomem();
  for (const { start, end } of memory) insertResource(iomem, createResource({ name: 'System RAM', start: start * 4096, end: end * 4096 - 1, systemRam: true, busy: true }));
  const onliner = modelOnliner([[0, 0, 1, 0x1000], [0, 1, 0x1000, 0x7ffe0], [1, 2, 0x100000, 0x120000]]);
  const sections = sparseInit(memory, () => physAddr(0));
  const log: string[] = [];
  const firmwareMap: string[] = [];
  let taken = 0;
  const source: PageSource = {
    allocBlocks(_nid, order, count) {
      taken += count * 2 ** order;
      return [{ start: physAddr(64 * MIB), count }];
    },
    freeBlocks: (order, runs) => {
      for (const { count } of runs) taken -= count * 2 ** order;
    },
  };
  const hotplug = createMemoryHotplug({
    sections,
    source,
    onliner,
    policy: hotplugPolicy(parseCmdline(cmdline), DEFAULT_RELEASE, () => {}),
    blockSize,
    pageRuns: memory,
    iomem,
    maxPhysAddr: 2 ** 46,
    possibleNodes: [nodeId(0), nodeId(1)],
    addressToNode: () => nodeId(0),
    firmwareMap: {
      add: (start, end) => firmwareMap.push(`${start.toString(16)}-${end.toString(16)}`),
      remove: (start, end) => firmwareMap.splice(firmwareMap.indexOf(`${start.toString(16)}-${end.toString(16)}`), 1),
    },
    printk: (line) => log.push(line),
    release: DEFAULT_RELEASE,
  });
  return { hotplug, blocks: hotplug.blocks, sections, onliner, iomem, log, taken: () => taken, firmwareMap };
}

export function file(blocks: MemoryBlocks, nr: number, name: string): Attribute {
  return blocks.attributes(nr).find((attribute) => attribute.name === name)!;
}

export function errno(act: () => unknown): string {
  try {
    act();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}
