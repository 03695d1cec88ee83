/**
 * The devices of /sys/bus/nd and how they hang together. Mirrors drivers/nvdimm/{nd.h,nd-core.h} and include/linux/nd.h.
 *
 *   provider ─▶ ndbusN ─┬▶ nmemN                         a DIMM
 *                       └▶ regionN ─┬▶ namespaceR.n      a range that a driver may turn into a disk
 *                                   └▶ bttR.n pfnR.n daxR.n   what may claim a namespace; one idle one of each is the seed
 */
import type { Ida, NodeId, PhysAddr, Printk, Resource } from '@holdfast/lib';
import type { Badblocks } from '@holdfast/block';
import type { Bus, Device, Driver } from '@holdfast/driver-core';
import type { NvdimmRootMethods } from '@holdfast/machine';
import type { Badrange } from './badrange.js';
import type { DimmLabels } from './dimm-labels.js';
import type { ValidInfoBlock } from './info-block-check.js';
import type { ConfigArea } from './label-area.js';
import type { ClaimClass } from './namespace-label.js';

export type NdDevice = NdBus | Nvdimm | NdRegion | NdNamespace | NdClaim;

/** What the devices need of the bus that they are on. */
export interface NdCore {
  readonly bus: Bus<NdDevice>;
  /** The root of /proc/iomem. */
  readonly iomem: Resource;
  readonly printk: Printk;
  /**
   * Do something once the bus is idle: devices register behind the back of the probe that made them (async_schedule_domain),
   * so that the probe is over when theirs begins.
   */
  later(action: () => void): void;
}

/** One provider's bus: `ndbusN`. */
export interface NdBus extends Device {
  readonly type: 'bus';
  readonly id: number;
  /** Such as `e820` or `ACPI.NFIT`. */
  readonly provider: string;
  /** What is known to be lost of its memory. */
  readonly badrange: Badrange;
  /** What the platform's firmware can do about errors; undefined if nothing. */
  readonly methods: NvdimmRootMethods | undefined;
  readonly regions: NdRegion[];
  /** Is the kernel itself about to scrub, or doing so? */
  isScrubbing(): boolean;
}

/** A DIMM: `nmemN`. */
export interface Nvdimm extends Device {
  readonly type: 'dimm';
  readonly id: number;
  /** The bytes that its firmware keeps for labels; undefined if it has none. */
  readonly configArea: ConfigArea | undefined;
  /** The firmware could not arm it: it would lose what is written. Its regions are read-only. */
  readonly notArmed: boolean;
  /** Has addresses at which a write flushes the memory controller's queue. */
  readonly hasFlushHints: boolean;
  /** An index block has been seen on it since boot; never forgotten (NDD_LABELING). */
  labeling: boolean;
  /** What its labels say, while its driver is bound and it has a label area. */
  labels: DimmLabels | undefined;
  /** Enabled regions that go by its labels: meanwhile user space may not write them. */
  nrUsers: number;
}

/** The part of a DIMM that a region uses. */
export interface NdMapping {
  readonly dimm: Nvdimm;
  /** Address inside the DIMM (DPA), in bytes. */
  readonly start: number;
  readonly sizeBytes: number;
  /** Place in the interleave set, from 0. */
  readonly position: number;
}

/** What identifies the DIMMs of a region and their order; labels carry it. */
export interface InterleaveSet {
  /** The cookie of v1.1 labels. */
  readonly cookie1: bigint;
  /** The cookie of v1.2 labels. */
  readonly cookie2: bigint;
  /** Of kernels that sorted wrongly; their labels are still believed. */
  readonly altCookie: bigint;
}

