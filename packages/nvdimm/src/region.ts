/**
 * Regions: what a provider knows about one range of persistent memory, and the driver that fills it with namespaces.
 * Mirrors drivers/nvdimm/{region,region_devs}.c: nd_region_create, nd_region_probe, default_align.
 *
 * Invariant: while a region is enabled it holds its namespaces and one idle seed of each kind; disabled, it holds nothing.
 */
import { KernelError, MIB, PAGE_SIZE, hex, isPowerOf2, parseBool, parseInteger, readOnly, readWrite, roundDown, roundUp } from '@holdfast/lib';
import type { Attribute, NodeId, PhysAddr, Resource } from '@holdfast/lib';
import type { Bus, Driver } from '@holdfast/driver-core';
import type { InterleaveSet, NdBus, NdDevice, NdMapping, NdRegion } from './nd-device.js';
import { createClaim } from './claim.js';
import { nvdimmHasFlush } from './flush.js';
import { createNamespaceIo, nodeAttributes } from './namespace.js';

/** What a provider tells of a range (struct nd_region_desc). */
export interface NdRegionDesc {
  kind?: 'pmem' | 'volatile';
  start: PhysAddr;
  sizeBytes: number;
  numaNode: NodeId;
  targetNode: NodeId;
  /** ND_REGION_PAGEMAP; default false. */
  pageMapAllowed?: boolean;
  mappings?: readonly NdMapping[];
  interleaveSet?: InterleaveSet;
  persistenceDomain?: 'cpu_cache' | 'memory_controller';
  /** The provider's own attributes. */
  attributes?: readonly Attribute[];
}

export function createRegion(bus: NdBus, id: number, desc: NdRegionDesc): NdRegion {
  const mappings = desc.mappings ?? [];
  const region: NdRegion = {
    type: 'region',
    name: `region${id}`,
    parent: bus,
    id,
    kind: desc.kind ?? 'pmem',
    start: desc.start,
    sizeBytes: desc.sizeBytes,
    numaNode: desc.numaNode,
    targetNode: desc.targetNode,
    mappings,
    interleaveSet: desc.interleaveSet,
    persistenceDomain: desc.persistenceDomain,
    pageMapAllowed: desc.pageMapAllowed ?? false,
    align: defaultAlign(desc.sizeBytes, mappings.length),
    readOnly: mappings.some(({ dimm }) => dimm.notArmed),
    namespaces: [],
    seeds: {},
    attributes: () => [...regionAttributes(region), ...(desc.attributes ?? [])],
  };
  return region;
}

/** 16 MiB, or a page for a region smaller than that; times the interleave ways if they do not divide it. */
function defaultAlign(sizeBytes: number, nrMappings: number): number {
  const ways = Math.max(1, nrMappings);
  const align = sizeBytes < 16 * MIB ? PAGE_SIZE : 16 * MIB;
  return align % ways === 0 ? align : align * ways;
}

/** The driver that enables regions: registers what a region holds, and takes it away at unbind. */
export function regionDriver(bus: Bus<NdDevice>, iomem: Resource): Driver<NdDevice> {
  return {
    name: 'nd_region',
    match: (device) => device.type === 'region',
    probe: (device) => enableRegion(bus, device as NdRegion, iomem),
  };
}

function enableRegion(bus: Bus<NdDevice>, region: NdRegion, iomem: Resource): () => void {
  const ns = createNamespaceIo(region, iomem);
  const claims = (['btt', 'pfn', 'dax'] as const).map((kind) => createClaim(region, kind, 0));
  const held = [ns, ...claims];
  region.namespaces = [ns];
  region.seeds = { namespace: ns };
  // The namespaces first, as in Linux: what probing them needs for a moment is gone again when the seeds take the lowest ids.
  bus.addDevice(ns);
  for (const claim of claims) {
    region.seeds[claim.type] = claim;
    bus.addDevice(claim);
  }
  return () => {
    for (const device of held.reverse()) bus.removeDevice(device);
    region.namespaces = [];
    region.seeds = {};
  };
}

