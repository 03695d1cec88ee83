/**
 * Namespaces: the ranges of a region that a driver may attach, and what user space may change of them while they are idle.
 * Mirrors drivers/nvdimm/namespace_devs.c: create_namespace_io, nd_namespace_pmem_create, and the store functions.
 *
 * Invariant: a label-less namespace (namespace_io) spans its region, cannot be resized and has no UUID. One with labels (namespace_pmem)
 * has bytes only if it has a UUID; after each store its labels say what it is.
 */
import { KernelError, NUMA_NO_NODE, hex, parseBool, parseU64, readOnly, readWrite, roundDown, roundUp } from '@holdfast/lib';
import type { Attribute, KernelErrorOptions, PhysAddr } from '@holdfast/lib';
import { allocatedDpa, extentOf, maxAvailableExtent, nrExtents, renameDpa, resizeDpa } from './dpa.js';
import { nvdimmHasFlush } from './flush.js';
import { activeLabels } from './label-area.js';
import type { ClaimClass } from './namespace-label.js';
import { pmemShouldMapPages } from './namespace-probe.js';
import type { NdClaim, NdCore, NdNamespace, NdRegion } from './nd-device.js';
import { after, bindLine, releaseLines, storeLine, unbindLine, uuidLine, values } from './nd-request.js';
import { type LabelledNamespace, nstypeOf, writeNamespaceLabels } from './region-labels.js';
import { parseChoice, parseStoredUuid, showChoice } from './size-select.js';

/** Logical blocks that a label can ask for. */
const LBA_SIZES = [512, 4096];
/** Characters of an alternative name. */
const MAX_NAME = 63;

/** The one namespace of a region whose DIMMs, if any, have no labels. */
export function createNamespaceIo(core: NdCore, region: NdRegion): NdNamespace {
  return createNamespace(core, region, 'io', { start: region.start, sizeBytes: region.sizeBytes });
}

/** A namespace that labels tell of; without any, one that waits to be made: the seed. */
export function createNamespacePmem(core: NdCore, region: NdRegion, labelled?: LabelledNamespace): NdNamespace {
  return createNamespace(core, region, 'pmem', labelled ?? { start: region.start, sizeBytes: 0 });
}

function createNamespace(
  core: NdCore,
  region: NdRegion,
  kind: 'io' | 'pmem',
  found: Pick<NdNamespace, 'start' | 'sizeBytes'> & Partial<LabelledNamespace>,
): NdNamespace {
  const id = region.ids.namespace.alloc();
  const ns: NdNamespace = {
    type: 'namespace',
    name: `namespace${region.id}.${id}`,
    parent: region,
    region,
    regionId: region.id,
    id,
    kind,
    start: found.start,
    sizeBytes: found.sizeBytes,
    numaNode: region.numaNode,
    targetNode: region.targetNode,
    uuid: found.uuid,
    altName: found.altName ?? '',
    lbaSize: found.lbaSize ?? 0,
    get sectorSize() {
      return ns.lbaSize === 0 ? 512 : ns.lbaSize;
    },
    claimClass: found.claimClass ?? 'none',
    pageMapAllowed: region.pageMapAllowed,
    hasFlush: nvdimmHasFlush(region),
    get readOnly() {
      return region.readOnly;
    },
    forceRaw: false,
    claim: undefined,
    attributes: () => namespaceAttributes(core, ns),
  };
  region.namespaces.push(ns);
  return ns;
}

/** Take a namespace off its bus, and give its number back. */
export function removeNamespace({ bus }: NdCore, ns: NdNamespace): void {
  const { namespaces, ids } = ns.region;
  if (bus.devices.includes(ns)) bus.removeDevice(ns);
  namespaces.splice(namespaces.indexOf(ns), 1);
  ids.namespace.free(ns.id);
}

function namespaceAttributes(core: NdCore, ns: NdNamespace): Attribute[] {
  const { kind, region } = ns;
  return [
    readOnly('nstype', () => nstypeOf(region)),
    kind === 'io' ? readOnly('size', () => ns.sizeBytes) : readWrite('size', () => ns.sizeBytes, (text) => storeSize(core, ns, text)),
    readOnly('mode', () => namespaceMode(core, ns)),
    readOnly('holder', () => ns.claim?.name ?? ''),
    readWrite('holder_class', () => holderClass(ns), (text) => storeHolderClass(core, ns, text)),
    readWrite('force_raw', () => (ns.forceRaw ? 1 : 0), (text) => {
      ns.forceRaw = parseBool(text);
    }),
    readOnly('resource', () => resourceOf(ns), 0o400),
    ...(kind === 'pmem' ? labelAttributes(core, ns) : []),
    ...nodeAttributes(region),
    readOnly('modalias', () => `nd:t${nstypeOf(region)}`),
    readOnly('devtype', () => `nd_namespace_${kind}`),
  ];
}

