// The devices of /sys/bus/nd.
export type { ClaimKind, InterleaveSet, NdBus, NdClaim, NdDevice, NdDriver, NdMapping, NdNamespace, NdRegion, Nvdimm } from './nd-device.js';
// Where providers and drivers meet.
export { type NdBusDesc, type NvdimmDeps, type Nvdimms, createNvdimms } from './bus.js';
export type { NdRegionDesc } from './region.js';
export type { NvdimmDesc } from './dimm.js';
// What a driver of namespaces asks.
export { nvdimmNamespaceCommonProbe, nvdimmNamespaceDiskName, pmemShouldMapPages } from './namespace-probe.js';
export { nvdimmHasFlush } from './flush.js';
// Providers: e820 type 12.
export { type NodeLookup, registerE820Driver, registerE820Pmem, resourcesOf } from './e820.js';
// Providers: the firmware's NFIT.
export { type NfitDeps, type NfitNodeLookup, registerNfit } from './nfit.js';
