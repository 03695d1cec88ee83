/**
 * What both drivers do to get at a physical range: claim it, map it, and undo that. Mirrors the devm_ calls of drivers/nvdimm/pmem.c.
 */
import { KERN, KernelError, releaseResource, requestRegion } from '@holdfast/lib';
import type { ErrnoName, NodeId, PhysAddr } from '@holdfast/lib';
import type { Mapping } from '@holdfast/machine';
import { memoryTypeOf } from './pmem-mapping.js';
import type { PmemMapping } from './pmem-mapping.js';
import type { PagesRange, PmemNeeds } from './pmem-needs.js';

/** Things to take back, last first. */
export interface UndoList {
  push(undo: () => void): void;
  /** Take back everything. */
  run(): void;
}

export function createUndoList(): UndoList {
  const undos: (() => void)[] = [];
  return {
    push: (undo) => undos.push(undo),
    run: () => {
      for (let undo = undos.pop(); undo; undo = undos.pop()) undo();
    },
  };
}

/** Run a probe that fills an undo list; if it throws, what it did is undone first. Returns the undo of all of it. */
export function probeWithUndo(probe: (undo: UndoList) => void): () => void {
  const undo = createUndoList();
  try {
    probe(undo);
  } catch (error) {
    undo.run();
    throw error;
  }
  return () => undo.run();
}

export interface PmemRange {
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly numaNode: NodeId;
}

/**
 * Take a range for a driver in /proc/iomem.
 * @param who begins the log line, as `nd_pmem namespace0.0`
 * @throws KernelError `code` if it is taken; the log says so.
 */
export function claimRegion({ iomem, printk }: PmemNeeds, undo: UndoList, range: PmemRange, name: string, refusal: { who: string; text: string; code: ErrnoName }): void {
  try {
    const resource = requestRegion(iomem, range.start, range.sizeBytes, name);
    undo.push(() => releaseResource(resource));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    printk(`${refusal.who}: could not reserve region ${refusal.text}`, KERN.warning);
    throw new KernelError(refusal.code, error.message, { cause: error });
  }
}

/**
 * Map a range, with struct pages if that is the mapping.
 * @throws KernelError EOPNOTSUPP if this kernel cannot give it struct pages, EINVAL or EBUSY from Cpu.map
 */
export function mapPmem(needs: PmemNeeds, undo: UndoList, range: PmemRange & Partial<Pick<PagesRange, 'owner' | 'altmap'>>, mapping: PmemMapping): Mapping {
  const { cpu, memremapPages } = needs;
  if (mapping === 'pages') {
    if (!memremapPages) throw new KernelError('EOPNOTSUPP', 'mapping pages: this kernel has no struct pages for device memory');
    const { start, sizeBytes, numaNode, owner = 'pmem', altmap } = range;
    const pages = memremapPages({ start, sizeBytes, nid: numaNode, type: 'fs-dax', owner, ...(altmap ? { altmap } : {}) });
    undo.push(() => pages.release());
  }
  const mapped = cpu.map(range.start, range.sizeBytes, memoryTypeOf(mapping));
  undo.push(() => cpu.unmap(mapped));
  return mapped;
}
