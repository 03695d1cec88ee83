/**
 * What an access costs, in virtual nanoseconds, by medium and memory type: `fixed + perByte * length`, one addition to the clock.
 *
 * Sources: [F20] Yang et al., "An Empirical Guide to the Behavior and Use of Scalable Persistent Memory", FAST 2020;
 * [I19] Izraelevitz et al., "Basic Performance Measurements of the Intel Optane DC Persistent Memory Module", arXiv 1903.05714.
 * No measurements of Optane under UC or WT mappings are published: those are derived, and marked [model], as is all of the PCI card.
 */
import { CACHE_LINE_SIZE, type MediumKind, type MemoryType, WORD_SIZE } from './hardware.js';

/** Nanoseconds of one access of `n` bytes: the fixed part once, and the other for each byte. */
export interface AccessCost {
  readonly readFixed: number;
  readonly readPerByte: number;
  readonly writeFixed: number;
  readonly writePerByte: number;
  /** Non-temporal stores (writeFlushCache). */
  readonly streamPerByte: number;
  /** Writing one cache line back: clwb, clflushopt, clflush. */
  readonly flushPerLine: number;
}

/** What the media themselves measure. */
interface MediumFigures {
  /** Idle load latency, random, ns. */
  readonly loadLatency: number;
  /** Bytes per nanosecond (GB/s) of one module. */
  readonly readBandwidth: number;
  readonly writeBandwidth: number;
}

const FIGURES: Record<MediumKind, MediumFigures> = {
  // 101 ns [F20]; about 100 and 80 GB/s over six channels [I19].
  dram: { loadLatency: 101, readBandwidth: 100 / 6, writeBandwidth: 80 / 6 },
  // 305 ns; 6.6 and 2.3 GB/s for one module [F20, I19].
  nvdimm: { loadLatency: 305, readBandwidth: 6.6, writeBandwidth: 2.3 },
  // [model] a PCIe 3.0 x8 card: one non-posted read is a round trip of about 1 us, posted writes stream at about 6 GB/s.
  pci: { loadLatency: 1000, readBandwidth: 6, writeBandwidth: 6 },
  // [model] the host's page cache is RAM.
  hosted: { loadLatency: 101, readBandwidth: 100 / 6, writeBandwidth: 80 / 6 },
};

/** A store into a cache line that is there [model]: about one line a nanosecond. */
const CACHED_STORE_PER_BYTE = 1 / CACHE_LINE_SIZE;
/** Latency of a store + clwb + sfence, and of an sfence that has something to wait for [F20: 57 on DRAM, 62 on Optane]. */
export const SFENCE_COST = 62;

const WORDS_PER_LINE = CACHE_LINE_SIZE / WORD_SIZE;

/** The cost of accesses to a medium through a mapping of a type. */
export function accessCost(kind: MediumKind, type: MemoryType): AccessCost {
  const { loadLatency, readBandwidth, writeBandwidth } = FIGURES[kind];
  const lineFill = { readFixed: loadLatency, readPerByte: 1 / readBandwidth };
  // [model] An uncached load waits for memory, word by word.
  const uncachedLoad = { readFixed: 0, readPerByte: loadLatency / WORD_SIZE };
  const stream = 1 / writeBandwidth;
  const flush = { flushPerLine: CACHE_LINE_SIZE * stream };
  switch (type) {
    case 'WB':
      return { ...lineFill, writeFixed: 0, writePerByte: CACHED_STORE_PER_BYTE, streamPerByte: stream, ...flush };
    case 'WT': // [model] loads hit the cache; each store goes to memory, as a non-temporal one does.
      return { ...lineFill, writeFixed: 0, writePerByte: stream, streamPerByte: stream, ...flush };
    case 'WC':
      return { ...uncachedLoad, writeFixed: 0, writePerByte: stream, streamPerByte: stream, ...flush };
    case 'UC':
    case 'UC-': // [model] one bus transaction for each word, where a line would do with one for eight.
      return { ...uncachedLoad, writeFixed: 0, writePerByte: WORDS_PER_LINE * stream, streamPerByte: WORDS_PER_LINE * stream, ...flush };
  }
}
