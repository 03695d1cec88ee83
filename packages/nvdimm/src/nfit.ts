/**
 * The ACPI provider: NVDIMMs that the firmware describes in its NFIT. Mirrors drivers/acpi/nfit/core.c: acpi_nfit_register_dimms,
 * acpi_nfit_register_regions, acpi_nfit_insert_resource.
 *
 * Invariant: nmem ids follow the NFIT handles, region ids the order of the table's ranges.
 * Volatile ranges and persistent ones are scrubbed for errors where the firmware can; see nfit-scrub.ts.
 */
import { KERN, KernelError, createResource, hex, hex16, NUMA_NO_NODE, insertResource, physAddr, readOnly, removeResource } from '@holdfast/lib';
import type { NodeId, PhysAddr, Printk, Resource } from '@holdfast/lib';
import { createRootDevice } from '@holdfast/driver-core';
import type { Device } from '@holdfast/driver-core';
import { spaType } from '@holdfast/acpi';
import type { NfitCapabilities, NfitContents, NfitControlRegion, NfitMemoryMap, NfitSpaRange } from '@holdfast/acpi';
import type { Machine, NvdimmRootMethods } from '@holdfast/machine';
import type { NdBusDesc, Nvdimms } from './bus.js';
import type { NvdimmDesc } from './dimm.js';
import { resourcesOf } from './e820.js';
import type { NodeLookup } from './e820.js';
import { interleaveSetCookies } from './interleave-set.js';
import type { InterleaveSetCookies } from './interleave-set.js';
import type { ConfigArea } from './label-area.js';
import type { NdBus, NdMapping, Nvdimm } from './nd-device.js';
import { NOT_ARMED, failureWords, nfitDimmAttributes } from './nfit-dimm.js';
import { type NfitScrub, type ScrubRange, createNfitScrub } from './nfit-scrub.js';
import type { NdRegionDesc } from './region.js';

/** What the architecture knows of proximity domains, beside {@link NodeLookup}. */
export interface NfitNodeLookup extends NodeLookup {
  /** NUMA_NO_NODE with numa=off (acpi_map_pxm_to_node). */
  pxmToNode(pxm: number): NodeId;
  /** The node of an address, or the first one (memory_add_physaddr_to_nid). */
  memoryAddPhysaddrToNid(addr: PhysAddr): NodeId;
}

export interface NfitDeps {
  nvdimms: Nvdimms;
  nfit: NfitContents & { readonly header: { readonly revision: number } };
  /** The label area of a DIMM by its NFIT handle, to which the firmware gives access by methods and not in the table; undefined for none. */
  labelArea: (deviceHandle: number) => ConfigArea | undefined;
  nodes: NfitNodeLookup;
  iomem: Resource;
  printk: Printk;
  /** The methods of the NVDIMM root device; left out if the firmware has none. */
  methods?: NvdimmRootMethods;
  machine: Pick<Machine, 'clock' | 'onMachineCheck'>;
  /** The ACPI device; default ACPI0012:00 below LNXSYSTM:00. */
  parent?: Device;
}

/** Flag of a range: its proximity domain is valid. */
const PROXIMITY_VALID = 2;
/** Platform capabilities: CPU caches, or the memory controller, reach the media at power loss. */
const CACHE_FLUSH = 1;
const MEMORY_FLUSH = 2;

/** Register the bus, its DIMMs and its regions. The returned function takes all of it away. */
export function registerNfit(deps: NfitDeps): () => void {
  const { nvdimms, nfit, iomem, machine, methods, printk } = deps;
  const scrub: NfitScrub = createNfitScrub({ bus: () => bus, methods, clock: machine.clock, printk });
  const bus = nvdimms.registerBus(busDesc(deps, scrub));
  const dimms = registerDimms(deps, bus);
  const inserted: Resource[] = [];
  for (const spa of nfit.spaRanges) {
    const desc = regionDesc(spa, dimms, deps);
    if (!desc) continue;
    if (spaType(spa.typeGuid) === 'pm') inserted.push(...insertPersistentMemory(iomem, spa, deps.printk));
    const range: ScrubRange = { start: spa.address, sizeBytes: spa.length, isVolatile: spaType(spa.typeGuid) === 'volatile', region: undefined };
    if (spaType(spa.typeGuid) === 'pm' || range.isVolatile) scrub.register(range);
    range.region = nvdimms.registerRegion(bus, desc);
  }
  scrub.begin();
  const deafen = machine.onMachineCheck((addr) => scrub.machineCheck(addr));
  if (methods) methods.onUncorrectableError = () => scrub.uncorrectableError();
  return () => {
    deafen();
    scrub.stop();
    if (methods) methods.onUncorrectableError = undefined;
    nvdimms.unregisterBus(bus);
    for (const resource of inserted.reverse()) removeResource(resource);
  };
}

