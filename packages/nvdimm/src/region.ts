/**
 * Regions: what a provider knows about one range of persistent memory, and the driver that fills it with namespaces.
 * Mirrors drivers/nvdimm/{region,region_devs}.c: nd_region_create, nd_region_probe, nd_region_advance_seeds, default_align.
 *
 * Invariant: while a region is enabled it holds its namespaces and one idle seed of each kind; disabled, it holds nothing.
 */
import { KernelError, MIB, PAGE_SIZE, createIda, hex, isPowerOf2, parseBool, parseInteger, readOnly, readWrite } from '@holdfast/lib';
import type { Attribute, NodeId, PhysAddr } from '@holdfast/lib';
import { createBadblocks } from '@holdfast/block';
import type { Driver } from '@holdfast/driver-core';
import type { InterleaveSet, NdBus, NdClaim, NdCore, NdDevice, NdMapping, NdNamespace, NdRegion } from './nd-device.js';
import { createClaim, removeClaim } from './claim.js';
import { availableDpa, maxAvailableExtent } from './dpa.js';
import { nvdimmHasFlush } from './flush.js';
import { createNamespaceIo, createNamespacePmem, nodeAttributes, removeNamespace } from './namespace.js';
import { after, bindLine, values } from './nd-request.js';
import { activateLabels, cookieFor, nstypeOf, scanLabels } from './region-labels.js';

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
  /** Makes what was written durable, where a fence of the CPU does not; returns whether it could. */
  flush?: () => boolean;
  /** The provider's own attributes. */
  attributes?: readonly Attribute[];
}

export function createRegion(bus: NdBus, id: number, desc: NdRegionDesc): NdRegion {
  const mappings = desc.mappings ?? [];
  const region: NdRegion = {
    type: 'region',
    bus,
    name: `region${id}`,
    parent: bus,
    id,
    kind: desc.kind ?? 'pmem',
    provider: bus.provider,
    start: desc.start,
    sizeBytes: desc.sizeBytes,
    numaNode: desc.numaNode,
    targetNode: desc.targetNode,
    mappings,
    interleaveSet: desc.interleaveSet,
    persistenceDomain: desc.persistenceDomain,
    flush: desc.flush,
    pageMapAllowed: desc.pageMapAllowed ?? false,
    badblocks: undefined,
    poisonWatchers: new Set(),
    align: defaultAlign(desc.sizeBytes, mappings.length),
    readOnly: mappings.some(({ dimm }) => dimm.notArmed),
    readOnlyWatchers: new Set(),
    ids: { namespace: createIda(), btt: createIda(), pfn: createIda(), dax: createIda() },
    namespaces: [],
    scanned: undefined,
    seeds: {},
    attributes: () => [...regionAttributes(region), ...(desc.attributes ?? [])],
  };
  bus.regions.push(region);
  return region;
}

/** 16 MiB, or a page for a region smaller than that; times the interleave ways if they do not divide it. */
function defaultAlign(sizeBytes: number, nrMappings: number): number {
  const ways = Math.max(1, nrMappings);
  const align = sizeBytes < 16 * MIB ? PAGE_SIZE : 16 * MIB;
  return align % ways === 0 ? align : align * ways;
}

/** The driver that enables regions: registers what a region holds, and takes it away at unbind. */
export function regionDriver(core: NdCore): Driver<NdDevice> {
  return {
    name: 'nd_region',
    match: (device) => device.type === 'region',
    probe: (device) => enableRegion(core, device as NdRegion),
  };
}

function enableRegion(core: NdCore, region: NdRegion): () => void {
  const deactivate = activateLabels(region, core.printk);
  try {
    createNamespaces(core, region);
  } catch (error) {
    deactivate();
    throw error;
  }
  region.badblocks = createBadblocks();
  region.bus.badrange.populate(region.badblocks, region.start, region.start + region.sizeBytes);
  region.scanned = { active: region.namespaces.length, total: region.namespaces.length };
  const namespaces = [...region.namespaces];
  const [first] = namespaces;
  if (first) region.seeds.namespace = first;
  const claims = (['btt', 'pfn', 'dax'] as const).map((kind) => createSeed(core, region, kind));
  // Numbers are taken now, and the devices probed when the region is up: what a namespace turns out to hold gets the next ones.
  for (const device of [...namespaces, ...claims]) core.later(() => core.bus.addDevice(device));
  return () => {
    emptyRegion(core, region);
    region.badblocks = undefined;
    deactivate();
  };
}

function createNamespaces(core: NdCore, region: NdRegion): void {
  if (nstypeOf(region) === 4) {
    createNamespaceIo(core, region);
    return;
  }
  for (const labelled of scanLabels(region, core.printk)) createNamespacePmem(core, region, labelled);
  if (region.namespaces.length === 0) createNamespacePmem(core, region);
}

function createSeed(core: NdCore, region: NdRegion, kind: NdClaim['type']): NdClaim {
  const seed = createClaim(core, region, kind);
  Object.assign(region.seeds, { [kind]: seed });
  return seed;
}

function emptyRegion(core: NdCore, region: NdRegion): void {
  region.seeds = {};
  // What holds a namespace before the namespace.
  const claims = core.bus.devices.filter((device): device is NdClaim => 'region' in device && device.region === region && device.type !== 'namespace');
  for (const claim of claims.reverse()) removeClaim(core, claim);
  for (const ns of [...region.namespaces].reverse()) removeNamespace(core, ns);
  region.scanned = undefined;
}