function regionAttributes(region: NdRegion): Attribute[] {
  const { interleaveSet, persistenceDomain, seeds } = region;
  const flush = nvdimmHasFlush(region);
  return [
    readOnly('size', () => region.sizeBytes),
    readOnly('nstype', () => 4),
    readWrite('align', () => hex(region.align), (text) => setAlign(region, text)),
    readOnly('mappings', () => region.mappings.length),
    ...region.mappings.map(({ dimm, start, sizeBytes, position }, index) => readOnly(`mapping${index}`, () => `${dimm.name},${start},${sizeBytes},${position}`)),
    // Linux shows both only for regions that have an interleave set; max_available_extent is there for all.
    ...(interleaveSet ? [readOnly('set_cookie', () => hex(cookie(region, interleaveSet))), readOnly('available_size', () => availableSize(region))] : []),
    readOnly('max_available_extent', () => availableSize(region)),
    readOnly('init_namespaces', () => `${region.namespaces.length}/${region.namespaces.length}`),
    ...(['namespace', 'btt', 'pfn', 'dax'] as const).map((kind) => readOnly(`${kind}_seed`, () => seeds[kind]?.name ?? '')),
    readWrite('read_only', () => (region.readOnly ? 1 : 0), (text) => {
      region.readOnly = parseBool(text);
    }),
    ...(flush === undefined ? [] : [deepFlush(flush)]),
    ...(persistenceDomain ? [readOnly('persistence_domain', () => persistenceDomain)] : []),
    { name: 'badblocks', mode: 0o444, show: () => '' },
    readOnly('resource', () => hex(region.start), 0o400),
    ...nodeAttributes(region),
    readOnly('modalias', () => 'nd:t2'),
    readOnly('devtype', () => (region.kind === 'pmem' ? 'nd_pmem' : 'nd_volatile')),
  ];
}

/** Writable only with flush hints; there a write of 1 flushes, which changes nothing that can be read back. */
function deepFlush(hasHints: boolean): Attribute {
  if (!hasHints) return readOnly('deep_flush', () => 0);
  return readWrite('deep_flush', () => 1, (text) => {
    if (!parseBool(text)) throw new KernelError('EINVAL', `deep_flush '${text.trimEnd()}': expected 1`);
  });
}

/** A DIMM with a label area but no index block on it counts as v1.2; without any label area, v1.1 (set_cookie_show). */
function cookie(region: NdRegion, set: InterleaveSet): bigint {
  return region.mappings.every(({ dimm }) => dimm.labelAreaSize === 0) ? set.cookie1 : set.cookie2;
}

/** What labels could give out: whole multiples of `align`, both ends rounded inwards; nothing if a DIMM has no label area. */
function availableSize(region: NdRegion): number {
  const ways = region.mappings.length;
  if (region.mappings.some(({ dimm }) => dimm.labelAreaSize === 0)) return 0;
  const align = region.align / Math.max(1, ways);
  const extents = region.mappings.map(({ start, sizeBytes }) => Math.max(0, roundDown(start + sizeBytes, align) - roundUp(start, align)));
  return ways === 0 ? 0 : ways * Math.min(...extents);
}

function setAlign(region: NdRegion, text: string): void {
  const align = parseInteger(text, 0, Number.MAX_SAFE_INTEGER);
  const ways = Math.max(1, region.mappings.length);
  const perDimm = align / ways;
  if (align === 0 || align > region.sizeBytes || align % ways !== 0 || !isPowerOf2(perDimm) || perDimm < PAGE_SIZE) {
    throw new KernelError('EINVAL', `${region.name}: align ${align}: expected ${ways} times a power of two of at least ${PAGE_SIZE}, up to the region's size`);
  }
  region.align = align;
}