/** Methods 1 to 4, and the injection of errors, 7 to 9. */
const ROOT_METHODS = 0x39e;

function busDesc({ nfit, parent, methods }: NfitDeps, scrub: NfitScrub): NdBusDesc {
  const attributes = [
    readOnly('nfit/revision', () => nfit.header.revision),
    ...scrub.attributes,
    readOnly('nfit/dsm_mask', () => hex(methods ? ROOT_METHODS : 0)),
  ];
  const acpiDevice = parent ?? createRootDevice('ACPI0012:00', createRootDevice('LNXSYBUS:00', createRootDevice('LNXSYSTM:00')));
  const commands = methods ? ['ars_cap', 'ars_start', 'ars_status', 'clear_error', 'cmd_call'] : ['cmd_call'];
  return { provider: 'ACPI.NFIT', parent: acpiDevice, commands, attributes, isScrubbing: () => scrub.isBusy(), ...(methods ? { methods } : {}) };
}

/** The DIMMs by handle. One that no control region describes is left out. */
function registerDimms(deps: NfitDeps, bus: NdBus): Map<number, Nvdimm> {
  const { nfit, nvdimms, printk } = deps;
  const dimms = new Map<number, Nvdimm>();
  const maps = nfit.memoryMaps.filter((map) => controlOf(map, nfit)).sort((a, b) => a.deviceHandle - b.deviceHandle);
  for (const map of maps) {
    if (dimms.has(map.deviceHandle)) continue;
    const dimm = nvdimms.registerDimm(bus, dimmDesc(map, deps));
    dimms.set(map.deviceHandle, dimm);
    const failures = failureWords(map.flags);
    if (failures) printk(`nfit ${bus.parent?.name}: Error found in NVDIMM ${dimm.name} flags:${failures}`);
  }
  return dimms;
}

function dimmDesc(map: NfitMemoryMap, { nfit, labelArea }: NfitDeps): NvdimmDesc {
  const configArea = labelArea(map.deviceHandle);
  const control = controlOf(map, nfit)!;
  const codes = nfit.memoryMaps.filter((other) => other.deviceHandle === map.deviceHandle).map((other) => controlOf(other, nfit)?.interfaceCode);
  const formats = [...new Set(codes.filter((code) => code !== undefined))];
  return {
    ...(configArea ? { configArea } : {}),
    notArmed: (map.flags & NOT_ARMED) !== 0,
    hasFlushHints: nfit.flushHints.some((hint) => hint.deviceHandle === map.deviceHandle && hint.addresses.length > 0),
    commands: configArea ? ['get_size', 'get_data', 'set_data', 'cmd_call'] : ['cmd_call'],
    attributes: nfitDimmAttributes(map, control, formats, configArea !== undefined),
  };
}

function controlOf(map: NfitMemoryMap, nfit: NfitContents): NfitControlRegion | undefined {
  return nfit.controlRegions.find((control) => control.index === map.controlRegionIndex && control.index !== 0);
}