/** A device came up, or is known to hold what nobody may touch: if it was a seed, or holds one, the region needs a new one. */
export function advanceSeeds(core: NdCore, device: NdNamespace | NdClaim): void {
  const { region, type } = device;
  const { seeds } = region;
  const ns = type === 'namespace' ? device : device.namespace;
  if (type !== 'namespace' && seeds[type] === device) {
    const seed = createSeed(core, region, type);
    core.later(() => core.bus.addDevice(seed));
  }
  if (ns && seeds.namespace === ns && nstypeOf(region) === 5) {
    const seed = createNamespacePmem(core, region);
    seeds.namespace = seed;
    core.later(() => core.bus.addDevice(seed));
  }
}

function regionAttributes(region: NdRegion): Attribute[] {
  const { interleaveSet, persistenceDomain, scanned, seeds } = region;
  const flush = nvdimmHasFlush(region);
  return [
    readOnly('size', () => region.sizeBytes),
    readOnly('nstype', () => nstypeOf(region)),
    readWrite('align', () => hex(region.align), (text) => setAlign(region, text)),
    readOnly('mappings', () => region.mappings.length),
    ...region.mappings.map(({ dimm, start, sizeBytes, position }, index) =>
      readOnly(`mapping${index}`, () => `${dimm.name},${start},${sizeBytes},${position}`)),
    // Linux shows both only for regions that have an interleave set; max_available_extent is there for all.
    ...(interleaveSet ? [readOnly('set_cookie', () => hex(shownCookie(region, interleaveSet))), readOnly('available_size', () => availableDpa(region))] : []),
    readOnly('max_available_extent', () => maxAvailableExtent(region)),
    readOnly('init_namespaces', () => {
      if (!scanned) throw new KernelError('ENXIO', `${region.name} is disabled`);
      return `${scanned.active}/${scanned.total}`;
    }),
    ...(['namespace', 'btt', 'pfn', 'dax'] as const).map((kind) => readOnly(`${kind}_seed`, () => seeds[kind]?.name ?? '')),
    readWrite('read_only', () => (region.readOnly ? 1 : 0), (text) => {
      region.readOnly = parseBool(text);
      for (const revalidate of region.readOnlyWatchers) revalidate();
    }),
    ...(flush === undefined ? [] : [deepFlush(flush)]),
    ...(persistenceDomain ? [readOnly('persistence_domain', () => persistenceDomain)] : []),
    { name: 'badblocks', mode: 0o444, show: () => showBadblocks(region) },
    readOnly('resource', () => hex(region.start), 0o400),
    ...nodeAttributes(region),
    readOnly('modalias', () => 'nd:t2'),
    readOnly('devtype', () => (region.kind === 'pmem' ? 'nd_pmem' : 'nd_volatile')),
  ];
}

function showBadblocks({ name, badblocks }: NdRegion): string {
  if (!badblocks) throw new KernelError('ENXIO', `${name} is disabled`, after(bindLine(name, 'nd_region')));
  return badblocks.entries().map(([start, nrSectors]) => `${start} ${nrSectors}\n`).join('');
}

/** Writable only with flush hints; there a write of 1 flushes, which changes nothing that can be read back. */
function deepFlush(hasHints: boolean): Attribute {
  if (!hasHints) return readOnly('deep_flush', () => 0);
  return readWrite('deep_flush', () => 1, (text) => {
    if (!parseBool(text)) throw new KernelError('EINVAL', `deep_flush '${text.trimEnd()}': expected 1`, values(1));
  });
}

/** Have `revalidate` run now and whenever user space writes the region's `read_only`, until the returned function is called (NVDIMM_REVALIDATE_REGION). */
export function trackReadOnly({ readOnlyWatchers }: NdRegion, revalidate: () => void): () => void {
  revalidate();
  readOnlyWatchers.add(revalidate);
  return () => void readOnlyWatchers.delete(revalidate);
}

/** By the first DIMM's labels; without a label area, v1.1's (set_cookie_show). */
function shownCookie(region: NdRegion, { cookie1 }: InterleaveSet): bigint {
  const labels = region.mappings[0]?.dimm.labels;
  return labels ? cookieFor(region, labels.area) : cookie1;
}

function setAlign(region: NdRegion, text: string): void {
  const align = parseInteger(text, 0, Number.MAX_SAFE_INTEGER);
  const ways = Math.max(1, region.mappings.length);
  const perDimm = align / ways;
  if (align === 0 || align > region.sizeBytes || align % ways !== 0 || !isPowerOf2(perDimm) || perDimm < PAGE_SIZE) {
    throw new KernelError(
      'EINVAL',
      `${region.name}: align ${align}: expected ${ways} times a power of two of at least ${PAGE_SIZE}, up to the region's size`,
      values(nearestAlign(region, align)),
    );
  }
  region.align = align;
}

function nearestAlign({ mappings, sizeBytes }: NdRegion, wanted: number): number {
  const ways = Math.max(1, mappings.length);
  let perDimm = PAGE_SIZE;
  while (perDimm * 2 * ways <= Math.min(wanted, sizeBytes)) perDimm *= 2;
  return perDimm * ways;
}
