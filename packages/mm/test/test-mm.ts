/** A booted mm over memory at given frames, with nothing reserved but the first MiB; section n's memmap is chunk n. */
import { DEFAULT_RELEASE, MIB, type NodeId, PAGE_SIZE, type PhysAddr, SECTION_MEMMAP_SIZE, nodeId, pfn } from '@holdfast/lib';
import { freeAreaInit } from '../src/free-area-init.js';
import { createMemblock } from '../src/memblock.js';
import { type Mm, createMm } from '../src/mm-init.js';

export interface Piece {
  readonly start: number;
  readonly end: number;
  readonly nid?: number;
}

export interface TestMm {
  readonly mm: Mm;
  readonly log: string[];
  /** `Total pages, policy zone` of each rebuild. */
  readonly rebuilds: string[];
  readonly chunks: Map<number, Uint8Array>;
}

export interface TestMmOptions {
  readonly possible?: number[];
  readonly reserve?: readonly [number, number][];
  /** What frames hold, and where in it memmaps lie: from this chunk on. */
  readonly memory?: { chunk(nr: number): Uint8Array };
  readonly firstMemmapChunk?: number;
}

export function bootMm(pieces: readonly Piece[], options: TestMmOptions = {}): TestMm {
  const memblock = createMemblock();
  for (const { start, end, nid = 0 } of pieces) memblock.add(start * PAGE_SIZE, (end - start) * PAGE_SIZE, nodeId(nid));
  memblock.reserve(0, MIB);
  for (const [start, end] of options.reserve ?? []) memblock.reserve(start * PAGE_SIZE, (end - start) * PAGE_SIZE);
  const withMemory = [...new Set(pieces.map(({ nid = 0 }) => nodeId(nid)))].sort((a, b) => a - b);
  const possible: NodeId[] = [...new Set([...withMemory, ...(options.possible ?? []).map(nodeId)])].sort((a, b) => a - b);
  const log: string[] = [];
  const rebuilds: string[] = [];
  const chunks = new Map<number, Uint8Array>();
  const numa = { withMemory, possible, online: possible };
  const maxPfn = pfn(memblock.endOfDram() / PAGE_SIZE);
  const mm = createMm({
    memory: options.memory ?? { chunk: (nr) => chunks.get(nr) ?? chunks.set(nr, new Uint8Array(SECTION_MEMMAP_SIZE)).get(nr)! },
    memmapPhys: (sectionNr) => (((options.firstMemmapChunk ?? 0) + sectionNr) * SECTION_MEMMAP_SIZE) as PhysAddr,
    layout: freeAreaInit({ memblock, maxPfn, numa, params: [], release: DEFAULT_RELEASE, printk: () => {} }),
    fallbackOrders: () => new Map(possible.map((nid) => [nid, [nid, ...possible.filter((other) => other !== nid)]])),
    onZonelistsBuilt: ({ totalPages, policyZone }) => void rebuilds.push(`${totalPages}, ${policyZone}`),
    printk: (line) => void log.push(line),
  });
  mm.freeAll(memblock.freeRanges());
  return { mm, log, rebuilds, chunks };
}
