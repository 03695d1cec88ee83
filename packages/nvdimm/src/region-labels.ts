/**
 * A region and the labels on its DIMMs: which namespaces they make, and how a namespace's labels are written.
 * Mirrors drivers/nvdimm/namespace_devs.c: init_active_labels, scan_labels, create_namespace_pmem; label.c: nd_pmem_namespace_label_update.
 *
 * Invariant: a namespace is believed only if each DIMM of the set holds its label, of this set and with a place in it.
 */
import { KERN, KernelError } from '@holdfast/lib';
import type { PhysAddr, Printk } from '@holdfast/lib';
import { extentOf } from './dpa.js';
import { type LabelArea, type LabelUpdate, activeLabels, deleteLabels, initLabelArea, updateLabels } from './label-area.js';
import {
  type ClaimClass, type NamespaceLabel, ABSTRACTION_GUID, PERSISTENT_MEMORY_GUID, claimClassOf,
} from './namespace-label.js';
import type { NdMapping, NdNamespace, NdRegion } from './nd-device.js';
import { after, bindLine } from './nd-request.js';
import { NULL_UUID } from './uuid.js';

/** 5 if the region is cut up by labels, 4 if it is one namespace (nd_region_to_nstype). */
export function nstypeOf({ mappings }: Pick<NdRegion, 'mappings'>): 4 | 5 {
  return mappings.some(({ dimm }) => dimm.labeling) ? 5 : 4;
}

/**
 * Go by the labels of a region's DIMMs from now on; returns the undo.
 * @throws KernelError ENXIO, logged, if a DIMM with labels has no driver
 */
export function activateLabels({ name, mappings }: NdRegion, printk: Printk): () => void {
  const disabled = mappings.find(({ dimm }) => !dimm.labels && dimm.labeling);
  if (disabled) {
    printk(`nd_region ${name}: ${disabled.dimm.name}: is disabled, failing probe`, KERN.err);
    throw new KernelError(
      'ENXIO',
      `${name}: the labels of ${disabled.dimm.name} are needed, and it is disabled`,
      after(bindLine(disabled.dimm.name, 'nvdimm')),
    );
  }
  const used = mappings.filter(({ dimm }) => dimm.labels).map(({ dimm }) => dimm);
  for (const dimm of used) dimm.nrUsers++;
  return () => {
    for (const dimm of used) dimm.nrUsers--;
  };
}

/** The cookie that the labels of an area carry: v1.1 knows less of a DIMM than v1.2, which is also assumed where there is no index block. */
export function cookieFor({ interleaveSet }: NdRegion, area: LabelArea | undefined): bigint {
  if (!interleaveSet) return 0n;
  return area?.geometry.labelSize === 128 ? interleaveSet.cookie1 : interleaveSet.cookie2;
}

/** A namespace that the labels tell of. */
export interface LabelledNamespace {
  readonly uuid: string;
  readonly altName: string;
  readonly lbaSize: number;
  readonly claimClass: ClaimClass | 'unknown';
  readonly start: PhysAddr;
  readonly sizeBytes: number;
}

/**
 * The namespaces of a region, in the order in which they get their numbers. Labels of another interleave set are left out; whatever else
 * is wrong with one label voids all, for half a truth about who owns what is worse than none.
 * @throws KernelError ENODEV
 */
export function scanLabels(region: NdRegion, printk: Printk): LabelledNamespace[] {
  const labels = region.mappings.map(({ dimm }) => (dimm.labels?.area ? activeLabels(dimm.labels.area) : []));
  const found: LabelledNamespace[] = [];
  const [mapping] = region.mappings;
  for (const label of labels[0] ?? []) {
    if (label.dpa < mapping!.start || label.dpa >= mapping!.start + mapping!.sizeBytes) continue;
    if (found.some(({ uuid }) => uuid === label.uuid)) {
      printk(`nd_region ${region.name}: error: conflicting extents for uuid: ${label.uuid}`, KERN.err);
      throw new KernelError('ENODEV', `${region.name}: two labels of ${label.uuid} on one DIMM`);
    }
    const ns = assemble(region, label, labels, printk);
    if (ns) found.push(ns);
  }
  // Linux compares the addresses as bytes in memory, lowest first.
  return found.sort((a, b) => compareLittleEndian(a.start, b.start));
}

