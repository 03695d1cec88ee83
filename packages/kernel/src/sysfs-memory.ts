/**
 * Memory blocks, nodes and CPUs under /sys/devices/system. Mirrors drivers/base/memory.c, drivers/base/node.c and drivers/base/cpu.c.
 */
import { type Attribute, KernelError, type NodeId, type Printk, parseU64, readOnly, readWrite } from '@holdfast/lib';
import type { MemoryBlocks } from '@holdfast/memory-hotplug';
import type { Numa } from '@holdfast/mm';
import { relativeLink } from './sysfs-links.js';
import { powerDir } from './sysfs-power.js';
import { ueventFile } from './sysfs-uevent.js';
import { type VfsDir, type VfsNode, vfsAttributes, vfsDir, vfsParts, vfsText } from './vfs.js';

const MEMORY = '/sys/devices/system/memory';
const NODE = '/sys/devices/system/node';
const CPU = '/sys/devices/system/cpu';

/** What node directories show beside their links. */
export interface NodeTexts {
  meminfo(nid: NodeId): string;
  numastat(nid: NodeId): string;
  vmstat(nid: NodeId): string;
  /** Nodes with a zone above DMA32 or below Movable that holds memory: has_normal_memory. */
  withNormalMemory(): readonly NodeId[];
}

/** /sys/devices/system/memory; each block's directory is made when it is looked at. */
export function memoryDir(blocks: MemoryBlocks, printk: Printk): VfsDir {
  const own = { ...vfsAttributes([...blocks.directoryAttributes(), ...OFFLINE_PAGE]), ...deviceFiles('memory', MEMORY, printk) };
  return {
    kind: 'dir',
    *list() {
      yield* Object.keys(own);
      for (const nr of blocks.numbers()) yield `memory${nr}`;
    },
    lookup(name) {
      if (Object.hasOwn(own, name)) return own[name];
      const nr = blockNumber(blocks, name);
      return nr === undefined ? undefined : blockDir(blocks, nr, printk);
    },
  };
}

/** memory_failure and soft_offline_page of a page that somebody names. */
const OFFLINE_PAGE: readonly Attribute[] = ['hard_offline_page', 'soft_offline_page'].map((name) => ({
  name,
  mode: 0o200,
  store(text: string): void {
    parseU64(text);
    throw new KernelError('EOPNOTSUPP', `${name}: memory that fails is not simulated`);
  },
}));

function blockNumber(blocks: MemoryBlocks, name: string): number | undefined {
  const nr = /^memory(0|[1-9]\d*)$/.exec(name)?.[1];
  return nr !== undefined && blocks.has(Number(nr)) ? Number(nr) : undefined;
}

function blockDir(blocks: MemoryBlocks, nr: number, printk: Printk): VfsDir {
  const path = `${MEMORY}/memory${nr}`;
  const links = (): Record<string, VfsNode> => Object.fromEntries(blocks.nodes(nr).map((nid) => [`node${nid}`, relativeLink(path, `${NODE}/node${nid}`)]));
  const subsystem = (): Record<string, VfsNode> => ({ subsystem: relativeLink(path, '/sys/bus/memory') });
  return vfsParts([() => vfsAttributes(blocks.attributes(nr)), links, subsystem, () => deviceFiles(`memory memory${nr}`, path, printk)]);
}

/** What every device has, and here nobody adds to. */
function deviceFiles(who: string, path: string, printk: Printk): Record<string, VfsNode> {
  return { power: powerDir(), uevent: ueventFile({ devpath: path.slice('/sys'.length), who: () => who, lines: () => [], printk }) };
}

/** /sys/bus/memory, node and cpu: the devices of /sys/devices/system that have a bus. */
export function systemBuses(blocks: MemoryBlocks, numa: Numa, nrCpus: number): Record<string, VfsNode> {
  const bus = (devices: VfsDir): VfsDir => vfsDir({ devices, drivers: vfsDir({}) });
  const named = (name: string, home: string, numbers: () => Iterable<number>): VfsDir => {
    return vfsDir(() => Object.fromEntries(Array.from(numbers(), (nr) => [`${name}${nr}`, relativeLink(`/sys/bus/${name}/devices`, `${home}/${name}${nr}`)])));
  };
  const memory: VfsDir = {
    kind: 'dir',
    *list() {
      for (const nr of blocks.numbers()) yield `memory${nr}`;
    },
    lookup: (name) => (blockNumber(blocks, name) === undefined ? undefined : relativeLink('/sys/bus/memory/devices', `${MEMORY}/${name}`)),
  };
  return { memory: bus(memory), node: bus(named('node', NODE, () => numa.online)), cpu: bus(named('cpu', CPU, () => Array(nrCpus).keys())) };
}

