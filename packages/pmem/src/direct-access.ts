/**
 * Where the bytes of a device are in memory, for those who reach them with loads and stores: DAX.
 * Mirrors drivers/nvdimm/pmem.c: __pmem_direct_access (6.1); and v4.1's pmem_direct_access with fs/block_dev.c: bdev_direct_access.
 */
import { KernelError, PAGE_SIZE, SECTORS_PER_PAGE, SECTOR_SIZE, physToPfn } from '@holdfast/lib';
import type { Pfn, PhysAddr } from '@holdfast/lib';
import type { BlockDevice } from '@holdfast/block';
import type { PmemDevice } from './pmem-io.js';

/** `recovery` is the way of a write that heals what it overwrites. */
export type DirectAccessMode = 'access' | 'recovery';

export interface DirectAccess {
  /** Bytes from the start of the device's mapping: its kaddr. */
  readonly offset: number;
  readonly pfn: Pfn;
}

function at(pmem: PmemDevice, offset: number): DirectAccess {
  return { offset, pfn: physToPfn((pmem.mapping.start + offset) as PhysAddr) };
}

/**
 * Today's driver: how many pages from page `pgoff` of the data area on can be reached.
 * @throws KernelError EIO if a bad block is in the way of `access`
 */
export function directAccess(pmem: PmemDevice, pgoff: number, nrPages: number, mode: DirectAccessMode): DirectAccess & { readonly nrPages: number } {
  const where = at(pmem, pmem.dataOffset + pgoff * PAGE_SIZE);
  const { badblocks } = pmem;
  if (badblocks.count === 0) return { ...where, nrPages: Math.floor(pmem.dataSize / PAGE_SIZE) - pgoff };
  const first = pgoff * SECTORS_PER_PAGE;
  const bad = badblocks.check(first, nrPages * SECTORS_PER_PAGE);
  if (!bad) return { ...where, nrPages };
  if (mode === 'access') throw new KernelError('EIO', `bad block at sector ${bad.firstBad}, in pages [${pgoff}, ${pgoff + nrPages})`);
  return { ...where, nrPages: Math.max(1, Math.ceil((bad.firstBad - first) / SECTORS_PER_PAGE)) };
}

/**
 * v4.1: how many bytes from `sector` of a device on can be reached, at most `sizeBytes`.
 * @throws KernelError ERANGE behind the end, EINVAL if it does not lie on a page of the disk
 */
export function directAccess41(pmem: PmemDevice, bdev: BlockDevice, sector: number, sizeBytes: number): DirectAccess & { readonly sizeBytes: number } {
  if (sector + Math.ceil(sizeBytes / SECTOR_SIZE) > bdev.nrSectors) {
    throw new KernelError('ERANGE', `${bdev.name}: ${sizeBytes} bytes at sector ${sector}, and the device has ${bdev.nrSectors}`);
  }
  const onDisk = sector + bdev.startSector;
  if (onDisk % SECTORS_PER_PAGE !== 0) throw new KernelError('EINVAL', `${bdev.name}: sector ${sector} is not at the start of a page`);
  const where = at(pmem, onDisk * SECTOR_SIZE);
  return { ...where, sizeBytes: Math.min(pmem.dataSize - where.offset, sizeBytes) };
}
