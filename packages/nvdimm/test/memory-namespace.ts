/** A namespace in memory: sparse pages, lost ranges that a whole-block write repairs, and counters. */
import { KernelError, rangesOverlap } from '@holdfast/lib';
import type { Range } from '@holdfast/lib';
import type { NamespaceIo } from '../src/namespace-io.js';

const PAGE = 4096;

export interface MemoryNamespace extends NamespaceIo {
  pages: Map<number, Uint8Array>;
  lost: Range[];
  nrWrites: number;
  nrFlushes: number;
  bytes(offset: number, length: number): Uint8Array;
}

export function memoryNamespace(sizeBytes: number, pages: Map<number, Uint8Array> = new Map()): MemoryNamespace {
  const io: MemoryNamespace = {
    sizeBytes,
    pages,
    lost: [],
    nrWrites: 0,
    nrFlushes: 0,
    read(offset, target) {
      if (io.badRanges!(offset, target.length).length > 0) throw new KernelError('EIO', `lost media at ${offset}`);
      for (let at = 0; at < target.length; ) {
        const inPage = (offset + at) % PAGE;
        const length = Math.min(PAGE - inPage, target.length - at);
        const page = pages.get(Math.floor((offset + at) / PAGE));
        if (page) target.set(page.subarray(inPage, inPage + length), at);
        else target.fill(0, at, at + length);
        at += length;
      }
    },
    write(offset, source) {
      io.nrWrites++;
      if (offset % 512 === 0 && source.length % 512 === 0) io.lost = io.lost.flatMap((range) => without(range, { start: offset, end: offset + source.length }));
      else if (io.badRanges!(offset, source.length).length > 0) throw new KernelError('EIO', `lost media at ${offset}`);
      for (let at = 0; at < source.length; ) {
        const nr = Math.floor((offset + at) / PAGE);
        const inPage = (offset + at) % PAGE;
        const length = Math.min(PAGE - inPage, source.length - at);
        const page = pages.get(nr) ?? new Uint8Array(PAGE);
        page.set(source.subarray(at, at + length), inPage);
        pages.set(nr, page);
        at += length;
      }
    },
    flush: () => void io.nrFlushes++,
    zero(offset, length) {
      io.nrWrites++;
      for (const [nr, page] of pages) {
        const start = Math.max(offset, nr * PAGE);
        const end = Math.min(offset + length, (nr + 1) * PAGE);
        if (start < end) page.fill(0, start - nr * PAGE, end - nr * PAGE);
      }
    },
    badRanges: (offset, length) => io.lost.filter((range) => rangesOverlap(range, { start: offset, end: offset + length })),
    bytes(offset, length) {
      const target = new Uint8Array(length);
      const { lost } = io;
      io.lost = [];
      io.read(offset, target);
      io.lost = lost;
      return target;
    },
  };
  return io;
}

/** What is left of a range without another. */
function without(range: Range, other: Range): Range[] {
  const parts = [{ start: range.start, end: Math.min(range.end, other.start) }, { start: Math.max(range.start, other.end), end: range.end }];
  return parts.filter(({ start, end }) => start < end);
}
