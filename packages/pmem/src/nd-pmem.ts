/**
 * Today's driver: a disk over an nvdimm namespace. Mirrors drivers/nvdimm/pmem.c: nd_pmem_probe, pmem_attach_disk (6.1).
 *
 * Invariant: what a failed probe did is undone, and what a successful one did is undone by the function it returns.
 * Differs from Linux: raw namespaces only; and the mapping is the administrator's choice (pmem-mapping.ts).
 */
import { KERN, SECTOR_SIZE, memRange, parseBool, readWrite, releaseAtLeast } from '@holdfast/lib';
import type { PhysAddr } from '@holdfast/lib';
import {
  BLK_DEF_MAX_SECTORS, BLK_STS, UINT_MAX, addDisk, badblocksAttribute, createBadblocks, createQueue, delDisk,
  setLogicalBlockSize, setMaxHwSectors, setPhysicalBlockSize,
  type AttributeGroup, type Badblocks, type RequestQueue,
} from '@holdfast/block';
import { nvdimmNamespaceCommonProbe, nvdimmNamespaceDiskName, pmemShouldMapPages, type NdDriver, type NdNamespace } from '@holdfast/nvdimm';
import { claimRegion, mapPmem, probeWithUndo, type UndoList } from './pmem-attach.js';
import { pmemOperations } from './pmem-io.js';
import { choosePmemMapping, type PmemMapping } from './pmem-mapping.js';
import type { PmemNeeds } from './pmem-needs.js';

const DRIVER_NAME = 'nd_pmem';
const PHYSICAL_BLOCK_SIZE = 4096;
const SECTOR_SIZES: readonly number[] = [512, 4096];

/** What the namespace's provider knows of bytes that cannot be read, and how it heals them. */
export interface PoisonSource {
  /** Bad bytes of the namespace, from its start. */
  ranges(ns: NdNamespace): readonly { readonly start: number; readonly sizeBytes: number }[];
  /** Heal `[start, start + length)`; returns how many bytes, from the start on, are good now (nvdimm_clear_poison). */
  clear(start: PhysAddr, length: number): number;
}

export interface NdPmemNeeds extends PmemNeeds {
  /** Without it there is no poison, as on legacy ranges. */
  readonly poison?: PoisonSource;
}

/** The driver, to be registered with the nvdimm bus. */
export function createNdPmemDriver(needs: NdPmemNeeds): NdDriver {
  return {
    name: DRIVER_NAME,
    match: (ns) => ns.kind === 'io' || ns.kind === 'pmem',
    probe(ns) {
      const mapping = mappingFor(needs, ns);
      // The alignment that struct pages need is checked for the mapping this device gets, not for the one Linux would give it.
      const asMapped = { ...ns, pageMapAllowed: mapping === 'pages', forceRaw: mapping !== 'pages' };
      nvdimmNamespaceCommonProbe(asMapped, DRIVER_NAME, needs.iomem, needs.printk);
      // BTT, PFN and DAX info blocks are looked for here, before the disk is taken for a raw one.
      return probeWithUndo((undo) => attachDisk(needs, undo, ns, mapping));
    },
  };
}

function mappingFor({ iomem, release, config, params }: NdPmemNeeds, ns: NdNamespace): PmemMapping {
  const mapping = choosePmemMapping(nvdimmNamespaceDiskName(ns), {
    shouldMapPages: pmemShouldMapPages(ns, iomem),
    release,
    ...(config ? { config } : {}),
    ...(params ? { param: params.mapping } : {}),
  });
  // force_raw asks for a disk without struct pages, and is the later word.
  return ns.forceRaw && mapping === 'pages' ? 'wb' : mapping;
}

function attachDisk(needs: NdPmemNeeds, undo: UndoList, ns: NdNamespace, mappingName: PmemMapping): void {
  const { block, cpu, memory, poison, printk, release } = needs;
  const who = `${DRIVER_NAME} ${ns.name}`;
  const advertisesCache = releaseAtLeast(release, 4, 8);
  // Before 4.8 the warning asked for an instruction, pcommit, that no CPU was sold with.
  if (ns.hasFlush === undefined || !advertisesCache) printk(`${who}: unable to guarantee persistence of writes`, KERN.warning);
  claimRegion(needs, undo, ns, ns.name, { who, text: memRange(ns.start, ns.start + ns.sizeBytes - 1), code: 'EBUSY' });
  const mapping = mapPmem(needs, undo, ns, mappingName);

  const badblocks = createBadblocks();
  if (poison) populateBadblocks(badblocks, poison.ranges(ns));
  const flush = (): typeof BLK_STS.OK => {
    cpu.sfence();
    return BLK_STS.OK;
  };
  const ops = pmemOperations({
    memory,
    mapping,
    dataOffset: 0,
    dataSize: ns.sizeBytes,
    badblocks,
    flush,
    // Without a provider that can do it, Linux takes the write itself for the cure.
    clearPoison: (start, length) => poison?.clear(start, length) ?? length,
    flushEachWrite: !advertisesCache,
  });
  const disk = addDisk(block, {
    name: nvdimmNamespaceDiskName(ns),
    ops,
    queue: pmemQueue(needs, ns, mappingName, advertisesCache),
    nrSectors: Math.floor(ns.sizeBytes / SECTOR_SIZE),
    groups: [{ name: '', attributes: [badblocksAttribute(badblocks)] }, daxGroup(ns)],
    parent: ns,
  });
  undo.push(() => delDisk(disk));
  undo.push(flush);
  if (ns.readOnly) {
    printk(`${who}: region${ns.regionId} read-only, marking ${disk.name} read-only`, KERN.info);
    disk.readOnly = true;
  }
}

function pmemQueue({ printk, release }: NdPmemNeeds, ns: NdNamespace, mapping: PmemMapping, advertisesCache: boolean): RequestQueue {
  const queue = createQueue();
  setPhysicalBlockSize(queue.limits, PHYSICAL_BLOCK_SIZE);
  const known = SECTOR_SIZES.includes(ns.sectorSize);
  if (!known) printk(`${DRIVER_NAME} ${ns.name}: unsupported sector size ${ns.sectorSize}, using ${SECTOR_SIZE}`, KERN.warning);
  setLogicalBlockSize(queue.limits, known ? ns.sectorSize : SECTOR_SIZE);
  setMaxHwSectors(queue.limits, UINT_MAX, releaseAtLeast(release, 4, 3) ? BLK_DEF_MAX_SECTORS : Infinity);
  queue.rotational = false;
  queue.writeCache = advertisesCache;
  queue.fua = advertisesCache && ns.hasFlush === true;
  queue.dax = mapping === 'pages';
  return queue;
}

/** Sectors that hold any bad byte are bad. */
function populateBadblocks(badblocks: Badblocks, ranges: ReturnType<PoisonSource['ranges']>): void {
  for (const { start, sizeBytes } of ranges) {
    const first = Math.floor(start / SECTOR_SIZE);
    badblocks.set(first, Math.ceil((start + sizeBytes) / SECTOR_SIZE) - first);
  }
}

/** /sys/block/pmemN/dax: must DAX write its stores back, or do they survive in the CPU's caches (nvdimm_has_cache)? */
function daxGroup(ns: NdNamespace): AttributeGroup {
  let writeCache = ns.region.persistenceDomain !== 'cpu_cache';
  const store = (text: string): void => {
    writeCache = parseBool(text);
  };
  return { name: 'dax', attributes: [readWrite('write_cache', () => (writeCache ? 1 : 0), store)] };
}
