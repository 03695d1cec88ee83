/**
 * What is mounted from the start, and cannot be unmounted: the first root, /proc, /sys and /dev, and what statfs(2) tells of them.
 * Mirrors fs/libfs.c: simple_statfs, and mm/shmem.c: shmem_statfs, which serves rootfs and devtmpfs.
 *
 * Differs from Linux: statfs gives no id of a tmpfs, which is a random one there.
 */
import type { FsDirectory, Kstatfs } from '@holdfast/fs';
import { PAGE_SIZE } from '@holdfast/lib';

/** f_type (include/uapi/linux/magic.h). */
const TMPFS_MAGIC = 0x0102_1994;
const SYSFS_MAGIC = 0x6265_6572;
const PROC_SUPER_MAGIC = 0x9fa0;

export interface OwnMount {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly options: string;
  /** Minor of the device number that st_dev shows; the major of what has no block device is 0 (get_anon_bdev). */
  readonly minor: number;
  statfs(): Kstatfs;
}

export interface OwnMountNeeds {
  readonly rootfs: FsDirectory;
  /** The files that somebody made in /dev. */
  readonly devtmpfs: FsDirectory;
  /** The names that /dev has now, devices and files. */
  readonly devices: () => Iterable<string>;
  /** Of the first root and of /dev, each. */
  readonly maxPages: number;
}

/** Pages that a tmpfs may have if its mount does not say: half of the RAM that the buddy allocator has then (shmem_default_max_blocks). */
export function shmemDefaultMaxBlocks(totalRamBytes: number): number {
  return Math.floor(totalRamBytes / PAGE_SIZE / 2);
}

export function ownMounts({ rootfs, devtmpfs, devices, maxPages: limit }: OwnMountNeeds): readonly OwnMount[] {
  const shmem = ({ pages, inodes }: Usage): Kstatfs => {
    return { ...simpleStatfs(TMPFS_MAGIC), blocks: limit, freeBlocks: limit - pages, availableBlocks: limit - pages, files: limit, freeFiles: limit - inodes };
  };
  const mount = (source: string, target: string, options: string, minor: number, statfs: () => Kstatfs): OwnMount => ({
    source,
    target,
    type: source,
    options,
    minor,
    statfs,
  });
  return [
    mount('rootfs', '/', 'rw', 2, () => shmem(usageOf(rootfs))),
    mount('proc', '/proc', 'rw,relatime', 20, () => simpleStatfs(PROC_SUPER_MAGIC)),
    mount('sysfs', '/sys', 'rw,relatime', 21, () => simpleStatfs(SYSFS_MAGIC)),
    mount('devtmpfs', '/dev', 'rw,relatime', 5, () => shmem({ pages: usageOf(devtmpfs).pages, inodes: 1 + [...devices()].length })),
  ];
}

/** A line of /proc/mounts. */
export function formatOwnMount({ source, target, type, options }: OwnMount): string {
  return `${source} ${target} ${type} ${options} 0 0\n`;
}

function simpleStatfs(type: number): Kstatfs {
  return { type, blockSize: PAGE_SIZE, blocks: 0, freeBlocks: 0, availableBlocks: 0, files: 0, freeFiles: 0, fsid: [0, 0], nameLength: 255 };
}

interface Usage {
  readonly pages: number;
  readonly inodes: number;
}

function usageOf(directory: FsDirectory): Usage {
  let [pages, inodes] = [0, 1];
  for (const name of directory.list()) {
    const node = directory.lookup(name)!;
    const used = node.kind === 'dir' ? usageOf(node) : { pages: Math.ceil((node.stat().blocks * 512) / PAGE_SIZE), inodes: 1 };
    pages += used.pages;
    inodes += used.inodes;
  }
  return { pages, inodes };
}