/** /sys/devices/system/cpu: which CPUs there are, and where. */
export function cpuDir(numa: Numa, nrCpus: number, printk: Printk): VfsDir {
  const all = formatList(Array.from(Array(nrCpus).keys()));
  const oneCpu = (cpu: number): VfsDir => vfsDir(() => {
    const path = `${CPU}/cpu${cpu}`;
    const nodes = numa.online.filter((nid) => numa.cpusOf(nid).includes(cpu));
    return {
      ...Object.fromEntries(nodes.map((nid) => [`node${nid}`, relativeLink(path, `${NODE}/node${nid}`)])),
      subsystem: relativeLink(path, '/sys/bus/cpu'),
      power: powerDir(),
    };
  });
  return vfsDir({
    ...Object.fromEntries(['online', 'possible', 'present'].map((name) => [name, vfsText(() => `${all}\n`)])),
    ...Object.fromEntries(Array.from(Array(nrCpus).keys(), (cpu) => [`cpu${cpu}`, oneCpu(cpu)])),
    ...deviceFiles('cpu', CPU, printk),
  });
}

/** /sys/devices/system/node: the lists of nodes, and a directory for each online one. */
export function nodeDir(numa: Numa, blocks: MemoryBlocks, texts: NodeTexts, printk: Printk): VfsDir {
  const lists = [
    readOnly('possible', () => formatList(numa.possible)),
    readOnly('online', () => formatList(numa.online)),
    readOnly('has_cpu', () => formatList(numa.withCpu)),
    readOnly('has_memory', () => formatList(numa.withMemory)),
    readOnly('has_normal_memory', () => formatList(texts.withNormalMemory())),
    readOnly('has_generic_initiator', () => ''),
  ];
  const nodes = (): Record<string, VfsNode> => Object.fromEntries(numa.online.map((nid) => [`node${nid}`, oneNode(nid, numa, blocks, texts, printk)]));
  return vfsParts([() => vfsAttributes(lists), nodes, () => deviceFiles('node', NODE, printk)]);
}

function oneNode(nid: NodeId, numa: Numa, blocks: MemoryBlocks, texts: NodeTexts, printk: Printk): VfsDir {
  const path = `${NODE}/node${nid}`;
  const files: Record<string, VfsNode> = {
    meminfo: vfsText(() => texts.meminfo(nid)),
    numastat: vfsText(() => texts.numastat(nid)),
    vmstat: vfsText(() => texts.vmstat(nid)),
    distance: vfsText(() => `${numa.online.map((other) => numa.distance(nid, other)).join(' ')}\n`),
    cpulist: vfsText(() => `${formatList(numa.cpusOf(nid))}\n`),
    cpumap: vfsText(() => `${formatMask(numa.cpusOf(nid))}\n`),
    // Free memory is in blocks as large as they can be without moving anything, and what is movable is not moved for larger ones.
    compact: { kind: 'file', mode: 0o200, write: () => {} },
    hugepages: vfsDir(Object.fromEntries([1_048_576, 2048].map((kib) => [`hugepages-${kib}kB`, HUGE_PAGES]))),
    x86: vfsDir({}),
  };
  const links = (): Record<string, VfsNode> => {
    const entries: Record<string, VfsNode> = { subsystem: relativeLink(path, '/sys/bus/node') };
    for (const cpu of numa.cpusOf(nid)) entries[`cpu${cpu}`] = relativeLink(path, `${CPU}/cpu${cpu}`);
    for (const nr of blocks.numbers()) if (blocks.nodes(nr).includes(nid)) entries[`memory${nr}`] = relativeLink(path, `${MEMORY}/memory${nr}`);
    return entries;
  };
  return vfsParts([() => files, () => deviceFiles(`node node${nid}`, path, printk), links]);
}

/** No huge page is set aside, and none can be. */
const HUGE_PAGES: VfsDir = vfsDir(vfsAttributes([
  readWrite('nr_hugepages', () => 0, () => {
    throw new KernelError('EOPNOTSUPP', 'hugetlbfs is not simulated');
  }),
  readOnly('free_hugepages', () => 0),
  readOnly('surplus_hugepages', () => 0),
]));

/** `ff,00000001`: words of 32 bits in hexadecimal, as the kernel prints bitmaps (%*pb), of as many CPUs as the highest needs. */
function formatMask(numbers: readonly number[]): string {
  const mask = numbers.reduce((sum, nr) => sum | (1n << BigInt(nr)), 0n);
  return mask.toString(16).replace(/(?=(?:.{8})+$)(?!^)/g, ',');
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
