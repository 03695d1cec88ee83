/**
 * Whole boots against what real kernels reported: nodes, zones, holes and every line about them.
 */
import { readFileSync } from 'node:fs';
import { type KernelRelease, type NodeId, MIB, PAGES_PER_SECTION, parseCmdline, parseRelease, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import {
  type HoleReport, type Memblock, type Numa, type SratAffinity, type ZoneLayout,
  createMemblock, earlyFreeK, formatMemoryLine, freeAreaInit, initNuma, logZonelists, nodeFallbackOrders,
} from './index.js';

interface GoldenBoot {
  name: string;
  cmdline: string;
  maxPfn: number;
  cpus: number;
  ram: [string, string][];
  softReserved: [string, string][];
  srat?: string;
  log: string[];
  zones: [number, string, number, number, number][];
  nodes: { possible?: string; online?: string; has_memory?: string; has_cpu?: string };
  blocks: [number, number[]][];
}

interface RealLog {
  name: string;
  release: string;
  maxPfn: number;
  ram: [string, string][];
  trims: [string, string][];
  log: string[];
}

interface Boot {
  readonly log: string[];
  readonly numa: Numa;
  readonly layout: ZoneLayout;
}

const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../test/${name}`, import.meta.url), 'utf8')) as T;
const { cases } = read<{ cases: GoldenBoot[] }>('golden-boots.json');
const { machines } = read<{ machines: RealLog[] }>('real-logs.json');
const LOW_TRIMS: [string, string][] = [['0x0', '0xfff'], ['0xa0000', '0xfffff']];

/** memblock as e820__memblock_setup leaves it. */
function memblockOf(ram: readonly [string, string][], trims: readonly [string, string][]): Memblock {
  const memblock = createMemblock();
  for (const [start, end] of ram) memblock.add(Number(start), Number(end) + 1 - Number(start));
  for (const [start, end] of trims) memblock.remove(Number(start), Number(end) + 1 - Number(start));
  memblock.trimMemory(4096);
  memblock.reserve(0, MIB);
  return memblock;
}

interface BootNeeds {
  readonly memblock: Memblock;
  readonly cmdline: string;
  readonly maxPfn: number;
  readonly release: KernelRelease;
  readonly srat?: SratAffinity | undefined;
  readonly slit?: { distances: number[][] } | undefined;
  readonly nrCpus?: number;
  readonly dmaReserve?: number | undefined;
  readonly zoneDevice?: boolean;
  readonly holeReport?: HoleReport;
}

function boot({ cmdline, maxPfn, ...rest }: BootNeeds): Boot {
  const log: string[] = [];
  const common = { ...rest, maxPfn: pfn(maxPfn), params: parseCmdline(cmdline), printk: (line: string) => void log.push(line) };
  const numa = initNuma(common);
  const layout = freeAreaInit({ ...common, numa });
  logZonelists({ orders: nodeFallbackOrders(numa), onlineCount: numa.online.length, ...layout }, rest.release, common.printk);
  return { log, numa, layout };
}

/** A reader of SRATs as simple as can be: 48 bytes, then entries that say how long they are. */
function readSrat(base64: string): SratAffinity {
  const view = new DataView(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
  const processors = [];
  const memory = [];
  for (let at = 48; at < view.byteLength; at += view.getUint8(at + 1)) {
    const flags = view.getUint32(at + (view.getUint8(at) === 1 ? 28 : 4), true);
    if (view.getUint8(at) === 0) processors.push({ pxm: view.getUint8(at + 2), apicId: view.getUint8(at + 3), enabled: flags % 2 === 1, x2apic: false });
    if (view.getUint8(at) !== 1) continue;
    const [start, length] = [Number(view.getBigUint64(at + 8, true)), Number(view.getBigUint64(at + 16, true))];
    memory.push({ pxm: view.getUint32(at + 2, true), start, length, enabled: (flags & 1) !== 0, hotPluggable: (flags & 2) !== 0, nonVolatile: (flags & 4) !== 0 });
  }
  return { processors, memory };
}

/** `0-1,3`: how sysfs lists nodes. */
function nodeList(nids: readonly NodeId[]): string {
  const runs: [number, number][] = [];
  for (const nid of nids) {
    const last = runs.at(-1);
    if (last && last[1] === nid - 1) last[1] = nid;
    else runs.push([nid, nid]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join();
}

/** Which nodes a block of one section shows as links: those with pages in it, its holes included. */
function blockNodes({ nodes, unavailable }: ZoneLayout, block: number): number[] {
  const [start, end] = [block * PAGES_PER_SECTION, (block + 1) * PAGES_PER_SECTION];
  const meets = (range: { start: number; end: number }): boolean => range.start < end && start < range.end;
  const spanning = nodes.filter((node) => meets({ start: node.startPfn, end: node.endPfn }));
  return spanning.filter(({ nid, ranges }) => ranges.some(meets) || unavailable.some((hole) => hole.nid === nid && meets(hole))).map(({ nid }) => nid);
}

function bootGolden(golden: GoldenBoot): Boot {
  return boot({
    ...golden,
    memblock: memblockOf(golden.ram, LOW_TRIMS),
    release: parseRelease('6.1.0'),
    srat: golden.srat === undefined ? undefined : readSrat(golden.srat),
    nrCpus: golden.cpus,
  });
}

describe.each(cases)('the 6.1 boot $name', (golden) => {
  const { log, numa, layout } = bootGolden(golden);

  it('logs what the kernel logged', () => {
    const isMine = (line: string): boolean => !/^(NODE_DATA|    NODE_DATA|Memory: )/.test(line);
    expect(log.filter(isMine)).toEqual(golden.log.filter(isMine));
  });

  it('has its zones', () => {
    const zones = layout.nodes.flatMap(({ nid, zones }) =>
      zones.filter((zone) => zone.spannedPages > 0).map((zone) => [nid, zone.name, zone.startPfn, zone.spannedPages, zone.presentPages]),
    );
    const later = (zone: string): boolean => zone === 'Device'; // made by drivers, when boot is over
    expect(zones).toEqual(golden.zones.filter(([, zone]) => !later(zone)));
  });

  it('has its nodes', () => {
    const nodes = { possible: numa.possible, online: numa.online, has_memory: numa.withMemory, has_cpu: numa.withCpu };
    expect(Object.fromEntries(Object.entries(nodes).map(([key, list]) => [key, nodeList(list)]))).toMatchObject(golden.nodes);
  });

  it('links its memory blocks to its nodes', () => {
    expect(golden.blocks.map(([block]) => [block, blockNodes(layout, block)])).toEqual(golden.blocks);
    const sections = layout.presentSections.flatMap(({ start, end }) =>
      Array.from({ length: (end - start) / PAGES_PER_SECTION }, (_, index) => start / PAGES_PER_SECTION + index),
    );
    expect(sections).toEqual(golden.blocks.map(([block]) => block));
  });

  it('says how much memory there is', () => {
    const [line] = golden.log.filter((text) => text.startsWith('Memory: '));
    const [, free, reserved] = /^Memory: (\d+)K.* (\d+)K reserved/.exec(line!)!.map(Number);
    const presentPages = layout.nodes.reduce((sum, node) => sum + node.presentPages, 0);
    const image = { codeK: 14343, rwdataK: 2338, rodataK: 9132, initK: 2824, bssK: 17344 };
    const facts = { image, layout, maxPfn: pfn(golden.maxPfn), freeK: free!, managedPages: presentPages - reserved! / 4 };
    expect(formatMemoryLine(facts, parseRelease('6.1.0'))).toBe(line);
  });
});

describe('memory that is free early', () => {
  // Kernel and low memory only, or also the initrd and the bounce buffer once they lie in a zone that is complete.
  it.each([
    ['a-pc-512m', 54204], ['a-numa-fake', 54204], ['a-numa2-memless', 54204], ['a-numa2', 54204], ['a-numa4', 54204], ['a-q35-4g', 129236],
    ['a-pc-6g', 129236], ['b-pmem-two', 129236], ['b-numa-pmem', 129236], ['b-conv-soft', 119740], ['b-pmem-hole', 119740],
  ])('leaves out what %s had reserved', (name, reservedK) => {
    const golden = cases.find((one) => one.name === name)!;
    const free = Number(/^Memory: (\d+)K/.exec(golden.log.at(-1)!)![1]);
    expect(earlyFreeK(bootGolden(golden).layout, reservedK)).toBe(free);
  });
});

describe.each(machines)('the log of $name ($release)', (machine) => {
  const release = parseRelease(machine.release);
  const sratLines = machine.log.map((line) => /SRAT: Node \d+ PXM (\d+) \[mem (0x\w+)-(0x\w+)\]/.exec(line)).filter((match) => match !== null);
  const memory = sratLines.map(([, pxm, start, end]) => ({
    pxm: Number(pxm), start: Number(start), length: Number(end) + 1 - Number(start), enabled: true, hotPluggable: false, nonVolatile: false,
  }));
  const distances = machine.log.map((line) => /distance table, cnt=(\d+)/.exec(line)).find((match) => match !== null);
  const slit = distances && { distances: Array.from({ length: Number(distances[1]) }, (_, a) => Array.from({ length: Number(distances[1]) }, (_, b) => (a === b ? 10 : 21))) };
  const totalLine = machine.log.find((line) => line.startsWith('Built'))!;
  const dmaLine = machine.log.find((line) => /DMA zone: \d+ pages reserved/.test(line));
  const options = {
    memblock: memblockOf(machine.ram, machine.trims),
    cmdline: '',
    maxPfn: machine.maxPfn,
    release,
    ...(memory.length > 0 ? { srat: { processors: [], memory } } : {}),
    ...(slit ? { slit } : {}),
    zoneDevice: machine.log.some((line) => line.startsWith('  Device')),
    // One cloud kernel has the report of 5.12 in a 5.4.
    ...(machine.log.some((line) => / zone: \d+ pages in unavailable/.test(line)) ? { holeReport: 'zones' as const } : {}),
  };
  // What firmware and boot loader had reserved below 16 MiB is in no memory map: the log's own figure, or what its total leaves.
  const total = Number(/Total pages: (\d+)/.exec(totalLine)![1]);
  const dmaReserve = dmaLine ? Number(/(\d+) pages reserved/.exec(dmaLine)![1]) : boot({ ...options, dmaReserve: 0 }).layout.totalPages - total;
  const { log } = boot({ ...options, dmaReserve });

  it('is reproduced line by line', () => {
    const isPrinted = (line: string): boolean => !/^(SRAT: PXM|NODE_DATA|  NODE_DATA|    NODE_DATA|Policy zone|Fallback order|Memory: )/.test(line);
    // A console that shows no debug lines: the log then has none of them.
    const hasDebug = machine.log.some((line) => /totalpages/.test(line));
    const isDebug = (line: string): boolean => /totalpages|zone: \d+ pages(?! in unavailable)/.test(line);
    const own = log.filter((line) => isPrinted(line) && (hasDebug || !isDebug(line)));
    expect(own).toEqual(machine.log.filter(isPrinted));
    expect(dmaReserve).toBeLessThan(4096);
  });

  it('shows the memory there is', () => {
    const line = machine.log.find((text) => text.startsWith('Memory: '))!;
    const present = Number(/^Memory: \d+[kK]\/(\d+)[kK]/.exec(line)![1]);
    const pages = release.major < 4 ? machine.maxPfn : boot(options).layout.nodes.reduce((sum, node) => sum + node.presentPages, 0);
    expect(pages * 4).toBe(present);
  });
});
