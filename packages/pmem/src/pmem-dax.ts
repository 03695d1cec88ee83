/**
 * A pmem disk's dax_device: its memory, for those who come without a bio. Mirrors drivers/nvdimm/pmem.c: pmem_dax_ops,
 * pmem_recovery_write, pmem_dax_zero_page_range, pmem_attach_disk.
 *
 * Differs from Linux: a disk whose memory has no struct pages has one, too, as v4.1's had its direct_access; whether a file system may use
 * it is told by the queue's flag. A write heals bad blocks in every release; Linux does so from 5.19 on.
 */
import { type DaxDevice, createDaxDevice } from '@holdfast/dax';
import { KernelError, PAGE_SIZE, SECTOR_SIZE, type Sector, isAligned } from '@holdfast/lib';
import { directAccess } from './direct-access.js';
import { type PmemDevice, healForWrite } from './pmem-io.js';

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
  const { mapping, dataOffset, badblocks } = pmem;
  const write = (offset: number, source: Uint8Array): void => {
    if (mapping.type === 'WB') mapping.writeFlushCache(dataOffset + offset, source, 0, source.length);
    else mapping.write(dataOffset + offset, source, 0, source.length);
  };
  /** Make `length` bytes good that begin in the page of `offset`; false if poison stays, of which only whole pages can be rid. */
  const heal = (offset: number, length: number): boolean => {
    const start = offset - (offset % PAGE_SIZE);
    const end = Math.ceil((offset + length) / PAGE_SIZE) * PAGE_SIZE;
    if (badblocks.count === 0 || !badblocks.check(start / SECTOR_SIZE, (end - start) / SECTOR_SIZE)) return true;
    return isAligned(offset, PAGE_SIZE) && isAligned(length, PAGE_SIZE) && healForWrite(pmem, (start / SECTOR_SIZE) as Sector, dataOffset + start, length);
  };
  return createDaxDevice(name, {
    directAccess: (pgoff, nrPages, mode) => directAccess(pmem, pgoff, nrPages, mode),
    read: (offset, target) => target.length - mapping.readRecoverable(dataOffset + offset, target, 0, target.length),
    write,
    recoveryWrite(offset, source) {
      if (!heal(offset, source.length)) return 0;
      write(offset, source);
      return source.length;
    },
    zeroPageRange(pgoff, nrPages) {
      if (!heal(pgoff * PAGE_SIZE, nrPages * PAGE_SIZE)) throw new KernelError('EIO', `${name}: poison stays in pages [${pgoff}, ${pgoff + nrPages})`);
      mapping.writeZeroes(dataOffset + pgoff * PAGE_SIZE, nrPages * PAGE_SIZE);
    },
    writeBack: (pgoff, nrPages) => mapping.clwb(dataOffset + pgoff * PAGE_SIZE, nrPages * PAGE_SIZE),
    get writeCache() {
      return writeCache();
    },
    synchronous,
  });
}