function labelAttributes(core: NdCore, ns: NdNamespace): Attribute[] {
  return [
    readWrite('uuid', () => ns.uuid ?? '', (text) => storeUuid(core, ns, text)),
    readWrite('alt_name', () => ns.altName, (text) => storeAltName(core, ns, text)),
    readWrite('sector_size', () => showChoice(LBA_SIZES, ns.lbaSize), (text) => storeSectorSize(core, ns, text)),
    readOnly('dpa_extents', () => (ns.uuid === undefined ? 0 : nrExtents(ns.region, ns.uuid))),
  ];
}

/** The kernel's word for what the namespace is used as; ndctl says fsdax for `memory` and sector for `safe`. */
function namespaceMode({ iomem }: NdCore, ns: NdNamespace): string {
  if (ns.claim) return { btt: 'safe', pfn: 'memory', dax: 'dax' }[ns.claim.type];
  return pmemShouldMapPages(ns, iomem) ? 'memory' : 'raw';
}

function holderClass({ claimClass }: NdNamespace): string {
  return { none: '', btt: 'btt', btt2: 'btt', pfn: 'pfn', dax: 'dax', unknown: '<unknown>' }[claimClass];
}

function resourceOf({ name, start, sizeBytes }: NdNamespace): string {
  if (sizeBytes === 0) throw new KernelError('ENXIO', `${name} has no address, as it has no bytes`);
  return hex(start);
}

/** @throws KernelError EBUSY while a driver or a claim has the namespace */
function checkIdle(core: NdCore, ns: NdNamespace): void {
  const driver = core.bus.driverOf(ns);
  if (driver) throw new KernelError('EBUSY', `${ns.name} is in use by ${driver.name}`, after(unbindLine(ns.name, driver.name)));
  if (ns.claim) throw new KernelError('EBUSY', `${ns.name} is claimed by ${ns.claim.name}`, after(...releaseLines(core, ns.claim)));
}

/** Write what was stored to the labels; a namespace without any only remembers it. @throws KernelError */
function updateNamespaceLabels(core: NdCore, ns: NdNamespace, renamedFrom?: string): void {
  if (ns.kind === 'io') return;
  // A sector size or UUID may come while a driver has the namespace: then it is remembered, and not written.
  if (core.bus.driverOf(ns) || ns.claim) return;
  writeNamespaceLabels(ns, renamedFrom);
}

/**
 * Give the namespace so many bytes, or with 0 destroy it.
 * @throws KernelError EBUSY, ENXIO without UUID or if there is no room next to what it has, EINVAL if misaligned, ENOSPC
 */
function storeSize(core: NdCore, ns: NdNamespace, text: string): void {
  const { region } = ns;
  const value = Number(parseU64(text));
  checkIdle(core, ns);
  if (ns.uuid === undefined) throw new KernelError('ENXIO', `${ns.name} needs a UUID before it can have a size`, after(uuidLine(core, ns)));
  if (value % region.align !== 0) {
    throw new KernelError(
      'EINVAL',
      `${ns.name}: size ${value}: expected a multiple of ${region.align}, the alignment of ${region.name}`,
      sizesNear(value, region.align, maxAvailableExtent(region) + allocatedDpa(region, ns.uuid)),
    );
  }
  const disabled = region.mappings.find(({ dimm }) => !dimm.labels);
  if (disabled) {
    throw new KernelError(
      'ENXIO',
      `${ns.name}: the labels of ${disabled.dimm.name} cannot be written, as it is disabled`,
      after(bindLine(disabled.dimm.name, 'nvdimm')),
    );
  }
  const allocated = allocatedDpa(region, ns.uuid);
  const room = maxAvailableExtent(region) + allocated;
  if (value > room) {
    throw new KernelError(
      'ENOSPC',
      `${ns.name}: size ${value}: ${region.name} has room for ${room} in one piece`,
      room > 0 ? values(roundDown(room, region.align)) : {},
    );
  }
  if (value !== allocated) {
    resizeDpa(region, ns.uuid, value / region.mappings.length);
    setResource(ns, value);
  }
  updateNamespaceLabels(core, ns);
  if (value > 0) return;
  ns.uuid = undefined;
  // The seed is kept to be made again, and number 0 for old user space.
  if (allocated > 0 && ns.id !== 0 && region.seeds.namespace !== ns) removeNamespace(core, ns);
}

/** The next sizes up and down that a namespace can have. */
function sizesNear(sizeBytes: number, align: number, room: number): KernelErrorOptions {
  const [up, down] = [roundUp(sizeBytes, align), roundDown(sizeBytes, align)];
  return values(...(up <= room ? [up] : []), ...(down > 0 ? [Math.min(down, roundDown(room, align))] : []));
}

