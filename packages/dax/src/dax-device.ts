/**
 * dax_device: memory that can be reached with loads and stores, page by page, and the disks that have one.
 * Mirrors drivers/dax/super.c: alloc_dax, kill_dax, dax_direct_access, dax_zero_page_range, dax_add_host, fs_dax_get_by_bdev (6.1).
 *
 * Invariant: nothing is reached through a device that was killed.
 * Differs from Linux: a device's inode numbers are taken by the driver, see DaxChrdev.
 */
import { KERN, KernelError, PAGE_SIZE, SECTOR_SIZE, isAligned } from '@holdfast/lib';
import type { Pfn, Printk } from '@holdfast/lib';
import type { BlockDevice, Gendisk } from '@holdfast/block';

/** `recovery` is the way of a write that heals what it overwrites. */
export type DaxAccessMode = 'access' | 'recovery';

/** What a driver does for its memory. Page offsets count from the start of the disk; bytes too. */
export interface DaxOperations {
  /** Where page `pgoff` is, and how many pages from there on can be reached; 0 behind the end. @throws KernelError EIO for a bad block */
  directAccess(pgoff: number, nrPages: number, mode: DaxAccessMode): { readonly pfn: Pfn; readonly nrPages: number };
  /** Copy out, by the driver's own mapping; returns how many bytes came before the first that is lost. */
  read(offset: number, target: Uint8Array): number;
  /** Copy in, such that the driver's next flush makes it durable. */
  write(offset: number, source: Uint8Array): void;
  /** The same over bad blocks, which whole pages heal: returns how many bytes were taken, 0 where the poison stays (dax_recovery_write). */
  recoveryWrite(offset: number, source: Uint8Array): number;
  /** Zero whole pages, which heals them. @throws KernelError EIO where poison stays */
  zeroPageRange(pgoff: number, nrPages: number): void;
  /** Write back the CPU's cache lines of pages (arch_wb_cache_pmem): durable after the driver's next flush. */
  writeBack(pgoff: number, nrPages: number): void;
  /** Must stores be written back, or does the platform save the caches (dax_write_cache_enabled)? */
  readonly writeCache: boolean;
  /** Stores that were written back stay: MAP_SYNC can be promised. Not where a flush takes the host's help, as with virtio-pmem. */
  readonly synchronous: boolean;
}

export interface DaxDevice extends DaxOperations {
  readonly name: string;
  readonly alive: boolean;
  /** Called when the device goes: whoever maps its memory takes that back. Returns how to stop listening. */
  onKill(listener: () => void): () => void;
  kill(): void;
}

export function createDaxDevice(name: string, operations: DaxOperations): DaxDevice {
  const listeners = new Set<() => void>();
  let alive = true;
  return {
    name,
    get alive() {
      return alive;
    },
    get writeCache() {
      return operations.writeCache;
    },
    synchronous: operations.synchronous,
    directAccess: (pgoff, nrPages, mode) => operations.directAccess(pgoff, nrPages, mode),
    read: (offset, target) => operations.read(offset, target),
    write: (offset, source) => operations.write(offset, source),
    recoveryWrite: (offset, source) => operations.recoveryWrite(offset, source),
    zeroPageRange: (pgoff, nrPages) => operations.zeroPageRange(pgoff, nrPages),
    writeBack: (pgoff, nrPages) => operations.writeBack(pgoff, nrPages),
    onKill(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    kill() {
      alive = false;
      for (const listener of [...listeners]) listener();
      listeners.clear();
    },
  };
}

/**
 * How many pages from `pgoff` on can be reached, at most `nrPages`, and where they begin.
 * @throws KernelError EOPNOTSUPP without a device, ENXIO if it is dead, EINVAL for less than no pages, ERANGE behind the end, and the driver's
 */
export function daxDirectAccess(
  device: DaxDevice | undefined, pgoff: number, nrPages: number, mode: DaxAccessMode = 'access',
): { readonly pfn: Pfn; readonly nrPages: number } {
  if (!device) throw new KernelError('EOPNOTSUPP', 'the device has no direct access');
  if (!device.alive) throw new KernelError('ENXIO', `${device.name} is gone`);
  if (nrPages < 0) throw new KernelError('EINVAL', `direct access to ${nrPages} pages`);
  const { pfn, nrPages: available } = device.directAccess(pgoff, nrPages, mode);
  if (available <= 0) throw new KernelError('ERANGE', `${device.name}: page ${pgoff} is behind its end`);
  return { pfn, nrPages: Math.min(available, nrPages) };
}

/** Zero pages of a device, and heal them. @throws KernelError EOPNOTSUPP without a device, ENXIO if it is dead, and the driver's */
export function daxZeroPageRange(device: DaxDevice | undefined, pgoff: number, nrPages: number): void {
  if (!device) throw new KernelError('EOPNOTSUPP', 'the device has no direct access');
  if (!device.alive) throw new KernelError('ENXIO', `${device.name} is gone`);
  device.zeroPageRange(pgoff, nrPages);
}

/** The dax devices of one kernel's disks. */
export interface DaxHosts {
  /** The memory of a disk is this device's. Returns the undo, which kills it. */
  addHost(disk: Gendisk, device: DaxDevice): () => void;
  of(disk: Gendisk): DaxDevice | undefined;
}

export function createDaxHosts(): DaxHosts {
  const devices = new Map<Gendisk, DaxDevice>();
  return {
    addHost(disk, device) {
      devices.set(disk, device);
      return () => {
        devices.delete(disk);
        device.kill();
      };
    },
    of: (disk) => devices.get(disk),
  };
}

/** Where a block device begins in its disk's dax device, in bytes. */
export function daxPartOffset({ startSector }: BlockDevice): number {
  return startSector * SECTOR_SIZE;
}

/** The dax device that a file system on a block device may use; undefined if there is none, or the partition's ends are not on pages. */
export function fsDaxGetByBdev(hosts: DaxHosts, bdev: BlockDevice, printk: Printk): DaxDevice | undefined {
  if (!bdev.disk.queue.dax) return undefined;
  if (!isAligned(daxPartOffset(bdev), PAGE_SIZE) || !isAligned(bdev.nrSectors * SECTOR_SIZE, PAGE_SIZE)) {
    printk(`${bdev.name}: error: unaligned partition for dax`, KERN.info);
    return undefined;
  }
  const device = hosts.of(bdev.disk);
  return device?.alive ? device : undefined;
}
