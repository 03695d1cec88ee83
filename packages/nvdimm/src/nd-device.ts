/**
 * The devices of /sys/bus/nd and how they hang together. Mirrors drivers/nvdimm/{nd.h,nd-core.h} and include/linux/nd.h.
 *
 *   provider ─▶ ndbusN ─┬▶ nmemN                         a DIMM
 *                       └▶ regionN ─┬▶ namespaceR.n      a range that a driver may turn into a disk
 *                                   └▶ bttR.n pfnR.n daxR.n   what may claim a namespace; one idle one of each is the seed
 */
import type { NodeId, PhysAddr } from '@holdfast/lib';
import type { Device, Driver } from '@holdfast/driver-core';

export type NdDevice = NdBus | Nvdimm | NdRegion | NdNamespace | NdClaim;

/** One provider's bus: `ndbusN`. */
export interface NdBus extends Device {
  readonly type: 'bus';
  readonly id: number;
  /** Such as `e820` or `ACPI.NFIT`. */
  readonly provider: string;
}

/** A DIMM: `nmemN`. */
export interface Nvdimm extends Device {
  readonly type: 'dimm';
  readonly id: number;
  /** Bytes of its label area; 0 if it has none. */
  readonly labelAreaSize: number;
  /** The firmware could not arm it: it would lose what is written. Its regions are read-only. */
  readonly notArmed: boolean;
  /** Has addresses at which a write flushes the memory controller's queue. */
  readonly hasFlushHints: boolean;
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
}

/** A physical range of persistent memory, in one piece: `regionN`. */
export interface NdRegion extends Device {
  readonly type: 'region';
  /** From the memory region ids that all providers and dax hmem share. */
  readonly id: number;
  readonly kind: 'pmem' | 'volatile';
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
  /** ND_REGION_PAGEMAP: may a raw namespace have struct pages? */
  readonly pageMapAllowed: boolean;
  /** Bytes; capacity is given out in multiples of it. */
  align: number;
  readOnly: boolean;
  /** While the region is enabled: what it holds. */
  namespaces: NdNamespace[];
  seeds: Partial<Record<'namespace' | ClaimKind, NdNamespace | NdClaim>>;
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
  readonly start: PhysAddr;
  readonly sizeBytes: number;
  readonly numaNode: NodeId;
  readonly targetNode: NodeId;
  /** Bytes of a logical block; 512 unless a label says otherwise. */
  readonly sectorSize: number;
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

/** What may claim a namespace to give it a format: `bttR.n`, `pfnR.n`, `daxR.n`. */
export interface NdClaim extends Device {
  readonly type: ClaimKind;
  readonly region: NdRegion;
  readonly id: number;
  namespace: NdNamespace | undefined;
}

/** A driver of namespaces, such as nd_pmem. */
export type NdDriver = Driver<NdNamespace>;
