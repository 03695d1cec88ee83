/**
 * Namespaces: the ranges of a region that a driver may attach. Mirrors drivers/nvdimm/namespace_devs.c.
 *
 * Invariant: a label-less namespace (namespace_io) spans its region, cannot be resized and has no uuid.
 */
import { NUMA_NO_NODE, hex, parseBool, readOnly, readWrite } from '@holdfast/lib';
import type { Attribute, Resource } from '@holdfast/lib';
import type { NdNamespace, NdRegion } from './nd-device.js';
import { nvdimmHasFlush } from './flush.js';
import { pmemShouldMapPages } from './namespace-probe.js';

/** The one namespace of a region whose DIMMs, if any, have no labels. */
export function createNamespaceIo(region: NdRegion, iomem: Resource): NdNamespace {
  const ns: NdNamespace = {
    type: 'namespace',
    name: `namespace${region.id}.0`,
    parent: region,
    region,
    regionId: region.id,
    id: 0,
    kind: 'io',
    start: region.start,
    sizeBytes: region.sizeBytes,
    numaNode: region.numaNode,
    targetNode: region.targetNode,
    sectorSize: 512,
    pageMapAllowed: region.pageMapAllowed,
    hasFlush: nvdimmHasFlush(region),
    get readOnly() {
      return region.readOnly;
    },
    forceRaw: false,
    claim: undefined,
    attributes: () => namespaceAttributes(ns, iomem),
  };
  return ns;
}

function namespaceAttributes(ns: NdNamespace, iomem: Resource): Attribute[] {
  return [
    readOnly('nstype', () => 4),
    readOnly('size', () => ns.sizeBytes),
    readOnly('mode', () => namespaceMode(ns, iomem)),
    readOnly('holder', () => ns.claim?.name ?? ''),
    readOnly('holder_class', () => ns.claim?.type ?? '', 0o644),
    readWrite('force_raw', () => (ns.forceRaw ? 1 : 0), (text) => {
      ns.forceRaw = parseBool(text);
    }),
    readOnly('resource', () => hex(ns.start), 0o400),
    ...nodeAttributes(ns.region),
    readOnly('modalias', () => 'nd:t4'),
    readOnly('devtype', () => 'nd_namespace_io'),
  ];
}

/** The kernel's word for what the namespace is used as; ndctl says fsdax for `memory` and sector for `safe`. */
function namespaceMode(ns: NdNamespace, iomem: Resource): string {
  if (ns.claim) return { btt: 'safe', pfn: 'memory', dax: 'dax' }[ns.claim.type];
  return pmemShouldMapPages(ns, iomem) ? 'memory' : 'raw';
}

/** numa_node, and target_node if there is one: shown by a region and all below it. */
export function nodeAttributes(region: NdRegion): Attribute[] {
  const numaNode = readOnly('numa_node', () => region.numaNode);
  return region.targetNode === NUMA_NO_NODE ? [numaNode] : [numaNode, readOnly('target_node', () => region.targetNode)];
}
