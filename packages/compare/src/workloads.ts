/**
 * What a program does to the disk, in virtual time: how long it took, and what the media wrote for it.
 */
import { MAP, PROT, type Process } from '@holdfast/kernel';
import { KIB, MIB, PAGE_SIZE, type Random, seededRandom } from '@holdfast/lib';
import { DISK, type Rig } from './rig.js';

/** The part of the disk that workloads use. */
const AREA_BYTES = 16 * MIB;
const RECORD_BYTES = 64;

interface Job {
  readonly process: Process;
  readonly random: Random;
  readonly heap: number;
}

interface Workload {
  readonly summary: string;
  /** Operations of one run. */
  readonly operations: number;
  /** Bytes of one operation. */
  readonly bytes: number;
  /** Are they written? */
  readonly writes: boolean;
  /** Open or map what is needed; the returned function does operation `i`. */
  readonly begin: (job: Job) => { readonly step: (i: number) => void; readonly finish?: () => void };
}

function direct(bytes: number, write: boolean, placeOf: (i: number, random: Random) => number): Workload['begin'] {
  return ({ process, random, heap }) => {
    const fd = process.open(DISK, { write, direct: true });
    return {
      step(i) {
        const offset = placeOf(i, random);
        if (write) process.pwrite(fd, heap, bytes, offset);
        else process.pread(fd, heap, bytes, offset);
      },
      finish: () => (write ? process.fsync(fd) : undefined),
    };
  };
}

const anyPage = (_: number, random: Random): number => random.below(AREA_BYTES / PAGE_SIZE) * PAGE_SIZE;
const inOrder = (bytes: number) => (i: number): number => (i * bytes) % AREA_BYTES;

export const WORKLOADS = {
  'randwrite-4k': {
    summary: 'random writes of 4 KiB past the page cache, one flush at the end',
    operations: 512, bytes: 4 * KIB, writes: true, begin: direct(4 * KIB, true, anyPage),
  },
  'randread-4k': {
    summary: 'random reads of 4 KiB past the page cache',
    operations: 512, bytes: 4 * KIB, writes: false, begin: direct(4 * KIB, false, anyPage),
  },
  'seqwrite-128k': {
    summary: 'sequential writes of 128 KiB past the page cache',
    operations: 64, bytes: 128 * KIB, writes: true, begin: direct(128 * KIB, true, inOrder(128 * KIB)),
  },
  'seqread-128k': {
    summary: 'sequential reads of 128 KiB past the page cache',
    operations: 64, bytes: 128 * KIB, writes: false, begin: direct(128 * KIB, false, inOrder(128 * KIB)),
  },
  'overwrite-hot': {
    summary: 'one page written again and again through the page cache, one fsync at the end',
    operations: 256,
    bytes: PAGE_SIZE,
    writes: true,
    begin({ process, heap }) {
      const fd = process.open(DISK, { write: true });
      return { step: () => void process.pwrite(fd, heap, PAGE_SIZE, 0), finish: () => process.fsync(fd) };
    },
  },
  'dax-log': {
    summary: 'records of 64 bytes appended through a mapping, each made durable (non-temporal stores, sfence)',
    operations: 512,
    bytes: RECORD_BYTES,
    writes: true,
    begin({ process }) {
      const fd = process.open(DISK, { write: true, dax: true });
      const log = process.mmap(fd, { length: MIB, prot: PROT.READ | PROT.WRITE, flags: MAP.SHARED });
      const record = new Uint8Array(RECORD_BYTES).fill(0x55);
      return {
        step(i) {
          process.storeNt(log + i * RECORD_BYTES, record);
          process.sfence();
        },
      };
    },
  },
} satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof WORKLOADS;

export interface WorkloadResult {
  readonly userBytes: number;
  /** Virtual nanoseconds, the flush at the end included. */
  readonly ns: number;
  readonly nsPerOperation: number;
  /** GB/s of virtual time. */
  readonly throughput: number;
  /** What the media wrote for each byte that the user wrote; 0 for reads. */
  readonly mediaBytesPerUserByte: number;
  /** The most often written page: how many lines of the media were written in it. */
  readonly hottestPageLines: number;
}

/** @throws KernelError, or a Signal, if the design does not allow it */
export function runWorkload(rig: Rig, name: WorkloadName, seed = 1): WorkloadResult {
  const { operations, bytes, writes, begin }: Workload = WORKLOADS[name];
  const { clock } = rig.machine;
  const process = rig.kernel.createProcess(name);
  const heap = process.mmap(null, { length: MIB });
  process.store(heap, new Uint8Array(bytes).fill(0xa5));
  const { step, finish } = begin({ process, random: seededRandom(seed), heap });
  const { wear } = rig.pmem;
  wear.reset();
  const from = clock.now;
  for (let i = 0; i < operations; i++) step(i);
  finish?.();
  const ns = clock.now - from;
  process.exit();
  const userBytes = operations * bytes;
  return {
    userBytes,
    ns,
    nsPerOperation: ns / operations,
    throughput: userBytes / ns,
    mediaBytesPerUserByte: writes ? (wear.linesWritten * wear.lineBytes) / userBytes : 0,
    hottestPageLines: Math.max(0, ...wear.histogram().map(({ lines }) => lines)),
  };
}
