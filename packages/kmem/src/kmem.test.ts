/**
 * kmem, against what a real Linux 6.1 logged and showed for the same ranges (captures e-sysram-1g, e-sysram-small-96m, e-hmem-1g-high).
 */
import { allocDaxRegion, createDaxBus, createDevDax, registerDaxDriver } from '@holdfast/dax';
import type { DevDax } from '@holdfast/dax';
import { KernelError, MIB, createIda, createIomem, createResource, formatIomem, insertResource, nodeId, physAddr, releaseResource, requestRegion } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kmemRange } from './kmem-range.js';
import { kmemDriver } from './kmem.js';
import type { KmemMemory } from './kmem.js';

const BLOCK = 128 * MIB;

/** Memory hotplug as kmem sees it: resources, and a set of starts whose blocks are online. */
function fakeMemory(iomem: Resource, log: string[]): KmemMemory & { readonly online: Set<number>; readonly refused: Set<number>; readonly nodes: number[]; readonly groupPages: number[] } {
  const rams = new Map<number, Resource>();
  const online = new Set<number>();
  const refused = new Set<number>();
  const nodes: number[] = [];
  const groupPages: number[] = [];
  return {
    online,
    refused,
    nodes,
    groupPages,
    blockSize: BLOCK,
    addMemoryDriverManaged(nid, start, sizeBytes, name, { group }) {
      if (refused.has(start)) throw new KernelError('ENOMEM', 'the test has no pages');
      rams.set(start, requestRegion(iomem, start, sizeBytes, name));
      nodes.push(nid);
      if (group.size.kind === 'static') groupPages.push(group.size.maxPages);
    },
    removeMemory(start, sizeBytes) {
      if (online.has(start)) {
        log.push(`removing memory fails, because memory [0x${start.toString(16)}-0x${(start + sizeBytes - 1).toString(16)}] is onlined`);
        throw new KernelError('EBUSY', 'online');
      }
      releaseResource(rams.get(start)!);
      rams.delete(start);
    },
  };
}

interface SetUp {
  start: number;
  sizeBytes: number;
  targetNode?: number;
}

function setUp({ start, sizeBytes, targetNode = 0 }: SetUp) {
  const iomem = createIomem();
  insertResource(iomem, createResource({ name: 'Soft Reserved', start, end: start + sizeBytes - 1 }));
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const dax = createDaxBus({ chrdev: { major: 252, minors: createIda() }, printk });
  const memory = fakeMemory(iomem, log);
  registerDaxDriver(dax, kmemDriver({ iomem, memory, printk }));
  const provider = { name: 'test', parent: undefined, attributes: () => [] };
  const region = allocDaxRegion(dax, { provider, id: 0, start: physAddr(start), sizeBytes, align: 2 * MIB, targetNode: nodeId(targetNode), numaNode: nodeId(0), isStatic: false })!;
  const device = createDevDax(region, { sizeBytes });
  const bind = (): void => dax.drivers[0]!.attributes!().find(({ name }) => name === 'new_id')!.store!(`${device.name}\n`);
  const tree = (): string[] => formatIomem(iomem).trimEnd().split('\n');
  return { iomem, log, dax, memory, region, device, bind, tree };
}

const store = (device: DevDax, name: string, text: string): void => device.attributes().find((attribute) => attribute.name === name)!.store!(text);