function assemble(region: NdRegion, first: NamespaceLabel, labels: readonly NamespaceLabel[][], printk: Printk): LabelledNamespace | undefined {
  const { mappings, interleaveSet } = region;
  const cookie = cookieFor(region, mappings[0]!.dimm.labels?.area);
  if (cookie === 0n) throw new KernelError('ENODEV', `${region.name} has no interleave set cookie`);
  if (first.isetCookie !== cookie && first.isetCookie !== interleaveSet!.altCookie) return undefined;
  const parts: NamespaceLabel[] = [];
  for (let position = 0; position < mappings.length; position++) {
    const part = findPart(region, first.uuid, position, cookie, labels) ?? findPart(region, first.uuid, position, interleaveSet!.altCookie, labels);
    if (!part) {
      printk(`nd_region ${region.name}: ${mappings[position]!.dimm.name} missing label for ${first.uuid}`, KERN.err);
      throw new KernelError('ENODEV', `${region.name}: no DIMM has label ${position} of ${first.uuid}`);
    }
    parts.push(part);
  }
  for (const [index, mapping] of mappings.entries()) checkExtent(region, mapping, labels[index]!.find(({ uuid }) => uuid === first.uuid));
  const [head] = parts;
  const own = labels[0]!.find(({ uuid }) => uuid === first.uuid)!;
  return {
    uuid: first.uuid,
    altName: head!.name,
    lbaSize: head!.lbaSize,
    claimClass: mappings[0]!.dimm.labels?.area?.geometry.labelSize === 128 ? 'none' : (claimClassOf(head!.abstractionGuid) ?? 'unknown'),
    start: (region.start + (own.dpa - mappings[0]!.start) * mappings.length) as PhysAddr,
    sizeBytes: parts.reduce((sum, { rawSize }) => sum + rawSize, 0),
  };
}

/** The label of a namespace for one place in the set, on whichever DIMM; undefined, too, if a DIMM on the way has two of the namespace. */
function findPart(region: NdRegion, uuid: string, position: number, cookie: bigint, labels: readonly NamespaceLabel[][]): NamespaceLabel | undefined {
  for (const [index, { dimm }] of region.mappings.entries()) {
    const hasType = dimm.labels?.area?.geometry.labelSize === 256;
    const own = labels[index]!.filter((label) => label.uuid === uuid && label.isetCookie === cookie && (!hasType || label.typeGuid === PERSISTENT_MEMORY_GUID));
    const at = own.findIndex((label) => label.nlabel === region.mappings.length && label.position === position);
    if (at === 0) return own[0];
    if (own.length > 1) return undefined;
  }
  return undefined;
}

function checkExtent(region: NdRegion, { dimm, start, sizeBytes }: NdMapping, label: NamespaceLabel | undefined): void {
  if (label && label.dpa >= start && label.dpa + label.rawSize <= start + sizeBytes) return;
  throw new KernelError('ENODEV', `${region.name}: a label of ${dimm.name} leaves its part of the DIMM, ${sizeBytes} bytes at ${start}`);
}

function compareLittleEndian(a: number, b: number): number {
  for (let [x, y] = [a, b]; x !== y; x = Math.floor(x / 256), y = Math.floor(y / 256)) {
    if (x % 256 !== y % 256) return (x % 256) - (y % 256);
  }
  return 0;
}

/** UUIDs that idle namespaces had before and that their labels still carry: the next update removes those (ND_LABEL_REAP). */
export type RenamedFrom = string | undefined;

/**
 * Bring a namespace's labels in line with it; without bytes, it has none. Not for a namespace without UUID, which has none to write.
 * @throws KernelError ENXIO if there is no free slot, or a DIMM has no driver
 */
export function writeNamespaceLabels(ns: NdNamespace, renamedFrom: RenamedFrom): void {
  const { region, uuid } = ns;
  if (uuid === undefined) return;
  if (ns.sizeBytes === 0) {
    for (const { dimm } of region.mappings) {
      if (dimm.labels?.area) deleteLabels(dimm.labels.area, uuid);
    }
    return;
  }
  updateLabels(region.mappings.map((mapping, position) => updateOf(ns, uuid, mapping, position, renamedFrom)));
}

function updateOf(ns: NdNamespace, uuid: string, mapping: NdMapping, position: number, renamedFrom: RenamedFrom): LabelUpdate {
  const { labels, name } = mapping.dimm;
  const extent = extentOf(mapping, uuid);
  if (!labels || !extent) throw new KernelError('ENXIO', `${name} has nothing of ${ns.name}`);
  labels.area ??= initLabelArea(labels.config, 256, 'kernel');
  const { region, altName, lbaSize, claimClass } = ns;
  const label = {
    uuid,
    name: altName,
    nlabel: region.mappings.length,
    position,
    isetCookie: cookieFor(region, labels.area),
    lbaSize,
    dpa: extent.start,
    rawSize: extent.sizeBytes,
    align: 0,
    typeGuid: PERSISTENT_MEMORY_GUID,
    abstractionGuid: claimClass === 'unknown' ? NULL_UUID : ABSTRACTION_GUID[claimClass],
  };
  return { area: labels.area, label, ...(renamedFrom === undefined ? {} : { replaces: renamedFrom }) };
}
