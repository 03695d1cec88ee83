/**
 * What both drivers do to get at a physical range: claim it, give it the struct pages of its design, map it, and undo that.
 * Mirrors the devm_ calls of drivers/nvdimm/pmem.c.
 */
import { KERN, KernelError, releaseResource, requestRegion } from '@holdfast/lib';
import type { ErrnoName, NodeId, PhysAddr, Resource } from '@holdfast/lib';
import { evictDirectPages } from '@holdfast/block';
import type { Mapping, MemoryType } from '@holdfast/machine';
import { attachMemremap } from './designs/memremap.js';
import { noPages } from './designs/none.js';
import { wipePageArea } from './designs/page-area.js';
import type { AttachedPages, DesignDevice, DeviceBus, PageDesign } from './page-design.js';
import { memoryTypeOf } from './pmem-mapping.js';
import type { PmemMapping } from './pmem-mapping.js';
import type { PmemNeeds } from './pmem-needs.js';
import { choosePageDesign, designOptions } from './pmem-pages.js';

/** Things to take back, last first. */
export interface UndoList {
  push(undo: () => void): void;
  /** Something that may forbid a removal, asked before anything of it is done. It throws to forbid it. */
  guard(check: () => void): void;
}

/**
 * Run a probe that fills an undo list; if it throws, what it did is undone first. Returns the undo of all of it.
 */
export function probeWithUndo(probe: (undo: UndoList) => void): () => void {
  const undos: (() => void)[] = [];
  const guards: (() => void)[] = [];
  const undoAll = (): void => {
    for (let undo = undos.pop(); undo; undo = undos.pop()) undo();
  };
  try {
    probe({ push: (undo) => undos.push(undo), guard: (check) => guards.push(check) });
  } catch (error) {
    undoAll();
    throw error;
  }
  return () => {
    for (const check of guards) check();
    undoAll();
  };
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
export function claimRegion(
  { iomem, printk }: PmemNeeds,
  undo: UndoList,
  range: PmemRange,
  name: string,
  refusal: { who: string; text: string; code: ErrnoName },
): Resource {
  try {
    const resource = requestRegion(iomem, range.start, range.sizeBytes, name);
    undo.push(() => releaseResource(resource));
    return resource;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    printk(`${refusal.who}: could not reserve region ${refusal.text}`, KERN.warning);
    throw new KernelError(refusal.code, error.message, { cause: error });
  }
}

/** What is to be mapped. */
export interface PmemAttachment extends PmemRange {
  readonly diskName: string;
  /** Of the pagemap, for people. */
  readonly owner: string;
  readonly bus: DeviceBus;
  readonly claim: Resource;
  readonly mapping: PmemMapping;
  /** An info block has settled where the struct pages lie: nobody else has a say. */
  readonly infoBlock?: { readonly dataOffset: number; readonly altmap?: { readonly reserve: number; readonly free: number } };
}

/** A range, mapped: `[start, start + sizeBytes)` of the mapping is what a disk may use. */
export interface MappedPmem {
  readonly mapping: Mapping;
  readonly dataOffset: number;
  readonly dataSize: number;
  readonly pages: AttachedPages;
}

/**
 * Give a range the struct pages of its design, and map it.
 * @throws KernelError what the design throws, EOPNOTSUPP if this kernel cannot give struct pages, EINVAL or EBUSY from Cpu.map
 */
export function attachPmem(needs: PmemNeeds, undo: UndoList, attachment: PmemAttachment): MappedPmem {
  const { cpu } = needs;
  const { start, sizeBytes, diskName } = attachment;
  const design = attachment.infoBlock ? undefined : chosenDesign(needs, diskName);
  const memoryType = design?.memoryType ?? memoryTypeOf(attachment.mapping);
  const pages = attachDesign(needs, attachment, memoryType, design);
  // Pages that are in use keep the device bound, so they go first, while all the rest is still there.
  let isAttached = true;
  const detach = (): void => {
    const disk = needs.block.disks.find(({ name }) => name === diskName);
    if (isAttached && disk) evictDirectPages(disk);
    if (isAttached) pages.detach();
    isAttached = false;
  };
  undo.guard(detach);
  undo.push(detach);
  if (needs.devicePages) undo.push(needs.devicePages.register(pages.pages));
  const { attached } = needs;
  if (attached) {
    attached.set(diskName, { design: design?.name, pages });
    undo.push(() => attached.delete(diskName));
  }
  // What a design keeps for itself at the end of the device is not the disk's to map: it may be RAM.
  const mapping = cpu.map(start, design ? pages.dataOffset + pages.dataSize : sizeBytes, memoryType);
  undo.push(() => cpu.unmap(mapping));
  return { mapping, dataOffset: pages.dataOffset, dataSize: pages.dataSize, pages };
}

/** The design that somebody chose for a disk, if anybody did. */
export function chosenDesign({ params, config }: PmemNeeds, diskName: string): PageDesign | undefined {
  return choosePageDesign(diskName, { params, defaultPages: config?.defaultPages });
}

function attachDesign({ pageHost, params }: PmemNeeds, attachment: PmemAttachment, memoryType: MemoryType, design: PageDesign | undefined): AttachedPages {
  const { diskName, owner, start, sizeBytes, numaNode, bus, claim, mapping, infoBlock } = attachment;
  const device: DesignDevice = {
    name: diskName,
    start,
    sizeBytes,
    nid: numaNode,
    bus,
    memoryType,
    options: designOptions(diskName, params),
    releaseTail(bytes) {
      claim.end -= bytes;
      return () => {
        claim.end += bytes;
      };
    },
  };
  if (!pageHost) {
    if (design ? design !== noPages : mapping === 'pages') {
      throw new KernelError('EOPNOTSUPP', `${diskName}: this kernel has no struct pages for device memory`);
    }
    return noPages.attach(device);
  }
  // Whoever shows the end of the device as data first wipes what another design has kept there.
  if (!infoBlock && !design?.keepsArea) wipePageArea(pageHost, device);
  if (design) return design.attach(device, pageHost);
  return mapping === 'pages' ? attachMemremap(device, pageHost, { owner, ...infoBlock }) : noPages.attach(device);
}
