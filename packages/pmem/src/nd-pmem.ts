/**
 * Today's driver: a disk over an nvdimm namespace, raw, with an info block (fsdax), or with a BTT.
 * Mirrors drivers/nvdimm/pmem.c: nd_pmem_probe, pmem_attach_disk (6.1); btt_devs.c: nvdimm_namespace_attach_btt.
 *
 * Invariant: what a failed probe did is undone, and what a successful one did is undone by the function it returns.
 * Differs from Linux: how a raw namespace is mapped is the administrator's choice (pmem-mapping.ts).
 */
import { KERN, KernelError, SECTOR_SIZE, memRange, parseBool, readWrite, releaseAtLeast } from '@holdfast/lib';
import type { Ida, PhysAddr } from '@holdfast/lib';
import {
  BLK_DEF_MAX_SECTORS, BLK_STS, UINT_MAX, addDisk, badblocksAttribute, createBadblocks, createQueue, declareIoLayers, delDisk,
  setLogicalBlockSize, setMaxHwSectors, setPhysicalBlockSize,
  type AttributeGroup, type BlkStatus, type RequestQueue,
} from '@holdfast/block';
import {
  INFO_BLOCK_RESERVE, attachBtt, clearPoison, enableNamespace, isNvdimmSync, nvdimmFlush, nvdimmNamespaceCommonProbe, nvdimmNamespaceDiskName,
  pmemShouldMapPages, setupLines, trackBadblocks, trackReadOnly,
  type EnabledNamespace, type NdBtt, type NdClaim, type NdDriver, type NdNamespace, type NdPfn, type Nvdimms,
} from '@holdfast/nvdimm';
import { addBttDisk } from './btt-disk.js';
import { attachPmem, chosenDesign, claimRegion, probeWithUndo, type PmemAttachment, type UndoList } from './pmem-attach.js';
import { createPmemDax } from './pmem-dax.js';
import { PMEM_IO_LAYERS, type PmemDevice, pmemOperations } from './pmem-io.js';
import { withDirectPages } from './pmem-direct-pages.js';
import { choosePmemMapping, type PmemMapping } from './pmem-mapping.js';
import type { PmemNeeds } from './pmem-needs.js';

const DRIVER_NAME = 'nd_pmem';
const PHYSICAL_BLOCK_SIZE = 4096;
const SECTOR_SIZES: readonly number[] = [512, 4096];

export interface NdPmemNeeds extends PmemNeeds {
  /** Where the driver registers: it asks there what lies on a namespace. */
  readonly nvdimms: Pick<Nvdimms, 'bus' | 'probeClaims' | 'setupPfn' | 'later'>;
  /** Minors of dax's character devices: each disk takes one, though it shows no such device (alloc_dax). */
  readonly daxMinors?: Ida;
}

/** The driver, to be registered with the nvdimm bus. */
export function createNdPmemDriver(needs: NdPmemNeeds): NdDriver {
  return {
    name: DRIVER_NAME,
    match: ({ type }) => type !== 'dax',
    probe: (device) => probeWithUndo((undo) => probe(needs, undo, device)),
  };
}

function probe(needs: NdPmemNeeds, undo: UndoList, device: NdNamespace | NdClaim): void {
  const { bus } = needs.nvdimms;
  const core = { bus, iomem: needs.iomem, printk: needs.printk };
  if (device.type === 'namespace') {
    const mapping = mappingFor(needs, device);
    // The alignment that struct pages need is checked for the mapping this device gets, not for the one Linux would give it.
    probeRaw(needs, undo, nvdimmNamespaceCommonProbe(device, core, mapping === 'pages' && !chosenDesign(needs, nvdimmNamespaceDiskName(device))), mapping);
  } else if (device.type === 'btt') {
    attachBttDisk(needs, undo, device, nvdimmNamespaceCommonProbe(device, core));
  } else {
    attachPfnDisk(needs, undo, device, nvdimmNamespaceCommonProbe(device, core));
  }
}

/** Nobody may write to a raw disk that really holds a BTT or an info block: whoever finds one steps back. */
function probeRaw(needs: NdPmemNeeds, undo: UndoList, ns: NdNamespace, mapping: PmemMapping): void {
  const isClaimed = withInfoBlock(needs, ns, ns, ({ io }) => needs.nvdimms.probeClaims(ns, io));
  if (isClaimed) throw new KernelError('ENXIO', `${ns.name} is not raw: it comes up as what is on it`);
  attachDisk(needs, undo, { device: ns, ns, mapping, start: ns.start, end: ns.start + ns.sizeBytes });
}

