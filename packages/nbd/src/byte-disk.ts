/**
 * A disk that takes requests of any bytes, over one that takes whole blocks: what a request covers of its first and last block is read,
 * changed and written back. Clients such as nbdfuse pass on what their caller writes, and ask for no block size.
 *
 * Whole blocks pass as they are. What is not is up to three requests of the disk below, which layers there see, count and cut between.
 */
import type { NbdDisk, Slab } from './disk.js';
import { KernelError } from '@holdfast/lib';
import { NBD, type NbdError } from './protocol.js';

/** A request, cut where blocks end: `[offset, middle)` and `[tail, end)` are parts of one block each; either may be empty. */
interface Pieces {
  readonly offset: number;
  readonly middle: number;
  readonly tail: number;
  readonly end: number;
}

export function createByteDisk(disk: NbdDisk): NbdDisk {
  const block = disk.minBlock;
  let scratch: Slab | undefined;

  const isWhole = (offset: number, length: number): boolean => offset % block === 0 && length % block === 0;
  const startOf = (offset: number): number => offset - (offset % block);

  const piecesOf = (offset: number, length: number): Pieces => {
    const end = offset + length;
    const middle = Math.min(startOf(offset + block - 1), end);
    return { offset, middle, tail: Math.max(middle, startOf(end)), end };
  };

  const withScratch = (use: (slab: Slab) => NbdError): NbdError => {
    try {
      scratch ??= disk.allocSlab();
    } catch (error) {
      if (error instanceof KernelError) return NBD.ENOMEM;
      throw error;
    }
    return use(scratch);
  };

  /** Change `[from, to)`, a part of one block. */
  const change = (from: number, to: number, fua: boolean, by: (bytes: Uint8Array) => void): NbdError => {
    if (from === to) return NBD.OK;
    return withScratch((slab) => {
      const start = startOf(from);
      const error = disk.read(slab, 0, start, block);
      if (error !== NBD.OK) return error;
      by(slab.bytes.subarray(from - start, to - start));
      return disk.write(slab, 0, start, block, fua);
    });
  };

  return Object.assign(Object.create(disk) as NbdDisk, {
    minBlock: 1,
    read(slab, at, offset, length) {
      if (isWhole(offset, length)) return disk.read(slab, at, offset, length);
      return withScratch((whole) => {
        const start = startOf(offset);
        const error = disk.read(whole, 0, start, startOf(offset + length + block - 1) - start);
        if (error === NBD.OK) slab.bytes.set(whole.bytes.subarray(offset - start, offset - start + length), at);
        return error;
      });
    },
    write(slab, at, offset, length, fua) {
      if (isWhole(offset, length)) return disk.write(slab, at, offset, length, fua);
      const { middle, tail, end } = piecesOf(offset, length);
      const part = (from: number, to: number): NbdError =>
        change(from, to, fua, (bytes) => bytes.set(slab.bytes.subarray(at + from - offset, at + to - offset)));
      return (
        part(offset, middle) ||
        (tail > middle ? disk.write(slab, at + middle - offset, middle, tail - middle, fua) : NBD.OK) ||
        part(tail, end)
      );
    },
    trim(offset, length, fua) {
      if (isWhole(offset, length)) return disk.trim(offset, length, fua);
      const { middle, tail } = piecesOf(offset, length); // parts of a block stay: a trim is a hint
      return tail > middle ? disk.trim(middle, tail - middle, fua) : NBD.OK;
    },
    writeZeroes(offset, length, fua, noHole) {
      if (isWhole(offset, length)) return disk.writeZeroes(offset, length, fua, noHole);
      const { middle, tail, end } = piecesOf(offset, length);
      const part = (from: number, to: number): NbdError => change(from, to, fua, (bytes) => bytes.fill(0));
      return part(offset, middle) || (tail > middle ? disk.writeZeroes(middle, tail - middle, fua, noHole) : NBD.OK) || part(tail, end);
    },
    extent(offset, length) {
      if (isWhole(offset, length)) return disk.extent(offset, length);
      const start = startOf(offset);
      const extent = disk.extent(start, startOf(offset + length + block - 1) - start);
      return { length: Math.min(start + extent.length - offset, length), state: extent.state };
    },
  } satisfies Partial<NbdDisk>);
}
