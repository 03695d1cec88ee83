/**
 * A pmem disk's dax_device: its memory, for those who come without a bio. Mirrors drivers/nvdimm/pmem.c: pmem_dax_ops, pmem_attach_disk.
 *
 * Differs from Linux: a disk whose memory has no struct pages has one, too, as v4.1's had its direct_access; whether a file system may use
 * it is told by the queue's flag.
 */
import { type DaxDevice, createDaxDevice } from '@holdfast/dax';
import { PAGE_SIZE, SECTOR_SIZE, rangesOverlap } from '@holdfast/lib';
import { directAccess } from './direct-access.js';
import type { PmemDevice } from './pmem-io.js';

export interface PmemDaxSpec {
  /** The disk's. */
  readonly name: string;
  readonly pmem: PmemDevice;
  /** Must stores be written back to be durable? As /sys/block/…/dax/write_cache says now. */
  readonly writeCache: () => boolean;
  /** Does the platform itself make durable what was written back (is_nvdimm_sync)? */
  readonly synchronous: boolean;
}

export function createPmemDax({ name, pmem, writeCache, synchronous }: PmemDaxSpec): DaxDevice {
  const { mapping, dataOffset, dataSize, badblocks } = pmem;
  const dataStart = mapping.start + dataOffset;
  return createDaxDevice(name, {
    directAccess: (pgoff, nrPages, mode) => directAccess(pmem, pgoff, nrPages, mode),
    read: (offset, target) => mapping.read(dataOffset + offset, target, 0, target.length),
    write(offset, source) {
      if (mapping.type === 'WB') mapping.writeFlushCache(dataOffset + offset, source, 0, source.length);
      else mapping.write(dataOffset + offset, source, 0, source.length);
    },
    writeBack: (pgoff, nrPages) => mapping.clwb(dataOffset + pgoff * PAGE_SIZE, nrPages * PAGE_SIZE),
    get writeCache() {
      return writeCache();
    },
    synchronous,
    isPoisoned(start, length) {
      if (badblocks.count === 0 || !rangesOverlap({ start, end: start + length }, { start: dataStart, end: dataStart + dataSize })) return false;
      const first = Math.floor((Math.max(start, dataStart) - dataStart) / SECTOR_SIZE);
      const last = Math.floor((Math.min(start + length, dataStart + dataSize) - 1 - dataStart) / SECTOR_SIZE);
      return badblocks.check(first, last - first + 1) !== undefined;
    },
  });
}
