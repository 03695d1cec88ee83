/**
 * What accesses cost, in virtual nanoseconds, by medium and memory type: the figures, and how an access is put together from them.
 *
 * Published, and met by tools/bench/microbench.js within 10 %:
 *   [F20] Yang et al., "An Empirical Guide to the Behavior and Use of Scalable Persistent Memory", FAST 2020;
 *   [I19] Izraelevitz et al., "Basic Performance Measurements of the Intel Optane DC Persistent Memory Module", arXiv 1903.05714;
 *   [V20] Wang et al., "Characterizing and Modeling Non-Volatile Memory Systems", MICRO 2020.
 * [model] marks what nobody published: how a published sum is split, Optane under UC, WC and WT, and all of the PCI card.
 */
import { CACHE_LINE_SIZE, type MediumKind, type MemoryType, WORD_SIZE } from './hardware.js';

/** What a medium measures. */
export interface MediumFigures {
  /** Bytes that it reads at once and keeps open: the next line of them comes sooner. */
  readonly openBytes: number;
  /** Latency of an idle load of one cache line: from anywhere, and from what is open. */
  readonly loadMiss: number;
  readonly loadHit: number;
  /** Bytes that it reads or writes at once; less costs as much. */
  readonly lineBytes: number;
  /** Bytes per nanosecond (GB/s) of one module. */
  readonly readBandwidth: number;
  readonly writeBandwidth: number;
  /** Modules that addresses are spread over. */
  readonly interleave: number;
  /** Bytes that the memory controller takes before a store has to wait for the medium. */
  readonly queueBytes: number;
  /** Latency of an 8-byte store + clwb + sfence, the line being cached, and of a 64-byte non-temporal store + sfence. */
  readonly storeFlush: number;
  readonly stream: number;
}

const DRAM: MediumFigures = {
  // 81 ns in sequence, 101 ns at random [F20]: an open row of 8 KiB [model].
  openBytes: 8192, loadMiss: 101, loadHit: 81,
  // About 100 and 80 GB/s over six channels [I19].
  lineBytes: CACHE_LINE_SIZE, readBandwidth: 100 / 6, writeBandwidth: 80 / 6, interleave: 6,
  queueBytes: 512, storeFlush: 57, stream: 86, // [F20]; the queue as in [V20]
};

const FIGURES: Record<MediumKind, MediumFigures> = {
  dram: DRAM,
  // Optane DC, 100 series: 305 ns at random, 169 in sequence [F20], which is one load in four that opens a 256-byte line.
  // 6.6 and 2.3 GB/s for one module [F20, I19], a write-pending queue of 512 bytes [V20], 62 and 90 ns [F20].
  nvdimm: {
    openBytes: 256, loadMiss: 305, loadHit: (4 * 169 - 305) / 3,
    lineBytes: 256, readBandwidth: 6.6, writeBandwidth: 2.3, interleave: 1,
    queueBytes: 512, storeFlush: 62, stream: 90,
  },
  // Battery-backed DRAM works as DRAM does: one module of it.
  'nvdimm-n': { ...DRAM, interleave: 1 },
  // [model] The host's page cache is RAM.
  hosted: DRAM,
  // [model] PCIe 3.0 x8: a read is a round trip of about 1 us, posted writes stream at about 6 GB/s, a fence is a read.
  pci: {
    openBytes: CACHE_LINE_SIZE, loadMiss: 1000, loadHit: 1000,
    lineBytes: CACHE_LINE_SIZE, readBandwidth: 6, writeBandwidth: 6, interleave: 1,
    queueBytes: 4096, storeFlush: 1000, stream: 1000,
  },
};

/** The figures of a medium of `interleave` modules, or of as many as its kind usually has. */
export function mediumFigures(kind: MediumKind, interleave = FIGURES[kind].interleave): MediumFigures {
  return { ...FIGURES[kind], interleave };
}

/** [model] A store into a cache line that is there, or a load from one: about one line a nanosecond. */
export const CACHED_PER_BYTE = 1 / CACHE_LINE_SIZE;
/** [model] A load of a line that the last-level cache holds. */
export const CACHE_HIT = 20;
/** [model] An sfence that has something to wait for. */
export const SFENCE_COST = 50;
/** [model] How fast one core sends lines past its caches: a little faster than a module takes them. */
const STREAM_PER_BYTE = 1 / 16;

/** What a CPU spends on stores of one type to one medium; a medium that cannot keep up costs more (media-controller.ts). */
export interface StoreCost {
  readonly writeFixed: number;
  readonly writePerByte: number;
  /** Non-temporal stores (writeFlushCache). */
  readonly streamFixed: number;
  readonly streamPerByte: number;
  /** Writing one cache line back: clwb, clflushopt, clflush. */
  readonly flushPerLine: number;
}

export function storeCost({ storeFlush, stream, writeBandwidth }: MediumFigures, type: MemoryType): StoreCost {
  const past = {
    streamFixed: Math.max(stream - SFENCE_COST - CACHE_LINE_SIZE * STREAM_PER_BYTE, 0),
    streamPerByte: STREAM_PER_BYTE,
    flushPerLine: Math.max(storeFlush - SFENCE_COST - WORD_SIZE * CACHED_PER_BYTE, 0),
  };
  switch (type) {
    case 'WB':
      return { writeFixed: 0, writePerByte: CACHED_PER_BYTE, ...past };
    case 'WT': // [model] each store goes to memory, and costs what a non-temporal one costs
    case 'WC':
      return { writeFixed: past.streamFixed, writePerByte: STREAM_PER_BYTE, ...past };
    case 'UC':
    case 'UC-': { // [model] a bus transaction for each word of 8 bytes, in order, each as long as that of a line
      const perByte = CACHE_LINE_SIZE / writeBandwidth / WORD_SIZE;
      return { writeFixed: 0, writePerByte: perByte, streamFixed: 0, streamPerByte: perByte, flushPerLine: past.flushPerLine };
    }
  }
}

/** [model] What an uncached load (UC, UC-, WC) costs for each byte: the CPU waits for memory word by word, 512 times for 4 KiB. */
export function uncachedLoadPerByte({ loadMiss }: MediumFigures): number {
  return loadMiss / WORD_SIZE;
}