describe('a device as system RAM', () => {
  it('gives its whole memory blocks to its target node', () => {
    const { bind, tree, memory, log, dax, device } = setUp({ start: 0x101200000, sizeBytes: 0x3ee00000, targetNode: 1 });
    bind();
    expect(tree()).toEqual(['101200000-13fffffff : Soft Reserved', '  108000000-13fffffff : dax0.0', '    108000000-13fffffff : System RAM (kmem)']);
    expect([memory.nodes, memory.groupPages, log, dax.driverOf(device)?.name]).toEqual([[1], [7 * 32768], [], 'kmem']);
  });

  it('is all given back when the driver lets go of it, if it is offline', () => {
    const { bind, tree, log, dax } = setUp({ start: 0x101200000, sizeBytes: 0x3ee00000 });
    bind();
    dax.unbind('dax0.0', 'kmem');
    expect([tree(), log]).toEqual([['101200000-13fffffff : Soft Reserved'], []]);
  });

  it('that is online stays RAM until the next reboot, and the device comes off nevertheless', () => {
    const { bind, tree, log, dax, memory, device } = setUp({ start: 0x110000000, sizeBytes: BLOCK });
    bind();
    memory.online.add(0x110000000);
    dax.unbind('dax0.0', 'kmem');
    expect(log).toEqual([
      'removing memory fails, because memory [0x110000000-0x117ffffff] is onlined',
      'kmem dax0.0: mapping0: 0x110000000-0x117ffffff cannot be hotremoved until the next reboot',
    ]);
    expect(tree()).toEqual(['110000000-117ffffff : Soft Reserved', '  110000000-117ffffff : dax0.0', '    110000000-117ffffff : System RAM (kmem)']);
    expect(dax.driverOf(device)).toBeUndefined();
  });

  it('is refused without a node', () => {
    const { bind, log, tree } = setUp({ start: 0x100000000, sizeBytes: BLOCK, targetNode: -1 });
    bind();
    expect(log).toEqual(['kmem dax0.0: rejecting DAX region with invalid node: -1', 'kmem: probe of dax0.0 failed with error -22']);
    expect(tree()).toHaveLength(1);
  });

  it('is refused without a whole block', () => {
    const { bind, log, dax } = setUp({ start: 0x100200000, sizeBytes: 0x5e00000 });
    bind();
    expect(log).toEqual([
      'kmem dax0.0: mapping0: 0x100200000-0x105ffffff too small after alignment',
      'kmem dax0.0: rejecting DAX region without any memory after alignment',
      'kmem: probe of dax0.0 failed with error -22',
    ]);
    expect(() => dax.bind('dax0.0', 'kmem')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('is refused where something else holds its range', () => {
    const { bind, log, iomem } = setUp({ start: 0x100000000, sizeBytes: 2 * BLOCK });
    requestRegion(iomem, 0x108000000, 4096, 'taken');
    bind();
    expect(log).toEqual(['kmem dax0.0: mapping0: 0x100000000-0x10fffffff could not reserve region', 'kmem: probe of dax0.0 failed with error -16']);
  });

  it('is refused, with nothing left behind, where the memory cannot be added', () => {
    const { bind, log, memory, tree } = setUp({ start: 0x100000000, sizeBytes: BLOCK });
    memory.refused.add(0x100000000);
    bind();
    expect(log).toEqual(['kmem dax0.0: mapping0: 0x100000000-0x107ffffff memory add failed', 'kmem: probe of dax0.0 failed with error -12']);
    expect(tree()).toHaveLength(1);
  });

  it('keeps what it has got of several ranges, and skips those that hold no block', () => {
    const { bind, log, region, device, tree, memory } = setUp({ start: 0x100000000, sizeBytes: 8 * BLOCK });
    store(device, 'size', '0');
    for (const range of ['100000000-107ffffff', '110000000-1101fffff', '118000000-11fffffff', '128000000-12fffffff']) store(device, 'mapping', range);
    memory.refused.add(0x118000000);
    bind();
    expect(log).toEqual([
      'kmem dax0.0: mapping1: 0x110000000-0x1101fffff too small after alignment',
      'kmem dax0.0: mapping2: 0x118000000-0x11fffffff memory add failed',
    ]);
    expect(tree().filter((line) => line.includes('dax0.0'))).toEqual(['  100000000-107ffffff : dax0.0', '  128000000-12fffffff : dax0.0']);
    expect(memory.groupPages).toEqual([3 * 32768, 3 * 32768]);
    region.unregister();
    expect(tree()).toHaveLength(1);
  });
});

describe('the part of a range that becomes RAM', () => {
  it.each([
    ['4 GiB with a 66 MiB memmap', 0x104200000, 0xfbe00000, BLOCK, '108000000 3968'],
    ['the same in 2 GiB blocks', 0x104200000, 0xfbe00000, 2048 * MIB, '180000000 2048'],
    ['208 MiB at 4 GiB + 96 MiB', 0x106400000, 0xcc00000, BLOCK, '108000000 128'],
    ['400 MiB at 4 GiB + 304 MiB', 0x113200000, 0x18e00000, BLOCK, '118000000 256'],
    ['96 MiB at 4 GiB', 0x100200000, 0x5e00000, BLOCK, undefined],
  ])('%s', (_what, start, sizeBytes, block, want) => {
    const range = kmemRange({ start: physAddr(start), sizeBytes }, block);
    expect(range && `${range.start.toString(16)} ${range.sizeBytes / MIB}`).toBe(want);
  });

  it('is the most whole blocks that lie inside', () => {
    fc.assert(fc.property(fc.nat(2 ** 20), fc.integer({ min: 1, max: 4096 }), fc.integer({ min: 0, max: 4 }), (startMib, sizeMib, shift) => {
      const block = BLOCK * 2 ** shift;
      const [start, end] = [startMib * MIB, (startMib + sizeMib) * MIB];
      const inside: number[] = [];
      for (let at = Math.floor(start / block) * block; at < end; at += block) if (at >= start && at + block <= end) inside.push(at);
      const range = kmemRange({ start: physAddr(start), sizeBytes: end - start }, block);
      expect(range ?? { start: inside[0], sizeBytes: 0 }).toEqual({ start: inside[0], sizeBytes: inside.length * block });
    }));
  });
});
