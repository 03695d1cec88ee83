/**
 * Every struct-page design on the same device: each figure comes from a booted kernel of that size.
 */
import { GIB, KernelError, PAGE_SIZE } from '@holdfast/lib';
import { type AttachedPages, type DeviceBus, PAGE_DESIGNS, type PageDesign, type PageDesignName, type PmemMapping } from '@holdfast/pmem';
import { type PowerCutResult, tryPowerCut } from './power-cut.js';
import { type Outcome, type ProbeName, runProbes } from './probes.js';
import { DISK, type Rig, createRig, meminfo } from './rig.js';
import { type WorkloadName, type WorkloadResult, runWorkload } from './workloads.js';

export interface CompareOptions {
  /** Bytes of persistent memory. */
  readonly sizeBytes: number;
  /** Bytes of RAM. Default: a sixteenth of the device, from 16 GiB to 1 TiB, so that pages in RAM fit up to 64 TiB. */
  readonly ramBytes?: number;
  /** What tells of the memory. Default e820. */
  readonly bus?: DeviceBus;
  /** Default: all. */
  readonly designs?: readonly PageDesignName[];
  /** Default wb. */
  readonly mapping?: PmemMapping;
  /** Default randwrite-4k. */
  readonly workload?: WorkloadName;
}

/** A design that the device could not have. */
export interface Refusal {
  readonly errno: string;
  readonly reason: string;
}

export interface DesignResult {
  readonly design: PageDesignName;
  readonly summary: string;
  /** Bytes of RAM that struct pages take, once all are there. */
  readonly ramPageBytes: number;
  /** The same right after the first read. */
  readonly ramPageBytesAtFirst: number;
  readonly devicePageBytes: number;
  readonly usableBytes: number;
  /** RAM that the machine had more with the design than without: a partition of the device. */
  readonly ramGainedBytes: number;
  readonly works: Record<ProbeName, Outcome>;
  /** Virtual nanoseconds from bind to the end of the first read. */
  readonly firstIoNs: number;
  /** The same until all struct pages are there; null if there is no room for all at once, and the design goes on without. */
  readonly allPagesReadyNs: number | null;
  readonly mediaBytesPerUserByte: number;
  readonly workload: WorkloadResult;
  readonly powerCut: PowerCutResult;
}

export type CompareRow = DesignResult | { readonly design: PageDesignName; readonly summary: string; readonly refused: Refusal };

/** Those that an administrator can bind; what boot has to make is for another boot. */
export const DESIGN_NAMES = (Object.keys(PAGE_DESIGNS) as PageDesignName[]).filter((name) => !(PAGE_DESIGNS[name] as PageDesign).madeAtBoot);
const MIN_RAM = 16 * GIB;
const MAX_RAM = 1024 * GIB;

/** RAM of the machine if nobody says. */
export function defaultRam(sizeBytes: number): number {
  return Math.min(MAX_RAM, Math.max(MIN_RAM, Math.ceil(sizeBytes / 16 / GIB) * GIB + MIN_RAM));
}

/** @throws KernelError EINVAL for sizes that make no machine */
export function compareDesigns(options: CompareOptions): CompareRow[] {
  return (options.designs ?? DESIGN_NAMES).map((design) => compareOne(design, options));
}

function compareOne(design: PageDesignName, options: CompareOptions): CompareRow {
  const { sizeBytes, ramBytes = defaultRam(sizeBytes), bus = 'e820', mapping = 'wb', workload = 'randwrite-4k' } = options;
  const spec = { sizeBytes, ramBytes, bus };
  const { summary } = PAGE_DESIGNS[design];
  const rig = createRig(spec);
  const { clock } = rig.machine;
  const totalBefore = meminfo(rig.kernel, 'MemTotal');
  const from = clock.now;
  let attached: AttachedPages;
  try {
    attached = rig.attach(design, mapping);
  } catch (error) {
    if (error instanceof KernelError) return { design, summary, refused: { errno: error.code, reason: error.message } };
    throw error;
  }
  firstRead(rig);
  const firstIoNs = Math.round(clock.now - from);
  const ramPageBytesAtFirst = attached.ramPageBytes();
  const allPagesReadyNs = makeAllReady(attached) ? Math.round(clock.now - from) : null;
  const figures = {
    ramPageBytesAtFirst,
    ramPageBytes: attached.ramPageBytes(),
    devicePageBytes: attached.devicePageBytes(),
    usableBytes: attached.dataSize,
    ramGainedBytes: Math.max(0, meminfo(rig.kernel, 'MemTotal') - totalBefore),
  };
  const result = runWorkload(rig, workload);
  const { result: powerCut, rig: again } = tryPowerCut(rig, design, mapping);
  const works = runProbes(again, () => void again.attach(design, mapping));
  return { design, summary, ...figures, works, firstIoNs, allPagesReadyNs, mediaBytesPerUserByte: result.mediaBytesPerUserByte, workload: result, powerCut };
}

function makeAllReady(attached: AttachedPages): boolean {
  try {
    attached.makeAllReady();
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'ENOMEM') return false;
    throw error;
  }
}

function firstRead(rig: Rig): void {
  const process = rig.kernel.createProcess('first');
  const buffer = process.mmap(null, { length: PAGE_SIZE });
  process.pread(process.open(DISK, { direct: true }), buffer, PAGE_SIZE, 0);
  process.exit();
}
