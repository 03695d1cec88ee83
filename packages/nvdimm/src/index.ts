// The devices of /sys/bus/nd.
export type {
  ClaimKind, InterleaveSet, NdBtt, NdBus, NdClaim, NdCore, NdDevice, NdDriver, NdMapping, NdNamespace, NdPfn, NdRegion, Nvdimm,
} from './nd-device.js';
// Where providers and drivers meet.
export { type NdBusDesc, type NvdimmDeps, type Nvdimms, createNvdimms } from './bus.js';
export { type NdRegionDesc, trackReadOnly } from './region.js';
export { type NvdimmDesc, NMEM_MAJOR, createConfigArea, openConfigArea } from './dimm.js';
// What a driver of namespaces asks.
export { nvdimmNamespaceCommonProbe, nvdimmNamespaceDiskName, pmemShouldMapPages } from './namespace-probe.js';
export { isNvdimmSync, nvdimmFlush, nvdimmHasFlush } from './flush.js';
export { type EnabledNamespace, type NamespaceEnableDeps, type NdCpu, type NdMemory, enableNamespace } from './namespace-enable.js';
export type { PfnSetup } from './claim-setup.js';
export { setupLines } from './nd-request.js';
// Lost bytes: who knows of them, who clears them, and the commands that user space has for it.
export { type Badrange, createBadrange } from './badrange.js';
export { clearPoison, isKnownPoison, notifyPoison, trackBadblocks } from './poison.js';
export { type NdBusControl, openBusControl } from './bus-control.js';
// Providers: e820 type 12.
export { type NodeLookup, registerE820Driver, registerE820Pmem, resourcesOf } from './e820.js';
// Providers: the firmware's NFIT.
export { type NfitDeps, type NfitNodeLookup, registerNfit } from './nfit.js';
// Providers: virtio-pmem.
export { type VirtioPmemDeps, registerVirtioPmemDriver } from './virtio-pmem.js';
// What lies on the media: labels.
export { type IndexNumber, type LabelGeometry, type LabelSize, type NamespaceIndex, decodeIndex, labelGeometry } from './label-index.js';
export { type ClaimClass, type NamespaceLabel, ABSTRACTION_GUID, NSLABEL_FLAG, PERSISTENT_MEMORY_GUID, claimClassOf } from './namespace-label.js';
export {
  type ConfigArea, type LabelArea, type LabelUpdate, type NewLabel,
  activeLabels, deleteLabels, everyLabel, initLabelArea, labelSlots, nrFreeSlots, openLabelArea, updateLabels,
} from './label-area.js';
export { type InterleaveSetCookies, type InterleaveSetDimm, interleaveSetCookies } from './interleave-set.js';
export { NULL_UUID, formatUuid, parseUuid } from './uuid.js';
// What lies on the media: info blocks, and what they make of a namespace.
export { type NamespaceIo, readBytes, writeBytes, zeroBytes } from './namespace-io.js';
export {
  type InfoBlock, type InfoBlockKind, type PfnMode,
  INFO_BLOCK_OFFSET, INFO_BLOCK_RESERVE, INFO_BLOCK_SIGNATURE, INFO_BLOCK_SIZE, decodeInfoBlock, encodeInfoBlock, hasSignature, superBlockChecksum,
} from './info-block.js';
export {
  type InfoBlockCheck, type InfoBlockExpectation, type PfnLimits, type PfnNamespace, type PfnRefusal, type PfnSettings, type ValidInfoBlock,
  X86_64_LIMITS, checkInfoBlock, readInfoBlock,
} from './info-block-check.js';
export { type PfnInit, type PfnLayout, type PfnMapping, type PfnPlan, initPfn, planPfn, setupPfn } from './pfn-init.js';
// What lies on the media: the block translation table.
export {
  type ArenaLayout, type BttInfo, type BttVersion,
  ARENA_FLAG_ERROR, ARENA_MAX_SIZE, ARENA_MIN_SIZE, BTT_INFO_SIZE, BTT_LBA_SIZES, BTT_NFREE, BTT_SIGNATURE,
  bttCapacity, bttInfoIsValid, bttSectorSize, bttVersion, decodeBttInfo, encodeBttInfo, planArenas,
} from './btt-info.js';
export { type Arena } from './btt-arena.js';
export { type Btt, type BttConfig, type BttProbe, attachBtt, probeBtt, readSector, writeSector } from './btt.js';
