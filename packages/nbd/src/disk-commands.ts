/**
 * Commands of the protocol as calls of a disk.
 */
import { type Extent, type NbdDisk, type Slab, isHole } from './disk.js';
import { CMD, CMD_FLAG, NBD, type NbdError } from './protocol.js';

/** A command that has no payload and gets a simple reply. */
export function withoutPayload(disk: NbdDisk, type: number, offset: number, length: number, flags: number): NbdError {
  const fua = (flags & CMD_FLAG.FUA) !== 0;
  const noHole = (flags & CMD_FLAG.NO_HOLE) !== 0;
  switch (type) {
    case CMD.FLUSH:
      return disk.flush();
    case CMD.TRIM:
      return disk.trim(offset, length, fua);
    case CMD.WRITE_ZEROES:
      if ((flags & CMD_FLAG.FAST_ZERO) !== 0 && !zeroesFast(disk, offset, length, noHole)) return NBD.ENOTSUP;
      return disk.writeZeroes(offset, length, fua, noHole);
    default: // CACHE: all of it is in memory
      return NBD.OK;
  }
}

/** Zeros over more than this are not looked at first: that would not be fast. */
const MAX_LOOK_BYTES = 2 ** 38;

/** Is there less to do than to write each zero? Not where each must be allocated. */
export function zeroesFast(disk: NbdDisk, offset: number, length: number, noHole: boolean): boolean {
  return !noHole && (disk.fastZero || (length <= MAX_LOOK_BYTES && isHole(disk.extent(offset, length), length)));
}

/** At most `most` extents from `offset` on, in order, of which neighbours differ. */
export function extentsOf(disk: NbdDisk, offset: number, length: number, most: number): Extent[] {
  const extents: Extent[] = [];
  for (let done = 0; done < length; ) {
    const extent = disk.extent(offset + done, length - done);
    const last = extents.at(-1);
    if (last && last.state === extent.state) extents[extents.length - 1] = { length: last.length + extent.length, state: last.state };
    else if (extents.length === most) break;
    else extents.push(extent);
    done += extent.length;
  }
  return extents;
}

/** Where a failed read first fails, by halves; undefined if it would not fail again. */
export function firstBadByte(disk: NbdDisk, slab: Slab, scratch: number, offset: number, length: number): number | undefined {
  let from = offset;
  let size = length;
  while (size > disk.minBlock) {
    const half = Math.ceil(size / 2 / disk.minBlock) * disk.minBlock;
    if (disk.read(slab, scratch, from, half) === NBD.OK) {
      from += half;
      size -= half;
    } else size = half;
  }
  return disk.read(slab, scratch, from, size) === NBD.OK ? undefined : from;
}