/** A physical range of persistent memory, in one piece: `regionN`. */
export interface NdRegion extends Device {
  readonly type: 'region';
  readonly bus: NdBus;
  /** From the memory region ids that all providers and dax hmem share. */
  readonly id: number;
  readonly kind: 'pmem' | 'volatile';
  /** Who told of it: that of its bus. */
  readonly provider: string;
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  /** The online node nearest to it. */
  readonly numaNode: NodeId;
  /** The node that its memory would make if it were onlined; NUMA_NO_NODE if the firmware tells none. */
  readonly targetNode: NodeId;
  readonly mappings: readonly NdMapping[];
  readonly interleaveSet: InterleaveSet | undefined;
  /** How far power-fail protection reaches, if the platform says so. */
  readonly persistenceDomain: 'cpu_cache' | 'memory_controller' | undefined;
  /** How its provider makes writes durable, where fences of the CPU do not (ND_REGION_ASYNC); returns whether it could. */
  readonly flush: (() => boolean) | undefined;
  /** ND_REGION_PAGEMAP: may a raw namespace have struct pages? */
  readonly pageMapAllowed: boolean;
  /** While the region is enabled: its lost sectors, counted from its start. */
  badblocks: Badblocks | undefined;
  /** Who has a list of lost sectors to fill when errors are found; see trackBadblocks. */
  readonly poisonWatchers: Set<() => void>;
  /** Bytes; capacity is given out in multiples of it. */
  align: number;
  readOnly: boolean;
  /** The drivers' disks that follow `readOnly`; see trackReadOnly. */
  readonly readOnlyWatchers: Set<() => void>;
  /** Numbers of what it holds. */
  readonly ids: Readonly<Record<'namespace' | ClaimKind, Ida>>;
  /** While the region is enabled: what it holds. */
  readonly namespaces: NdNamespace[];
  /** Namespaces that the last enabling found, and how many of them could be registered. */
  scanned: { active: number; total: number } | undefined;
  seeds: Partial<Record<'namespace', NdNamespace> & Record<ClaimKind, NdClaim>>;
}

/** A range that a driver may turn into a disk: `namespaceR.n`. */
export interface NdNamespace extends Device {
  readonly type: 'namespace';
  readonly region: NdRegion;
  readonly regionId: number;
  /** Of its region, lowest free first. */
  readonly id: number;
  /** `io` is label-less and spans its region; `pmem` is cut out of it by labels. */
  readonly kind: 'io' | 'pmem';
  start: PhysAddr;
  /** 0 for a seed, and for one that was destroyed. */
  sizeBytes: number;
  readonly numaNode: NodeId;
  readonly targetNode: NodeId;
  /** From its labels; undefined for one that has none. */
  uuid: string | undefined;
  altName: string;
  /** What the label says of its logical block; 0 if it does not. */
  lbaSize: number;
  /** Bytes of a logical block; 512 unless a label says otherwise. */
  readonly sectorSize: number;
  /** What it was made for; `unknown` is a label's that this kernel does not know. */
  claimClass: ClaimClass | 'unknown';
  /** May it have struct pages without an info block? See {@link NdRegion.pageMapAllowed}. */
  readonly pageMapAllowed: boolean;
  /** Can a flush be made durable for certain? Undefined if nobody knows; see nvdimmHasFlush. */
  readonly hasFlush: boolean | undefined;
  readonly readOnly: boolean;
  /** Attach raw, whatever info block is on the media, and without struct pages. */
  forceRaw: boolean;
  /** The device that holds it, if any. */
  claim: NdClaim | undefined;
}

export type ClaimKind = 'btt' | 'pfn' | 'dax';

interface ClaimBase extends Device {
  readonly region: NdRegion;
  readonly id: number;
  readonly numaNode: NodeId;
  namespace: NdNamespace | undefined;
  uuid: string | undefined;
}

/** A block translation table to be, or in use: `bttR.n`. */
export interface NdBtt extends ClaimBase {
  readonly type: 'btt';
  /** Bytes of a sector with its metadata; 0 while nobody has chosen. */
  lbaSize: number;
  /** Bytes of the disk, while a driver is bound. */
  diskSize: number | undefined;
}

/** What gives a namespace struct pages: `pfnR.n` (fsdax) and `daxR.n` (devdax). */
export interface NdPfn extends ClaimBase {
  readonly type: 'pfn' | 'dax';
  mode: 'none' | 'ram' | 'pmem';
  /** An idle seed keeps the last value that was written to it. */
  align: number;
  /** What the info block says, while a driver is bound. */
  block: ValidInfoBlock | undefined;
}

/** What may claim a namespace to give it a format. */
export type NdClaim = NdBtt | NdPfn;

/** A driver of namespaces and of what claims them, such as nd_pmem. */
export type NdDriver = Driver<NdNamespace | NdClaim>;