function attachPfnDisk(needs: NdPmemNeeds, undo: UndoList, pfn: NdPfn, ns: NdNamespace): void {
  undo.push(() => {
    pfn.block = undefined;
  });
  const { mapping: range, dataOffset } = withInfoBlock(needs, pfn, ns, ({ io }) => needs.nvdimms.setupPfn(pfn, io));
  const { altmap } = range;
  const infoBlock = { dataOffset, ...(altmap ? { altmap: { reserve: altmap.reserve, free: altmap.free } } : {}) };
  attachDisk(needs, undo, { device: pfn, ns, mapping: 'pages', start: range.start, end: range.end, infoBlock });
}

/** Look at the start of a namespace, and let go of it again. */
function withInfoBlock<T>(needs: NdPmemNeeds, device: NdNamespace | NdClaim, ns: NdNamespace, use: (enabled: EnabledNamespace) => T): T {
  // Of a namespace of one page, too: it cannot be had, for the request reaches past its end.
  const enabled = enableNamespace(needs, ns, INFO_BLOCK_RESERVE, `${DRIVER_NAME} ${device.name}`);
  try {
    return use(enabled);
  } finally {
    enabled.disable();
  }
}

function attachBttDisk(needs: NdPmemNeeds, undo: UndoList, btt: NdBtt, ns: NdNamespace): void {
  const { uuid, lbaSize } = btt;
  if (uuid === undefined || lbaSize === 0) {
    throw new KernelError('ENODEV', `${btt.name} needs a UUID and a sector size first`, {
      nearest: [{ first: setupLines(needs.nvdimms, btt).join(' && ') }],
    });
  }
  const who = `${DRIVER_NAME} ${btt.name}`;
  const enabled = enableNamespace(needs, ns, ns.sizeBytes, who);
  undo.push(() => enabled.disable());
  const claimClass = ns.claimClass === 'unknown' ? 'none' : ns.claimClass;
  const opened = attachBtt(enabled.io, { uuid, parentUuid: ns.uuid, lbaSize, claimClass, region: ns.region }, (text, level) =>
    needs.printk(`${who}: ${text}`, level),
  );
  const disk = addBttDisk(needs, opened, { name: nvdimmNamespaceDiskName(ns, 'btt'), parent: btt });
  undo.push(() => delDisk(disk));
  btt.diskSize = opened.nrSectors * opened.sectorSize;
  undo.push(() => {
    btt.diskSize = undefined;
  });
  undo.push(followReadOnly(needs, ns, disk, who));
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

/** A disk to be: its device, and which part of the namespace is mapped how. Addresses are physical, half-open. */
interface Attachment {
  readonly device: NdNamespace | NdPfn;
  readonly ns: NdNamespace;
  readonly mapping: PmemMapping;
  readonly start: PhysAddr | number;
  readonly end: number;
  readonly infoBlock?: PmemAttachment['infoBlock'];
}

function attachDisk(needs: NdPmemNeeds, undo: UndoList, attachment: Attachment): void {
  const { block, cpu, memory, printk, release } = needs;
  const { device, ns, mapping: mappingName, start, end, infoBlock } = attachment;
  const who = `${DRIVER_NAME} ${device.name}`;
  const advertisesCache = releaseAtLeast(release, 4, 8);
  // Before 4.8 the warning asked for an instruction, pcommit, that no CPU was sold with.
  if (ns.hasFlush === undefined || !advertisesCache) printk(`${who}: unable to guarantee persistence of writes`, KERN.warning);
  const claim = claimRegion(needs, undo, ns, ns.name, { who, text: memRange(ns.start, ns.start + ns.sizeBytes - 1), code: 'EBUSY' });
  const diskName = nvdimmNamespaceDiskName(ns);
  const { mapping, dataOffset, dataSize, pages } = attachPmem(needs, undo, {
    diskName,
    owner: ns.name,
    bus: ns.region.provider === 'e820' ? 'e820' : 'nvdimm',
    start: start as PhysAddr,
    sizeBytes: end - start,
    numaNode: ns.numaNode,
    claim,
    mapping: mappingName,
    ...(infoBlock ? { infoBlock } : {}),
  });
  takeDaxMinor(needs, undo);

  const badblocks = createBadblocks();
  undo.push(trackBadblocks(ns.region, badblocks, start + dataOffset, start + dataOffset + dataSize));
  const flush = (): BlkStatus => (nvdimmFlush(ns.region, cpu) ? BLK_STS.OK : BLK_STS.IOERR);
  const pmem: PmemDevice = {
    memory,
    mapping,
    dataOffset,
    dataSize,
    badblocks,
    flush,
    clearPoison: (at, length) => clearPoison(ns.region, at, length),
    flushEachWrite: !advertisesCache,
  };
  const dax = daxGroup(ns);
  const disk = addDisk(block, {
    name: diskName,
    ops: withDirectPages(pmemOperations(pmem), pmem, pages.cacheIsDevice),
    queue: pmemQueue(needs, ns, pages.pages.pte === 'devmap', advertisesCache),
    nrSectors: Math.floor(dataSize / SECTOR_SIZE),
    groups: [{ name: '', attributes: [badblocksAttribute(badblocks)] }, dax.group],
    parent: device,
  });
  undo.push(() => delDisk(disk));
  undo.push(() => void flush());
  if (needs.daxHosts) {
    const daxDev = createPmemDax({ name: disk.name, pmem, writeCache: dax.writeCache, synchronous: isNvdimmSync(ns.region) });
    undo.push(needs.daxHosts.addHost(disk, daxDev));
  }
  undo.push(followReadOnly(needs, ns, disk, who));
}

/**
 * A disk has its minor when its memory is mapped, which takes a while; a device-dax that comes up at the same time takes its own before
 * it maps anything (pmem_attach_disk; devm_create_dev_dax), and so has the lower one.
 */
function takeDaxMinor({ daxMinors, nvdimms }: NdPmemNeeds, undo: UndoList): void {
  if (!daxMinors) return;
  let minor: number | undefined;
  let gone = false;
  nvdimms.later(() => {
    if (!gone) minor = daxMinors.alloc();
  });
  undo.push(() => {
    gone = true;
    if (minor !== undefined) daxMinors.free(minor);
  });
}

/** A region that would lose what is written to it gives disks that take nothing (nvdimm_check_and_set_ro). */
function followReadOnly({ printk }: PmemNeeds, ns: NdNamespace, disk: { readonly name: string; readOnly: boolean }, who: string): () => void {
  return trackReadOnly(ns.region, () => {
    if (disk.readOnly === ns.readOnly) return;
    const now = ns.readOnly ? 'read-only' : 'read-write';
    printk(`${who}: region${ns.regionId} ${now}, marking ${disk.name} ${now}`, KERN.info);
    disk.readOnly = ns.readOnly;
  });
}

function pmemQueue({ printk, release }: NdPmemNeeds, ns: NdNamespace, hasPages: boolean, advertisesCache: boolean): RequestQueue {
  const queue = createQueue();
  setPhysicalBlockSize(queue.limits, PHYSICAL_BLOCK_SIZE);
  const known = SECTOR_SIZES.includes(ns.sectorSize);
  if (!known) printk(`${DRIVER_NAME} ${ns.name}: unsupported sector size ${ns.sectorSize}, using ${SECTOR_SIZE}`, KERN.warning);
  setLogicalBlockSize(queue.limits, known ? ns.sectorSize : SECTOR_SIZE);
  setMaxHwSectors(queue.limits, UINT_MAX, releaseAtLeast(release, 4, 3) ? BLK_DEF_MAX_SECTORS : Infinity);
  queue.rotational = false;
  queue.writeCache = advertisesCache;
  queue.fua = advertisesCache && ns.hasFlush === true;
  queue.dax = hasPages;
  declareIoLayers(queue, PMEM_IO_LAYERS);
  return queue;
}

/** /sys/block/pmemN/dax: must DAX write its stores back, or do they survive in the CPU's caches (nvdimm_has_cache)? */
function daxGroup(ns: NdNamespace): { readonly group: AttributeGroup; readonly writeCache: () => boolean } {
  let writeCache = ns.region.persistenceDomain !== 'cpu_cache';
  const store = (text: string): void => {
    writeCache = parseBool(text);
  };
  const group = { name: 'dax', attributes: [readWrite('write_cache', () => (writeCache ? 1 : 0), store)] };
  return { group, writeCache: () => writeCache };
}