/** Where the namespace lies, from where its share of the first DIMM does. */
function setResource(ns: NdNamespace, sizeBytes: number): void {
  const { region, uuid } = ns;
  const [mapping] = region.mappings;
  const extent = sizeBytes > 0 && mapping && uuid !== undefined ? extentOf(mapping, uuid) : undefined;
  ns.start = (region.start + (extent ? (extent.start - mapping!.start) * region.mappings.length : 0)) as PhysAddr;
  ns.sizeBytes = sizeBytes;
}

/** @throws KernelError EBUSY, EINVAL if it is no UUID, or one that something on this bus has */
function storeUuid(core: NdCore, ns: NdNamespace, text: string): void {
  if (ns.claim) throw new KernelError('EBUSY', `${ns.name} is claimed by ${ns.claim.name}`, after(...releaseLines(core, ns.claim)));
  checkIdle(core, ns);
  const uuid = parseStoredUuid(text);
  const other = holderOfUuid(core, ns.region, uuid);
  if (other !== undefined) throw new KernelError('EINVAL', `UUID ${uuid} is that of ${other}`);
  const old = ns.uuid;
  if (old !== undefined) {
    const blank = ns.region.mappings.find(({ dimm }) => !dimm.labels?.area || activeLabels(dimm.labels.area).length === 0);
    if (blank) {
      throw new KernelError(
        'EBUSY',
        `${ns.name} has a UUID and no label yet: give it a size, or start anew with size 0`,
        after(storeLine(ns.name, 'size', 0)),
      );
    }
    renameDpa(ns.region, old, uuid);
  }
  ns.uuid = uuid;
  updateNamespaceLabels(core, ns, old);
}

/** Who on the same bus has a UUID. */
function holderOfUuid({ bus }: NdCore, region: NdRegion, uuid: string): string | undefined {
  const onBus = bus.devices.filter((device): device is NdNamespace | NdClaim => 'uuid' in device && device.region.parent === region.parent);
  return onBus.find((device) => device.uuid === uuid)?.name;
}

/** @throws KernelError EBUSY, EINVAL if it is longer than 63 characters */
function storeAltName(core: NdCore, ns: NdNamespace, text: string): void {
  checkIdle(core, ns);
  const altName = text.trim();
  if (altName.length > MAX_NAME) {
    throw new KernelError('EINVAL', `alt_name of ${altName.length} characters: expected at most ${MAX_NAME}`, values(altName.slice(0, MAX_NAME)));
  }
  ns.altName = altName;
  updateNamespaceLabels(core, ns);
}

/** @throws KernelError EBUSY, EINVAL if it is not 512 or 4096 */
function storeSectorSize(core: NdCore, ns: NdNamespace, text: string): void {
  checkIdle(core, ns);
  ns.lbaSize = parseChoice(text, LBA_SIZES);
  updateNamespaceLabels(core, ns);
}

/** @throws KernelError EBUSY, EINVAL for an unknown word, ENXIO if the DIMMs' labels are of different versions */
function storeHolderClass(core: NdCore, ns: NdNamespace, text: string): void {
  checkIdle(core, ns);
  const word = text.replace(/\n$/, '');
  if (word !== 'btt' && word !== 'pfn' && word !== 'dax' && word !== '') {
    throw new KernelError('EINVAL', `holder_class '${word}': expected btt, pfn, dax or nothing`, values('pfn', 'dax', 'btt'));
  }
  ns.claimClass = word === 'btt' ? bttClaimClass(ns.region) : word === '' ? 'none' : word;
  updateNamespaceLabels(core, ns);
}

/** v1.2 labels can say that a BTT is of version 2; everyone else gets version 1 (btt_claim_class). */
function bttClaimClass({ name, mappings }: NdRegion): ClaimClass {
  if (mappings.some(({ dimm }) => !dimm.labels)) return 'btt';
  const kinds = new Set(mappings.map(({ dimm }) => dimm.labels?.area?.geometry.labelSize));
  if (kinds.size > 1) throw new KernelError('ENXIO', `${name}: its DIMMs have labels of different versions: initialize them anew`);
  return kinds.size === 0 || kinds.has(128) ? 'btt' : 'btt2';
}

/** numa_node, and target_node if there is one: shown by a region and all below it. */
export function nodeAttributes(region: NdRegion): Attribute[] {
  const numaNode = readOnly('numa_node', () => region.numaNode);
  return region.targetNode === NUMA_NO_NODE ? [numaNode] : [numaNode, readOnly('target_node', () => region.targetNode)];
}