/** What to register for a range; undefined for ranges that hold no memory, or that name a DIMM that is not there. */
function regionDesc(spa: NfitSpaRange, dimms: ReadonlyMap<number, Nvdimm>, deps: NfitDeps): NdRegionDesc | undefined {
  const type = spaType(spa.typeGuid);
  if (type === undefined || type === 'dcr' || type === 'bdw') return undefined;
  const isVirtual = type !== 'pm' && type !== 'volatile';
  if (spa.rangeIndex === 0 && !isVirtual) return undefined;
  const maps = deps.nfit.memoryMaps.filter((map) => map.rangeIndex === spa.rangeIndex && spa.rangeIndex !== 0);
  const missing = maps.find((map) => !dimms.has(map.deviceHandle));
  if (missing) {
    deps.printk(`nfit ACPI0012:00: spa${spa.rangeIndex} dimm: 0x${missing.deviceHandle.toString(16)} not found`, KERN.err);
    return undefined;
  }
  const domain = persistenceDomain(deps.nfit.capabilities);
  return {
    kind: type === 'volatile' ? 'volatile' : 'pmem',
    start: physAddr(spa.address),
    sizeBytes: spa.length,
    ...nodesOf(spa, deps),
    mappings: mappingsOf(maps, dimms),
    ...(maps.length > 0 ? { interleaveSet: setOf(maps, deps.nfit) } : {}),
    ...(domain ? { persistenceDomain: domain } : {}),
    attributes: [readOnly('nfit/range_index', () => spa.rangeIndex)],
  };
}

/** In the order of the table; `position` is the place by offset in the region. */
function mappingsOf(maps: readonly NfitMemoryMap[], dimms: ReadonlyMap<number, Nvdimm>): NdMapping[] {
  const byOffset = [...maps].sort((a, b) => a.regionOffset - b.regionOffset);
  return maps.map((map) => ({ dimm: dimms.get(map.deviceHandle)!, start: map.dpa, sizeBytes: map.regionSize, position: byOffset.indexOf(map) }));
}

function setOf(maps: readonly NfitMemoryMap[], nfit: NfitContents): InterleaveSetCookies {
  return interleaveSetCookies(
    maps.map((map) => {
      const { serialNumber, vendorId, manufacturingDate, manufacturingLocation } = controlOf(map, nfit)!;
      return { regionOffset: map.regionOffset, serial: serialNumber, vendor: vendorId, manufacturingDate, manufacturingLocation };
    }),
  );
}

function persistenceDomain(platform: NfitCapabilities | undefined): 'cpu_cache' | 'memory_controller' | undefined {
  if (!platform) return undefined;
  if (platform.capabilities & CACHE_FLUSH) return 'cpu_cache';
  return platform.highestValidBit >= 1 && platform.capabilities & MEMORY_FLUSH ? 'memory_controller' : undefined;
}

/** By the range's proximity domain; where that gives none, by its address, with a word about it. */
function nodesOf(spa: NfitSpaRange, { nodes, printk }: NfitDeps): { numaNode: NodeId; targetNode: NodeId } {
  const fromPxm = spa.flags & PROXIMITY_VALID ? nodes.pxmToNode(spa.proximityDomain) : NUMA_NO_NODE;
  const start = physAddr(spa.address);
  const fallback = (what: string, found: NodeId, lookUp: () => NodeId): NodeId => {
    if (found !== NUMA_NO_NODE) return found;
    const node = lookUp();
    printk(`nfit ACPI0012:00: changing ${what} node from ${found} to ${node} for nfit region [${hex16(start)}-${hex16(start + spa.length - 1)}]`);
    return node;
  };
  return {
    numaNode: fallback('numa', nodes.mapToOnlineNode(fromPxm), () => nodes.memoryAddPhysaddrToNid(start)),
    targetNode: fallback('target', fromPxm, () => nodes.physToTargetNode(start)),
  };
}

/** Show the range in /proc/iomem, if the memory map did not tell of it (e820 type 7) already. */
function insertPersistentMemory(iomem: Resource, spa: NfitSpaRange, printk: Printk): Resource[] {
  const [start, end] = [spa.address, spa.address + spa.length - 1];
  if (resourcesOf(iomem, 'persistent-memory').some((known) => known.start <= start && known.end >= end)) return [];
  const resource = createResource({ name: 'Persistent Memory', start, end, desc: 'persistent-memory' });
  try {
    insertResource(iomem, resource);
    return [resource];
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    printk(`nfit ACPI0012:00: failed to insert pmem resource to iomem: -${error.errno}`, KERN.warning);
    return [];
  }
}
