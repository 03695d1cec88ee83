/**
 * Memory blocks and nodes under /sys/devices/system. Mirrors drivers/base/memory.c and drivers/base/node.c.
 */
import { type NodeId, readOnly } from '@holdfast/lib';
import type { MemoryBlocks } from '@holdfast/memory-hotplug';
import type { Numa } from '@holdfast/mm';
import { relativeLink } from './sysfs-devices.js';
import { type VfsDir, type VfsNode, vfsAttributes, vfsDir, vfsParts, vfsText } from './vfs.js';

const MEMORY = '/sys/devices/system/memory';
const NODE = '/sys/devices/system/node';

/** What node directories show beside their links. */
export interface NodeTexts {
  meminfo(nid: NodeId): string;
  /** Nodes with a zone above DMA32 or below Movable that holds memory: has_normal_memory. */
  withNormalMemory(): readonly NodeId[];
}

/** /sys/devices/system/memory; each block's directory is made when it is looked at. */
export function memoryDir(blocks: MemoryBlocks): VfsDir {
  const own = vfsAttributes(blocks.directoryAttributes());
  return {
    kind: 'dir',
    *list() {
      yield* Object.keys(own);
      for (const nr of blocks.numbers()) yield `memory${nr}`;
    },
    lookup(name) {
      if (Object.hasOwn(own, name)) return own[name];
      const nr = /^memory(0|[1-9]\d*)$/.exec(name)?.[1];
      return nr !== undefined && blocks.has(Number(nr)) ? blockDir(blocks, Number(nr)) : undefined;
    },
  };
}

function blockDir(blocks: MemoryBlocks, nr: number): VfsDir {
  const path = `${MEMORY}/memory${nr}`;
  const links = (): Record<string, VfsNode> => Object.fromEntries(blocks.nodes(nr).map((nid) => [`node${nid}`, relativeLink(path, `${NODE}/node${nid}`)]));
  return vfsParts([() => vfsAttributes(blocks.attributes(nr)), links]);
}

/** /sys/devices/system/node: the lists of nodes, and a directory for each online one. */
export function nodeDir(numa: Numa, blocks: MemoryBlocks, texts: NodeTexts): VfsDir {
  const lists = [
    readOnly('possible', () => formatList(numa.possible)),
    readOnly('online', () => formatList(numa.online)),
    readOnly('has_cpu', () => formatList(numa.withCpu)),
    readOnly('has_memory', () => formatList(numa.withMemory)),
    readOnly('has_normal_memory', () => formatList(texts.withNormalMemory())),
    readOnly('has_generic_initiator', () => ''),
  ];
  return vfsDir(() => ({ ...vfsAttributes(lists), ...Object.fromEntries(numa.online.map((nid) => [`node${nid}`, oneNode(nid, numa, blocks, texts)])) }));
}

function oneNode(nid: NodeId, numa: Numa, blocks: MemoryBlocks, texts: NodeTexts): VfsDir {
  const path = `${NODE}/node${nid}`;
  return vfsDir(() => {
    const entries: Record<string, VfsNode> = {
      meminfo: vfsText(() => texts.meminfo(nid)),
      distance: vfsText(() => `${numa.online.map((other) => numa.distance(nid, other)).join(' ')}\n`),
    };
    for (const nr of blocks.numbers()) {
      if (blocks.nodes(nr).includes(nid)) entries[`memory${nr}`] = relativeLink(path, `${MEMORY}/memory${nr}`);
    }
    return entries;
  });
}

/** `0-1,4`, as the kernel prints bitmaps (%*pbl). */
export function formatList(numbers: readonly number[]): string {
  const runs: string[] = [];
  for (let first = 0; first < numbers.length;) {
    let last = first;
    while (numbers[last + 1] === numbers[last]! + 1) last++;
    runs.push(last > first ? `${numbers[first]}-${numbers[last]}` : `${numbers[first]}`);
    first = last + 1;
  }
  return runs.join(',');
}
